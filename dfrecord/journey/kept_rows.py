"""Nested rows as the server kept them, where null was sent and it shows false, 0 or a default of its own.

Such a field may be part of what names a row (an access row's `requestor_mask`): with null no run finds it again.
"""

from __future__ import annotations

from collections.abc import Mapping

from dfrecord.journey.changes import is_equal
from dfrecord.system_api.catalog import Catalog
from dfrecord.system_api.catalog_file import Relation
from dfrecord.tree import Array, Number, Object, Text, Tree


def with_kept(record: Object, shown: Object, relations: Mapping[str, Relation], catalog: Catalog) -> Object:
    """A record that is sent; in its nested rows null is what the shown record has in its place."""

    def kept(name: str | Text, value: Tree) -> Tree:
        relation, rows = relations.get(str(name)), shown.get(str(name))
        if relation is None or not relation.nested or not isinstance(value, Array) or not isinstance(rows, Array):
            return value
        return _rows(value, rows, relation, catalog)

    return Object(tuple((name, kept(name, value)) for name, value in record.members))


def _rows(sent: Array, shown: Array, relation: Relation, catalog: Catalog) -> Array:
    """The rows, each filled in from one that is like it in all but null; those that say most choose first."""
    child = catalog.resources[relation.resource]
    made = {*child.server_made, *child.self_keys, relation.parent_key}

    def told(row: Object) -> list[tuple[str, Tree]]:
        own = catalog.written_id(row.get(child.id_field or ""))
        members = [(str(name), value) for name, value in row.members if name not in made and value is not None]
        return [*members, *([] if own in (None, "0") else [(str(child.id_field), own)])]

    def filled(name: str | Text, value: Tree, other: Tree) -> Tree:
        is_plain = isinstance(other, (bool, str, Number)) and name not in {*made, *child.foreign_keys}
        return other if value is None and is_plain and not catalog.is_secret(child.name, str(name), other) else value

    rows, rest = list(sent.items), [row for row in shown.items if isinstance(row, Object)]
    names = {place: told(row) for place, row in enumerate(rows) if isinstance(row, Object)}
    for place in sorted(names, key=lambda place: -len(names[place])):
        like = (other for other in rest if all(is_equal(value, other.get(name)) for name, value in names[place]))
        row, other = rows[place], next(like, None)
        if isinstance(row, Object) and other is not None:
            rest.remove(other)
            rows[place] = Object(
                tuple((name, filled(name, value, other.get(str(name)))) for name, value in row.members)
            )
    return Array(tuple(rows))
