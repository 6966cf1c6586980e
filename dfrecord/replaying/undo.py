"""Undoes what earlier runs noted: deletes what they created, puts back what they changed, makes anew what they deleted.

In: one note of the created file at a time, the newest first. Out: its result, and the note that it is undone.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from dfrecord.normalise.select import refusal
from dfrecord.replaying import undoing
from dfrecord.replaying.client import Answered, Client
from dfrecord.replaying.created import CreatedFile, Made
from dfrecord.replaying.reconcile import objects_in
from dfrecord.replaying.results import Outcome, StepResult
from dfrecord.replaying.target import Target, member
from dfrecord.replaying.values import as_json, json_bytes
from dfrecord.tree import Object, Text, Tree

_Headers = list[tuple[str, str]]
ANOTHER_ID = "with another id"


@dataclass(frozen=True)
class Undo:
    """Calling it with a note undoes that; `wrapper` is where a create puts its records ("" nowhere).

    `gives` tells of lists whose records give rows to others (`Journey.gives`).
    `anew` tells which records were made anew, or would be (`undoing.brought_up_to_date`).
    """

    client: Client
    target: Target
    created: CreatedFile
    headers: _Headers
    wrapper: str
    gives: Mapping[str, Mapping[str, tuple[str, str]]] = field(default_factory=dict)
    anew: dict[str, Any] = field(default_factory=dict)

    def __call__(self, made: Made) -> StepResult | None:
        """What came of it; None when there was nothing to do. Raises WorkFailed."""
        started = time.monotonic()
        if made.change is not None:
            title, sent = f"Put back {made.path}", self._put_back(made, made.change)
        elif made.key is not None and made.removal is not None:
            title, sent = _title_anew(made, made.key), self._make_anew(made, made.key, made.removal)
        else:
            path = self._path(made)
            if made.key is not None and not path:
                self.created.note_settled(made.path, made.key)
                return None
            title, sent = f"Delete {path}", self._delete(path)
            if made.key is not None and sent.outcome is not Outcome.FAILED:
                self.created.note_settled(made.path, made.key)
        return StepResult(0, "tear_down", title, sent.outcome, time.monotonic() - started, sent.message)

    def would(self, made: Made) -> list[tuple[str, str]]:
        """What undoing it would do now (create, change or delete), each with its title; only reads.

        Raises WorkFailed.
        """
        if made.change is not None:
            note, record = self._found(made, made.change)
            back = undoing.taken_back(note, record) if record is not None else {}
            return [("change", f"Put back {made.path}")] if back else []
        if made.key is not None and made.removal is not None:
            found = self._there(made, made.key, made.removal)
            self._remember(made.path, made.removal, as_json(found.get(self.target.conventions.id)) if found else "new")
            return [] if found else [("create", _title_anew(made, made.key))]
        path = self._path(made)
        if not path or self.client.send("GET", path, self.headers).status == 404:
            return []
        rows = self._rows_given(path)
        return [("change", f"Remove the rows that {path} gives to others")] * bool(rows) + [
            ("delete", f"Delete {path}")
        ]

    def _path(self, made: Made) -> str:
        """Where the record is that was created; empty when nobody heard of its create, and it is not there."""
        if made.key is None:
            return made.path
        row = self.target.row(made.path, made.key, self.headers)
        return f"{made.path}/{row}" if row is not None else ""

    def _delete(self, path: str) -> _Sent:
        taken = self._take_rows(path)
        if taken and not taken.succeeded:
            return _refused(taken)
        answered = self.client.send("DELETE", path, self.headers)
        if answered.status != 404 and not answered.succeeded:
            return _refused(answered)
        self.created.note_deleted(path)
        return _Sent(Outcome.DELETED if answered.succeeded else Outcome.UNCHANGED)

    def _take_rows(self, path: str) -> Answered | None:
        """Remove the rows that a record gives to others: without it they would point to nothing."""
        rows = self._rows_given(path)
        return self._send("PATCH", path, rows) if rows else None

    def _rows_given(self, path: str) -> dict[str, Any]:
        """What to send so that they go; empty when it gives none."""
        relations = self.gives.get(path.rpartition("/")[0], {})
        record = self._record(f"{path}?related={','.join(relations)}") if relations else None
        found = as_json(record) if record else {}
        there = {name: objects_in(found.get(name)) for name in relations}
        return {
            name: [{own: row.get(own), parent: None} for row in there[name]]
            for name, (own, parent) in relations.items()
            if there[name]
        }

    def _put_back(self, made: Made, change: dict[str, Any]) -> _Sent:
        """Give a changed record its old values where it still has the new ones."""
        note, record = self._found(made, change)
        back = undoing.taken_back(note, record) if record is not None else {}
        left = undoing.changed_since(note, record) if record is not None else []
        answered = self._send("PATCH", undoing.path_now(made.path, self.anew), back) if back else None
        if answered and not answered.succeeded:
            return _refused(answered)
        self.created.note_undone(made)
        told = ", ".join(back) or ("already absent" if record is None else "nothing to put back")
        told += f"; left as somebody changed it since: {', '.join(left)}" if left else ""
        return _Sent(Outcome.CHANGED if back else Outcome.UNCHANGED, told)

    def _found(self, made: Made, change: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any] | None]:
        """The change as it is to be taken back now, and the record with the rows that changed, None when absent."""
        related = f"?related={','.join(change['rows'])}" if change["rows"] else ""
        record = self._record(undoing.path_now(made.path, self.anew) + related)
        if record is None:
            return change, None
        return undoing.brought_up_to_date(change, as_json(record), self.anew)

    def _make_anew(self, made: Made, key: Mapping[str, Any], removal: dict[str, Any]) -> _Sent:
        """Create a record that was deleted, unless there is one."""
        there: Tree = self._there(made, key, removal)
        sent, by_name = _Sent(Outcome.UNCHANGED), removal.get("by_name")
        if there is None:
            record = undoing.with_new_ids(removal["record"], removal.get("foreign", {}), self.anew)
            path = _own_path(made, removal) if by_name == "path" else made.path
            wrapper = self.wrapper if by_name != "path" else ""
            answered = self._send("POST", path, {wrapper: [record]} if wrapper else record)
            if not answered.succeeded:
                return _refused(answered)
            there = member(answered.tree, wrapper, 0) if wrapper else answered.tree
            sent = _Sent(Outcome.CREATED, "" if by_name else ANOTHER_ID)
        id_now = as_json(member(there, self.target.conventions.id)) if not by_name else None
        self._remember(made.path, removal, id_now)
        self.created.note_undone(made, id_now)
        return sent

    def _there(self, made: Made, key: Mapping[str, Any], removal: dict[str, Any]) -> Object | None:
        """The record that was deleted, if there is one again."""
        if removal.get("by_name"):
            return self._record(_own_path(made, removal))
        return self.target.keyed(
            made.path, undoing.with_new_ids(key, removal.get("foreign", {}), self.anew), self.headers
        )

    def _record(self, path: str) -> Object | None:
        headers = tuple((name, Text((value,))) for name, value in self.headers)
        record = self.target.record(path, headers)
        return record if isinstance(record, Object) else None

    def _remember(self, path: str, removal: dict[str, Any], id_now: Any) -> None:
        """Note which id a record has now; one that is known by its name keeps that."""
        if not removal.get("by_name") and id_now is not None and id_now != removal.get("id"):
            self.anew[f"{path}/{quote(str(removal.get('id')), safe='')}"] = id_now

    def _send(self, method: str, path: str, content: dict[str, Any]) -> Answered:
        headers = [*self.headers, ("Content-Type", "application/json")]
        return self.client.send(method, path, headers, json_bytes(content))


@dataclass(frozen=True)
class _Sent:
    outcome: Outcome
    message: str = ""


def _refused(answered: Answered) -> _Sent:
    return _Sent(Outcome.FAILED, f"{answered.status} {refusal(answered.tree, answered.reason)}")


def _own_path(made: Made, removal: dict[str, Any]) -> str:
    return f"{made.path}/{quote(str(removal['id']), safe='')}"


def _title_anew(made: Made, key: Mapping[str, Any]) -> str:
    return f"Make anew {next(iter(key.values()), '')} in {made.path}"
