"""Makes recordings by driving the double as the console would, so that journeys nobody recorded can be tested."""

from __future__ import annotations

import json
from typing import Any

import requests

from dfrecord.recording.exchange import ABSENT, Body, Exchange, Headers, Request, Response
from tests.doubles.server import DreamFactoryDouble


class RecordedSession:
    """A session against a double, the administrator's or a user's; `exchanges` holds every call with its answer."""

    def __init__(self, df: DreamFactoryDouble, email: str = "", password: str = "", api_key: str = "") -> None:
        self._df = df
        self._token = ""
        self._api_key = api_key
        self.exchanges: list[Exchange] = []
        path = "user/session" if email else "system/admin/session"
        answer = self.call("POST", path, {"email": email or df.email, "password": password or df.password})
        self._token = answer["session_token"]

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """One call with a JSON body; gives the answer's JSON."""
        return self._send(method, path, "application/json", None if body is None else json.dumps(body).encode())

    def upload(self, path: str, media_type: str, content: bytes, method: str = "POST") -> Any:
        """One call with these bytes; gives the answer's JSON."""
        return self._send(method, path, media_type, content)

    def _send(self, method: str, path: str, media_type: str, content: bytes | None) -> Any:
        headers = {"Accept": "application/json"}
        if self._token:
            headers["X-DreamFactory-Session-Token"] = self._token
        if self._api_key:
            headers["X-DreamFactory-API-Key"] = self._api_key
        if content is not None:
            headers["Content-Type"] = media_type
        url = f"{self._df.url}/api/v2/{path}"
        got = requests.request(method, url, headers=headers, data=content, timeout=30)
        exchange = Exchange(
            len(self.exchanges),
            Request(
                method,
                got.request.url or url,
                Headers(tuple(headers.items())),
                Body.recorded(content) if content else ABSENT,
            ),
            Response(got.status_code, Headers((("Content-Type", "application/json"),)), Body.recorded(got.content)),
        )
        self.exchanges.append(exchange)
        answer = got.json()
        if isinstance(answer, dict) and answer.get("session_token"):
            self._token = answer["session_token"]
        return answer

    def create(self, resource: str, *records: dict[str, Any]) -> list[int]:
        """Create records; gives their ids."""
        answer = self.call("POST", f"system/{resource}", {"resource": list(records)})
        return [row["id"] for row in answer["resource"]]
