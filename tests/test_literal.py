"""`--literal`: method, target and body arrive byte for byte in every format, and nothing recorded runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from dfrecord.recording.exchange import ABSENT, Body, Exchange, Headers, Request, Response
from dfrecord.recording.har_writer import har_chunks
from tests.doubles.echo import EchoServer
from tests.tools import EVERY_OPTION, FORMATS, rendered, run

NASTY = "'\"`$(touch CANARY)${IFS}{{base_url}}{{$guid}}{% raw %}{{ 7*7 }}\\ \n\r\t*/ --> <script> # \u2028 ä漢😀 %s !!"
JSON = (("Content-Type", "application/json"),)
TEXT = (("Content-Type", "text/plain"),)
ODD_HEADERS = (("X-Twice", "1"), ("X-Twice", "2"), ("X-Odd", "a'b\"c`d$(touch CANARY)\\{{x}}"))


def call(number: int, method: str, target: str, headers: tuple[tuple[str, str], ...], body: Body) -> Exchange:
    request = Request(method, "http://recorded.example" + target, Headers(headers), body)
    return Exchange(number, request, Response(200, Headers(JSON), Body.recorded(b'{"success":true}')))


CALLS = [
    call(n, method, target, headers, ABSENT if body is None else Body.recorded(body))
    for n, (method, target, headers, body) in enumerate(
        [
            (
                "POST",
                "/api/v2/system/role?a=1&a=2&plus=x+y&empty&lower=%c3%a9&q=%22$(touch%20CANARY)&c={{x}}",
                JSON + ODD_HEADERS,
                b'{"a":1,"a":2,"big":12345678901234567890,"f":1.0,"e":1e400}\n',
            ),
            ("DELETE", "/api/v2/system/role", JSON, b'{"resource":[{"id":1}]}'),
            ("POST", "/api/v2/system/custom", TEXT, b"@/etc/passwd"),
            ("POST", "/api/v2/system/custom", TEXT, b"-leading dash"),
            ("POST", "/api/v2/system/custom", TEXT, b""),
            ("POST", "/api/v2/system/custom", (), None),
            ("PATCH", "/api/v2/system/custom/a;b=c/:id/%2F", TEXT, NASTY.encode()),
            ("PUT", "/api/v2/system/custom?x=[1]~%7E%2F'!()*;,", TEXT, b"trailing\n\n"),
            (
                "PUT",
                "/api/v2/system/custom/bin",
                (("Content-Type", "application/octet-stream"),),
                b'\0\x01\xff\xfe\r\n"\n',
            ),
            (
                "POST",
                "/api/v2/system/package",
                (("Content-Type", "multipart/form-data; boundary=----B"),),
                b'------B\r\nContent-Disposition: form-data; name="files"; '
                b'filename="b\xc3\xafn $(touch CANARY).bin"\r\n\r\n'
                b"\x00\xff\xfe\r\n------B--\r\n",
            ),
            ("GET", "/api/v2/system/role/1?filter=name%3D%22a%22", (), None),
        ]
    )
]


@pytest.mark.parametrize("format", EVERY_OPTION)
def test_every_byte_arrives_and_nothing_runs(format: str, tmp_path: Path) -> None:
    recording = tmp_path / "hostile.har"
    recording.write_bytes(b"".join(har_chunks(CALLS)))
    script = rendered(recording, format, tmp_path, "--literal", "--reads", "all", "--name", NASTY)
    with EchoServer() as echo:
        done = run(script, format, {"DF_BASE_URL": echo.url, "DF_YES": "1"})
        assert done.returncode == 0, done.stdout + done.stderr
    sent = [
        (c.request.method, c.request.url.removeprefix("http://recorded.example"), c.request.body.content) for c in CALLS
    ]
    assert [(r.method, r.target, r.body) for r in echo.received] == sent
    for received, exchange in zip(echo.received, CALLS, strict=True):
        for name, value in exchange.request.headers:
            values = [v for n, v in received.headers if n.lower() == name.lower()]
            assert value in (values if format != "ansible" else ", ".join(values).split(", "))
        assert not [n for n, _ in received.headers if n.lower() == "content-type"] or exchange.request.headers.get(
            "content-type"
        )
    twice = ["1, 2"] if format == "ansible" else ["1", "2"]  # uri takes a header once: joined (RFC 9110, 5.3)
    assert [v for n, v in echo.received[0].headers if n == "X-Twice"] == twice
    assert not list(tmp_path.rglob("CANARY"))


@pytest.mark.parametrize("format", FORMATS)
def test_hostile_names_do_not_run_in_a_linked_journey(format: str, tmp_path: Path) -> None:
    import json

    body = json.dumps({"resource": [{"name": NASTY, "description": "@x", NASTY: 12345678901234567890}]}).encode()
    answer = json.dumps({"resource": [{"id": 7, "name": NASTY}]}).encode()
    post = call(0, "POST", "/api/v2/system/role?fields=*", JSON, Body.recorded(body))
    create = Exchange(0, post.request, Response(201, Headers(JSON), Body.recorded(answer)))
    update = call(1, "PUT", "/api/v2/system/role/7", JSON, Body.recorded(b'{"description":"y"}'))
    recording = tmp_path / "hostile.har"
    recording.write_bytes(b"".join(har_chunks([create, update])))
    script = rendered(recording, format, tmp_path, "--name", NASTY)
    login, made = '{"session_token":"t"}', '{"resource":[{"id":4711}]}'
    answers = {
        ("POST", "/api/v2/system/admin/session"): (200, login),
        ("POST", "/api/v2/system/role?fields=*"): (201, made),
    }
    with EchoServer(answers) as echo:
        done = run(script, format, {"DF_BASE_URL": echo.url, "DF_EMAIL": "a@b.c", "DF_PASSWORD": NASTY})
        assert done.returncode == 0, done.stdout + done.stderr
    credentials, created, updated = echo.received
    assert json.loads(credentials.body) == {"email": "a@b.c", "password": NASTY}
    assert json.loads(created.body) == json.loads(body)
    assert b"12345678901234567890" in created.body
    assert updated.target == "/api/v2/system/role/4711"
    assert not list(tmp_path.rglob("CANARY"))


TOKEN = ("X-DreamFactory-Session-Token", "recorded-token-0123456789")


@pytest.mark.parametrize("format", EVERY_OPTION)
def test_nothing_is_added_when_the_recording_holds_no_login(format: str, tmp_path: Path) -> None:
    recording = tmp_path / "token.har"
    exchange = call(0, "PUT", "/api/v2/system/role/1", (*JSON, TOKEN), Body.recorded(b'{"id":1, "name":"x"}'))
    recording.write_bytes(b"".join(har_chunks([exchange])))
    script = rendered(recording, format, tmp_path, "--literal")
    with EchoServer() as echo:
        done = run(script, format, {"DF_BASE_URL": echo.url, "DF_SESSION_TOKEN": "given"})
        assert done.returncode == 0, done.stdout + done.stderr
    assert [(r.method, r.target, r.body) for r in echo.received] == [
        ("PUT", "/api/v2/system/role/1", b'{"id":1, "name":"x"}')
    ]
    assert "given" in [value for name, value in echo.received[0].headers if name.lower() == TOKEN[0].lower()]


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("format", EVERY_OPTION)
def test_recorded_login_is_sent_and_its_token_used_unless_one_is_given(
    format: str, given: bool, tmp_path: Path
) -> None:
    login = call(
        0, "POST", "/api/v2/system/admin/session", JSON, Body.recorded(b'{"email":"a@b.c", "password":"Recorded-1"}')
    )
    answer = Response(200, Headers(JSON), Body.recorded(b'{"session_token":"recorded-token-0123456789"}'))
    use = call(1, "DELETE", "/api/v2/system/role/1", (TOKEN,), ABSENT)
    recording = tmp_path / "login.har"
    recording.write_bytes(b"".join(har_chunks([Exchange(0, login.request, answer), use])))
    script = rendered(recording, format, tmp_path, "--literal")
    with EchoServer({("POST", "/api/v2/system/admin/session"): (200, '{"session_token":"fresh"}')}) as echo:
        environment = {"DF_BASE_URL": echo.url, "DF_PASSWORD": "New-1", "DF_YES": "1"} | (
            {"DF_SESSION_TOKEN": "given"} if given else {}
        )
        done = run(script, format, environment)
        assert done.returncode == 0, done.stdout + done.stderr
    assert [(r.method, r.target, r.body) for r in echo.received] == [
        ("POST", "/api/v2/system/admin/session", b'{"email":"a@b.c", "password":"New-1"}'),
        ("DELETE", "/api/v2/system/role/1", b""),
    ]
    tokens = [value for name, value in echo.received[1].headers if name.lower() == TOKEN[0].lower()]
    assert tokens == ["given" if given else "fresh"]
