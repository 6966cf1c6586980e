"""A server of the invented platform of `examples/another-platform`: bare JSON, UUIDs, bearer tokens, no filters."""

from __future__ import annotations

import json
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

KEYS = {"sites": "name", "doors": "label", "badges": "holder"}
USER, PASSWORD = "keeper", "Open-sesame-2026"


class Gatehouse:
    """One server; `records` are its lists, `writes` the requests that tried to change something."""

    def __init__(self) -> None:
        self.records: dict[str, list[dict[str, Any]]] = {name: [] for name in KEYS}
        self.writes: list[tuple[str, str]] = []
        self.tokens: set[str] = set()
        self.url = ""

    def __enter__(self) -> Self:
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    def state(self) -> dict[str, list[dict[str, Any]]]:
        """What two servers can be compared by: names in the place of ids."""
        names = {row["uid"]: row[KEYS[name]] for name, rows in self.records.items() for row in rows}
        bare = json.dumps({name: [_without_made(row) for row in rows] for name, rows in self.records.items()})
        for uid, name in names.items():
            bare = bare.replace(uid, name)
        state: dict[str, list[dict[str, Any]]] = json.loads(bare)
        return {name: sorted(rows, key=str) for name, rows in state.items()}

    def answer(self, method: str, path: str, token: str, sent: Any) -> tuple[int, Any]:
        """Status and JSON of the answer."""
        name, _, uid = path.partition("?")[0].removeprefix("/rest/v1/").partition("/")
        if name == "login" and method == "POST":
            return self._log_in(sent)
        if token not in self.tokens:
            return 401, {"message": "Who are you?"}
        if name == "login":
            self.tokens.discard(token)
            return 204, None
        if name == "whoami":
            return 200, {"user": USER}
        if method != "GET":
            self.writes.append((method, path))
        return self._in_list(self.records[name], KEYS[name], method, uid, sent) if name in KEYS else (404, {})

    def _log_in(self, sent: Any) -> tuple[int, Any]:
        if sent != {"user": USER, "pass": PASSWORD}:
            return 401, {"message": "Wrong user or pass."}
        token = uuid.uuid4().hex
        self.tokens.add(token)
        return 200, {"access_token": token, "expires_in": 3600}

    def _in_list(self, rows: list[dict[str, Any]], key: str, method: str, uid: str, sent: Any) -> tuple[int, Any]:
        if not uid and method == "GET":
            return 200, rows
        if not uid and method == "POST":
            if any(row[key] == sent[key] for row in rows):
                return 409, {"message": f"There is a {key} {sent[key]} already."}
            rows.append({"uid": str(uuid.uuid4()), "created_at": "2026-11-24T10:00:00Z", **sent})
            return 201, rows[-1]
        row = next((row for row in rows if row["uid"] == uid), None)
        if row is None:
            return 404, {"message": "No such record."}
        if method == "PATCH":
            row.update(sent)
        if method == "DELETE":
            rows.remove(row)
            return 204, None
        return 200, row


def _without_made(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in ("uid", "created_at")}


def _handler(server: Gatehouse) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None: ...

        def _serve(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
            status, answer = server.answer(self.command, self.path, token, json.loads(raw) if raw else None)
            content = b"" if answer is None else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = do_DELETE = _serve  # noqa: N815

    return Handler
