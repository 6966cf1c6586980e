"""The file that notes what runs do to which instance, so that it can be undone: one JSON object a line.

    {"base_url": "https://…", "creating": "/api/v2/system/role", "key": {"name": "acme-role"}}   before a create is sent
    {"base_url": "https://…", "created": "/api/v2/system/role/12"}                               after it was answered
    {"base_url": "https://…", "settled": "/api/v2/system/role", "key": {"name": "acme-role"}}    the first is answered
    {"base_url": "https://…", "deleted": "/api/v2/system/role/12"}
    {"base_url": "https://…", "changed": "/api/v2/system/role/7", "was": {…}, "now": {…}, …}     before it is sent
    {"base_url": "https://…", "undone": "/api/v2/system/role/7", "was": {…}, "now": {…}}         it is as it was
    {"base_url": "https://…", "removing": "/api/v2/system/role", "key": {"name": "old"}, "id": 7, "record": {…}, …}
    {"base_url": "https://…", "undone": "/api/v2/system/role", "key": {"name": "old"}, "was": 7, "is": 12}   made anew
    {"base_url": "https://…", "sent": "post_package 1f0c5a9b2e77"}      a call that no later run shall repeat, maybe
                                                                        with what later steps need of its "answer"
    {"base_url": "https://…", "unsent": "post_package 1f0c5a9b2e77"}    a teardown: the next run shall send it again
    {"base_url": "https://…", "due": "delete_cache 5d2a90c1be04"}       before the first change: to be sent after it
    {"base_url": "https://…", "done": "delete_cache 5d2a90c1be04"}      it was sent

A create that stays unsettled (the run was killed, or no answer came) is looked for by its key. Only an upsert notes it,
as it has made sure that the record was not there; and only an upsert notes changes of what it found, as it has read it
before (`undoing.remembered`), and what pointed to what it deletes (`undoing.references`). `for` holds the parameters
that a run gave another value than the recorded one (`{"DF_TENANT": "globex"}`): a run undoes what runs with the same
parameters made. Generated scripts read and write the same lines.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from dfrecord.errors import UsageError, WorkFailed
from dfrecord.nesting import is_too_deep
from dfrecord.outputs import A_BLOCK
from dfrecord.replaying.client import Answered
from dfrecord.replaying.values import as_json
from dfrecord.system_api.conventions import Conventions
from dfrecord.tree import Object

_MADE = ("created", "creating", "changed", "removing")
_UNDONE = ("deleted", "settled", "undone")


@dataclass(frozen=True, slots=True)
class Made:
    """A record to delete again: its path, or with a `key` the path of the list that it may be in.

    With a `change`, a record that was found and changed; with a `removal`, one that was found and deleted.
    """

    path: str
    key: Mapping[str, Any] | None = None
    change: dict[str, Any] | None = None
    removal: dict[str, Any] | None = None


@dataclass(frozen=True)
class CreatedFile:
    """The notes about one instance in one file. Raises UsageError when the file cannot be read."""

    path: Path
    base_url: str
    conventions: Conventions
    made_for: Mapping[str, str] = field(default_factory=dict)
    holds_secret: Callable[[str], bool] = lambda name: False

    def check(self) -> None:
        """Raises UsageError when notes cannot be added, before anything happens that is worth a note."""
        try:
            if self.path.exists():
                with self.path.open("ab") as file:  # a full disk may have cut the last note off
                    if self.path.is_file() and self.path.read_bytes()[-1:] not in b"\n":
                        file.write(b"\n")
            else:
                with tempfile.TemporaryFile(dir=self.path.parent) as trial:
                    trial.write(bytes(A_BLOCK))
        except OSError as error:
            raise UsageError(
                f"{self.path}: cannot be written: {error.strerror}; choose another with --created-file; "
                "nothing was sent"
            ) from None

    def made(self) -> list[Made]:
        """What runs with the same parameters did and nobody undid, in order; no changes of what they created."""
        made = [made for made, made_for in self._all() if made_for == self.made_for]
        created = {each.path for each in made if not (each.change or each.key)}
        return [each for each in made if not (each.change and each.path in created)]

    def made_for_others(self) -> dict[str, int]:
        """How many records runs with other parameters made, by those parameters: `DF_TENANT=globex`."""
        counts: dict[str, int] = {}
        for _, made_for in self._all():
            if made_for != self.made_for:
                words = " ".join(f"{name}={value}" for name, value in made_for.items()) or "no parameters"
                counts[words] = counts.get(words, 0) + 1
        return counts

    def note_creating(self, path: str, key: Mapping[str, Any] | None) -> None:
        """Note before a create is sent what it will make; without a key, the path itself is the record's."""
        if key:
            self._append(made={"creating": path, "key": key})
        else:
            self._note_created(path)

    def note_changing(self, path: str, change: Mapping[str, Any]) -> None:
        """Note before it is sent what a change of a found record does (`undoing.remembered`)."""
        self._append(made={"changed": path, **change})

    def note_removing(self, path: str, removal: Mapping[str, Any]) -> None:
        """Note before it is deleted what a found record was (`undoing.removed`); `path` is that of its list."""
        self._append(made={"removing": path, **removal})

    def note_undone(self, made: Made, id_now: Any = None) -> None:
        """Note that a change is taken back, or that a deleted record is there again, with which id."""
        told = {"now": made.change["now"], "was": made.change["was"]} if made.change else {"key": made.key}
        ids = {"was": made.removal.get("id"), "is": id_now} if made.removal else {}
        self._append(undone=made.path, **told, **ids)

    def note_settled(self, path: str, key: Mapping[str, Any]) -> None:
        """Note that a create was answered, or that its record is gone."""
        self._append(settled=path, key=key)

    def note_records(self, method: str, target: str, makes: str, answered: Answered) -> None:
        """Note what a request created or deleted; a batch that failed has created what the server says it has.

        Raises WorkFailed when it cannot be noted.
        """
        answer = as_json(answered.tree) if isinstance(answered.tree, Object) else {}
        deletes = method == "DELETE" and answered.succeeded
        error = answer.get("error")
        context = error.get("context") if isinstance(error, dict) else None
        rows = (context if isinstance(context, dict) else answer).get(self.conventions.wrapper)
        if not isinstance(rows, list):
            rows = [answer] if answered.status == 201 or deletes else []
        path = target.partition("?")[0]
        own = self.conventions.own_field(makes or path)
        ids = [row.get(own) for row in rows if isinstance(row, dict)]
        names = [quote(str(name), safe="") for name in ids if name is not None]
        if makes:
            for name in names:
                self._note_created(f"{makes}/{name}")
        if deletes:
            self.note_deleted(path, *(f"{path}/{name}" for name in names))

    def _note_created(self, path: str) -> None:
        """Not when a secret is part of the record's name, which stays in the path."""
        name = path.rpartition("/")[2]
        if name.isdigit() or not self.holds_secret(name):
            self._append(made={"created": path})

    def note_deleted(self, *paths: str) -> None:
        """Note that these are gone. Raises WorkFailed when it cannot be noted."""
        known = {made.path for made, _ in self._all()}
        for path in paths:
            if path in known:
                self._append(deleted=path)

    def sent(self) -> dict[str, Any]:
        """What runs with the same parameters noted as sent (`Step.once`), with what was noted of the answer."""
        return self._calls("sent", "unsent")

    def due(self) -> set[str]:
        """What they noted as to be sent after changes, and not as sent (`Step.due`)."""
        return set(self._calls("due", "done"))

    def _calls(self, word: str, other: str) -> dict[str, Any]:
        """The calls that were noted last with this word, and not with the other."""
        last: dict[str, dict[str, Any]] = {}
        for note in self._notes():
            if note.get("base_url") == self.base_url and (note.get("for") or {}) == self.made_for:
                last |= {str(note[each]): note for each in (word, other) if each in note}
        return {name: note.get("answer") for name, note in last.items() if word in note}

    def note_sent(self, name: str, answer: Any = None) -> None:
        """Note that no later run shall send it. Raises WorkFailed when it cannot be noted."""
        self._append(made={"sent": name} | ({} if answer is None else {"answer": answer}))

    def note_due(self, name: str) -> None:
        """Note before the first change that this is to be sent after it. Raises WorkFailed when it cannot be noted."""
        self._append(made={"due": name})

    def note_done(self, name: str) -> None:
        """Note that it was sent."""
        self._append(made={"done": name})

    def note_unsent(self, name: str) -> None:
        """Note that the next run shall send it again."""
        self._append(made={"unsent": name})

    def anew(self) -> dict[str, Any]:
        """The records that a teardown which has not ended made anew: the path that each had, and its id now."""
        return self._folded()[1]

    def _all(self) -> list[tuple[Made, Mapping[str, str]]]:
        return self._folded()[0]

    def _folded(self) -> tuple[list[tuple[Made, Mapping[str, str]]], dict[str, Any]]:
        notes: dict[tuple[str, str], tuple[Made, Mapping[str, str]]] = {}
        anew: dict[str, Any] = {}
        for note in self._notes():
            if note.get("base_url") != self.base_url:
                continue
            key, change = note.get("key"), note.get("now")
            path = next((note[word] for word in (*_MADE, *_UNDONE) if word in note), "")
            told = key or [change, note.get("was")]  # what is sent is the same where rows are added alike
            place = (str(path), json.dumps(told, sort_keys=True))
            notes.pop(place, None)
            if not note.keys().isdisjoint(_MADE):
                made = Made(str(path), key, note if change else None, note if "record" in note else None)
                notes[place] = (made, note.get("for") or {})
            elif note.get("is") is not None and note["is"] != note.get("was"):
                anew[f"{path}/{quote(str(note.get('was')), safe='')}"] = note["is"]
            anew = anew if notes else {}
        return list(notes.values()), anew

    def _notes(self) -> Iterator[dict[str, Any]]:
        try:  # a device may be read without an end
            lines = self.path.read_text("utf-8", "replace").split("\n") if self.path.is_file() else []
        except OSError as error:
            raise UsageError(f"{self.path}: cannot be read: {error}; choose another with --created-file") from None
        for line in lines:
            try:
                note = json.loads(line)
            except (ValueError, RecursionError):
                continue  # a line that a full disk cut off
            if isinstance(note, dict) and not is_too_deep(note):
                yield note

    def _append(self, made: Mapping[str, Any] | None = None, **note: Any) -> None:
        if made is not None:
            note = {**({"for": dict(self.made_for)} if self.made_for else {}), **made}
        line = json.dumps({"base_url": self.base_url, **note})
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as error:
            raise WorkFailed(f"{self.path}: {error.strerror}; this is not noted there: {line}") from None
