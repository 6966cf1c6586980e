"""The file that notes what runs create on which instance, so that it can be deleted again: one JSON object a line.

`{"base_url": "https://…", "created": "/api/v2/system/role/12"}`, and `deleted` in the place of `created` once it is
gone. Generated scripts read and write the same lines.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from dfrecord.errors import UsageError, WorkFailed
from dfrecord.journey.model import Conventions, Object
from dfrecord.replaying.client import Answered
from dfrecord.replaying.values import as_json


@dataclass(frozen=True)
class CreatedFile:
    """The notes about one instance in one file. Raises UsageError when the file cannot be read."""

    path: Path
    base_url: str
    conventions: Conventions

    def check(self) -> None:
        """Raises UsageError when notes cannot be added, before anything happens that is worth a note."""
        try:
            if self.path.exists():
                self.path.open("a").close()
            else:
                tempfile.TemporaryFile(dir=self.path.parent).close()
        except OSError as error:
            raise UsageError(
                f"{self.path}: cannot be written: {error.strerror}; choose another with --created-file; "
                "nothing was sent"
            ) from None

    def paths(self) -> list[str]:
        """The paths of what is noted as created and not as deleted, in the order of creation."""
        paths: dict[str, None] = {}
        for note in self._notes():
            if note.get("base_url") == self.base_url:
                paths.pop(str(note.get("deleted")), None)
                paths |= {str(note["created"]): None} if "created" in note else {}
        return list(paths)

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
        own = [row.get(self.conventions.id, row.get("name")) for row in rows if isinstance(row, dict)]
        names = [quote(str(name), safe="") for name in own if name is not None]
        if makes:
            for name in names:
                self._append(created=f"{makes}/{name}")
        if deletes:
            self.note_deleted(path, *(f"{path}/{name}" for name in names))

    def note_deleted(self, *paths: str) -> None:
        """Note that these are gone. Raises WorkFailed when it cannot be noted."""
        known = set(self.paths())
        for path in paths:
            if path in known:
                self._append(deleted=path)

    def _notes(self) -> Iterator[dict[str, Any]]:
        try:
            lines = self.path.read_text("utf-8").splitlines()
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            raise UsageError(f"{self.path}: cannot be read: {error}; choose another with --created-file") from None
        for line in lines:
            try:
                note = json.loads(line)
            except ValueError:
                continue  # a line that a full disk cut off
            if isinstance(note, dict):
                yield note

    def _append(self, **note: str) -> None:
        line = json.dumps({"base_url": self.base_url, **note})
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as error:
            raise WorkFailed(f"{self.path}: {error.strerror}; this is not noted there: {line}") from None
