"""What has to be written so that a record becomes as wanted; the Python scripts carry this file's functions in them.

Everything here is plain JSON: `wanted` is the document of `journey.model.Wanted` with its variables filled in, `have`
the record as the server shows it. The two differ in form even when nothing differs: the server masks secrets, hides
passwords, leaves out what it does not know, reads "" as null, "3306" as 3306 and "a, b" as ["a", "b"] (system-api.md
sections 5, 6 and 10).
"""

from __future__ import annotations

from typing import Any


def whole(wanted: dict[str, Any]) -> dict[str, Any]:
    """The record to create, with its nested rows; or what else is sent to make it."""
    if "sent" in wanted:
        return dict(wanted["sent"]["body"])
    rows = {
        relation: [entry["row"] for entry in given["rows"] if entry["row"] is not None]
        for relation, given in wanted["rows"].items()
    }
    return {**wanted["record"], **rows}


def changes(wanted: dict[str, Any], have: dict[str, Any], *, fresh: bool = False) -> dict[str, Any]:
    """What to send so that the record becomes as wanted; empty when it already is.

    Secrets that the server hides go along with another change, and to a record that this run itself made (`fresh`).
    """
    changed = {
        field: value
        for field, value in wanted["record"].items()
        if field in have and is_other(field, value, have[field], wanted)
    }
    for relation, given in wanted["rows"].items():
        if rows := row_changes(given, objects_in(have.get(relation))):
            changed[relation] = rows
    if changed or fresh:
        changed |= {field: wanted["record"][field] for field in unseen(wanted, have)}
    shaped = wanted.get("shaped", {}).items()
    changed |= {field: wanted["record"][field] for field, by in shaped if by in changed and field in wanted["record"]}
    if changed:
        changed |= {field: "" for field in wanted.get("needs", []) if field not in changed and have.get(field) is None}
    return changed


def objects_in(value: Any) -> list[dict[str, Any]]:
    """The objects of a list, none of what is no list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def unseen(wanted: dict[str, Any], have: dict[str, Any]) -> list[str]:
    """The fields with secrets that cannot be compared, as the server masks them or does not show them at all."""
    return [field for field in wanted.get("secrets", []) if field not in have or "**********" in str(have[field])]


def is_other(field: str, value: Any, have: Any, wanted: dict[str, Any]) -> bool:
    """Whether a field has another value than is wanted: free JSON as a whole, else what the server shows of it."""
    if field in wanted.get("whole", []) and field not in wanted["later"]:
        return unlike(value, have)
    return differs(value, have, wanted["later"], field)


def unlike(wanted: Any, have: Any) -> bool:
    """Whether two JSON values differ in anything."""
    if isinstance(wanted, dict) and isinstance(have, dict):
        return wanted.keys() != have.keys() or any(unlike(value, have[name]) for name, value in wanted.items())
    if isinstance(wanted, list) and isinstance(have, list):
        return len(wanted) != len(have) or any(map(unlike, wanted, have))
    return differs(wanted, have)


def row_changes(given: dict[str, Any], rest: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What to send for the nested rows of one relation, of which `rest` are there."""
    there = [taken(rest, entry["keys"]) for entry in given["rows"]]
    sent = []
    for entry, row in zip(given["rows"], there, strict=True):
        if row is None and entry["row"] is not None and given.get("may_differ"):
            loose = {field: value for field, value in entry["keys"][0].items() if field not in given["may_differ"]}
            row = taken(rest, [loose], only=True)
        own = {} if row is None else {given["id"]: row.get(given["id"])}
        if entry.get("later"):
            continue
        if entry["row"] is None:
            sent += [{**own, given["parent"]: None}] if own else []
        elif row is None or differs(entry["row"], row):
            sent.append({**own, **entry["row"]})
    return sent + [{given["id"]: row[given["id"]], given["parent"]: None} for row in rest if given.get("only")]


def taken(rest: list[dict[str, Any]], keys: list[dict[str, Any]], *, only: bool = False) -> dict[str, Any] | None:
    """The first row with one of the keys (the newest first), taken out of `rest`; `only` when no other has it."""
    for key in keys:
        rows = [row for row in rest if not differs(key, row)]
        if rows and not (only and len(rows) > 1):
            rest.remove(rows[0])
            return rows[0]
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
            told += value_changes(name, old, value) or [(name, old, value)]
            continue
        own, parent = rows[name]["id"], rows[name]["parent"]
        there = objects_in(old)
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
        rest = items_of(have)
        for item in items_of(wanted):
            same = [number for number, other in enumerate(rest) if not differs(item, other, later, f"{place}[]")]
            if not same:
                return True
            del rest[same[0]]
        return bool(rest)
    return plain(wanted, have) != plain(have, wanted)


def items_of(value: Any) -> list[Any]:
    """The items of a list; a text with commas is one too: e-mail addresses and verbs read back as lists."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",")]
    return list(value) if isinstance(value, list) else [value]


def plain(value: Any, other: Any) -> str:
    """A scalar as text, in which 1, "1" and true are the same; beside true or false, "true" (XML, forms) is so, too."""
    if isinstance(other, bool) and str(value).lower() in ("true", "false"):
        return str(int(str(value).lower() == "true"))
    return str(int(value)) if isinstance(value, bool) else str(value)
