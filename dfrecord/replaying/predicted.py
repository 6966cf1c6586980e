"""Records as they would be after writes that are only planned; Python scripts carry this file's functions in them.

`rows` names the relations of a record, and the fields `id` and `parent` of their rows.
"""

from __future__ import annotations

from typing import Any

from dfrecord.replaying.reconcile import objects_in


def created(record: dict[str, Any], rows: dict[str, dict[str, Any]], *, drops_empty: bool = False) -> dict[str, Any]:
    """A record that would be created; its nested rows get ids, by which later writes can change and remove them.

    Where the server drops what is empty, nobody knows what it has instead.
    """
    return {
        name: with_ids(value, rows[name]["id"], 0) if name in rows and isinstance(value, list) else value
        for name, value in record.items()
        if value or not drops_empty
    }


def with_ids(given: list[Any], own: str, known: int) -> list[Any]:
    """Rows with an id each; `known` others have one already."""
    return [{**row, own: f"(known after create) {known + number}"} for number, row in enumerate(objects_in(given))]


def completed(record: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """A record that would be created, with null where a later write sets what its create leaves out."""
    whole = {**dict.fromkeys(wanted), **record}
    for name, value in wanted.items():
        if isinstance(value, dict) and isinstance(whole[name], dict):
            whole[name] = completed(whole[name], value)
    return whole


def written(record: dict[str, Any], changed: dict[str, Any], rows: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """A record after a write: nested rows that are sent are merged, added, or gone where their parent is null."""
    result = dict(record)
    for name, value in changed.items():
        old = record.get(name)
        if name in rows and isinstance(value, list):
            own, parent = rows[name]["id"], rows[name]["parent"]
            there = objects_in(old)
            sent = {row[own]: row for row in value if row.get(own) is not None}
            kept = [{**row, **sent.get(row.get(own), {})} for row in there]
            added = with_ids([row for row in value if row.get(own) is None], own, len(there))
            value = [row for row in kept + added if row.get(parent, "") is not None]
        elif isinstance(old, dict) and isinstance(value, dict):
            value = {**old, **value}
        result[name] = value
    return result
