"""The records in memory: inserting, updating, deleting, with the server's casts, checks and stamps.

Nothing here knows HTTP. Rows are flat dicts by id in one dict per table; references are not checked, as on the
recorded server (system-api.md section 10: "No references are checked on SQLite"). Rules per table are the small
functions at the end.
"""

from __future__ import annotations

import copy
import re
import secrets
import string
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from tests.doubles import services
from tests.doubles.errors import RestError, SqlError, invalid
from tests.doubles.schema import LOOKUP_OWNERS, TABLES, Row, Table

VERBS = {"GET": 1, "POST": 2, "PUT": 4, "PATCH": 8, "DELETE": 16}
MIN_PASSWORD = 16
MIN_USERNAME = 6
MAX_ROLE_DESCRIPTION = 255

Snapshot = tuple[dict[str, dict[Any, Row]], dict[str, int]]


class Store:
    """All tables of one server. `id_offset` moves the first id of each table by its own amount; 0 leaves ids at 1."""

    def __init__(self, id_offset: int = 0) -> None:
        self.id_offset = id_offset
        self.tables: dict[str, dict[Any, Row]] = {name: {} for name in TABLES}
        self.last_ids = {name: self.shift(name) for name in TABLES}
        self.last_ids["config_row"] = self.shift("config_row")

    def shift(self, table: str) -> int:
        """How far this table's ids are from those of a server without offset."""
        factor, constant = TABLES[table].offset if table in TABLES else (13, 43)
        return self.id_offset * factor + constant if self.id_offset else 0

    def rows(self, table: str) -> list[Row]:
        return list(self.tables[table].values())

    def find(self, table: str, identifier: Any) -> Row | None:
        key: Any = identifier
        if TABLES[table].key != "name":
            if isinstance(identifier, str) and not identifier.isdigit():
                return None
            key = int(identifier)
        return self.tables[table].get(key)

    def by_name(self, table: str, name: str) -> Row | None:
        return next((row for row in self.tables[table].values() if row["name"] == name), None)

    def snapshot(self) -> Snapshot:
        return {name: {key: dict(row) for key, row in rows.items()} for name, rows in self.tables.items()}, dict(
            self.last_ids
        )

    def restore(self, snapshot: Snapshot) -> None:
        self.tables, self.last_ids = snapshot

    def insert(self, table_name: str, given: Row, author: int | None = None, fixed: Row | None = None) -> Row:
        """A new row from a client's record. `fixed` sets columns a client cannot fill (an owner, is_sys_admin).

        Raises RestError 400 when a rule of the table fails, SqlError on a duplicate.
        """
        table = TABLES[table_name]
        row: Row = dict.fromkeys(table.columns) | copy.deepcopy(table.defaults)
        if table_name == "service":
            row["config"] = None
        given = PREPARE[table_name](self, given, row) if table_name in PREPARE else given
        filled = self._fill(table, row, given)
        row.update(fixed or {})
        self._require(table, row)
        if table_name in CHECK:
            CHECK[table_name](self, row, None)
        stamp = now()
        stamps = {column: stamp for column in ("last_modified_date", "created_date") if column in table.columns}
        authors = {"created_by_id": author} if author and "created_by_id" in table.columns else {}
        values = {name: row[name] for name in filled} | authors | stamps
        self._unique(table, row, lambda: _insert_text(table.name, values))
        row.update(authors | stamps)
        if table.key == "name":
            self.tables[table_name][row["name"]] = row
            return row
        self.last_ids[table_name] += 1
        row[table.key] = self.last_ids[table_name]
        self.tables[table_name][row[table.key]] = row
        return row

    def update(self, table_name: str, row: Row, given: Row, author: int | None = None, touch: bool = False) -> None:
        """Change a row in place; absent fields stay. Dates move only when something changed, or with `touch`.

        (Fixture 03-edit-role: the unchanged access row kept its date, the unchanged lookup did not.)
        """
        table = TABLES[table_name]
        changed = dict(row)
        self._fill(table, changed, given)
        if author and "last_modified_by_id" in table.columns:
            changed["last_modified_by_id"] = author
        self._require(table, changed)
        if table_name in CHECK:
            CHECK[table_name](self, changed, row)
        dirty = {name: value for name, value in changed.items() if value != row.get(name)}
        if not dirty and not touch:
            return
        stamps = {"last_modified_date": now()} if "last_modified_date" in table.columns else {}
        self._unique(table, changed, lambda: _update_text(table, dirty | stamps, row), row)
        key = row[table.key]
        row.update(changed | stamps)
        if row[table.key] != key:
            self.tables[table_name][row[table.key]] = self.tables[table_name].pop(key)

    def delete(self, table_name: str, row: Row) -> None:
        self.tables[table_name].pop(row[TABLES[table_name].key], None)

    def next_config_row(self) -> int:
        self.last_ids["config_row"] += 1
        return self.last_ids["config_row"]

    def _fill(self, table: Table, row: Row, given: Row) -> list[str]:
        filled = []
        for name, value in given.items():
            if name not in table.fillable:
                continue
            if name == "config" and table.name == "service":
                type_name = given.get("type") or row["type"]
                row["config"] = services.merge(str(type_name), row["config"], value, self.next_config_row)
            elif not _kept(table, name, value, row):
                row[name] = _cast(table, name, value)
                filled.append(name)
        if table.name == "service" and "description" in given:
            row["described"] = True
        return filled

    def _require(self, table: Table, row: Row) -> None:
        for name in table.required:
            if row.get(name) in (None, ""):
                raise invalid(name, f"The {name.replace('_', ' ')} field is required.")

    def _unique(self, table: Table, row: Row, statement: Callable[[], str], old: Row | None = None) -> None:
        for name in table.unique:
            if any(other[name] == row[name] for other in self.tables[table.name].values() if other is not old):
                raise SqlError(f"UNIQUE constraint failed: {table.name}.{name}", statement())


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")


def iso(stamp: str | None) -> str | None:
    """A stored stamp as reads answer it: `2026-11-23T22:23:11.000000Z`."""
    return None if stamp is None else f"{stamp.replace(' ', 'T')}.000000Z"


def php_bool(value: Any) -> bool:
    return value not in (None, False, 0, 0.0, "", "0") and value != [] and value != {}


def _kept(table: Table, name: str, value: Any, row: Row) -> bool:
    """Whether a written value is ignored in favour of the stored one."""
    if table.name == "user":
        return name in ("password", "username", "security_answer", "email") and value is None
    return table.name == "lookup" and name == "value" and bool(row["private"]) and value == services.MASK


def _cast(table: Table, name: str, value: Any) -> Any:
    if name in table.booleans:
        return php_bool(value)
    if value is None:
        return copy.deepcopy(table.defaults.get(name))
    if name in table.integers:
        try:
            return int(value)
        except (TypeError, ValueError):
            return 0
    if (table.name, name) == ("role", "description"):
        return str(value)[:MAX_ROLE_DESCRIPTION]
    if table.name == "email_template" and name in ("to", "cc", "bcc") and isinstance(value, str) and "," in value:
        return [part.strip() for part in value.split(",")]  # df-core src/Models/EmailTemplate.php
    return verb_list(value) if (table.name, name) == ("cors", "method") else value


def verb_list(value: Any) -> list[str]:
    if isinstance(value, int):
        return [verb for verb, mask in VERBS.items() if value & mask]
    wanted = value if isinstance(value, list) else str(value).split(",")
    return [verb for verb in VERBS if verb in wanted]


def _sql_value(value: Any) -> str:
    return "" if value is None else str(int(value)) if isinstance(value, bool) else str(value)


def _insert_text(table: str, values: Row) -> str:
    names = ", ".join(f'"{name}"' for name in values)
    return f'insert into "{table}" ({names}) values ({", ".join(map(_sql_value, values.values()))})'


def _update_text(table: Table, values: Row, row: Row) -> str:
    changes = ", ".join(f'"{name}" = {_sql_value(value)}' for name, value in values.items())
    return f'update "{table.name}" set {changes} where "{table.key}" = {row[table.key]}'


def _prepare_service(store: Store, given: Row, row: Row) -> Row:
    return given if given.get("label") else {**given, "label": given.get("name")}


def _check_service(store: Store, row: Row, old: Row | None) -> None:
    if not re.fullmatch(r"[A-Za-z0-9_\-]+", str(row["name"])):
        raise invalid("name", "Service name should only contain letters, numbers, underscores and dashes.")
    if old is not None and row["description"] is None and not row.get("described"):
        raise invalid("description", "The description field must be a string.")


def _prepare_app(store: Store, given: Row, row: Row) -> Row:
    key = given.get("api_key")
    taken = {other["api_key"] for other in store.rows("app")}
    usable = isinstance(key, str) and len(key) >= 64 and key.isascii() and key.isalnum() and key not in taken
    return given if usable else {**given, "api_key": new_api_key()}


def new_api_key() -> str:
    return secrets.token_hex(32)


def _prepare_user(store: Store, given: Row, row: Row) -> Row:
    """Defaults of a new user (section 10: `username:""` is stored as the email)."""
    names = [str(given[part]) for part in ("first_name", "last_name") if given.get(part)]
    email = given.get("email")
    name = given.get("name") or " ".join(names) or (str(email).split("@")[0] if email else None)
    return {**given, "name": name, "username": given.get("username") or email}


def _check_user(store: Store, row: Row, old: Row | None) -> None:
    password = row["password"]
    if (old is None or password != old["password"]) and password is not None and len(str(password)) < MIN_PASSWORD:
        raise invalid("password", f"The password field must be at least {MIN_PASSWORD} characters.")
    if old is not None and old["username"] == row["username"]:
        return
    username = str(row["username"])
    if len(username) < MIN_USERNAME:
        raise invalid("username", f"The username field must be at least {MIN_USERNAME} characters.")
    if any(space in username for space in string.whitespace):
        raise invalid("username", "The username may not contain spaces.")
    holders = [other for other in store.rows("user") if other["username"] == username and other is not old]
    if any(holder["is_sys_admin"] or holder["email"] != row["email"] for holder in holders):
        raise invalid("username", "The username has already been taken.")


def _check_lookup(store: Store, row: Row, old: Row | None) -> None:
    key = ("name", *LOOKUP_OWNERS)
    if any(all(other[k] == row[k] for k in key) for other in store.rows("lookup") if other is not old):
        raise RestError(400, "Lookup name can not be modified to one that already exists.")


def _check_assignment(store: Store, row: Row, old: Row | None) -> None:
    key = ("user_id", "app_id")
    if any(all(other[k] == row[k] for k in key) for other in store.rows("user_to_app_to_role") if other is not old):
        raise RestError(400, "A role is already assigned to this user for this app.")


def _check_limit(store: Store, row: Row, old: Row | None) -> None:
    ids = (row[name] for name in ("user_id", "role_id", "service_id"))
    parts = (row["type"], *ids, row["endpoint"], row["verb"], row["period"])
    row["key_text"] = ".".join(str(part) for part in parts if part is not None)
    if any(other["key_text"] == row["key_text"] for other in store.rows("limit") if other is not old):
        raise invalid("key_text", "A limit already exists with those parameters.")


PREPARE: dict[str, Callable[[Store, Row, Row], Row]] = {
    "service": _prepare_service,
    "app": _prepare_app,
    "user": _prepare_user,
}
CHECK: dict[str, Callable[[Store, Row, Row | None], None]] = {
    "service": _check_service,
    "user": _check_user,
    "lookup": _check_lookup,
    "user_to_app_to_role": _check_assignment,
    "limit": _check_limit,
}
