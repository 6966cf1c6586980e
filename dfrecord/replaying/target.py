"""Finding records on an instance: lookups, and the records that a wanted state is about."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

from dfrecord.errors import WorkFailed
from dfrecord.journey.model import Step, Variable, Wanted
from dfrecord.journey.values import as_text
from dfrecord.normalise.body import json_text, parse_json
from dfrecord.normalise.select import refusal
from dfrecord.replaying.client import Answered, Client
from dfrecord.replaying.values import Values, as_json, filled, filled_text
from dfrecord.replaying.whole_list import CutShort, whole_list
from dfrecord.system_api.conventions import Conventions
from dfrecord.tree import Array, Number, Object, Text, Tree

_UNFILTERABLE = set('"\\(){},<>=!')
"""What a server-side filter cannot hold (system-api.md section 10)."""

Headers = tuple[tuple[str, Text], ...]
Match = Sequence[tuple[str, Tree]]


@dataclass
class Target:
    """One instance, read with a run's values."""

    client: Client
    values: Values
    conventions: Conventions

    def headers(self, headers: Headers) -> list[tuple[str, str]]:
        """Headers with values filled in."""
        return [(name, filled_text(value, self.values)) for name, value in headers]

    def read(self, target: str, headers: Headers) -> Answered:
        """GET; any answer."""
        return self.client.send("GET", target, self.headers(headers))

    def record(self, target: str, headers: Headers) -> Tree:
        """The record at a path, None when there is none. Raises WorkFailed when it cannot be read.

        Where only the list shows records (`Conventions.listed`), it is taken from there.
        """
        path, _, name = target.partition("?")[0].rpartition("/")
        if field := dict(self.conventions.listed).get(path):
            found = self._records(path, headers, self.conventions.rows, [(field, unquote(name))], none_at=404)
            return found[0] if found else None
        answered = self.read(target, headers)
        if answered.status == 404:
            return None
        if not answered.succeeded:
            raise WorkFailed(f"{answered.status} {refusal(answered.tree, answered.reason)}")
        if not isinstance(answered.tree, Object):
            raise WorkFailed("the answer is no record")
        return answered.tree

    def look_up(self, variable: Variable) -> Tree:
        """The value of a lookup variable, None for an optional record that is not there. Raises WorkFailed."""
        lookup = variable.lookup
        assert lookup is not None
        path = filled_text(lookup.path, self.values)
        for number, match in enumerate((*lookup.newer, lookup.match)):
            nth = 0 if number < lookup.alike else lookup.nth
            found = self.find(lookup.resource, path, match, lookup.headers, lookup.rows, lookup.pick, nth)
            if isinstance(found, Object):
                return found.get(lookup.pick)
        if lookup.optional:
            return None
        wanted = as_json(filled(Object(tuple(lookup.match)), self.values))
        raise WorkFailed(f"there is no {lookup.resource} with {json.dumps(wanted, ensure_ascii=False)}")

    def find(
        self,
        resource: str,
        path: str,
        match: Match,
        headers: Headers,
        rows: Sequence[str],
        pick: str,
        nth: int | None = None,
    ) -> Object | None:
        """The one record under `rows` of the path's answer with all these values, or the nth (from 0) of several.

        Raises WorkFailed for several when no nth is asked for.

        Filtered by the server where its filters can express the key, else, or when that finds none, from the list.
        """
        wanted = [(field, filled(value, self.values)) for field, value in match]
        joint = "&" if "?" in path else "?"
        found: list[Object] = []
        field, value = wanted[0]
        is_list = tuple(rows) == self.conventions.rows and self.conventions.filters
        if len(wanted) == 1 and is_list and isinstance(value, str):
            fields = "fields=" + ",".join(dict.fromkeys(quote(name) for name in (self.conventions.id, field, pick)))
            if value and not _UNFILTERABLE & set(value):
                text = quote(f'{field}="{value}"', safe="", errors="replace")
                answered = self.read(f"{path}{joint}filter={text}&{fields}", headers)
                found = _matching(_rows(answered.tree, rows), wanted) if answered.succeeded else []
            path = f"{path}{joint}{fields}"
        if not found:
            found = self._records(path, headers, rows, wanted)
        if nth is not None:
            found = found[nth : nth + 1]
        if len(found) > 1:
            raise WorkFailed(f"{len(found)} {resource} records have {json_text(Object(tuple(wanted)))}")
        return found[0] if found else None

    def row(self, path: str, key: Mapping[str, Any], headers: Sequence[tuple[str, str]]) -> str | None:
        """The id of the record in a list that has this key (plain JSON), as it stands in a path; None when none has."""
        found = self.keyed(path, key, headers)
        return quote(as_text(found.get(self.conventions.id)), safe="") if found is not None else None

    def keyed(self, path: str, key: Mapping[str, Any], headers: Sequence[tuple[str, str]]) -> Object | None:
        """The record in a list that has this key (plain JSON), with its id; None when none has."""
        match = [(name, parse_json(json.dumps(value).encode())) for name, value in key.items()]
        sent = tuple((name, Text((value,))) for name, value in headers)
        return self.find("", path, match, sent, self.conventions.rows, self.conventions.id)

    def referring(self, refers: Mapping[str, Any], headers: Headers) -> list[dict[str, Any]]:
        """The records of a list that may point to another (`undoing.references`). Raises WorkFailed.

        Of one that not every server has, none are there where it is absent.
        """
        related = f"?related={','.join(refers['rows'])}" if refers["rows"] else ""
        none_at = 404 if refers.get("optional") else 0
        try:
            found = self._records(refers["path"] + related, headers, self.conventions.rows, none_at=none_at)
            return list(map(as_json, found))
        except WorkFailed as error:
            raise WorkFailed(f"{refers['path']}: {error}") from None

    def existing(self, step: Step, wanted: Wanted, relations: Sequence[str] = ()) -> tuple[str, dict[str, Any] | None]:
        """The path of the record that a wanted state is about, empty when nobody knows it yet, and the record there.

        A create's record is looked for by its keys, the newest first. `relations` are read with it, those of the wanted
        state when none are named.
        """
        path = filled_text(step.request.target, self.values).partition("?")[0]
        headers = step.request.headers
        keys = wanted.document.get("keys")
        if isinstance(keys, Array) and keys.items:
            found = self._by_key(step, path, keys, headers)
            if found is None:
                return "", None
            path = f"{path}/{found}"
        relations = relations or wanted.relations
        related = f"?related={','.join(relations)}" if relations else ""
        record = self.record(path + related, headers)
        return path, as_json(record) if isinstance(record, Object) else None

    def _records(
        self, path: str, headers: Headers, rows: Sequence[str], match: Match = (), *, none_at: int = 0
    ) -> list[Object]:
        """The records under `rows` of an answer that have these values, of a list all that there are.

        None where it is answered with the status `none_at`. Raises WorkFailed.
        """

        def page(target: str) -> tuple[list[Tree], int]:
            answered = self.read(target, headers)
            if answered.status == none_at:
                return [], 0
            if not answered.succeeded:
                raise WorkFailed(f"{answered.status} {refusal(answered.tree, answered.reason)}")
            return _rows(answered.tree, rows), _count(answered.tree)

        if not self.conventions.filters or tuple(rows) != self.conventions.rows:
            return _matching(page(path)[0], match)
        counted = f"{path}{'&' if '?' in path else '?'}include_count=true"
        try:
            found = whole_list(lambda start: page(f"{counted}&offset={start}" if start else counted))
        except CutShort as error:
            raise WorkFailed(str(error)) from None
        return _matching(found, match)

    def _by_key(self, step: Step, path: str, keys: Array, headers: Headers) -> str | None:
        for key in keys.items:
            if isinstance(key, Object) and key.members:
                match = [(str(name), value) for name, value in key.members]
                own = self.conventions.id
                found = self.find(step.resource or "", path, match, headers, self.conventions.rows, own)
                if found is not None:
                    return quote(as_text(found.get(own)), safe="")
        return None


def _rows(answer: Tree, rows: Iterable[str]) -> list[Tree]:
    for row in rows:
        answer = answer.get(row) if isinstance(answer, Object) else answer
    if not isinstance(answer, Array):
        raise WorkFailed("the answer is no list of records")
    return list(answer.items)


def _count(answer: Tree) -> int:
    """How many records there are in all, which an answer tells beside a part of them; 0 where it does not."""
    count = member(answer, "meta", "count")
    return int(count.text) if isinstance(count, Number) and re.fullmatch("[0-9]{1,15}", count.text) else 0


def _matching(rows: Iterable[Tree], match: Match) -> list[Object]:
    records = [row for row in rows if isinstance(row, Object)]
    return [row for row in records if all(_shown(row.get(name)) == _shown(value) for name, value in match)]


def _shown(value: Tree) -> Tree:
    """A value of a key as the server shows it: an empty text is null (system-api.md section 10)."""
    return None if value == "" else value


def document(wanted: Wanted, values: Mapping[str, Tree]) -> dict[str, Any]:
    """The wanted state as plain JSON, variables filled in: what `reconcile` takes."""
    state: dict[str, Any] = as_json(filled(wanted.document, values))
    return state


def member(tree: Tree, *pointer: str | int) -> Tree:
    """The value at a place (keys and positions) of an answer, None when there is none."""
    for key in pointer:
        if isinstance(tree, Object) and isinstance(key, str):
            tree = tree.get(key)
        elif isinstance(tree, Array) and isinstance(key, int) and key < len(tree.items):
            tree = tree.items[key]
        else:
            return None
    return tree
