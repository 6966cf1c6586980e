"""What must exist before a recording: the calls of a before.json, moved to this server's ids.

A before.json names ids of the recorded server. Ids that its own creates answered are mapped to the ids the double
answered, ids of seeded records are moved by the table's offset; which numbers are ids is `tests.states.FOREIGN_KEYS`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from tests.doubles.records import RESOURCES
from tests.doubles.store import Store
from tests.states import FOREIGN_KEYS, table_of

Call = dict[str, Any]


class Mapping:
    """Recorded id to own id, per table."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.learned: dict[tuple[str, int], int] = {}

    def own(self, table: str, recorded: Any) -> Any:
        if isinstance(recorded, bool) or not isinstance(recorded, int) or not recorded:
            return recorded
        return self.learned.get((table, recorded), recorded + self.store.shift(table))

    def learn(self, table: str, recorded: Any, answered: Any) -> None:
        """Take the ids of two answers to the same call, nested rows included, by position."""
        if isinstance(recorded, list) and isinstance(answered, list):
            for old, new in zip(recorded, answered, strict=False):
                self.learn(table, old, new)
        elif isinstance(recorded, dict) and isinstance(answered, dict):
            if isinstance(recorded.get("id"), int) and isinstance(answered.get("id"), int):
                self.learned[table, recorded["id"]] = answered["id"]
            for key, value in recorded.items():
                if isinstance(value, (list, dict)):
                    self.learn(table_of(key, table), value, answered.get(key))

    def record(self, table: str, value: Any) -> Any:
        """A body with its ids replaced."""
        if isinstance(value, list):
            return [self.record(table, item) for item in value]
        if not isinstance(value, dict):
            return value
        moved = {}
        for key, item in value.items():
            target = table if key == "id" else FOREIGN_KEYS.get(key)
            if target and not isinstance(item, (list, dict)):
                moved[key] = self.own(target, item)
            else:
                moved[key] = self.record(table_of(key, table), item)
        return moved

    def target(self, path: str) -> str:
        url = urlsplit(path)
        parts = url.path.split("/")
        if len(parts) > 5 and parts[3] == "system" and parts[5].isdigit():
            parts[5] = str(self.own(_table(parts[4]), int(parts[5])))
        query = [
            (
                (name, ",".join(str(self.own(_table(parts[4]), int(one))) for one in value.split(",")))
                if name == "ids"
                else (name, value)
            )
            for name, value in parse_qsl(url.query, keep_blank_values=True)
        ]
        return "/".join(parts) + (f"?{urlencode(query, safe='*,')}" if query else "")


def apply(calls: list[Call], store: Store, send: Callable[[str, str, bytes], tuple[int, Any]]) -> None:
    """Make the calls in order. Raises AssertionError when one answers another status than recorded."""
    mapping = Mapping(store)
    for call in calls:
        table = _table(urlsplit(call["path"]).path.split("/")[4])
        body = mapping.record(table, call.get("body"))
        raw = json.dumps(body).encode() if body is not None else b""
        status, answer = send(call["method"], mapping.target(call["path"]), raw)
        if status != call["status"]:
            raise AssertionError(
                f"{call['method']} {call['path']} answered {status}, recorded {call['status']}: {answer}"
            )
        mapping.learn(table, call.get("response"), answer)


def _table(resource: str) -> str:
    return RESOURCES[resource].table if resource in RESOURCES else resource
