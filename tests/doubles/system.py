"""The `system` service: which resources exist, the read-only ones, and where each path goes.

Facts: fixture 01-create-user (`GET /api/v2/system`, environment), 06-messy (event, cache, service_type, 404s);
system-api.md section 6 for the resources of `installed` that the recorded server lacks.
"""

from __future__ import annotations

import copy
from typing import Any

from tests.doubles.errors import RestError, not_found
from tests.doubles.records import RESOURCES, Records
from tests.doubles.schema import Row
from tests.doubles.services import read_data, types
from tests.doubles.sessions import Sessions
from tests.doubles.store import Store
from tests.doubles.wire import Answer, Request

PRESENT = (
    *("admin", "admin/password", "admin/profile", "admin/session", "app", "cache", "constant", "cors", "custom"),
    *(
        "email_template",
        "environment",
        "event",
        "import",
        "lookup",
        "package",
        "role",
        "service",
        "service_type",
        "user",
    ),
)
COMES_WITH = {"limit": ("limit", "limit_cache"), "event_script": ("event_script", "script_type")}
READ_ONLY = ("environment", "service_type", "event", "constant", "script_type")
SCRIPT_TYPES = ("nodejs", "php", "python3")
EVENTS_LIKE = {"local_file": "files", "sqlite": "db", "pgsql": "db", "alloydb": "db"}


class System:
    """Answers everything under `/api/v2/system` except sessions. `installed` adds optional resources by name."""

    def __init__(self, store: Store, records: Records, sessions: Sessions, installed: tuple[str, ...]) -> None:
        self.store = store
        self.records = records
        self.sessions = sessions
        extra = {name for item in installed for name in COMES_WITH.get(item, (item,))}
        self.names = sorted({*PRESENT, *extra})
        self.routes: dict[str, int] = {}
        self._learn_routes()

    def handle(self, request: Request) -> Answer:
        path = request.segments[1:]
        if not path:
            return self._root(request)
        name = path[0]
        if name == "admin" and path[1:2] == ["password"]:
            return self.sessions.password(request)
        if name == "admin" and path[1:2] == ["profile"]:
            return self.sessions.profile(request)
        if name not in self.names:
            raise RestError(404, f"Resource '{name}' not found for service 'system'.")
        if name in READ_ONLY and request.verb != "GET":
            raise RestError(405, f"{request.verb} is not supported by {name}.")
        identifier = "/".join(path[1:]) or None
        match name:
            case "environment":
                return Answer(200, self._environment(request))
            case "service_type":
                return Answer(200, self._service_types(identifier, request))
            case "script_type":
                return Answer(200, {"resource": [{"name": each, "label": each} for each in SCRIPT_TYPES]})
            case "event":
                return Answer(200, self._events(request))
            case "constant":
                return Answer(200, {"resource": []})
            case "cache":
                return self._cache(identifier, request)
            case "limit_cache":
                return self._limit_cache(identifier, request)
            case "event_script" if identifier and request.verb == "POST":
                return self._put_script(identifier, request)
        if name not in RESOURCES:
            raise RestError(501, f"The double does not play {name}.")
        answer = self.records.handle(RESOURCES[name], identifier, request)
        if request.verb != "GET":
            self._after_write(name)
        return answer

    def service(self, name: str) -> Row:
        """The active service that a path's first segment names. Raises RestError 404 or 403."""
        identifier = self.routes.get(name.lower())
        row = self.store.find("service", identifier) if identifier else None
        if row is None:
            raise RestError(404, f"Could not find a service for {name.lower()}.")
        if not row["is_active"]:
            raise RestError(403, f"Service {row['name']} is deactivated.")
        return row

    def _after_write(self, name: str) -> None:
        if name == "service":
            self._learn_routes()
        for row in self.store.rows("user") if name in ("user", "admin") else ():
            if not row["is_active"]:
                self.sessions.revoke(row["id"])

    def _learn_routes(self, flushed: bool = False) -> None:
        """A deleted service is gone at once; a renamed `system` answers to its old name until a flush (section 10)."""
        kept = self.routes.get("system")
        self.routes = {str(row["name"]).lower(): row["id"] for row in self.store.rows("service")}
        if kept and not flushed and self.store.find("service", kept):
            self.routes.setdefault("system", kept)

    def _root(self, request: Request) -> Answer:
        if request.flag("as_access_list"):
            listed = ["", "*"] + [f"{name}/{end}" for name in self.names for end in ("", "*")]
            return Answer(200, {"resource": listed})
        shown: list[Any] = self.names if request.flag("as_list") else [{"name": name} for name in self.names]
        return Answer(200, {"resource": shown})

    def _environment(self, request: Request) -> Row:
        recorded = copy.deepcopy(read_data("environment.json"))
        user = (self.store.by_name("service", "user") or {}).get("config") or {}
        recorded["authentication"]["open_reg_email_service_id"] = user.get("open_reg_email_service_id")
        recorded["authentication"]["allow_open_registration"] = bool(user.get("allow_open_registration"))
        if request.caller.user is None:
            return {"authentication": recorded["authentication"], "apps": []}
        recorded["client"]["user_agent"] = request.headers.get("user-agent", "")
        recorded["apps"] = [self._app(row) for row in self.store.rows("app") if row["is_active"] and row["type"]]
        return dict(recorded)

    def _app(self, row: Row) -> Row:
        record = self.records.view.show("app", row, ["*"], [])
        names = ("allow_fullscreen_toggle", "requires_fullscreen", "toggle_location")
        return {
            **{name: record[name] for name in ("id", "name", "description")},
            "url": record["launch_url"],
            "is_default": False,
            **{name: record[name] for name in names},
        }

    def _service_types(self, name: str | None, request: Request) -> Row:
        if name is not None:
            if name not in types():
                raise not_found(name)
            return types()[name]
        groups = [group.strip().lower() for group in request.query.get("group", "").split(",") if group.strip()]
        found = [entry for entry in types().values() if not groups or str(entry["group"]).lower() in groups]
        fields = request.query.get("fields")
        if request.flag("as_list"):
            return {"resource": [entry[request.query.get("id_field", "name")] for entry in found]}
        if fields and fields != "*":
            found = [{key: entry[key] for key in fields.split(",") if key in entry} for entry in found]
        return {"resource": found}

    def events(self, service: str | None = None) -> dict[str, list[str]]:
        """Event names by service. Recorded for the seeded services; others have those of the seeded one of their
        type.
        """
        recorded: dict[str, list[str]] = {}
        for event in read_data("events.json"):
            recorded.setdefault(event.split(".")[0], []).append(event)
        found = {}
        for row in sorted(self.store.rows("service"), key=lambda row: str(row["name"])):
            like = row["name"] if row["name"] in recorded else EVENTS_LIKE.get(row["type"])
            if like and row["is_active"] and service in (None, row["name"]):
                found[row["name"]] = [row["name"] + event.removeprefix(like) for event in recorded[like]]
        return found

    def _events(self, request: Request) -> Row:
        found = self.events(request.query.get("service"))
        if request.flag("scriptable"):
            ends = ("", ".pre_process", ".post_process", ".queued")
            found = {name: [event + end for event in events for end in ends] for name, events in found.items()}
        if request.flag("services_only"):
            return {"resource": list(found)}
        if request.flag("as_list"):
            return {"resource": [event for events in found.values() for event in events]}
        return {name: _by_path(events) for name, events in found.items()}

    def _cache(self, name: str | None, request: Request) -> Answer:
        services = [row for row in self.store.rows("service") if row["is_active"]]
        if request.verb == "GET":
            keys = ("name", "label", "description", "type")
            return Answer(200, {"resource": [{key: row[key] for key in keys} for row in services]})
        if request.verb != "DELETE":
            raise RestError(405, f"{request.verb} is not supported by cache.")
        if name and not name.startswith("_event") and name not in {row["name"] for row in services}:
            raise RestError(404, f"Could not find a service for {name}.")
        self._learn_routes(flushed=True)
        return Answer(200, {"success": True})

    def _limit_cache(self, identifier: str | None, request: Request) -> Answer:
        rows = [self.store.find("limit", identifier)] if identifier else self.store.rows("limit")
        if None in rows:
            raise not_found(identifier)
        shown = [
            {"id": row["id"], "key": row["key_text"], "max": row["rate"], "attempts": 0, "remaining": row["rate"]}
            for row in rows
            if row
        ]
        if request.verb == "DELETE":
            return Answer(200, {"success": True})
        return Answer(200, shown[0] if identifier else {"resource": shown})

    def _put_script(self, name: str, request: Request) -> Answer:
        """`POST event_script/{name}` creates (201) or updates (200) (section 6.1)."""
        resource = RESOURCES["event_script"]
        if self.store.find("event_script", name) is not None:
            return Answer(200, self.records.change(resource, {**request.record(), "name": name}, request))
        return Answer(201, self.records.create(resource, {**request.record(), "name": name}, request))


def _by_path(events: list[str]) -> Row:
    paths: Row = {}
    for event in events:
        path = event.rpartition(".")[0]
        paths.setdefault(path, {"type": "api", "endpoints": []})["endpoints"].append(event)
    return paths
