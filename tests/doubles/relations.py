"""Reading and writing nested records: `related=` on the way out, `{table}_by_{column}` arrays on the way in.

Facts: system-api.md section 4.2 and 10; the order of decisions for a nested row follows df-core
`BaseModel::saveHasManyData`.
"""

from __future__ import annotations

from typing import Any

from tests.doubles.errors import HtmlError, RestError
from tests.doubles.schema import TABLES, Relation, Row
from tests.doubles.store import Store


def split(table: str, given: Row) -> tuple[Row, Row]:
    """A client's record as (own fields, values of relations)."""
    relations = TABLES[table].relations
    own = {name: value for name, value in given.items() if name not in relations}
    return own, {name: value for name, value in given.items() if name in relations}


def create_children(store: Store, table: str, parent: Row, nested: Row) -> None:
    """The children of a record just created. Raises RestError 501 for a relation that is not has-one or has-many."""
    for name, value in nested.items():
        relation = TABLES[table].relations[name]
        if relation.kind == "has_one":
            _refuse_object(value)
            rows = value or []
        elif relation.kind == "has_many":
            if not value:
                continue
            rows = list(value.values()) if isinstance(value, dict) else value
            if not isinstance(rows, list):
                raise RestError(400, f"Bad data supplied for {name}. Related data must be supplied as array.")
        else:
            raise RestError(501, f'Creating related record of relation type "{relation.kind}" is not supported.')
        for row in rows:
            _create(store, relation, parent, row)


def update_children(store: Store, table: str, parent: Row, nested: Row) -> None:
    """Apply the nested rows of an update; relations other than has-one and has-many are ignored."""
    for name, value in nested.items():
        relation = TABLES[table].relations[name]
        if relation.kind == "has_one":
            _refuse_object(value)
            _update_one(store, relation, parent, value or [])
        elif relation.kind == "has_many" and isinstance(value, (list, dict)):
            rows = list(value.values()) if isinstance(value, dict) else value
            for row in rows:
                _update_row(store, table, name, parent, row)


def _refuse_object(value: Any) -> None:
    """Section 10: `service_doc_by_service_id` as an object is a 500 HTML page on create and update."""
    if isinstance(value, dict) and value:
        raise HtmlError("has-one relation given as an object")


def _update_row(store: Store, table: str, name: str, parent: Row, row: Row) -> None:
    relation = TABLES[table].relations[name]
    child_table = TABLES[relation.table]
    identifier = row.get(child_table.key)
    child = store.find(relation.table, identifier) if identifier else _namesake(store, relation, parent, row)
    if child is None:
        _create(store, relation, parent, row)
        return
    owner = row.get(relation.remote)
    if relation.remote in row and owner is None:
        store.delete(relation.table, child)
        return
    if owner and str(owner) != str(parent[relation.local]) and (other := store.find(table, owner)) is not None:
        _update_row(store, table, name, other, row)
        return
    changes = {**row, relation.remote: parent[relation.local]}
    store.update(relation.table, child, changes, touch=relation.table == "lookup")


def _namesake(store: Store, relation: Relation, parent: Row, row: Row) -> Row | None:
    """Lookups without an id are matched by name within their owner; other rows are not matched."""
    if relation.table != "lookup":
        return None
    own = (child for child in store.rows("lookup") if child[relation.remote] == parent[relation.local])
    return next((child for child in own if child["name"] == row.get("name")), None)


def _update_one(store: Store, relation: Relation, parent: Row, rows: list[Row]) -> None:
    """A service's document: an update needs `service_id` in the row once a document exists (section 10)."""
    present = children(store, relation, parent)
    for row in rows:
        if not present:
            _create(store, relation, parent, row)
        elif row.get(relation.remote) != parent[relation.local]:
            raise HtmlError("UNIQUE constraint failed: service_doc.service_id")
        else:
            store.update(relation.table, present[0], row)


def _create(store: Store, relation: Relation, parent: Row, row: Any) -> None:
    if not isinstance(row, dict):
        raise HtmlError("nested record is not an object")
    store.insert(relation.table, {**row, relation.remote: parent[relation.local]})


def children(store: Store, relation: Relation, parent: Row) -> list[Row]:
    """The rows on the other side of a relation, in id order. A parent read without its `local` column has none."""
    local = parent.get(relation.local)
    if local is None:
        return []
    if relation.via:
        junction, here, there = relation.via
        wanted = {link[there] for link in store.rows(junction) if link[here] == local}
        return [row for row in store.rows(relation.table) if row[relation.remote] in wanted]
    return [row for row in store.rows(relation.table) if row[relation.remote] == local]
