"""The stateful DreamFactory double: real HTTP on loopback, everything in memory, for running generated scripts against.

    with DreamFactoryDouble() as df:
        subprocess.run([...], env={"DF_BASE_URL": df.url, "DF_EMAIL": df.email, "DF_PASSWORD": df.password})
        assert [call.path for call in df.writes] == ["/api/v2/system/role"]

It behaves as the recorded 7.5.0 server (tests/fixtures) and as system-api.md, section 10 first. This file is the HTTP
side: reading requests, routing, error bodies, the log; what the calls do is in system.py, records.py, sessions.py and
content.py.
"""

from __future__ import annotations

import json
import threading
import traceback
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from tests.doubles import before, seed
from tests.doubles.content import Content
from tests.doubles.errors import HtmlError, RestError, ServerError
from tests.doubles.records import Records
from tests.doubles.schema import Row
from tests.doubles.services import types
from tests.doubles.sessions import Sessions
from tests.doubles.store import Store
from tests.doubles.system import System
from tests.doubles.views import MAX_RECORDS, View, as_file
from tests.doubles.wire import Answer, Caller, Request, parse

EMAIL = "admin@example.com"
PASSWORD = "Secret!123-Secret!123"
STATE_RELATIONS = {
    "service": "service_doc_by_service_id",
    "role": "role_service_access_by_role_id,lookup_by_role_id",
    "user": "user_to_app_to_role_by_user_id,lookup_by_user_id",
    "admin": "lookup_by_user_id,user_to_app_to_role_by_user_id",
}
STATE = (
    *("service", "role", "app", "user", "admin", "lookup", "cors", "email_template"),
    *("limit", "scheduler", "event_script"),
)
ACCOUNT_CALLS = ("session", "password")


@dataclass(frozen=True)
class LoggedRequest:
    """One request as it came: `raw_target` exactly as on the request line, `verb` the method after verb tunnelling."""

    method: str
    path: str
    query: str
    raw_target: str
    headers: list[tuple[str, str]]
    body: bytes
    status: int
    verb: str

    @property
    def is_write(self) -> bool:
        last = self.path.rstrip("/").rpartition("/")[2]
        return self.verb in ("POST", "PUT", "PATCH", "DELETE") and last not in ACCOUNT_CALLS

    def json(self) -> Any:
        return json.loads(self.body)


class DreamFactoryDouble:
    """One server. `installed` adds resources the recorded install lacks: "limit", "scheduler", "event_script".

    With `id_offset` every table's ids, seeded records and nested rows included, start somewhere else, each table
    elsewhere. A list shows at most `most` records, as an administrator may have set it (`DB_MAX_RECORDS_RETURNED`).
    """

    def __init__(
        self,
        id_offset: int = 0,
        email: str = EMAIL,
        password: str = PASSWORD,
        installed: tuple[str, ...] = (),
        port: int = 0,
        most: int = MAX_RECORDS,
    ) -> None:
        self.email = email
        self.password = password
        self.url = ""
        self.log: list[LoggedRequest] = []
        self.store = Store(id_offset)
        self.admin_id = seed.fill(self.store, email, password)
        self.records = Records(self.store, View(self.store, lambda: self.url, most))
        self.sessions = Sessions(self.store, self.records)
        self.system = System(self.store, self.records, self.sessions, tuple(installed))
        self.content = Content(self.store)
        self._lock = threading.Lock()
        self._port = port
        self._http: ThreadingHTTPServer | None = None

    def __enter__(self) -> Self:
        self._http = _Listener(("127.0.0.1", self._port), _handler(self))
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._http:
            self._http.shutdown()
            self._http.server_close()

    @property
    def writes(self) -> list[LoggedRequest]:
        """The logged requests that changed or tried to change something; logins and password calls do not count."""
        return [call for call in self.log if call.is_write]

    def reset_log(self) -> None:
        self.log.clear()

    def state(self) -> dict[str, Any]:
        """All records, in the shape of the fixtures' state.json; a resource not installed is its 404 answer."""
        return {name: self._state_of(name) for name in STATE}

    def _state_of(self, name: str) -> Any:
        path = f"/api/v2/system/{name}?related={STATE_RELATIONS.get(name, '')}"
        records: list[Row] = []
        while True:
            status, body = self.call("GET", f"{path}&include_count=true&offset={len(records)}")
            if status != 200:
                return {"__status": status, "__body": body}
            records += body["resource"]
            if len(records) == body["meta"]["count"]:
                return records

    def apply(self, calls: list[before.Call]) -> None:
        """Make the calls of a before.json as the administrator, unlogged, with their ids moved to this server's."""
        before.apply(calls, self.store, self.call)

    def call(self, method: str, target: str, body: bytes = b"") -> tuple[int, Any]:
        """One call as the administrator, in process: not logged, no token needed. Gives status and JSON."""
        headers = {"content-type": "application/json"} if body else {}
        admin = Caller(self.store.find("user", self.admin_id))
        answer, _ = self.answer(method, target, headers, body, admin)
        return answer.status, answer.body

    def answer(
        self, method: str, target: str, headers: dict[str, str], raw: bytes, caller: Caller | None = None
    ) -> tuple[Answer, str]:
        """The answer to a request, errors included, and its effective verb."""
        verb = method
        try:
            request = parse(method, target, headers, raw)
            verb = request.verb
            with self._lock:
                return self._route(request, caller), verb
        except HtmlError as error:
            return Answer(error.status, error.PAGE.encode(), "text/html; charset=UTF-8"), verb
        except RestError as error:
            return Answer(error.status, {"error": error.inner()}), verb
        except ServerError as error:
            return Answer(500, {"error": error.inner()}), verb
        except Exception:
            return Answer(500, f"The double failed:\n{traceback.format_exc()}".encode(), "text/plain"), verb

    def _route(self, request: Request, caller: Caller | None) -> Answer:
        path = [segment.lower() for segment in request.segments[:3]]
        sessions = {("user", "session"): False, ("system", "admin", "session"): True}
        for place, admins in sessions.items():
            if tuple(path[: len(place)]) == place:
                login = request.verb == "POST"
                request.caller = caller or (Caller() if login else self.sessions.caller(request))
                return self.sessions.session(request, admins)
        request.caller = caller or self.sessions.caller(request)
        if not path:
            return Answer(200, self._listing(request))
        account = {
            "password": self.sessions.password,
            "profile": self.sessions.profile,
            "register": self.sessions.register,
        }
        if path[0] == "user" and path[1:2] and path[1] in account:
            return account[path[1]](request)
        if not _is_public(path, request.verb):
            self.sessions.permit(request)
        service = self.system.service(path[0])
        if service["type"] == "system":
            return as_file(self.system.handle(request), request)
        return self.content.handle(service, request)

    def _listing(self, request: Request) -> Row:
        """`GET /api/v2`: the services a caller may use and the service types (fixture 06-messy)."""
        groups = [group.strip().lower() for group in request.query.get("group", "").split(",") if group.strip()]
        known = types()

        def wanted(type_name: str) -> bool:
            return not groups or str((known.get(type_name) or {}).get("group")).lower() in groups

        rows = [row for row in self.store.rows("service") if row["is_active"] and wanted(row["type"])]
        if not request.caller.is_admin:
            rows = [row for row in rows if self._may_use(row["name"], request)]
        return {
            "services": [
                {
                    **{key: row[key] for key in ("id", "name", "label", "description", "type")},
                    "spec_url": f"/api/v2/{row['name']}/_spec",
                }
                for row in rows
            ],
            "service_types": [
                {key: entry[key] for key in ("name", "label", "group", "description")}
                for name, entry in known.items()
                if wanted(name)
            ],
        }

    def _may_use(self, name: str, request: Request) -> bool:
        try:
            self.sessions.permit(Request("GET", [name], {}, caller=request.caller))
        except RestError:
            return False
        return True


def _is_public(path: list[str], verb: str) -> bool:
    return (path == ["system", "environment"] and verb == "GET") or path == ["system", "admin", "password"]


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def _handler(double: DreamFactoryDouble) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def handle_any(self) -> None:
            body = self._body()
            headers = [(name, value) for name, value in self.headers.items()]
            lowered = {name.lower(): value for name, value in headers}
            answer, verb = double.answer(self.command, self.path, lowered, body)
            target = self.requestline.split(" ")[1]
            path, _, query = target.partition("?")
            double.log.append(LoggedRequest(self.command, path, query, target, headers, body, answer.status, verb))
            payload = answer.body if isinstance(answer.body, bytes) else _json(answer.body)
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.content_type)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Cache-Control", "no-cache, private")
            self.send_header("Access-Control-Allow-Origin", "*")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(payload)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_HEAD = handle_any  # noqa: N815

        def _body(self) -> bytes:
            if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
                return b"".join(self._chunks())
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))

        def _chunks(self) -> list[bytes]:
            chunks = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                chunks.append(self.rfile.read(size))
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
            return chunks

        def log_message(self, format: str, *args: Any) -> None:
            return

    return Handler


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
