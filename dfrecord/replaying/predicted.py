"""Records as they would be after writes that are only planned; Python scripts carry this file's functions in them."""

from __future__ import annotations

from typing import Any


def created(record: dict[str, Any]) -> dict[str, Any]:
    """A record that would be created; its nested rows get ids, by which later writes can change and remove them."""
    return {name: with_ids(name, value, 0) for name, value in record.items()}


def with_ids(name: str, value: Any, known: int) -> Any:
    """A field's value; when it is the rows of a relation, each with an id. `known` rows have one already."""
    if "_by_" not in name or not isinstance(value, list):
        return value
    rows = [row for row in value if isinstance(row, dict)]
    return [{**row, "id": f"(known after create) {known + number}"} for number, row in enumerate(rows)]


def completed(record: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """A record that would be created, with null where a later write sets what its create leaves out."""
    whole = {**dict.fromkeys(wanted), **record}
    for name, value in wanted.items():
        if isinstance(value, dict) and isinstance(whole[name], dict):
            whole[name] = completed(whole[name], value)
    return whole


def written(record: dict[str, Any], changed: dict[str, Any]) -> dict[str, Any]:
    """A record after a write: nested rows that are sent are merged, added, or gone where their parent is null."""
    result = dict(record)
    for name, value in changed.items():
        relation, _, parent = name.rpartition("_by_")
        old = record.get(name)
        if relation and isinstance(old, list) and isinstance(value, list):
            sent = {row["id"]: row for row in value if row.get("id") is not None}
            kept = [{**row, **sent.get(row.get("id"), {})} for row in old if isinstance(row, dict)]
            added = with_ids(name, [row for row in value if row.get("id") is None], len(old))
            value = [row for row in kept + added if row.get(parent, "") is not None]
        elif isinstance(old, dict) and isinstance(value, dict):
            value = {**old, **value}
        result[name] = value
    return result
