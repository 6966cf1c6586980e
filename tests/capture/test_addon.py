"""The addon inside mitmproxy: its options, what it keeps and streams, its commands; also in the user's own mitmdump."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from mitmproxy import exceptions, http
from mitmproxy.addons.view import View
from mitmproxy.io import FlowWriter
from mitmproxy.test import taddons, tflow, tutils

from dfrecord.capture.addon import Recorder
from dfrecord.capture.live import Call
from tests.tools import ROOT, dfrecord

TOKEN = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.abcdefgh.12345678"


def flow_of(
    method: str, url: str, sent: Any = None, status: int = 200, answer: Any = None, token: str = ""
) -> http.HTTPFlow:
    """An ended flow with JSON bodies."""
    fields = http.Headers(content_type="application/json")
    request = tutils.treq(method=method.encode(), headers=fields, content=b"" if sent is None else _json(sent))
    request.url = url
    if token:
        request.headers["X-DreamFactory-Session-Token"] = token
    answered = tutils.tresp(
        status_code=status, headers=http.Headers(content_type="application/json"), content=_json(answer or {})
    )
    return tflow.tflow(req=request, resp=answered)


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


LOGIN = (
    "POST",
    "https://df.example.com/api/v2/system/admin/session",
    {"email": "admin@example.com", "password": "Secret!123-Secret!123"},
    200,
    {"session_token": TOKEN},
)


class Session:
    """An addon in a mitmproxy context that records into a file."""

    def __init__(self, output: Path, **options: Any) -> None:
        self.output = output
        self.calls: list[Call] = []
        self.recorder = Recorder(self.calls.append)
        self.context = taddons.context(self.recorder)
        self.context.configure(self.recorder, dfrecord_output=str(output), **options)

    def see(self, *flows: http.HTTPFlow) -> None:
        for flow in flows:
            asyncio.run(self.context.cycle(self.recorder, flow))

    @property
    def entries(self) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = json.loads(self.output.read_bytes())["log"]["entries"]
        return entries


def test_each_exchange_is_on_disk_when_it_ends_and_holds_no_secret(tmp_path: Path) -> None:
    session = Session(tmp_path / "a.har")
    session.see(flow_of(*LOGIN))
    assert len(session.entries) == 1
    session.see(
        flow_of("GET", "https://df.example.com/api/v2/system/role", token=TOKEN),
        flow_of("DELETE", "https://df.example.com/api/v2/system/role", {"resource": [{"id": 7}]}),
    )
    assert [entry["request"]["method"] for entry in session.entries] == ["POST", "GET", "DELETE"]
    assert json.loads(session.entries[2]["request"]["postData"]["text"]) == {"resource": [{"id": 7}]}
    text = session.output.read_text()
    assert "Secret!123" not in text
    assert TOKEN not in text
    assert text.count("DFSECRET_session_token_1") == 2


def test_a_secret_known_only_later_is_taken_out_of_what_was_written_before(tmp_path: Path) -> None:
    session = Session(tmp_path / "a.har")
    note = {"resource": [{"name": "r", "description": "key 9f8e7d6c5b4a3210 for tests"}]}
    session.see(flow_of("POST", "https://df.example.com/api/v2/system/role", note, 201))
    assert "9f8e7d6c5b4a3210" in session.output.read_text()
    app = {"resource": [{"id": 3, "name": "a", "api_key": "9f8e7d6c5b4a3210"}]}
    session.see(flow_of("GET", "https://df.example.com/api/v2/system/app", None, 200, app))
    assert len(session.entries) == 2
    assert "9f8e7d6c5b4a3210" not in session.output.read_text()
    assert "key DFSECRET_api_key_1 for tests" in session.output.read_text()
    session.see(flow_of("DELETE", "https://df.example.com/api/v2/system/app/3"))
    assert len(session.entries) == 3
    assert [path.name for path in tmp_path.iterdir() if b"9f8e7d6c5b4a3210" in path.read_bytes()] == []


def test_importing_a_live_recording_finds_nothing_left_to_redact(tmp_path: Path) -> None:
    session = Session(tmp_path / "a.har")
    session.see(flow_of(*LOGIN), flow_of("DELETE", "https://df.example.com/api/v2/system/role/3"))
    session.recorder.done()
    dfrecord("import", session.output, "-o", tmp_path / "b.har")
    live = [(e["request"]["url"], e["request"].get("postData")) for e in session.entries]
    again = json.loads((tmp_path / "b.har").read_bytes())["log"]["entries"]
    assert [(e["request"]["url"], e["request"].get("postData")) for e in again] == live


def test_secrets_are_kept_on_request_in_a_file_that_others_cannot_read(tmp_path: Path) -> None:
    session = Session(tmp_path / "a.har", dfrecord_redact=False)
    session.see(flow_of(*LOGIN))
    assert TOKEN in session.output.read_text()
    assert stat.S_IMODE(session.output.stat().st_mode) == 0o600


def test_calls_outside_the_filter_are_streamed_and_not_kept(tmp_path: Path) -> None:
    session = Session(tmp_path / "a.har")
    inside = flow_of("GET", "https://df.example.com/api/v2/system/role")
    outside = flow_of("GET", "https://df.example.com/api/v2/db/_table/big")
    preflight = flow_of("OPTIONS", "https://df.example.com/api/v2/system/role")
    session.see(inside, outside, preflight)
    assert [(f.request.stream, f.response and f.response.stream) for f in (inside, outside, preflight)] == [
        (False, False),
        (True, True),
        (True, True),
    ]
    assert len(session.entries) == 1
    assert session.recorder.filtered_out == 2


def test_filters_decide_what_is_kept_and_can_change_while_recording(tmp_path: Path) -> None:
    session = Session(tmp_path / "a.har", dfrecord_filter=["api/v2/user"])
    role, user = (f"https://df.example.com/api/v2/{path}" for path in ("system/role", "user/profile"))
    session.see(flow_of("GET", role), flow_of("GET", user))
    session.context.configure(session.recorder, dfrecord_filter=["api/v2/system", "api/v2/user"])
    session.see(flow_of("GET", role))
    assert [entry["request"]["url"] for entry in session.entries] == [user, role]


def test_an_aborted_call_is_kept_with_its_error_and_disturbs_nothing(tmp_path: Path) -> None:
    session = Session(tmp_path / "a.har")
    aborted = flow_of("POST", "https://df.example.com/api/v2/system/role", {"resource": []})
    aborted.response, aborted.error = None, tflow.terr("connection lost")
    aborted.error.timestamp = aborted.request.timestamp_start + 30
    session.see(aborted, flow_of("GET", "https://df.example.com/api/v2/system/role"))
    assert [(entry["response"]["status"], entry["response"].get("_error")) for entry in session.entries] == [
        (0, "connection lost"),
        (200, None),
    ]
    assert session.calls[0].failure == "connection lost"
    assert session.calls[0].milliseconds == 30_000


def test_websockets_pass(tmp_path: Path) -> None:
    session = Session(tmp_path / "a.har")
    socket = tflow.twebsocketflow()
    socket.request.url = "https://df.example.com/api/v2/system/events"
    session.see(socket)
    assert session.entries == []


def test_the_brackets_of_an_ipv6_address_are_kept(tmp_path: Path) -> None:
    session = Session(tmp_path / "a.har")
    url = "http://[::1]:8080/api/v2/system/role?filter=name%3D%22::1%22"
    session.see(flow_of("GET", url))
    assert [entry["request"]["url"] for entry in session.entries] == [url]


def test_events_without_end_are_streamed(tmp_path: Path) -> None:
    session = Session(tmp_path / "a.har")
    events = flow_of("GET", "https://df.example.com/api/v2/system/events")
    assert events.response is not None
    events.response.headers["content-type"] = "text/event-stream"
    session.see(events)
    assert events.response.stream


def test_calls_are_told_in_words(tmp_path: Path) -> None:
    session = Session(tmp_path / "a.har")
    base = "https://df.example.com/api/v2/system/role"
    refusal = {"error": {"code": 404, "message": "Record with identifier '9' not found."}}
    session.see(
        flow_of("POST", base, {"resource": [{"name": "acme-role"}]}, 201, {"resource": [{"id": 12}]}),
        flow_of("PATCH", f"{base}/12", {"is_active": False}),
        flow_of("DELETE", f"{base}/9", None, 404, refusal),
        flow_of("POST", base, {"resource": []}, 201, {"resource": [{"id": n} for n in range(100)]}),
    )
    assert [(call.title, call.status, call.failure) for call in session.calls] == [
        ("create role acme-role → 12", 201, ""),
        ("update role acme-role", 200, ""),
        ("delete role 9", 404, "Record with identifier '9' not found."),
        ("create role → 0, 1, 2, 3, 4, …", 201, ""),
    ]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"dfrecord_output": "/nowhere/at/all.har"}, "cannot be written"),
        ({"dfrecord_output": "{existing}"}, "exists already"),
        ({"dfrecord_output": "{new}", "dfrecord_filter": ["https://df.example.com/api"]}, "is not a path"),
    ],
)
def test_options_that_make_no_recording_are_refused(options: dict[str, Any], words: str, tmp_path: Path) -> None:
    existing = tmp_path / "existing.har"
    existing.write_text("{}")
    names = {"existing": existing, "new": tmp_path / "new.har"}
    options = options | {"dfrecord_output": options["dfrecord_output"].format(**names)}
    recorder = Recorder()
    context = taddons.context(recorder)
    with pytest.raises(exceptions.OptionsError, match=words):
        context.configure(recorder, **options)
    assert existing.read_text() == "{}"


def test_a_refused_option_leaves_the_running_recording_alone(tmp_path: Path) -> None:
    session = Session(tmp_path / "a.har")
    session.see(flow_of("GET", "https://df.example.com/api/v2/system/role"))
    for options in ({"dfrecord_output": "/nowhere/at/all.har"}, {"dfrecord_redact": False}):
        with pytest.raises(exceptions.OptionsError):
            session.context.configure(session.recorder, **options)
    session.see(flow_of("GET", "https://df.example.com/api/v2/system/app"))
    assert len(session.entries) == 2


def test_marked_flows_are_rendered_from_mitmproxys_own_console(tmp_path: Path) -> None:
    context = taddons.context(view := View(), Recorder())
    role = "https://df.example.com/api/v2/system/role"
    left_out = flow_of("POST", role, {"resource": [{"name": "other-role"}]}, 201, {"resource": [{"id": 13}]})
    marked = [
        flow_of(*LOGIN),
        flow_of("POST", role, {"resource": [{"name": "acme-role"}]}, 201, {"resource": [{"id": 12}]}),
    ]
    for flow in marked:
        flow.marked = ":default:"
    view.add([*marked, left_out])
    context.master.commands.execute(f"dfrecord.render python @marked {tmp_path / 'script.py'}")
    script = (tmp_path / "script.py").read_text()
    assert "Create role acme-role" in script
    assert "other-role" not in script
    for wrong in ("dfrecord.render cobol @marked x", "dfrecord.render python @marked /nowhere/at/all.py"):
        with pytest.raises(exceptions.CommandError):
            context.master.commands.execute(wrong)


@pytest.mark.parametrize("knows_dfrecord", [True, False])
def test_the_users_own_mitmdump_loads_what_dfrecord_addon_prints(knows_dfrecord: bool, tmp_path: Path) -> None:
    addon = dfrecord("addon").stdout.decode().strip()
    (tmp_path / "dfrecord").mkdir()  # what is not the package must not be taken for it
    capture, output = tmp_path / "in.flow", tmp_path / "out.har"
    _write_flows(capture, flow_of(*LOGIN), flow_of("GET", "https://df.example.com/logo.png"))
    forget = "sys.path = [p for p in sys.path if not os.path.isfile(p + '/dfrecord/__init__.py')]"
    code = f"import os, sys; {'' if knows_dfrecord else forget}\n"
    code += "from mitmproxy.tools.main import mitmdump; sys.exit(mitmdump(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", code, "-nr", capture, "-s", addon, "--set", f"dfrecord_output={output}"],
        capture_output=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(json.loads(output.read_bytes())["log"]["entries"]) == 1
    assert b"Secret!123" not in output.read_bytes()


def _write_flows(path: Path, *flows: http.HTTPFlow) -> None:
    with path.open("wb") as file:
        writer = FlowWriter(file)
        for flow in flows:
            writer.add(flow)
