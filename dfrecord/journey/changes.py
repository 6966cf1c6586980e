"""What an update really changes, against the record as the recording last read it.

The console sends whole records back. On another instance the unchanged rest would overwrite what is there, so only the
difference is kept. `PUT` is partial on this server (system-api.md section 4.1), so absent fields keep their values.
"""

from __future__ import annotations

from dfrecord.journey.model import Array, Number, Object, Text, Tree
from dfrecord.system_api.catalog import Catalog


def changed_only(sent: Object, seen: Object, resource: str, catalog: Catalog) -> Object:
    """The members of `sent` that differ from `seen`; of nested rows, the rows that are new or differ.

    Empty values (null, "", [], absent) count as equal: the console fills its forms with them. What the server cannot do
    without in an update stays where it was empty.
    """
    members: list[tuple[str | Text, Tree]] = []
    for key, value in sent.members:
        before = seen.get(key) if isinstance(key, str) else None
        if _equal(value, before):
            continue
        relation = catalog.child(resource, key) if isinstance(key, str) else None
        if relation and relation.nested and isinstance(value, Array):
            known = before.items if isinstance(before, Array) else ()
            value = Array(tuple(row for row in value.items if not any(_is_part_of(row, old) for old in known)))
            if not value.items:
                continue
        members.append((key, value))
    needed = catalog.resources[resource].needed_in_updates if members else ()
    given = [key for key, _ in members]
    members += [
        (key, value) for key, value in sent.members if key in needed and key not in given and not seen.get(str(key))
    ]
    return Object(tuple(members))


def _is_part_of(row: Tree, old: Tree) -> bool:
    if not isinstance(row, Object) or not isinstance(old, Object):
        return row == old
    return all(isinstance(key, str) and _equal(value, old.get(key)) for key, value in row.members)


def _equal(left: Tree, right: Tree) -> bool:
    return _without_empties(left) == _without_empties(right)


def _without_empties(tree: Tree) -> Tree:
    match tree:
        case Object(members=members):
            kept = [(key, _without_empties(value)) for key, value in members]
            kept = [(key, value) for key, value in kept if value is not None]
            return Object(tuple(sorted(kept, key=lambda member: str(member[0])))) if kept else None
        case Array(items=items):
            return Array(tuple(_without_empties(item) for item in items)) if items else None
        case "":
            return None
        case _:
            return tree


def kept_otherwise(sent: Object, shown: Object) -> tuple[str, ...]:
    """The fields of a record for which the server shows another single value than was sent, as far as can be told."""
    there = {key: value for key, value in shown.members if isinstance(key, str)}
    return tuple(
        key
        for key, value in sent.members
        if isinstance(key, str)
        and key in there
        and isinstance(value, (bool, str, Number))
        and _other(value, there[key])
    )


def _other(value: Tree, shown: Tree) -> bool:
    texts = [item.text if isinstance(item, Number) else item for item in (value, shown)]
    return texts[0] != texts[1] and not (value == "" and shown is None)
