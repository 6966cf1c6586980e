"""The CRUD of one system resource: lists, reads, bulk and by-id writes, in the server's request and answer shapes.

Facts: system-api.md sections 4.1 to 4.3, 5 and 10; the recorded exchanges of 02-provision-tenant and 06-messy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.doubles import filters, relations
from tests.doubles.errors import BatchError, HtmlError, RestError, ServerError, SqlError, not_found
from tests.doubles.schema import LOOKUP_OWNERS, TABLES, Row
from tests.doubles.store import Store, new_api_key, php_bool
from tests.doubles.views import View, ordered, page
from tests.doubles.wire import Answer, Request

NO_RECORDS = "No record(s) detected in request. Please make sure record(s) are wrapped in a 'resource' array."


@dataclass(frozen=True)
class Resource:
    """A name under `/api/v2/system` over a table: which of its rows it shows, and columns it sets on a create."""

    name: str
    table: str
    shows: Callable[[Row], bool] = lambda row: True
    fixed: tuple[tuple[str, Any], ...] = ()
    created: int = 201


RESOURCES = {
    resource.name: resource
    for resource in (
        Resource("service", "service"),
        Resource("role", "role"),
        Resource("app", "app"),
        Resource("user", "user", lambda row: not row["is_sys_admin"]),
        Resource("admin", "user", lambda row: bool(row["is_sys_admin"]), (("is_sys_admin", True),)),
        Resource(
            "lookup",
            "lookup",
            lambda row: all(row[owner] is None for owner in LOOKUP_OWNERS),
            tuple((owner, None) for owner in LOOKUP_OWNERS),
        ),
        Resource("email_template", "email_template"),
        Resource("cors", "cors"),
        Resource("custom", "custom"),
        Resource("limit", "limit", created=200),
        Resource("scheduler", "scheduler"),
        Resource("event_script", "event_script"),
    )
}


class Records:
    """Answers for the resources above, over one store."""

    def __init__(self, store: Store, view: View) -> None:
        self.store = store
        self.view = view

    def handle(self, resource: Resource, identifier: str | None, request: Request) -> Answer:
        """One request to `system/{resource}[/{identifier}]`."""
        match request.verb:
            case "GET":
                return self._read(resource, identifier, request)
            case "POST":
                return self._create(resource, identifier, request)
            case "PUT" | "PATCH":
                return self._change(resource, identifier, request)
            case "DELETE":
                return self._remove(resource, identifier, request)
        raise RestError(405, f"{request.verb} is not supported.")

    def rows(self, resource: Resource) -> list[Row]:
        return [row for row in self.store.rows(resource.table) if resource.shows(row)]

    def find(self, resource: Resource, identifier: Any) -> Row:
        row = self.store.find(resource.table, identifier)
        if row is None or not resource.shows(row):
            raise not_found(identifier)
        return row

    def _read(self, resource: Resource, identifier: str | None, request: Request) -> Answer:
        fields, related = _names(request.query.get("fields")) or ["*"], _names(request.query.get("related"))
        if identifier is not None:
            row = self.find(resource, identifier)
            record = self.view.show(resource.table, row, fields, related)
            return Answer(200, record["value"] if resource.name == "custom" and "value" in record else record)
        rows = self.rows(resource)
        if request.query.get("ids"):
            return Answer(200, {"resource": self._by_ids(resource, request, fields, related)})
        if text := request.query.get("filter"):
            rows = filters.matching(text, TABLES[resource.table], rows, self._replace_lookups)
        if request.flag("count_only"):
            return Answer(200, len(rows))
        wanted = page(ordered(rows, resource.table, request), request, self.view.most)
        shown: list[Any] = [self.view.show(resource.table, row, fields, related) for row in wanted]
        if request.flag("as_list"):
            key = request.query.get("id_field") or TABLES[resource.table].key
            shown = [record.get(key) for record in shown]
        meta: Row = {"count": len(rows)} if request.flag("include_count") else {}
        if request.flag("include_schema"):
            columns = [{"name": name} for name in TABLES[resource.table].columns]
            meta["schema"] = {"name": resource.table, "field": columns}
        return Answer(200, {"resource": shown} | ({"meta": meta} if meta else {}))

    def _by_ids(self, resource: Resource, request: Request, fields: list[str], related: list[str]) -> list[Row]:
        """The records with these ids; the list of them is cut like any other (df-core `BaseModel::selectByIds`)."""
        outcomes: list[Any] = []
        identifiers = _names(request.query["ids"])
        asked = [row for row in self.rows(resource) if str(row[TABLES[resource.table].key]) in identifiers]
        found = page(ordered(asked, resource.table, request), request, self.view.most)
        for identifier in identifiers:
            try:
                row = self.find(resource, identifier)
                if row not in found:
                    raise not_found(identifier)
                outcomes.append(self.view.show(resource.table, row, fields, related))
            except ServerError as error:
                outcomes.append(error)
                if not request.flag("continue"):
                    break
        return _unless_failed(outcomes, "Batch Error: Not all requested records could be retrieved.")

    def _replace_lookups(self, text: str) -> str:
        for row in self.rows(RESOURCES["lookup"]):
            text = text.replace("{" + str(row["name"]) + "}", str(row["value"]))
        return text

    def _create(self, resource: Resource, identifier: str | None, request: Request) -> Answer:
        if identifier is not None:
            raise RestError(400, "Create record by identifier not currently supported.")
        records = _record_list(request)
        if resource.table == "user":
            records = [_without_empty(record) for record in records]
        answers = self._each(records, request, lambda record: self.create(resource, record, request), "created")
        return Answer(resource.created, {"resource": answers})

    def create(self, resource: Resource, record: Row, request: Request) -> Row:
        own, nested = relations.split(resource.table, record)
        before = self.store.snapshot()
        try:
            row = self.store.insert(resource.table, own, request.caller.user_id, dict(resource.fixed))
            relations.create_children(self.store, resource.table, row, nested)
        except SqlError as error:
            self.store.restore(before)
            if resource.table == "user":
                raise RestError(500, f"Failed to create resource: {error.message}") from error
            raise
        except ServerError:
            self.store.restore(before)
            raise
        return self._written(resource, row, request)

    def _change(self, resource: Resource, identifier: str | None, request: Request) -> Answer:
        key = TABLES[resource.table].key
        if identifier is not None:
            record = {**request.record(), key: identifier}
            return Answer(200, self.change(resource, record, request))
        records = _record_list(request)
        if ids := _names(request.query.get("ids")):
            records = [{**records[0], key: each} for each in ids]
        elif request.query.get("filter"):
            raise RestError(500, "Failed to update resources by filter.")
        changed = self._each(records, request, lambda record: self.change(resource, record, request), "updated")
        return Answer(200, {"resource": changed})

    def change(self, resource: Resource, record: Row, request: Request) -> Row:
        """Update one record named by its own id. Validation and SQL failures become a 500, except 400 and 403 of
        users.
        """
        key = TABLES[resource.table].key
        identifier = record.get(key)
        if not identifier:
            raise RestError(400, 'Identifying field "id" can not be empty for update request . ')
        _refuse_other_kind(self.store, resource, identifier, "edit")
        row = self.find(resource, identifier)
        own, nested = relations.split(resource.table, {name: value for name, value in record.items() if name != key})
        before = self.store.snapshot()
        try:
            self.store.update(resource.table, row, own, request.caller.user_id)
            relations.update_children(self.store, resource.table, row, nested)
        except HtmlError:
            self.store.restore(before)
            raise
        except ServerError as error:
            self.store.restore(before)
            if resource.table == "user" and error.status in (400, 403):
                raise
            message = getattr(error, "message", str(error))
            raise RestError(500, f"Failed to update resource: {message}") from error
        if resource.name == "app" and request.flag("regenerate"):
            self.store.rows("app")[0]["api_key"] = new_api_key()
        return self._written(resource, row, request)

    def _remove(self, resource: Resource, identifier: str | None, request: Request) -> Answer:
        key = TABLES[resource.table].key
        if identifier is not None:
            return Answer(200, self.remove(resource, {key: identifier}, request))
        records = request.records()
        if ids := _names(request.query.get("ids")):
            records = [{key: each} for each in ids]
        elif not records:
            if request.query.get("filter"):
                raise RestError(500, "Failed to delete resources by filter.")
            if not request.flag("force"):
                raise RestError(400, "No filter or records given for delete request.")
            for row in self.rows(resource):
                self.store.delete(resource.table, row)
            return Answer(200, {"success": True})
        gone = self._each(records, request, lambda record: self.remove(resource, record, request), "deleted")
        return Answer(200, {"resource": gone})

    def remove(self, resource: Resource, record: Row, request: Request) -> Row:
        identifier = record.get(TABLES[resource.table].key)
        _refuse_other_kind(self.store, resource, identifier, "delete")
        row = self.find(resource, identifier)
        if resource.table == "user" and row["id"] == request.caller.user_id:
            raise RestError(403, "Cannot delete the currently signed-in user.")
        answer = self._written(resource, row, request)
        self.store.delete(resource.table, row)
        return answer

    def _each(self, records: list[Row], request: Request, work: Callable[[Row], Row], done: str) -> list[Row]:
        """Work through a bulk call: it stops at the first failure and keeps what was done, unless told otherwise."""
        rollback = request.flag("rollback")
        before = self.store.snapshot() if rollback else None
        outcomes: list[Any] = []
        for record in records:
            try:
                outcomes.append(work(record))
            except HtmlError:
                raise
            except ServerError as error:
                outcomes.append(error)
                if rollback or not request.flag("continue"):
                    break
        message = f"Batch Error: Not all requested records could be {done}."
        if before is not None and any(isinstance(outcome, ServerError) for outcome in outcomes):
            self.store.restore(before)
            message += " All changes rolled back."
        return _unless_failed(outcomes, message)

    def _written(self, resource: Resource, row: Row, request: Request) -> Row:
        key = TABLES[resource.table].key
        fields, related = _names(request.query.get("fields")), _names(request.query.get("related"))
        if fields in ([], [key]) and not related:
            return {key: row[key]}
        return self.view.show(resource.table, row, fields or ["*"], related)


def _names(text: str | None) -> list[str]:
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def _record_list(request: Request) -> list[Row]:
    records = request.records()
    if not records:
        raise RestError(400, NO_RECORDS)
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise HtmlError("records are not a list of objects")
    return records


def _without_empty(record: Row) -> Row:
    """Empty values of a new user are dropped, `is_active: false` too (section 6.1, df-system BaseUserResource)."""
    words = {"true": True, "false": False, "null": None}
    kept = {name: value for name, value in record.items() if php_bool(value)}
    return {n: words.get(v.lower(), v) if isinstance(v, str) else v for n, v in kept.items()}


def _refuse_other_kind(store: Store, resource: Resource, identifier: Any, action: str) -> None:
    row = store.find("user", identifier) if resource.table == "user" and identifier else None
    if row is None or resource.shows(row):
        return
    if resource.name == "user":
        raise RestError(403, f"Not allowed to {action} an administrator here.")
    raise RestError(400, f"Not allowed to {action} a user that is not an administrator here.")


def _unless_failed(outcomes: list[Any], message: str) -> list[Row]:
    if any(isinstance(outcome, ServerError) for outcome in outcomes):
        raise BatchError(message, outcomes)
    return outcomes
