"""Small HARs for the tests of the readers, and where the recorded ones are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dfrecord.recording.attachments import Attachments, no_attachments
from dfrecord.recording.exchange import Exchange, Recording
from dfrecord.recording.har_reader import read_har
from dfrecord.recording.wanted import EVERYTHING

FIXTURES = Path(__file__).parent.parent / "fixtures"
DIALECTS = FIXTURES / "dialects"


def entry(
    url: str = "http://h/a",
    method: str = "GET",
    *,
    request: dict[str, Any] | None = None,
    response: dict[str, Any] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """One entry with only what HAR 1.2 requires of it, and what a test adds."""
    return {
        "startedDateTime": "2026-11-24T00:00:00.000Z",
        "time": 1,
        "request": {"method": method, "url": url, "httpVersion": "HTTP/1.1", "headers": [], **(request or {})},
        "response": {"status": 200, "statusText": "OK", "headers": [], "content": {"size": 0}, **(response or {})},
        **more,
    }


def har(*entries: object, creator: str | None = "WebInspector") -> dict[str, Any]:
    log: dict[str, Any] = {"version": "1.2"}
    if creator is not None:
        log["creator"] = {"name": creator, "version": "1"}
    return {"log": {**log, "entries": list(entries)}}


def har_bytes(*entries: object, creator: str | None = "WebInspector") -> bytes:
    return json.dumps(har(*entries, creator=creator)).encode()


def read_bytes(content: bytes, attachments: Attachments = no_attachments) -> Recording:
    return read_har(memoryview(content), "test.har", EVERYTHING, attachments)


def read_entry(one: dict[str, Any], creator: str | None = "WebInspector") -> Exchange:
    """The one exchange of a HAR that holds this entry and nothing else."""
    recording = read_bytes(har_bytes(one, creator=creator))
    assert recording.lost == 0, recording.notes
    return recording.exchanges[0]


def headers(**fields: str) -> list[dict[str, str]]:
    return [{"name": name.replace("_", "-"), "value": value} for name, value in fields.items()]
