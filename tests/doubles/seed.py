"""What a freshly installed server holds, from the recorded state (data/seed.json, cut from fixture 01-create-user's
state.json).

With an id offset every id of it moves, foreign keys inside `config` included, so that a copied number is wrong
everywhere.
"""

from __future__ import annotations

import copy
from typing import Any

from tests.doubles.schema import TABLES, Row
from tests.doubles.services import read_data
from tests.doubles.store import Store

CONFIG_KEYS = {"_service_id": "service", "_template_id": "email_template", "_role_id": "role", "_app_id": "app"}


def fill(store: Store, email: str, password: str) -> int:
    """Put the seeded records and the administrator into an empty store; gives the administrator's id."""
    records: dict[str, list[Row]] = copy.deepcopy(read_data("seed.json"))
    for name in ("service", "app", "email_template"):
        for record in records[name]:
            _put(store, name, record)
    admin = records["admin"][0] | {"email": email, "username": email, "last_login_date": None}
    row = _put(store, "user", admin)
    row.update(is_sys_admin=True, password=password)
    return int(row["id"])


def _put(store: Store, name: str, record: Row) -> Row:
    table = TABLES[name]
    row: Row = {column: _stored(column, record.get(column)) for column in table.columns}
    row["id"] += store.shift(name)
    store.last_ids[name] = row["id"]
    if name == "service":
        row["described"] = True
        row["config"] = _config(store, record["config"])
    store.tables[name][row["id"]] = row
    return row


def _stored(column: str, value: Any) -> Any:
    if column in ("created_date", "last_modified_date") and value:
        return value.replace("T", " ").removesuffix(".000000Z")
    return value


def _config(store: Store, config: Row | list[Any]) -> Row | None:
    if not isinstance(config, dict):
        return None
    return {key: _moved(store, key, value) for key, value in config.items() if key != "service_id"}


def _moved(store: Store, key: str, value: Any) -> Any:
    table = next((table for ending, table in CONFIG_KEYS.items() if key.endswith(ending)), None)
    return value + store.shift(table) if table and isinstance(value, int) else value
