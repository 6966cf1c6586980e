"""Recordings of any number of steps for the benchmarks: the same call gives the same recording.

Of each ten steps three create roles, three apps that use them, two users with passwords and nested rows, one changes a
role that was there before, and one deletes an app. A read follows each, as in the console.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from dfrecord.recording.exchange import Body, Exchange, Headers, Recording, Request, Response

_JSON = ("Content-Type", "application/json")
_SENT = Headers((_JSON, ("X-DreamFactory-Session-Token", "token-of-the-benchmark")))

Call = tuple[str, str, object, object]
"""Method, path below `/api/v2/system/`, what is sent and what is answered."""


def made(steps: int) -> Recording:
    """A recording of so many steps, and as many reads."""
    return recorded(call for number in range(1, steps + 1) for call in (_step(number), _read(number)))


def recorded(calls: Iterable[Call]) -> Recording:
    """A recording of these calls."""
    exchanges = []
    for method, path, body, answer in calls:
        sent = Body.recorded(json.dumps(body).encode()) if body is not None else Body()
        response = Response(200, Headers((_JSON,)), Body.recorded(json.dumps(answer).encode()), "OK")
        url = f"https://df.example.com/api/v2/system/{path}"
        exchanges.append(Exchange(len(exchanges), Request(method, url, _SENT, sent), response))
    return Recording("made.har", tuple(exchanges))


def _step(number: int) -> Call:
    kind = number % 10
    if kind in (1, 2, 3):
        record: dict[str, object] = {
            "name": f"role-{number}",
            "description": "made by the benchmark",
            "is_active": True,
        }
        return _create("role", number, record)
    if kind in (4, 5, 6):
        return _create("app", number, {"name": f"app-{number}", "role_id": number - 3, "type": 0, "is_active": True})
    if kind in (7, 8):
        name, password = f"user-{number}@example.com", f"Secret-{number * 7919:010x}"
        row = {"app_id": number - 3, "role_id": number - 6}
        record = {
            "email": name,
            "name": f"User {number}",
            "password": password,
            "user_to_app_to_role_by_user_id": [row],
        }
        return _create("user", number, record)
    if kind == 9:
        known = _known_role(number - 1)
        return "PATCH", f"role/{known['id']}", {"description": f"changed {number}"}, {"id": known["id"]}
    return "DELETE", f"app/{number - 4}", None, {"id": number - 4}


def _create(resource: str, number: int, record: dict[str, object]) -> Call:
    answer = {"id": number, **{name: value for name, value in record.items() if name != "password"}}
    return "POST", f"{resource}?fields=*", {"resource": [record]}, {"resource": [answer]}


def _read(number: int) -> Call:
    return "GET", "role?limit=3", None, {"resource": [_known_role(number), _known_role(1), _known_role(2)]}


def _known_role(number: int) -> dict[str, object]:
    return {"id": 1_000_000 + number, "name": f"known-role-{number}", "description": "there before"}
