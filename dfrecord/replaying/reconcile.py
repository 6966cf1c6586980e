"""What has to be written so that a record becomes as wanted; the Python scripts carry this file's functions in them.

Everything here is plain JSON: `wanted` is the document of `journey.model.Wanted` with its variables filled in, `have`
the record as the server shows it. The two differ in form even when nothing differs: the server masks secrets, hides
passwords, leaves out what it does not know, reads "" as null and "3306" as 3306 (system-api.md sections 5, 6 and 10).
"""

from __future__ import annotations

from typing import Any


def whole(wanted: dict[str, Any]) -> dict[str, Any]:
    """The record to create, with its nested rows."""
    rows = {
        relation: [entry["row"] for entry in given["rows"] if entry["row"] is not None]
        for relation, given in wanted["rows"].items()
    }
    return {**wanted["record"], **rows}


def changes(wanted: dict[str, Any], have: dict[str, Any]) -> dict[str, Any]:
    """What to send so that the record becomes as wanted; empty when it already is."""
    changed = {
        field: value
        for field, value in wanted["record"].items()
        if field in have and differs(value, have[field], wanted["later"], field)
    }
    for relation, given in wanted["rows"].items():
        rest = [row for row in have.get(relation) or [] if isinstance(row, dict)]
        rows = [sent for entry in given["rows"] if (sent := row_change(entry, rest, given)) is not None]
        if rows:
            changed[relation] = rows
    return changed


def row_change(entry: dict[str, Any], rest: list[dict[str, Any]], given: dict[str, Any]) -> dict[str, Any] | None:
    """What to send for one nested row, None when nothing; the row it is about is taken out of `rest`."""
    there = next((row for key in entry["keys"] for row in rest if not differs(key, row)), None)
    if there is not None:
        rest.remove(there)
    if entry.get("later"):
        return None
    own = {} if there is None else {given["id"]: there[given["id"]]}
    if entry["row"] is None:
        return {**own, given["parent"]: None} if own else None
    if there is None or differs(entry["row"], there):
        return {**own, **entry["row"]}
    return None


def field_changes(
    changed: dict[str, Any], have: dict[str, Any], rows: dict[str, dict[str, Any]]
) -> list[tuple[str, Any, Any]]:
    """What sending `changed` does, place by place: where, the value now, the value then. None: none.

    `rows` names the relations in it, and the fields `id` and `parent` of their rows.
    """
    told: list[tuple[str, Any, Any]] = []
    for name, value in changed.items():
        old = have.get(name)
        if name not in rows or not isinstance(value, list):
            told += value_changes(name, old, value)
            continue
        own, parent = rows[name]["id"], rows[name]["parent"]
        there = [row for row in old if isinstance(row, dict)] if isinstance(old, list) else []
        for row in value:
            known = [n for n, other in enumerate(there) if row.get(own) is not None and other.get(own) == row[own]]
            place = f"{name}[{known[0] if known else 'new'}]"
            if not known:
                told.append((place, None, row))
            elif parent in row and row[parent] is None:
                told.append((place, there[known[0]], None))
            else:
                told += value_changes(place, there[known[0]], row)
    return told


def value_changes(place: str, have: Any, wanted: Any) -> list[tuple[str, Any, Any]]:
    """The same for one value: an object is told by the members that change."""
    if not isinstance(wanted, dict) or not isinstance(have, dict):
        return [(place, have, wanted)]
    told = []
    for name, value in wanted.items():
        if differs(value, have.get(name)):
            told += value_changes(f"{place}.{name}", have.get(name), value)
    return told


def differs(wanted: Any, have: Any, later: list[str] | tuple[str, ...] = (), place: str = "") -> bool:
    """Whether the server has another value than is wanted, as far as the server shows it."""
    if place in later or have == "**********":
        return False
    if isinstance(wanted, dict) and isinstance(have, dict):
        inside = f"{place}." if place else ""
        return any(
            field in have and differs(value, have[field], later, f"{inside}{field}") for field, value in wanted.items()
        )
    empty: tuple[Any, ...] = (None, "", [], {})
    if wanted in empty or have in empty:
        return not (wanted in empty and have in empty)
    if isinstance(wanted, list) or isinstance(have, list):
        rest = list(have) if isinstance(have, list) else [have]
        for item in wanted if isinstance(wanted, list) else [wanted]:
            same = [number for number, other in enumerate(rest) if not differs(item, other, later, f"{place}[]")]
            if not same:
                return True
            del rest[same[0]]
        return bool(rest)
    return plain(wanted) != plain(have)


def plain(value: Any) -> str:
    """A scalar as text, in which 1, "1" and true are the same."""
    return str(int(value)) if isinstance(value, bool) else str(value)
