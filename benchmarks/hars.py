"""HARs of any size for the benchmarks, shaped like an export of Chrome's DevTools: the same call gives the same bytes.

`bulky` is a session with the console whose scripts, styles and images were all recorded; `small` is one of many small
calls, most of it headers. A share of the entries are calls of the System API, as `dfrecord import` keeps them.
`broken` damages a file in one of the ways in which exports are damaged.
"""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

HOST = "https://df.example.com"
_START = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
_WORDS = r"""
function return const this prototype value index length => === && || { } ( ) [ ] ; , . null undefined module exports
"use strict" 'click' "px" /[^\w-]/g `${name}` "\n" resource service role record filter table schema render state
… → Größe ✅ 🚀
""".split()  # noqa: SIM905
_HEADERS = {
    "request": {
        ":authority": "df.example.com",
        ":scheme": "https",
        "accept": "application/json, text/plain, */*",
        "accept-encoding": "gzip, deflate, br, zstd",
        "accept-language": "en-US,en;q=0.9",
        "referer": f"{HOST}/dreamfactory/dist/",
        "sec-ch-ua": '"Not:A-Brand";v="8", "Chromium";v="156"',
        "sec-fetch-mode": "cors",
        "user-agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0",
        "x-dreamfactory-session-token": "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.benchmark-session",
    },
    "response": {
        "cache-control": "no-cache, private",
        "content-type": "@TYPE@",
        "date": "Tue, 24 Nov 2026 09:00:00 GMT",
        "server": "nginx",
        "vary": "Accept-Encoding",
    },
}


def bulky(path: Path, size: int, share: float = 0.02) -> None:
    """Writes a HAR of at least `size` bytes, most of it embedded files; `share` of its entries are API calls."""
    bodies = list(_embedded_files())
    every = round(1 / share)

    def entries() -> Iterator[bytes]:
        for number in range(10**9):
            if number % every == 1:
                yield _api_call(number)
            else:
                url, media_type, text = bodies[number % len(bodies)]
                yield _entry(number, "GET", f"{url}?v={number}", media_type, text)

    _write(path, entries(), lambda count, written: written >= size)


def small(path: Path, count: int, share: float = 0.02) -> None:
    """Writes a HAR of `count` entries of about 2.3 kB; `share` of them are API calls."""
    every = round(1 / share)
    text = json.dumps(
        json.dumps({"success": True, "rows": [{"id": n, "name": f"row {n}"} for n in range(10)]})
    ).encode()

    def entries() -> Iterator[bytes]:
        for number in range(count):
            if number % every == 1:
                yield _api_call(number)
            else:
                yield _entry(number, "GET", f"{HOST}/api/v2/db/_table/orders/{number}", "application/json", text)

    _write(path, entries(), lambda done, written: done == count)


BROKEN: dict[str, Callable[[bytes], bytes]] = {
    "bytes that are no UTF-8": lambda text: text.replace(b"return const", b"return \xff\xfe const", 1),
    "a lone surrogate": lambda text: text.replace(b"return const", b"return \\ud800 const", 1),
    "control characters": lambda text: text.replace(b"return const", b"return \x01 const", 1),
    "NaN": lambda text: text.replace(b'"bodySize": 0', b'"bodySize": NaN', 1),
    "a trailing comma": lambda text: text[: text.rindex(b"}\n  ]")] + b"},\n  ]\n}}",
    "cut off": lambda text: text[: -len(text) // 1000],
    "1,500 levels deep": lambda text: text.replace(b'"cache": {}', b'"cache": ' + b"[" * 1500 + b"]" * 1500, 1),
}
"""Ways in which a HAR is no JSON, or more than a parser takes: what it is called, and a function that damages one."""


def damage(how: str, whole: str, broken: str) -> None:
    """Writes the file `broken`, which is `whole` damaged in one of these ways."""
    Path(broken).write_bytes(BROKEN[how](Path(whole).read_bytes()))


def _write(path: Path, entries: Iterator[bytes], enough: Callable[[int, int], bool]) -> None:
    with path.open("wb") as file:
        written = file.write(
            b'{"log": {\n  "version": "1.2",\n  "creator": {"name": "WebInspector", "version": "537.36"},\n'
        )
        written += file.write(b'  "pages": [],\n  "entries": [\n')
        for count, entry in enumerate(entries, 1):
            written += file.write(b",\n" + entry if count > 1 else entry)
            if enough(count, written):
                break
        file.write(b"\n  ]\n}}\n")


def _embedded_files() -> Iterator[tuple[str, str, bytes]]:
    """URL, media type and text (a JSON string) of what a page loads: scripts, styles, images, in their usual sizes."""
    made = random.Random(20261124)
    for number in range(48):
        url = f"{HOST}/dreamfactory/dist/assets/file-{number}"
        kind = number % 4
        if kind == 3:
            image = base64.b64encode(made.randbytes(made.randint(5_000, 90_000))).decode()
            yield f"{url}.png", "image/png", json.dumps(image).encode()
        else:
            text = " ".join(made.choices(_WORDS, k=made.randint(3_000, 30_000)))
            ending, media_type = ("css", "text/css") if kind == 2 else ("js", "application/javascript")
            yield f"{url}.{ending}", media_type, json.dumps(text, ensure_ascii=False).encode()


def _api_call(number: int) -> bytes:
    if number == 1:
        answer: object = {
            "session_token": _HEADERS["request"]["x-dreamfactory-session-token"],
            "id": 1,
            "is_sys_admin": True,
        }
        sent: object = {"email": "admin@example.com", "password": "the benchmark's secret"}
        return _entry(
            number, "POST", f"{HOST}/api/v2/system/admin/session", "application/json", _json(answer), _json(sent)
        )
    if number % 3:
        record = {"name": f"role-{number}", "description": "made by the benchmark", "is_active": True}
        answer, sent = {"resource": [{"id": number, **record}]}, {"resource": [record]}
        return _entry(
            number, "POST", f"{HOST}/api/v2/system/role?fields=*", "application/json", _json(answer), _json(sent)
        )
    rows = [{"id": n, "name": f"service-{n}", "label": f"Service {n}", "is_active": True} for n in range(1, 26)]
    url = f"{HOST}/api/v2/system/service?limit=25&offset={number}"
    return _entry(number, "GET", url, "application/json", _json({"resource": rows, "meta": {"count": 25}}))


def _json(value: object) -> bytes:
    return json.dumps(json.dumps(value)).encode()


def _entry(number: int, method: str, url: str, media_type: str, text: bytes, sent: bytes = b"") -> bytes:
    started = (_START + timedelta(milliseconds=40 * number)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    entry = _FRAME_WITH_BODY.replace(b"@SENT@", sent) if sent else _FRAME
    entry = entry.replace(b"@METHOD@", method.encode()).replace(b"@URL@", url.encode())
    return (
        entry.replace(b"@STARTED@", started.encode()).replace(b"@TYPE@", media_type.encode()).replace(b"@TEXT@", text)
    )


def _frame(with_body: bool) -> bytes:
    headers = {
        which: [{"name": name, "value": value} for name, value in fields.items()] for which, fields in _HEADERS.items()
    }
    request: dict[str, object] = {"method": "@METHOD@", "url": "@URL@", "httpVersion": "http/2.0"}
    request |= {"headers": headers["request"], "queryString": [], "cookies": [], "headersSize": -1, "bodySize": 0}
    if with_body:
        request["postData"] = {"mimeType": "application/json", "text": "@SENT@"}
    entry = {
        "_initiator": {"type": "script", "stack": {"callFrames": []}},
        "_priority": "High",
        "_resourceType": "fetch",
        "cache": {},
        "connection": "8765",
        "request": request,
        "response": {
            "status": 200,
            "statusText": "OK",
            "httpVersion": "http/2.0",
            "headers": headers["response"],
            "cookies": [],
            "content": {"size": -1, "mimeType": "@TYPE@", "text": "@TEXT@"},
            "redirectURL": "",
            "headersSize": -1,
            "bodySize": -1,
        },
        "serverIPAddress": "203.0.113.7",
        "startedDateTime": "@STARTED@",
        "time": 12.5,
        "timings": {"blocked": 0.5, "dns": -1, "connect": -1, "ssl": -1, "send": 0.1, "wait": 11, "receive": 0.9},
    }
    text = json.dumps(entry, indent=2).encode()
    return text.replace(b'"@TEXT@"', b"@TEXT@").replace(b'"@SENT@"', b"@SENT@")


_FRAME = _frame(False)
_FRAME_WITH_BODY = _frame(True)
