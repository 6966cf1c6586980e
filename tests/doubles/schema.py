"""What each table of the double holds: columns in answer order, what a client may fill, relations, id offsets.

Facts: the recorded records (fixtures' state.json) for names, order and defaults; system-api.json for fillable fields
and relations; system-api.md section 6 for resources that the recorded install lacks (limit, scheduler, event_script).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Row = dict[str, Any]
Kind = Literal["has_many", "has_one", "belongs_to", "many_many"]

AUDIT = ("created_date", "last_modified_date", "created_by_id", "last_modified_by_id")
STAMPS = ("created_date", "last_modified_date")


@dataclass(frozen=True)
class Relation:
    """`local` is the column here and `remote` the column there that hold the same id; `via` is a junction table."""

    kind: Kind
    table: str
    local: str
    remote: str
    via: tuple[str, str, str] | None = None


@dataclass(frozen=True)
class Table:
    """One SQL table. `offset` is (factor, constant): with an id offset n, ids start after factor * n + constant."""

    name: str
    columns: tuple[str, ...]
    fillable: tuple[str, ...]
    offset: tuple[int, int]
    required: tuple[str, ...] = ()
    unique: tuple[str, ...] = ()
    integers: frozenset[str] = frozenset()
    booleans: frozenset[str] = frozenset()
    defaults: Row = field(default_factory=dict)
    hidden: tuple[str, ...] = ()
    key: str = "id"
    relations: dict[str, Relation] = field(default_factory=dict)


def _has_many(table: str, column: str) -> Relation:
    return Relation("has_many", table, "id", column)


def _belongs_to(table: str, column: str) -> Relation:
    return Relation("belongs_to", table, column, "id")


_AUTHORS = {
    "user_by_created_by_id": _belongs_to("user", "created_by_id"),
    "user_by_last_modified_by_id": _belongs_to("user", "last_modified_by_id"),
}


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_APP = _names(
    "name api_key description is_active type path url storage_service_id storage_container requires_fullscreen "
    "allow_fullscreen_toggle toggle_location role_id"
)
_LIMIT = _names("type rate user_id role_id service_id endpoint verb name description period is_active")
_TASK = _names("name description is_active service_id app_id user_id component verb_mask frequency payload")
_SCRIPT = _names(
    "name type content config storage_service_id storage_path scm_reference scm_repository is_active "
    "allow_event_modification"
)
_TEMPLATE = _names(
    "name description to cc bcc subject body_text body_html from_name from_email reply_to_name reply_to_email"
)
_CORS = _names("path description origin header exposed_header max_age method supports_credentials enabled")
_ACCESS = _names("role_id service_id component verb_mask requestor_mask filters filter_op")
_USER = _names("name first_name last_name last_login_date email is_active phone security_question default_app_id")
_USER_HIDDEN = _names("is_sys_admin password security_answer confirm_code adldap saml")
_USER_FILLABLE = _names(
    "name username ldap_username first_name last_name email is_active phone security_question security_answer adldap "
    "oauth_provider last_login_date default_app_id saml password"
)

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        Table(
            "service",
            ("id", "name", "label", "description", "is_active", "type", "mutable", "deletable", *AUDIT),
            ("name", "label", "description", "is_active", "type", "config"),
            (1, 0),
            required=("name",),
            unique=("name",),
            booleans=frozenset({"is_active", "mutable", "deletable"}),
            defaults={"is_active": False, "mutable": True, "deletable": True},
            relations={
                "service_doc_by_service_id": Relation("has_one", "service_doc", "id", "service_id"),
                "role_service_access_by_service_id": _has_many("role_service_access", "service_id"),
                "app_by_storage_service_id": _has_many("app", "storage_service_id"),
                "role_by_role_service_access": Relation(
                    "many_many", "role", "id", "id", ("role_service_access", "service_id", "role_id")
                ),
                **_AUTHORS,
            },
        ),
        Table(
            "service_doc",
            ("id", "service_id", "format", "content", *STAMPS),
            ("service_id", "format", "content"),
            (2, 1),
            integers=frozenset({"service_id", "format"}),
            defaults={"format": 0},
            hidden=("id",),
        ),
        Table(
            "role",
            ("id", "name", "description", "is_active", *AUDIT),
            ("name", "description", "is_active"),
            (2, 3),
            required=("name",),
            unique=("name",),
            booleans=frozenset({"is_active"}),
            defaults={"is_active": False},
            relations={
                "role_service_access_by_role_id": _has_many("role_service_access", "role_id"),
                "lookup_by_role_id": _has_many("lookup", "role_id"),
                "user_to_app_to_role_by_role_id": _has_many("user_to_app_to_role", "role_id"),
                "app_by_role_id": _has_many("app", "role_id"),
                "service_by_role_service_access": Relation(
                    "many_many", "service", "id", "id", ("role_service_access", "role_id", "service_id")
                ),
                **_AUTHORS,
            },
        ),
        Table(
            "role_service_access",
            ("id", *_ACCESS, *AUDIT),
            _ACCESS,
            (8, 23),
            integers=frozenset({"role_id", "service_id", "verb_mask", "requestor_mask"}),
            defaults={"verb_mask": 0, "requestor_mask": 0, "filters": [], "filter_op": "and"},
        ),
        Table(
            "app",
            ("id", *_APP, *AUDIT),
            _APP,
            (3, 7),
            required=("name",),
            unique=("name",),
            integers=frozenset({"type", "storage_service_id", "role_id"}),
            booleans=frozenset({"is_active", "requires_fullscreen", "allow_fullscreen_toggle"}),
            defaults={
                "is_active": False,
                "type": 0,
                "requires_fullscreen": False,
                "allow_fullscreen_toggle": True,
                "toggle_location": "top",
            },
            relations={
                "role_by_role_id": _belongs_to("role", "role_id"),
                "service_by_storage_service_id": _belongs_to("service", "storage_service_id"),
                "lookup_by_app_id": _has_many("lookup", "app_id"),
                "user_to_app_to_role_by_app_id": _has_many("user_to_app_to_role", "app_id"),
                **_AUTHORS,
            },
        ),
        Table(
            "user",
            ("id", *_USER, *AUDIT, "oauth_provider", "username", *_USER_HIDDEN),
            _USER_FILLABLE,
            (4, 11),
            required=("email",),
            unique=("email",),
            integers=frozenset({"default_app_id"}),
            booleans=frozenset({"is_active", "is_sys_admin"}),
            defaults={"is_active": True, "is_sys_admin": False},
            hidden=_USER_HIDDEN,
            relations={
                "user_to_app_to_role_by_user_id": _has_many("user_to_app_to_role", "user_id"),
                "lookup_by_user_id": _has_many("lookup", "user_id"),
                **_AUTHORS,
            },
        ),
        Table(
            "user_to_app_to_role",
            ("id", "user_id", "app_id", "role_id"),
            ("user_id", "app_id", "role_id"),
            (9, 29),
            integers=frozenset({"user_id", "app_id", "role_id"}),
        ),
        Table(
            "lookup",
            ("id", "app_id", "role_id", "user_id", "name", "value", "private", "description", *AUDIT),
            ("app_id", "role_id", "user_id", "name", "value", "private", "description"),
            (5, 13),
            required=("name",),
            integers=frozenset({"app_id", "role_id", "user_id"}),
            booleans=frozenset({"private"}),
            defaults={"private": False},
        ),
        Table(
            "email_template",
            ("id", *_TEMPLATE, "defaults", *AUDIT, "attachment"),
            (*_TEMPLATE, "attachment"),
            (6, 17),
            required=("name",),
            unique=("name",),
            relations=dict(_AUTHORS),
        ),
        Table(
            "cors",
            ("id", *_CORS, *AUDIT),
            _CORS,
            (7, 19),
            required=("path", "origin"),
            unique=("path",),
            integers=frozenset({"max_age"}),
            booleans=frozenset({"supports_credentials", "enabled"}),
            defaults={"max_age": 0, "supports_credentials": False, "enabled": True, "method": 0},
            relations=dict(_AUTHORS),
        ),
        Table(
            "limit",
            ("id", *_LIMIT, "key_text", *STAMPS),
            _LIMIT,
            (10, 31),
            required=("name", "type", "rate", "period"),
            integers=frozenset({"rate", "user_id", "role_id", "service_id"}),
            booleans=frozenset({"is_active"}),
            defaults={"is_active": False},
            relations={
                "service_by_service_id": _belongs_to("service", "service_id"),
                "role_by_role_id": _belongs_to("role", "role_id"),
                "user_by_user_id": _belongs_to("user", "user_id"),
            },
        ),
        Table(
            "scheduler",
            ("id", *_TASK, *AUDIT),
            _TASK,
            (11, 37),
            required=("name",),
            unique=("name",),
            integers=frozenset({"service_id", "app_id", "user_id", "verb_mask", "frequency"}),
            booleans=frozenset({"is_active"}),
            defaults={"is_active": False},
            relations={
                "task_log_by_task_id": Relation("has_one", "task_log", "id", "task_id"),
                "service_by_service_id": _belongs_to("service", "service_id"),
                "app_by_app_id": _belongs_to("app", "app_id"),
                "user_by_user_id": _belongs_to("user", "user_id"),
                **_AUTHORS,
            },
        ),
        Table("task_log", ("task_id", "status_code", "content", *STAMPS), (), (12, 41), key="task_id"),
        Table(
            "event_script",
            (*_SCRIPT, *AUDIT),
            _SCRIPT,
            (0, 0),
            required=("name", "type"),
            unique=("name",),
            integers=frozenset({"storage_service_id"}),
            booleans=frozenset({"is_active", "allow_event_modification"}),
            defaults={"is_active": False, "allow_event_modification": False},
            key="name",
            relations={"service_by_storage_service_id": _belongs_to("service", "storage_service_id")},
        ),
        Table("custom", ("name", "value", *AUDIT), ("name", "value"), (0, 0), required=("name",), key="name"),
    )
}

LOOKUP_OWNERS = ("app_id", "role_id", "user_id")
