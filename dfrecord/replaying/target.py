"""Finding records on an instance: lookups, and the records that a wanted state is about."""

from __future__ import annotations

import json
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
from dfrecord.system_api.conventions import Conventions
from dfrecord.tree import Array, Object, Text, Tree

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
        field = dict(self.conventions.listed).get(path)
        answered = self.read(path if field else target, headers)
        if answered.status == 404:
            return None
        if not answered.succeeded:
            raise WorkFailed(f"{answered.status} {refusal(answered.tree, answered.reason)}")
        if field:
            return next(iter(_matching(answered.tree, self.conventions.rows, [(field, unquote(name))])), None)
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
                text = quote(f'{field}="{value}"', safe="")
                answered = self.read(f"{path}{joint}filter={text}&{fields}", headers)
                found = _matching(answered.tree, rows, wanted) if answered.succeeded else []
            path = f"{path}{joint}{fields}"
        if not found:
            answered = self.read(path, headers)
            if not answered.succeeded:
                raise WorkFailed(f"{answered.status} {refusal(answered.tree, answered.reason)}")
            found = _matching(answered.tree, rows, wanted)
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
        answered = self.read(refers["path"] + related, headers)
        if answered.status == 404 and refers.get("optional"):
            return []
        if not answered.succeeded:
            raise WorkFailed(f"{refers['path']}: {answered.status} {refusal(answered.tree, answered.reason)}")
        try:
            return list(map(as_json, _matching(answered.tree, self.conventions.rows, [])))
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

    def _by_key(self, step: Step, path: str, keys: Array, headers: Headers) -> str | None:
        for key in keys.items:
            if isinstance(key, Object) and key.members:
                match = [(str(name), value) for name, value in key.members]
                own = self.conventions.id
                found = self.find(step.resource or "", path, match, headers, self.conventions.rows, own)
                if found is not None:
                    return quote(as_text(found.get(own)), safe="")
        return None


def _matching(answer: Tree, rows: Iterable[str], match: Sequence[tuple[str, Tree]]) -> list[Object]:
    for row in rows:
        answer = answer.get(row) if isinstance(answer, Object) else answer
    if not isinstance(answer, Array):
        raise WorkFailed("the answer is no list of records")
    records = [row for row in answer.items if isinstance(row, Object)]
    return [row for row in records if all(row.get(name) == value for name, value in match)]


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
