"""How records read: `fields`, `related`, order and pages, masked values, fields the server adds.

Facts: system-api.md sections 4.3 and 10; the recorded lists of 02-provision-tenant and 03-edit-role.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

from tests.doubles import relations, services
from tests.doubles.errors import RestError
from tests.doubles.schema import LOOKUP_OWNERS, TABLES, Row
from tests.doubles.store import Store, iso
from tests.doubles.wire import Answer, Request

MAX_RECORDS = 100_000


class View:
    """Rows of a store as answers show them.

    `base_url` is where `launch_url` points, `most` how many records a list shows (`DB_MAX_RECORDS_RETURNED`).
    """

    def __init__(self, store: Store, base_url: Callable[[], str], most: int = MAX_RECORDS) -> None:
        self.store = store
        self.base_url = base_url
        self.most = most

    def show(self, table_name: str, row: Row, fields: list[str], related: list[str]) -> Row:
        """A record as a read answers it, with the quirks of `fields` and `related` (section 10)."""
        table = TABLES[table_name]
        if "*" in fields:
            selected = {name: row[name] for name in table.columns}
        else:
            wanted = [name for name in fields if name != "config"]
            wanted += ["id", "type"] if table_name == "service" and "config" in fields else []
            selected = {
                (name if name in table.columns else f'"{name}"'): row[name] if name in table.columns else name
                for name in wanted
            }
        record = self._record(table.name, row, selected, "*" in fields)
        for name in related:
            relation = table.relations.get(name)
            if relation is None:
                raise RestError(500, f"Call to undefined relationship [{name}] on model [{table_name}].")
            found = [self._whole(relation.table, child) for child in relations.children(self.store, relation, selected)]
            record[name] = (found[0] if found else None) if relation.kind == "belongs_to" else found
        return record

    def _whole(self, table: str, row: Row) -> Row:
        return self._record(table, row, {name: row[name] for name in TABLES[table].columns}, True)

    def _record(self, table: str, row: Row, selected: Row, whole: bool) -> Row:
        hidden = TABLES[table].hidden
        record = {name: value for name, value in selected.items() if name not in hidden}
        for name in ("created_date", "last_modified_date"):
            if name in record:
                record[name] = iso(record[name])
        if table == "service" and whole:
            record["config"] = services.shown(row["id"], row["type"], row["config"])
        elif table == "app":
            record["launch_url"] = self._launch_url(selected)
        elif table == "user":
            record |= {"confirmed": row["confirm_code"] in (None, "y"), "expired": False}
        elif table == "lookup":
            record = {name: value for name, value in record.items() if name not in LOOKUP_OWNERS or value is not None}
            if row["private"] and "value" in record:
                record["value"] = services.MASK
        return record

    def _launch_url(self, app: Row) -> str:
        if app.get("type") == 2:
            return str(app.get("url") or "")
        if app.get("type") == 3:
            return f"{self.base_url()}/{app.get('path') or ''}"
        service = self.store.find("service", app["storage_service_id"]) if app.get("storage_service_id") else None
        if app.get("type") == 1 and service:
            parts = (service["name"], app.get("storage_container"), app.get("path"))
            return "/".join((self.base_url(), *(str(part) for part in parts if part)))
        return ""


def ordered(rows: list[Row], table_name: str, request: Request) -> list[Row]:
    """Sorted as SQLite sorts: null first, then numbers, then text byte by byte; an unknown column changes nothing."""
    query = request.query
    text = query.get("order") or query.get("order_by") or query.get("sort") or TABLES[table_name].key
    for part in reversed(text.split(",")):
        name, _, direction = part.strip().partition(" ")
        if name in TABLES[table_name].columns:
            rows = sorted(rows, key=lambda row: _rank(row[name]), reverse=direction.strip().lower() == "desc")
    return rows


def as_file(answer: Answer, request: Request) -> Answer:
    """With `file=list.csv` (or .json) a read is answered as a download of its records."""
    name = request.query.get("file")
    if not name or request.verb != "GET" or answer.status != 200 or not isinstance(answer.body, dict):
        return answer
    records = answer.body.get("resource", [answer.body])
    disposition = {"Content-Disposition": f'attachment; filename="{name}"'}
    if not name.endswith(".csv"):
        return Answer(200, records, headers=disposition)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(records[0]) if records else [])
    writer.writeheader()
    writer.writerows(records)
    return Answer(200, text.getvalue().encode(), "text/csv", disposition)


def _rank(value: Any) -> tuple[int, float, bytes]:
    if value is None:
        return (0, 0, b"")
    if isinstance(value, (bool, int, float)):
        return (1, value, b"")
    return (2, 0, str(value).encode())


def page(rows: list[Row], request: Request, most: int) -> list[Row]:
    """The part of a list that `limit` and `offset` ask for; at most so many rows, whatever is asked."""

    def number(*names: str) -> int:
        text = next((request.query[name] for name in names if request.query.get(name)), "0")
        return int(text) if text.isdigit() else 0

    limit, offset = number("limit"), number("offset", "skip")
    limit = limit if 0 < limit <= most else most
    return rows[offset : offset + limit]
