"""Server states that can be compared between two servers: ids replaced by names, server-made fields removed.

`portable(a) == portable(b)` says that two servers hold the same records although their ids differ. Works on the
fixtures' state.json and on `DreamFactoryDouble.state()`. Which fields are ids, and of what, is `FOREIGN_KEYS`
(system-api.md section 6).
"""

from __future__ import annotations

import json
from typing import Any

FOREIGN_KEYS = {
    "service_id": "service",
    "role_id": "role",
    "app_id": "app",
    "user_id": "user",
    "default_app_id": "app",
    "storage_service_id": "service",
    "default_role": "role",
    "open_reg_role_id": "role",
    "alt_auth_db_service_id": "service",
    "invite_email_service_id": "service",
    "password_email_service_id": "service",
    "open_reg_email_service_id": "service",
    "invite_email_template_id": "email_template",
    "password_email_template_id": "email_template",
    "open_reg_email_template_id": "email_template",
}
NESTED = ("role_service_access", "user_to_app_to_role", "lookup", "service_doc")
NATURAL_KEYS = {"user": "email", "admin": "email", "cors": "path"}
VOLATILE = {
    *("id", "created_date", "last_modified_date", "created_by_id", "last_modified_by_id", "last_login_date"),
    *("api_key", "launch_url", "key_text", "mutable", "deletable"),
}


def table_of(key: str, parent: str) -> str:
    """The table of the rows under a key: that of a relation name, else the parent's own."""
    relation = next((table for table in NESTED if key.startswith(f"{table}_by_")), None)
    return relation or (f"{parent}.{key}" if key in ("headers", "parameters", "app_role_map") else parent)


def portable(state: dict[str, Any]) -> dict[str, Any]:
    """A state without anything that differs between two servers holding the same records.

    Records become a dict by natural key (a list of records where keys repeat), ids `"resource:key"`, an id that
    names nothing `"resource:?"`, nested rows a list sorted by content. Resources that are not installed stay as they
    are.
    """
    names = {
        ("user" if resource == "admin" else resource, record["id"]): _key(resource, record)
        for resource, records in state.items()
        if isinstance(records, list)
        for record in records
        if "id" in record
    }
    return {
        resource: (
            {
                _key(resource, record): _moved(record, names, {_self_key(resource)})
                for record in sorted(records, key=lambda record: _key(resource, record))
            }
            if isinstance(records, list) and len({_key(resource, record) for record in records}) == len(records)
            else (
                sorted((_moved(record, names, set()) for record in records), key=_text)
                if isinstance(records, list)
                else records
            )
        )
        for resource, records in state.items()
    }


def _key(resource: str, record: dict[str, Any]) -> str:
    return str(record.get(NATURAL_KEYS.get(resource, "name")))


def _self_key(resource: str) -> str:
    return f"{'user' if resource == 'admin' else resource}_id"


def _moved(value: Any, names: dict[tuple[str, Any], str], own: set[str]) -> Any:
    """`own` are the keys that, in this record and below it, hold the id of the record itself."""
    if isinstance(value, list):
        moved = [_moved(item, names, own) for item in value]
        return sorted(moved, key=_text) if any(isinstance(item, dict) for item in moved) else moved
    if not isinstance(value, dict):
        return value
    record = {}
    for key, item in value.items():
        if key in VOLATILE or (key in own and not isinstance(item, (list, dict))):
            continue
        target = FOREIGN_KEYS.get(key)
        if target and isinstance(item, int) and not isinstance(item, bool):
            record[key] = f"{target}:{names.get((target, item), '?')}"
        else:
            record[key] = _moved(item, names, own)
    return record


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
