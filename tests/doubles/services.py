"""What a service keeps in `config`: which keys a type has, their defaults, which read as `**********`.

Facts: recorded services (sqlite, rws, local_file, system, user) in the fixtures' state.json; for other types the
recorded `config_schema` (data/service_types.json); masking from system-api.md section 6.2.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from tests.doubles.schema import Row

MASK = "**********"
DATA = Path(__file__).parent / "data"

RECORDED: dict[str, Row] = {
    "local_file": {"public_path": None, "container": None},
    "sqlite": {
        "options": None,
        "attributes": None,
        "statements": None,
        "database": None,
        "cache_enabled": False,
        "cache_ttl": 0,
        "allow_upsert": False,
        "max_records": False,
    },
    "rws": {
        "base_url": None,
        "options": None,
        "replace_link": False,
        "implements_access_list": False,
        "preserve_forward_trailing_slash": False,
        "parameters": [],
        "headers": [],
        "cache_enabled": False,
        "cache_ttl": 0,
    },
    "system": {
        "default_app_id": None,
        "invite_email_service_id": None,
        "invite_email_template_id": None,
        "password_email_service_id": None,
        "password_email_template_id": None,
    },
    "user": {
        "allow_open_registration": False,
        "open_reg_role_id": None,
        "open_reg_email_service_id": None,
        "open_reg_email_template_id": None,
        "invite_email_service_id": None,
        "invite_email_template_id": None,
        "password_email_service_id": None,
        "password_email_template_id": None,
        "alt_auth_db_service_id": None,
        "alt_auth_table": None,
        "alt_auth_username_field": None,
        "alt_auth_password_field": None,
        "alt_auth_email_field": None,
        "alt_auth_other_fields": None,
        "alt_auth_filter": None,
        "app_role_map": [],
    },
}
MASKED_BY_GROUP = {"Database": ("password",), "OAuth": ("client_secret",), "SSO": ("secret",)}
MASKED_BY_TYPE = {"ftp_file": ("password",), "sftp_file": ("password",), "webdav_file": ("password",)}
ROWS: dict[str, Row] = {
    "headers": {"name": None, "value": None, "pass_from_client": False, "action": 0},
    "parameters": {
        "name": None,
        "value": None,
        "exclude": False,
        "outbound": False,
        "cache_key": False,
        "action": 0,
    },
    "app_role_map": {"app_id": None, "role_id": None},
    "group_role_map": {"group_email": None, "role_id": None},
}


@cache
def read_data(name: str) -> Any:
    """A recorded answer kept under tests/doubles/data. Do not change what comes back: it is shared."""
    return json.loads((DATA / name).read_text(encoding="utf-8"))


@cache
def types() -> dict[str, Row]:
    return {entry["name"]: entry for entry in read_data("service_types.json")}


def defaults(type_name: str) -> Row | None:
    """The config of a new service of this type before its own values; None for a type that keeps none."""
    if type_name in RECORDED:
        return dict(RECORDED[type_name])
    schema = (types().get(type_name) or {}).get("config_schema") or []
    found = {entry["name"]: [] if entry["name"] in ROWS else entry.get("default") for entry in schema}
    return found or None


def masked_keys(type_name: str) -> tuple[str, ...]:
    group = (types().get(type_name) or {}).get("group") or ""
    return MASKED_BY_TYPE.get(type_name, MASKED_BY_GROUP.get(group, ()))


def merge(type_name: str, stored: Row | None, given: Any, new_row_id: Any) -> Row | None:
    """The config after a write: unknown keys dropped, absent keys kept, a written-back mask ignored.

    `new_row_id` gives ids for rows of headers, parameters and role maps; a row keeps its id only when this service
    had it.
    """
    base = defaults(type_name)
    if base is None or not isinstance(given, dict) or not given:
        return stored
    merged = {**base, **(stored or {})}
    for key, value in given.items():
        if key not in base or (value == MASK and key in masked_keys(type_name)):
            continue
        if key in ROWS:
            own = {row["id"] for row in merged.get(key) or []}
            value = [_nested(key, row, own, new_row_id) for row in value or [] if isinstance(row, dict)]
        elif value is None and isinstance(base[key], (bool, int)):
            value = base[key]
        merged[key] = value
    return merged


def _nested(key: str, row: Row, own: set[int], new_row_id: Any) -> Row:
    identifier = row.get("id") if row.get("id") in own else new_row_id()
    return {"id": identifier, **{name: row.get(name, default) for name, default in ROWS[key].items()}}


def shown(service_id: int, type_name: str, stored: Row | None) -> Row | list[Any]:
    """The config as a read answers it."""
    if stored is None:
        return []
    answer: Row = {"service_id": service_id}
    for key, value in stored.items():
        if key in masked_keys(type_name) and value:
            value = MASK
        elif key in ROWS:
            value = [{"id": row["id"], "service_id": service_id, **row} for row in value]
        answer[key] = value
    return answer
