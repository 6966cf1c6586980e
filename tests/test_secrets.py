"""A unique secret in every place where one may stand: none is in any output of any command, nor in `ps`."""

from __future__ import annotations

import base64
import html
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from html.entities import codepoint2name
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from msgspec.structs import replace

import dfrecord as api
from dfrecord.capture.addon import _log_call as log_call
from dfrecord.capture.live import LiveRecording
from dfrecord.capture.proxy import ProxyOptions
from dfrecord.capture.target import target_of
from dfrecord.capture.terminal import Lines
from dfrecord.cli import COMMANDS
from dfrecord.errors import UsageError
from dfrecord.journey.model import Journey
from dfrecord.journey.steps import only_steps
from dfrecord.normalise.named_values import named_values
from dfrecord.normalise.secret_places import PLACEHOLDER
from dfrecord.normalise.secrets import find
from dfrecord.recording.exchange import ABSENT, Body, Exchange, Headers, Recording, Request, Response
from dfrecord.recording.har_writer import har_chunks
from dfrecord.renderers import formats
from dfrecord.system_api.catalog import load
from tests.doubles.echo import EchoServer
from tests.doubles.server import DreamFactoryDouble
from tests.recorder import RecordedSession
from tests.tools import EVERY_OPTION, FAILED, FIXTURES, FORMATS, ROOT, dfrecord, rendered, run

JSON = ("Content-Type", "application/json")


def canary(place: str) -> str:
    return f'CANARY {place}/"é&+'


PLACES = (
    *("login", "token", "cookie", "setcookie", "apikey", "query", "user", "answer", "smtp", "mysql", "dbuser"),
    *("oauth", "header", "parameter", "lookup", "rolelookup", "madekey", "unknown", "form", "script", "license"),
    *("broken", "nested", "csv"),
)


def exchange(
    number: int, method: str, path: str, sent: object, answered: object, *headers: tuple[str, str]
) -> Exchange:
    body = ABSENT if sent is None else Body.recorded(json.dumps(sent).encode())
    token = ("X-DreamFactory-Session-Token", canary("token"))
    request = Request(method, f"http://h/api/v2/{path}", Headers((JSON, *([token] if number else []), *headers)), body)
    response = Response(
        200,
        Headers((JSON, ("Set-Cookie", f"sid_token={canary('setcookie')}"))),
        Body.recorded(json.dumps(answered).encode()),
    )
    return Exchange(number, request, response)


def service(name: str, config: dict[str, object]) -> dict[str, object]:
    return {"resource": [{"name": name, "type": "x", "config": config}]}


def recording() -> list[Exchange]:
    flow = canary("login")
    leaks = {
        "plain": f"x {flow} x",
        "uri": quote(flow, safe=""),
        "base64": base64.b64encode(flow.encode()).decode(),
        "inside": base64.b64encode(f"user:{flow}".encode()).decode(),
        "html": flow.replace("&", "&amp;").replace('"', "&quot;"),
    }
    calls: list[tuple[str, str, object, object, tuple[tuple[str, str], ...]]] = [
        ("POST", "system/admin/session", {"email": "a@b.c", "password": flow}, {"session_token": canary("token")}, ()),
        (
            "POST",
            "system/user",
            {"resource": [{"email": "u@b.c", "password": canary("user"), "security_answer": canary("answer")}]},
            {"resource": [{"id": 2}]},
            (("Cookie", f"session_token={canary('cookie')}"),),
        ),
        (
            "POST",
            "system/service",
            service("smtp", {"password": canary("smtp"), "username": canary("dbuser")}),
            {"resource": [{"id": 9}]},
            (("X-DreamFactory-API-Key", canary("apikey")),),
        ),
        (
            "POST",
            f"system/service?session_token={quote(canary('query'))}",
            service("my", {"password": canary("mysql"), "my_private_thing_token": canary("unknown")}),
            {"resource": [{"id": 10}]},
            (),
        ),
        (
            "POST",
            "system/service",
            service(
                "o",
                {
                    "client_secret": canary("oauth"),
                    "headers": [{"name": "X", "value": canary("header")}],
                    "parameters": [{"name": "k", "value": canary("parameter")}],
                },
            ),
            {"resource": [{"id": 11}]},
            (("X-DreamFactory-Script-Token", canary("script")), ("X-DreamFactory-License-Key", canary("license"))),
        ),
        (
            "POST",
            "system/lookup",
            {"resource": [{"name": "l", "value": canary("lookup"), "private": True}]},
            {"resource": [{"id": 3}]},
            (),
        ),
        (
            "POST",
            "system/role",
            {
                "resource": [
                    {
                        "name": "r",
                        "description": json.dumps(leaks),
                        "lookup_by_role_id": [{"name": "p", "value": canary("rolelookup"), "private": True}],
                    }
                ]
            },
            {"resource": [{"id": 4}]},
            (),
        ),
        (
            "POST",
            "system/app?fields=*",
            {"resource": [{"name": flow, "description": leaks["plain"]}]},
            {"resource": [{"id": 5, "api_key": canary("madekey")}]},
            (),
        ),
        ("GET", f"system/role/4?x={leaks['uri']}", None, {"id": 4, "name": leaks["base64"]}, ()),
    ]
    made = [exchange(n, *call[:4], *call[4]) for n, call in enumerate(calls)]
    form = Request(
        "POST",
        "http://h/api/v2/system/custom",
        Headers((("Content-Type", "application/x-www-form-urlencoded"),)),
        Body.recorded(f"password={quote(canary('form'))}".encode()),
    )
    broken = b'{"name":"a"b","password":' + json.dumps(canary("broken")).encode() + b',"x":'
    table = f'email,password\r\nx@b.c,"{canary("csv").replace(chr(34), chr(34) * 2)}"\r\n'.encode()
    extra = [
        Request("POST", "http://h/api/v2/system/user", Headers((JSON,)), Body.recorded(broken)),
        Request("POST", "http://h/api/v2/system/user", Headers((("Content-Type", "text/csv"),)), Body.recorded(table)),
        Request(
            "POST",
            "http://h/api/v2/system/scheduler",
            Headers((JSON,)),
            Body.recorded(json.dumps({"resource": [{"payload": json.dumps({"api_key": canary("nested")})}]}).encode()),
        ),
    ]
    made += [Exchange(len(made) + n + 2, request, Response(200)) for n, request in enumerate(extra)]
    error = json.dumps({"error": {"code": 400, "message": f"no {leaks['html']} here"}}).encode()
    refused = Exchange(98, form, Response(400, Headers((JSON,)), Body.recorded(error)))
    return [
        *made,
        Exchange(99, form, Response(200, Headers((JSON,)), Body.recorded(b'{"success":true}'))),
        refused,
    ]


def holds_canary(content: bytes) -> list[str]:
    """The places whose secret stands in the content in any of the forms it may be written in."""
    found = []
    for place in PLACES:
        secret = canary(place)
        forms = {
            secret,
            quote(secret),
            quote(secret, safe=""),
            json.dumps(secret)[1:-1],
            json.dumps(secret, ensure_ascii=False)[1:-1],
        }
        forms |= {base64.b64encode(secret.encode()).decode(), f"CANARY {place}", f"CANARY%20{place}", f"CANARY+{place}"}
        forms.add(base64.b64encode(b"user:" + secret.encode()).decode())
        found += [place for form in forms if form.encode() in content]
    return found


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    path = tmp_path / "raw.har"
    path.write_bytes(b"".join(har_chunks(recording())))
    assert len(set(holds_canary(path.read_bytes()))) == len(PLACES)
    return path


CHOICES: list[dict[str, Any]] = [{}, {"literal": True}, {"reads": "all"}, {"upsert": True, "teardown": True}]


@pytest.mark.parametrize("format", formats())
@pytest.mark.parametrize("choices", CHOICES, ids=["plain", "literal", "reads", "upsert"])
def test_no_secret_is_in_any_script(choices: dict[str, Any], format: str, raw: Path) -> None:
    journey = api.plan(api.read(raw), **choices)
    texts = list(attempts(journey, format))
    assert texts
    for text in texts:
        assert holds_canary(text) == [], text


def attempts(journey: Journey, format: str) -> Iterator[bytes]:
    """The files of a format; of one that cannot do the whole journey what it says then, and the steps it can do."""
    try:
        yield from (file.content for file in api.render(journey, format))
    except UsageError as refusal:
        yield str(refusal).encode()
        if len(journey.steps) > 1:
            for number in range(1, len(journey.steps) + 1):
                yield from attempts(only_steps(journey, [number]), format)


def printed(*arguments: str | Path) -> bytes:
    """What a command says, on both streams."""
    done = subprocess.run([sys.executable, "-m", "dfrecord", *map(str, arguments)], capture_output=True, cwd=ROOT)
    assert done.returncode in (0, 2), done.stderr
    return done.stdout + done.stderr


def test_no_secret_is_in_what_any_command_says_or_writes(raw: Path, tmp_path: Path) -> None:
    commands: dict[str, list[tuple[str | Path, ...]]] = {
        "import": [(raw, "-o", tmp_path / "import.har"), (raw, raw, "-o", "-")],
        "show": [(raw,), (raw, "--json"), (raw, "--literal"), (raw, "--upsert"), *((raw, "--curl", n) for n in "1258")],
        "render": [(raw, "-f", "curl", "-o", tmp_path / "x.sh"), (raw, "-f", "http", "-o", tmp_path / "x.http")],
        "report": [(raw, "-o", tmp_path / "report.html"), (raw, "-o", "-", "--reads", "all")],
        "addon": [],
        "formats": [],
        "completion": [],
        "replay": [],  # below
        "record": [],  # below
    }
    assert commands.keys() == COMMANDS.keys(), "a new command must come here, too"
    for command, calls in commands.items():
        for arguments in calls:
            assert holds_canary(printed(command, *arguments)) == [], (command, arguments)
    for file in tmp_path.iterdir():
        assert file == raw or holds_canary(file.read_bytes()) == [], file.name


def test_no_secret_is_in_what_is_told_and_written_while_it_is_recorded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "live.har"
    lines = Lines(ProxyOptions(target_of("http://h/"), path, "reverse", ("127.0.0.1", 0), ("api/v2/system",)))
    live = LiveRecording(path, ["api/v2/system"], load())
    with caplog.at_level("INFO"):
        for exchange in recording():
            call = live.append(replace(exchange, started="2026-07-01T10:00:00Z"))
            lines.call(call)
            log_call(call)
            assert holds_canary(path.read_bytes()) == []
    live.close()
    told = capsys.readouterr().err
    assert "create user u@b.c" in told
    assert "create user u@b.c" in caplog.text
    assert holds_canary(told.encode() + caplog.text.encode()) == []


def test_redacted_recording_renders_to_the_same_scripts(tmp_path: Path) -> None:
    original = FIXTURES / "02-provision-tenant" / "recording.har"
    small = tmp_path / "recording.har"
    dfrecord("import", original, "-o", small)
    for format, name in {"curl": "a.sh", "python": "a.py"}.items():
        steps = []
        for source in (original, small):
            dfrecord("render", source, "-f", format, "-o", tmp_path / name, "--force")
            text = (tmp_path / name).read_text()
            steps.append([line for line in text.splitlines() if not line.startswith("#")])
        assert steps[0] == steps[1]


def test_an_everyday_word_that_is_a_secret_is_replaced_in_its_own_fields_only(tmp_path: Path) -> None:
    with DreamFactoryDouble() as df:
        s = RecordedSession(df)
        parameters = [{"name": "api_key", "value": "short", "outbound": True}]
        web = {"type": "rws", "description": "", "is_active": True, "config": {"parameters": parameters}}
        mail = {**web, "type": "smtp_email", "config": {"username": "umbrella", "password": "Mail-Secret-123"}}
        s.create("service", {**web, "name": "web"}, {**mail, "name": "mail"})
        s.create("lookup", {"name": "tenant", "value": "umbrella"})
        recording, small = tmp_path / "session.har", tmp_path / "small.har"
        recording.write_bytes(b"".join(har_chunks(s.exchanges)))
    dfrecord("import", recording, "-o", small)
    bodies = [each.request.body.content for each in api.read(small).exchanges if each.request.method == "POST"]
    services, lookup = map(json.loads, bodies[-2:])
    assert PLACEHOLDER.fullmatch(services["resource"][0]["config"]["parameters"][0]["value"])
    assert PLACEHOLDER.fullmatch(services["resource"][1]["config"]["username"])
    assert lookup["resource"][0]["value"] == "umbrella"


@pytest.mark.parametrize("imported", [False, True])
def test_a_password_that_is_a_name_takes_no_name_away(imported: bool, tmp_path: Path) -> None:
    """Whoever has the same word for both in a service is asked for it once."""
    name, user = "acme_db1", "acme-admin-00001"
    with DreamFactoryDouble(password="root@x.com", email="root@x.com") as df, DreamFactoryDouble(700) as target:
        s = RecordedSession(df)
        config = {"host": "h", "database": name, "username": name, "password": name}
        s.create("service", {"name": name, "type": "mysql", "description": "", "is_active": True, "config": config})
        s.create("user", {"username": user, "email": f"{user}@x.com", "name": "A", "password": user})
        s.create("role", {"name": f"{name}-reader", "description": f"{user}, root@x.com", "is_active": True})
        recording = tmp_path / "session.har"
        recording.write_bytes(b"".join(har_chunks(s.exchanges)))
        if imported:
            recording = tmp_path / "small.har"
            dfrecord("import", tmp_path / "session.har", "-o", recording)
        script = rendered(recording, "curl", tmp_path)
        given = {"DF_USER_PASSWORD": "Another-Pass-012345", "DF_SERVICE_USERNAME": "other"}
        account = {"DF_BASE_URL": target.url, "DF_EMAIL": target.email, "DF_PASSWORD": target.password}
        done = run(script, "curl", {**account, **given})
        assert done.returncode == 0, done.stderr
        state = target.state()
    assert not re.findall(rb'"password": ?"', script.read_bytes())
    assert [row["name"] for row in state["service"][-1:]] == [name]
    assert [(row["username"], row["email"]) for row in state["user"][-1:]] == [(user, f"{user}@x.com")]
    assert [(row["name"], row["description"]) for row in state["role"][-1:]] == [
        (f"{name}-reader", f"{user}, root@x.com")
    ]


@pytest.mark.parametrize("password", ["123456", "0123456789", "service_password", "DF_PASSWORD"])
@pytest.mark.parametrize("format", ["curl", "python"])
def test_a_password_that_scripts_hold_anyway_does_not_stop_them(password: str, format: str, tmp_path: Path) -> None:
    login = exchange(0, "POST", "system/admin/session", {"email": "a@b.c", "password": "Login-Pass-12"}, {})
    body = service("db", {"host": "h", "username": "u", "password": password})
    made = exchange(1, "POST", "system/service", body, {"resource": [{"id": 7}]})
    [script, *_] = api.render(api.plan(Recording("x.har", (login, made))), format)
    assert re.findall(rb'"password": ([^,}\s]+)', script.content)
    assert not re.findall(rb'"password": ?"', script.content)


def test_import_of_an_import_changes_nothing(raw: Path, tmp_path: Path) -> None:
    dfrecord("import", raw, "-o", tmp_path / "one.har")
    dfrecord("import", tmp_path / "one.har", "-o", tmp_path / "two.har")
    assert (tmp_path / "one.har").read_bytes() == (tmp_path / "two.har").read_bytes()


def test_kept_secrets_are_for_the_owner_only(raw: Path, tmp_path: Path) -> None:
    done = dfrecord("import", raw, "-o", tmp_path / "clear.har", "--keep-secrets")
    assert (tmp_path / "clear.har").stat().st_mode & 0o777 == 0o600
    assert b"warning" in done.stderr


def test_no_secret_is_in_a_process_list_while_the_script_runs(tmp_path: Path) -> None:
    script = rendered(FIXTURES / "01-create-user" / "recording.har", "curl", tmp_path)
    seen: set[bytes] = set()
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            for entry in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.add(entry.read_bytes())
                except OSError:
                    continue

    with DreamFactoryDouble(id_offset=3, password="Canary-Pass-0123456789") as df:
        watcher = threading.Thread(target=watch)
        watcher.start()
        environment = {"DF_BASE_URL": df.url, "DF_EMAIL": df.email, "DF_PASSWORD": df.password}
        result = run(script, "curl", {**environment, "DF_USER_PASSWORD": "Canary-User-0123456789"})
        done.set()
        watcher.join()
        assert result.returncode == 0, result.stderr
        tokens = [
            value for call in df.log for name, value in call.headers if name.lower() == "x-dreamfactory-session-token"
        ]
    assert any(b"curl" in line for line in seen)
    assert tokens
    for secret in ("Canary-Pass-0123456789", "Canary-User-0123456789", *tokens):
        assert not [line for line in seen if secret.encode() in line]


def test_rendered_bash_passes_shellcheck(tmp_path: Path) -> None:
    for case in ("01-create-user", "02-provision-tenant", "06-messy"):
        script = rendered(FIXTURES / case / "recording.har", "curl", tmp_path)
        subprocess.run(["shellcheck", "-S", "style", script], check=True)


@pytest.mark.parametrize(
    "table",
    [
        b"email,password\rx@b.c,%s\r",  # line ends of old Macs: found by fuzz.journeys
        b"email,note,password\nx@b.c," + b"n" * 140_000 + b",%s\n",  # longer than Python's csv takes by itself
        b"\xef\xbb\xbfemail,password\r\nx@b.c,%s\r\n",
        b"<users><user><password>%s</password></user></users>",
    ],
)
def test_secrets_of_a_user_import_are_found_in_any_table(table: bytes) -> None:
    headers = Headers((("Content-Type", "application/xml" if table.startswith(b"<") else "text/csv"),))
    body = Body.recorded(table % b"Canary-Pass-0123456789")
    request = Request("POST", "http://h/api/v2/system/user", headers, body)
    assert find([Exchange(0, request, Response(201))], load()).recorded == {"Canary-Pass-0123456789"}


@pytest.mark.parametrize("name", ["password", "PASSWORD", "pa\u017f\u017fword", "to\u212aen", "credent\u0131al"])
def test_a_secret_in_a_sentence_is_found_in_any_case(name: str) -> None:
    assert list(named_values(f"The {name} is Qp2!zR9x.")) == [(name, "Qp2!zR9x")]


BROWSERS = ["", "/", "!'()*", "!'()*;,/?:@&=+$#"]
ANGULAR = ["@:$,;=?/!'()*", "@:$,;=?/+!'()*", "@:$,;!'()*", "@:$,;&=+!'()*", "@:$,;&!'*"]
URL_PARTS = ["!$&'()*+,;:@/?`{}|^[]=\\", "!$&'()*+,;:@/|[]=\\", "!$&'()*+,;:@/?{}|^[]=\\#"]


@pytest.mark.parametrize("safe", [*BROWSERS, *ANGULAR, *URL_PARTS])
@pytest.mark.parametrize("space", ["%20", "+"])
def test_a_secret_is_found_however_a_browser_percent_encodes_it(safe: str, space: str) -> None:
    secret = "it's (a) se!cret~/&é+@?=;{x}#"
    request = Request("GET", "http://h/api/v2/system/role?x=" + quote(secret, safe=safe).replace("%20", space))
    login = Body.recorded(json.dumps({"password": secret}).encode())
    exchanges = [Exchange(0, Request("POST", "http://h/api/v2/user/session", body=login), Response(200))]
    exchanges.append(Exchange(1, request, Response(200)))
    assert find(exchanges, load()).redact_text(request.url) == "http://h/api/v2/system/role?x=DFSECRET_password_1"


# ---------------------------------------------------------------- while scripts and replays run


def given_to(raw: Path) -> dict[str, str]:
    """Values for all that a journey of the recording asks for; the secret ones are canaries of their own."""
    variables = json.loads(dfrecord("show", raw, "--json").stdout)["variables"]
    return {
        variable["env"]: f'GIVEN {variable["env"]}/"é&<' if variable["secret"] else "a@b.c"
        for variable in variables
        if variable["env"]
        and variable["env"] not in ("DF_BASE_URL", "DF_SESSION_TOKEN")
        and variable["default"] is None
    }


def repeating(given: dict[str, str]) -> str:
    """What a server may answer: every secret it was given, as it is and in the forms that a text may hold it in."""
    secrets = [value for value in given.values() if value.startswith("GIVEN")]
    forms = [
        *secrets,
        *map(html.escape, secrets),
        *(quote(secret, safe="") for secret in secrets),
        *(quote(secret).lower() for secret in secrets if secret.islower()),
        *(json.dumps(secret)[1:-1] for secret in secrets),
        *(base64.b64encode(f"{'u' * shift}{secret}".encode()).decode() for secret in secrets for shift in range(3)),
        *(quote(base64.b64encode(f'{{"a":{json.dumps(secret)}}}'.encode()).decode()) for secret in secrets),
        *(quote(base64.b64encode(b"\xfb\xff" + secret.encode()).decode(), safe="") for secret in secrets),
        *(secret.replace('"', '""') for secret in secrets),
        *(quote(json.dumps(secret)[1:-1], safe="") for secret in secrets),
        *("".join(f"&{codepoint2name.get(ord(c), f'#{ord(c)}')};" for c in secret) for secret in secrets),
        *(
            "".join(f"&{codepoint2name[ord(c)]};" if ord(c) in codepoint2name else c for c in secret)
            for secret in secrets
        ),
    ]
    return f"you sent {' or '.join(forms)}, token TOKEN-0123456789 {STEERING}"


STEERING = "\x1b[31mRED \x1b]52;c;aGk=\x07 \x9b31m \u202eRTL \u2066 \u200b \x08\x08 \rOVER \u2028 \x7f"
"""What a server, or a record's name, could do to a terminal."""


def steers(output: str) -> list[str]:
    """What of it has come through. (Programs colour what they say themselves.)"""
    return re.findall("\x1b\\[31mRED|\x1b\\]|\rOVER|[\x07\x08\x7f-\x9f\u200b\u2028\u202a-\u202e\u2066-\u2069]", output)


def shows(secret: str, output: str) -> bool:
    """Whether an output holds a secret in any form, or the beginning of it."""
    starts = {secret[:9], *(base64.b64encode(f"{'u' * n}{secret}".encode()).decode()[4:12] for n in range(3))}
    return any(start in output or quote(start) in output for start in starts)


@pytest.mark.parametrize("fails", [True, False])
def test_no_secret_is_in_what_a_replay_tells(fails: bool, raw: Path, tmp_path: Path) -> None:
    given = given_to(raw)
    told = {"error": {"message": repeating(given)}} if fails else {"resource": [{"id": 1, "name": repeating(given)}]}
    login = {("POST", "/api/v2/system/admin/session"): (200, '{"session_token":"TOKEN-0123456789"}')}
    notes = tmp_path / "notes.jsonl"
    with EchoServer(login, default=(400 if fails else 200, json.dumps(told))) as echo:
        outputs = []
        for options in ((), ("--json",), ("--plan",), ("--upsert", "--json")):
            command = ["replay", str(raw), "--base-url", echo.url, "--created-file", str(notes), *options]
            junit = ["--junit", str(tmp_path / "junit.xml")] if "--plan" not in options else []
            done = subprocess.run(
                [sys.executable, "-m", "dfrecord", *command, *junit],
                env={**os.environ, **given},
                capture_output=True,
                cwd=ROOT,
                timeout=120,
            )
            outputs += [done.stdout, done.stderr]
        outputs += [(tmp_path / "junit.xml").read_bytes(), notes.read_bytes() if notes.exists() else b""]
        assert any(outputs)
    for output in outputs:
        assert steers(output.decode()) == []
        assert holds_canary(output) == []
        assert not [word for word in ("GIVEN", "TOKEN-0123456789") if word.encode() in output], output.decode()


SECRETIVE = {"DF_EMAIL": "a@b.c", "DF_PASSWORD": "GIVEN pass/\"&<'", "DF_USER_PASSWORD": 'GIVEN user*?[a]\\"&<$x'}
LOGIN = {("POST", "/api/v2/system/admin/session"): (200, '{"session_token":"TOKEN-0123456789"}')}
MUCH = {"ansible": ["-vvv"], "locust": ["-L", "DEBUG"], "python": ["--verbose"]}


@pytest.mark.parametrize("in_json", [True, False])
@pytest.mark.parametrize("format", FORMATS)
def test_a_script_shows_no_secret_that_the_server_repeats(format: str, in_json: bool, tmp_path: Path) -> None:
    options = ["--teardown"] if format in EVERY_OPTION else []
    script = rendered(FIXTURES / "01-create-user" / "recording.har", format, tmp_path, *options)
    answer = json.dumps({"error": {"message": repeating(SECRETIVE)}}) if in_json else "x" * 188 + repeating(SECRETIVE)
    with EchoServer(LOGIN, default=(400, answer)) as echo:
        done = run(script, format, {**SECRETIVE, "DF_BASE_URL": echo.url}, options=MUCH.get(format, []))
    assert done.returncode == FAILED.get(format, 1), done.stdout + done.stderr
    output = " ".join((done.stdout + done.stderr).split())
    if format == "http":  # on a failure httpyac itself shows what was sent and answered, after all (docs/security.md)
        output = output.partition("requests processed")[0]
    assert ("you sent (DF_PASSWORD)" if in_json else "400") in output
    assert steers(output) == []
    for secret in (*(value for value in SECRETIVE.values() if "GIVEN" in value), "TOKEN-0123456789"):
        assert not shows(secret, output), output


@pytest.mark.parametrize("in_batch", [True, False])
@pytest.mark.parametrize("format", FORMATS)
def test_a_script_shows_no_statement_of_a_database(format: str, in_batch: bool, tmp_path: Path) -> None:
    """The values of other records may stand in it, as in what `dfrecord show` and a replay leave out, too."""
    values = "(STATED, &#039;STATED (2)&#039;, 2026-11-23 23:09:33))"
    refused = f"SQLSTATE[23000]: taken (name) (Connection: mysql, SQL: insert into &quot;user&quot; values {values}"
    inner = {"context": {"error": [0], "resource": [{"code": "23000", "message": refused}]}}
    error = {"code": 1000, "message": "Batch Error", **inner} if in_batch else {"code": 500, "message": refused}
    script = rendered(FIXTURES / "01-create-user" / "recording.har", format, tmp_path)
    with EchoServer(LOGIN, default=(500, json.dumps({"error": error}))) as echo:
        done = run(script, format, {**SECRETIVE, "DF_BASE_URL": echo.url})
        command = [sys.executable, "-m", "dfrecord", "replay", str(FIXTURES / "01-create-user" / "recording.har")]
        notes = ["--created-file", str(tmp_path / "notes.jsonl")]
        replay = subprocess.run(
            [*command, "--base-url", echo.url, *notes],
            env={**os.environ, **SECRETIVE},
            capture_output=True,
            text=True,
            cwd=ROOT,
        )
    assert done.returncode == FAILED.get(format, 1), done.stdout + done.stderr
    output = " ".join((done.stdout + done.stderr).split())
    if format == "http":
        output = output.partition("requests processed")[0]
    for told in (output, " ".join(replay.stderr.split())):
        assert "SQLSTATE[23000]: taken (name)" in told
        assert "STATED" not in told
        assert "SQL:" not in told


@pytest.mark.parametrize("options", [["--upsert", "--teardown"], ["--teardown"]], ids=["upsert", "plain"])
@pytest.mark.parametrize("format", EVERY_OPTION)
def test_a_name_that_holds_a_secret_is_not_noted(format: str, options: list[str], tmp_path: Path) -> None:
    """`creating` notes hold the natural key of a record, `created` a path; the password is part of both here."""
    recording = named_after_a_secret(tmp_path)
    script = rendered(recording, format, tmp_path, *options)
    with DreamFactoryDouble(3, password="GIVEN 'pass/é0") as df:
        given = {"DF_BASE_URL": df.url, "DF_EMAIL": df.email, "DF_PASSWORD": df.password}
        done = run(script, format, given)
        assert done.returncode == 0, done.stdout + done.stderr
        for resource in ("role", "custom"):
            sent = [
                call.body.decode() for call in df.log if call.path.endswith(f"/{resource}") and call.method == "POST"
            ]
            assert "GIVEN" in sent[0]
    notes = [*tmp_path.glob("*.created.jsonl"), *tmp_path.glob("*.postman_environment.json")]
    assert any("system/role" in file.read_text() for file in notes)
    for file in notes:
        kept = (
            [v for v in json.loads(file.read_text())["values"] if v["key"] == "DF_CREATED"]
            if file.suffix == ".json"
            else file.read_text()
        )
        assert "GIVEN" not in str(kept), kept


@pytest.mark.parametrize("options", [["--upsert"], []], ids=["upsert", "plain"])
def test_a_replay_notes_and_tells_no_name_that_holds_a_secret(options: list[str], tmp_path: Path) -> None:
    notes, junit = tmp_path / "notes.jsonl", tmp_path / "junit.xml"
    command = ["replay", str(named_after_a_secret(tmp_path)), "--created-file", str(notes), "--junit", str(junit)]
    with DreamFactoryDouble(3, password="GIVEN 'pass/é0") as df:
        given = {"DF_BASE_URL": df.url, "DF_EMAIL": df.email, "DF_PASSWORD": df.password}
        done = subprocess.run(
            [sys.executable, "-m", "dfrecord", *command, *options],
            env={**os.environ, **given},
            capture_output=True,
            cwd=ROOT,
        )
    assert done.returncode == 0, done.stderr
    assert "system/role" in notes.read_text()
    for told in (done.stdout, done.stderr, notes.read_bytes(), junit.read_bytes()):
        assert b"GIVEN" not in told, told.decode()


def named_after_a_secret(folder: Path) -> Path:
    """A recording in which the names of what is created hold the password of the login."""
    login = exchange(
        0, "POST", "system/admin/session", {"email": "a@b.c", "password": "Rec-0123"}, {"session_token": "t-0123456789"}
    )
    role = {"resource": [{"name": "key Rec-0123", "description": "x"}]}
    custom = {"resource": [{"name": "key Rec-0123", "value": "x"}]}
    made = [
        exchange(1, "POST", "system/role", role, {"resource": [{"id": 2}]}),
        exchange(2, "POST", "system/custom", custom, {"resource": [{"name": "key Rec-0123"}]}),
    ]
    created = [replace(create, response=replace(create.response, status=201)) for create in made]
    recording = folder / "named.har"
    recording.write_bytes(b"".join(har_chunks([login, *created])))
    return recording


@pytest.mark.parametrize("format", ["python"])
def test_a_plan_shows_no_secret(format: str, raw: Path, tmp_path: Path) -> None:
    """Texts of the recording that hold the secret in some form: percent-encoded, in base64, in JSON, in HTML."""
    given = {**given_to(raw), "DF_YES": "1"}
    for options in ((), ("--upsert",)):
        script = rendered(raw, format, tmp_path, *options)
        with EchoServer(LOGIN, default=(200, '{"resource":[]}')) as echo:
            done = run(script, format, {**given, "DF_BASE_URL": echo.url}, options=["--plan", "--verbose"])
        assert done.returncode == 3, done.stdout + done.stderr
        for env, secret in given.items():
            if secret.startswith("GIVEN"):
                assert not shows(secret, done.stdout + done.stderr), (env, done.stdout)


def test_no_message_tells_the_password_of_an_address(tmp_path: Path) -> None:
    """Neither a recorded one, where two instances were recorded, nor one that the person gave."""
    entries = [
        exchange_at(f"http://admin:S3cret-Pass-99@{host}/api/v2/system/role", number)
        for number, host in enumerate(("one.example.com", "two.example.com"))
    ]
    (tmp_path / "two.har").write_bytes(b"".join(har_chunks(entries)))
    for command in (
        ["show", str(tmp_path / "two.har")],
        ["record", "http://admin:S3cret-Pass-99@h:99999x", "-o", str(tmp_path / "x.har")],
        ["record", "http://admin:S3cret-Pass-99@[h", "-o", str(tmp_path / "x.har")],
        [
            "replay",
            str(FIXTURES / "02-provision-tenant" / "recording.har"),
            "--base-url",
            "http://admin:S3cret-Pass-99@127.0.0.1:9",
        ],
        [
            "replay",
            str(FIXTURES / "02-provision-tenant" / "recording.har"),
            "--base-url",
            "http://127.0.0.1:9?token=S3cret-Pass-99",
        ],
    ):
        done = subprocess.run([sys.executable, "-m", "dfrecord", *command], capture_output=True, text=True, cwd=ROOT)
        assert done.returncode == 2
        assert done.stderr.startswith("dfrecord: ")
        assert "S3cret-Pass-99" not in done.stdout + done.stderr


def exchange_at(url: str, number: int) -> Exchange:
    body = Body.recorded(b'{"resource": [{"name": "r"}]}')
    return Exchange(number, Request("POST", url, Headers((("Content-Type", "application/json"),)), body), Response(201))


@pytest.mark.parametrize(
    "address",
    [
        "https://updates.example.com/v1?license_key=S3cret-Pass-99",
        "https://admin:S3cret-Pass-99@cdn.example.com/x.js",
        "http://h/dreamfactory/dist/#/reset?code=S3cret-Pass-99",
        "http://h/dreamfactory/dist/?jwt=S3cret-Pass-99#x",
        "http://h/api/v2/files/a.txt?session_token=S3cret-Pass-99",
        "data:text/plain,S3cret-Pass-99",
    ],
)
def test_no_secret_is_told_of_a_call_that_was_passed_over(address: str, tmp_path: Path) -> None:
    entries = [exchange_at("http://h/api/v2/system/role", 0), exchange_at(address, 1)]
    (tmp_path / "raw.har").write_bytes(b"".join(har_chunks(entries)))
    for command in (("show", "--json"), ("show",), ("report", "-o", "-")):
        output = printed(command[0], tmp_path / "raw.har", *command[1:])
        assert len(output) > 100
        assert b"S3cret-Pass-99" not in output


@pytest.mark.parametrize("record", [{"resource": [{"email": "a@b.cc", "password": "short"}]}, {"password": "short"}])
def test_what_a_server_says_of_a_secret_that_it_refuses_is_told(record: dict[str, Any]) -> None:
    with DreamFactoryDouble() as recorded:
        session = RecordedSession(recorded)
        [own] = session.create("user", {"email": "u@example.com", "name": "U", "password": "Good!pass-word-16"})
        batch = "resource" in record
        session.call("POST" if batch else "PUT", f"system/user{'' if batch else f'/{own}'}", record)
        journey = api.plan(Recording("tenant.har", tuple(session.exchanges)))
        assert any("The password field must be at least 16 characters." in told.reason for told in journey.residue)
