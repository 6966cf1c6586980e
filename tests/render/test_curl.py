"""The `curl` format, run by bash with the real curl and jq: what arrives, what is printed, what shows in `ps`."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import dfrecord
from dfrecord.journey.model import (
    Capture,
    Journey,
    JsonBody,
    Lookup,
    RawBody,
    RequestTemplate,
    Step,
    StepKind,
    Variable,
    VariableKind,
)
from dfrecord.renderers import RenderOptions
from dfrecord.renderers.bash_encoder import reserved_names
from dfrecord.renderers.curl import render
from dfrecord.tree import Array, Encoding, Number, Object, Text, Tree, Var
from tests.doubles.echo import EchoServer, ReceivedRequest
from tests.doubles.server import DreamFactoryDouble
from tests.render.journeys import ACCEPT, HOSTILE, JSON, LOGOUT, PROVISION, TOKEN, literal, raw_step, record
from tests.tools import FIXTURES, ROOT
from tests.tools import run as run_script

SECRET = "se'cr\"et $(touch CANARY) \\ é %41 & +!*()"


def script(journey: Journey) -> str:
    (file,) = render(journey, RenderOptions())
    assert file.executable
    return file.content.decode()


def run(journey: Journey, folder: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    path = folder / "script.sh"
    path.write_text(script(journey), newline="")
    done = run_script(path, "curl", environment)
    assert not list(folder.rglob("CANARY"))
    return done


def sent(journey: Journey, folder: Path, **environment: str) -> list[ReceivedRequest]:
    """What arrives at a server that agrees to everything."""
    with EchoServer() as echo:
        done = run(journey, folder, {"DF_BASE_URL": echo.url, **environment})
        assert done.returncode == 0, done.stderr
    return echo.received


@pytest.mark.parametrize("case", ["01-create-user", "02-provision-tenant", "03-edit-role", "06-messy"])
def test_upsert_with_teardown_pleases_shellcheck(case: str) -> None:
    recording = dfrecord.read(FIXTURES / case / "recording.har")
    stem = {"tenant": "acme"} if case.startswith("02") else {}
    shellcheck(script(dfrecord.plan(recording, upsert=True, teardown=True, parameters=stem)))


def shellcheck(source: str) -> None:
    tool = shutil.which("shellcheck")
    if tool is None:
        pytest.skip("shellcheck is not installed")
    done = subprocess.run([tool, "-S", "style", "-"], input=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def credentials(df: DreamFactoryDouble) -> dict[str, str]:
    return {
        "DF_BASE_URL": df.url + "/",
        "DF_EMAIL": df.email,
        "DF_PASSWORD": df.password,
        "DF_USER_PASSWORD": "Another!pass-word-16",
    }


def call(body: JsonBody | RawBody | None, *variables: Variable, method: str = "POST", **changes: Any) -> Journey:
    """A journey of one request with this body, not literal."""
    request = RequestTemplate(method, changes.pop("target", Text(("/x",))), changes.pop("headers", (JSON,)), body)
    step = Step("call_x", "Call x", StepKind.CALL, request, **changes)
    return replace(literal(step, variables=variables), literal=False)


def variable(name: str, type: str = "string", **changes: Any) -> Variable:
    return Variable(name, VariableKind.PARAMETER, type, f"DF_{name.upper()}", required=True, **changes)


def secret(name: str, type: str = "string") -> Variable:
    return Variable(name, VariableKind.SECRET, type, f"DF_{name.upper()}", secret=True, required=True)


# ---------------------------------------------------------------- the whole road


def test_provisioning_a_fresh_server_with_other_ids(tmp_path: Path) -> None:
    with DreamFactoryDouble(id_offset=100) as df:
        done = run(PROVISION, tmp_path, credentials(df))
        assert done.returncode == 0, done.stderr
        roles = {role["name"]: role for role in df.state()["role"]}
        (access,) = roles["acme-role"]["role_service_access_by_role_id"]
        assert roles["acme-role"]["description"] == "changed"
        assert access["verb_mask"] == 3
        services = {service["id"]: service["name"] for service in df.state()["service"]}
        assert services[access["service_id"]] == "db"
        (user,) = (user for user in df.state()["user"] if user["email"] == "grace@example.com")
        assert user["phone"] == f"role {roles['acme-role']['id']}!"
        assert df.log[-1].method == "DELETE"


def test_a_given_session_token_replaces_login_and_logout(tmp_path: Path) -> None:
    with DreamFactoryDouble(id_offset=100) as df:
        _, session = df.call(
            "POST",
            "/api/v2/system/admin/session",
            json.dumps({"email": df.email, "password": df.password}).encode(),
        )
        df.reset_log()
        token = session["session_token"]
        environment = {"DF_BASE_URL": df.url, "DF_SESSION_TOKEN": token, "DF_USER_PASSWORD": "Another!pass-word-16"}
        done = run(PROVISION, tmp_path, environment)
        assert done.returncode == 0, done.stderr
        assert not [entry for entry in df.log if entry.path.endswith("/session")]


def test_same_journey_gives_the_same_bytes_and_shellcheck_is_content() -> None:
    for journey in (PROVISION, HOSTILE):
        assert script(journey) == script(journey)
        shellcheck(script(journey))


def test_all_missing_variables_are_named_and_nothing_is_sent(tmp_path: Path) -> None:
    done = run(PROVISION, tmp_path, {"DF_EMAIL": ""})
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    for name in ("DF_BASE_URL", "DF_EMAIL", "DF_PASSWORD", "DF_USER_PASSWORD"):
        assert name in line


def test_help_describes_the_variables(tmp_path: Path) -> None:
    path = tmp_path / "script.sh"
    path.write_text(script(PROVISION))
    done = subprocess.run(["bash", path, "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert "DF_SESSION_TOKEN" in done.stdout
    assert "provision tenant" in done.stdout


# ---------------------------------------------------------------- bytes


def test_hostile_requests_arrive_byte_for_byte(tmp_path: Path) -> None:
    received = sent(HOSTILE, tmp_path)
    for got, step in zip(received, HOSTILE.steps, strict=True):
        body = step.request.body
        assert got.method == step.request.method
        assert got.target == step.request.target.literal
        assert got.body == (
            b"".join(p for p in body.parts if isinstance(p, bytes)) if isinstance(body, RawBody) else b""
        )
        for name, value in step.request.headers:
            assert (name, value.literal) in got.headers
    length = [dict(got.headers).get("Content-Length") for got in received]
    assert length[3] == "0"
    assert length[4] is None
    assert "Content-Type" not in dict(received[4].headers)
    assert not any("Expect" in dict(got.headers) for got in received)
    assert "Accept" not in dict(received[0].headers)


def test_every_printable_character_of_a_target_and_a_header(tmp_path: Path) -> None:
    everything = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) != "#")
    journey = literal(raw_step("GET", "/x?" + everything, (("X-All", "a " + everything), ("X-Empty", ""))))
    (got,) = sent(journey, tmp_path)
    assert got.target == "/x?" + everything
    assert dict(got.headers)["X-All"] == "a " + everything
    assert dict(got.headers)["X-Empty"] == ""


def test_what_http_forbids_is_encoded(tmp_path: Path) -> None:
    journey = literal(raw_step("GET", "/a b\x00\n#ä", (("X-Split", "a\r\nX-More: b"), (":authority", "h"))))
    (got,) = sent(journey, tmp_path)
    assert got.target == "/a%20b%00%0A%23%C3%A4"
    assert "X-More" not in dict(got.headers)


def test_a_megabyte_of_everything(tmp_path: Path) -> None:
    binary = bytes(range(256)) * 4096
    text = "it's $x `y` \\n % ä\n" * 60_000
    journey = literal(
        replace(raw_step("POST", "/a", body=binary), name="a"),
        replace(raw_step("POST", "/b", body=text.encode()), name="b"),
        Step("c", "c", StepKind.CALL, RequestTemplate("POST", Text(("/c",)), (JSON,), JsonBody(Array((text,))))),
    )
    first, second, third = sent(journey, tmp_path)
    assert first.body == binary
    assert second.body == text.encode()
    assert json.loads(third.body) == [text]


def test_head_and_odd_methods(tmp_path: Path) -> None:
    steps = [replace(raw_step(method, "/x"), name=f"s{n}") for n, method in enumerate(["HEAD", "MERGE", "get"])]
    body = replace(raw_step("HEAD", "/x", body=b"x"), name="s3")
    assert [got.method for got in sent(literal(*steps, body), tmp_path)] == ["HEAD", "MERGE", "get", "HEAD"]


ASTRAL = st.text(st.characters(exclude_categories=()), max_size=8)
NASTY_TEXT = st.text(
    st.sampled_from("'\"`$\\(){}%!&;|<>*?#~-@ \n\r\t\0\x01\x1b\x7fa0é漢😀\u2028\u202e\u2019\u00a0\ufeff")
)
TEXTS = st.one_of(ASTRAL, NASTY_TEXT)
FAST = settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))


@FAST
@given(st.lists(st.one_of(st.binary(max_size=60), NASTY_TEXT.map(str.encode)), min_size=10, max_size=30), TEXTS)
def test_any_bytes_arrive_as_they_are(
    tmp_path_factory: pytest.TempPathFactory, bodies: list[bytes], title: str
) -> None:
    steps = [replace(raw_step("POST", "/x", body=b, title=title), name=f"s{n}") for n, b in enumerate(bodies)]
    folder = tmp_path_factory.mktemp("bytes")
    journey = replace(literal(*steps), title=title, source=title)
    assert [got.body for got in sent(journey, folder)] == bodies
    shellcheck(script(journey))


TREES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        TEXTS,
        st.integers().map(lambda n: Number(str(n))),
        st.sampled_from(
            [
                Number("1.0"),
                Number("1e400"),
                Number("-0"),
                Number("12345678901234567890"),
                Number("0.25"),
                Number("1E-7"),
            ]
        ),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda items: Array(tuple(items))),
        st.lists(st.tuples(TEXTS, inner), max_size=4).map(lambda members: Object(tuple(members))),
    ),
    max_leaves=12,
)


def plain(tree: Tree) -> object:
    """As json.loads would give it with numbers as written and objects as lists of pairs."""
    match tree:
        case Number(text=text):
            return ("number", text)
        case Array(items=items):
            return list(map(plain, items))
        case Object(members=members):
            return ("object", [(key, plain(value)) for key, value in members])
        case _:
            return tree


def decoded(body: bytes) -> object:
    return json.loads(
        body,
        parse_int=lambda text: ("number", text),
        parse_float=lambda text: ("number", text),
        object_pairs_hook=lambda pairs: ("object", pairs),
    )


@FAST
@given(st.lists(TREES, min_size=10, max_size=20))
def test_any_json_arrives_with_its_order_keys_and_numbers(
    tmp_path_factory: pytest.TempPathFactory, trees: list[Tree]
) -> None:
    steps = [
        Step(f"s{n}", "x", StepKind.CALL, RequestTemplate("POST", Text(("/x",)), (JSON,), JsonBody(tree)))
        for n, tree in enumerate(trees)
    ]
    journey = literal(*steps)
    received = sent(journey, tmp_path_factory.mktemp("trees"))
    assert [decoded(got.body) for got in received] == [plain(tree) for tree in trees]
    shellcheck(script(journey))


# ---------------------------------------------------------------- variables


def test_variables_keep_their_json_types(tmp_path: Path) -> None:
    names = {"role_id": "integer", "rate": "number", "is_on": "boolean", "pin": "string", "end": "string"}
    members: list[tuple[str, Tree]] = [(name, Var(name)) for name in names]
    members.append(("text", Text(("<", Var("role_id"), "|", Var("password"), ">"))))
    members.append(("password", Var("password")))
    members.append(("code", Var("code")))
    body = JsonBody(Object(tuple(members)))
    variables = [variable(name, type) for name, type in names.items()] + [secret("password"), secret("code", "integer")]
    given = {"DF_ROLE_ID": "7", "DF_RATE": "0.5", "DF_IS_ON": "false", "DF_PIN": "007", "DF_END": "é\n"}
    (got,) = sent(call(body, *variables), tmp_path, **given, DF_PASSWORD=SECRET, DF_CODE="42")
    assert json.loads(got.body) == {
        "role_id": 7,
        "rate": 0.5,
        "is_on": False,
        "pin": "007",
        "end": "é\n",
        "text": f"<7|{SECRET}>",
        "password": SECRET,
        "code": 42,
    }


@pytest.mark.parametrize(
    ("type", "value"), [("integer", "07"), ("integer", "x"), ("number", "."), ("boolean", "yes"), ("integer", "1;2")]
)
def test_a_value_of_the_wrong_type_is_refused_before_anything_is_sent(tmp_path: Path, type: str, value: str) -> None:
    with EchoServer() as echo:
        journey = call(JsonBody(Var("size")), variable("size", type))
        done = run(journey, tmp_path, {"DF_BASE_URL": echo.url, "DF_SIZE": value})
    assert done.returncode == 2
    assert "DF_SIZE" in done.stderr
    assert echo.received == []


@pytest.mark.parametrize("url", ["df.example.com", "file:///etc", "http://"])
def test_a_base_url_that_is_none_is_refused(tmp_path: Path, url: str) -> None:
    done = run(call(None), tmp_path, {"DF_BASE_URL": url})
    assert done.returncode == 2
    assert "DF_BASE_URL" in done.stderr


def test_defaults_are_used_typed_and_may_be_replaced(tmp_path: Path) -> None:
    defaults: dict[str, tuple[str, Tree]] = {
        "note": ("string", SECRET + "\n"),
        "size": ("integer", Number("5")),
        "exact": ("number", Number("1.10")),
        "big": ("integer", Number("12345678901234567890")),
        "is_on": ("boolean", True),
    }
    variables = [
        Variable(name, VariableKind.PARAMETER, type, f"DF_{name.upper()}", default=default)
        for name, (type, default) in defaults.items()
    ]
    body = JsonBody(Object(tuple((name, Var(name)) for name in defaults)))
    journey = call(body, *variables)
    shellcheck(script(journey))
    (got,) = sent(journey, tmp_path)
    assert decoded(got.body) == ("object", [(name, plain(default)) for name, (_, default) in defaults.items()])
    (got,) = sent(journey, tmp_path, DF_SIZE="6", DF_NOTE="x")
    assert json.loads(got.body)["size"] == 6


def test_an_optional_variable_without_default_may_be_left_out(tmp_path: Path) -> None:
    optional = [
        Variable(n, VariableKind.PARAMETER, t, f"DF_{n.upper()}") for n, t in (("a", "string"), ("b", "integer"))
    ]
    (got,) = sent(call(JsonBody(Array((Var("a"), Var("b")))), *optional), tmp_path)
    assert json.loads(got.body) == ["", None]


def test_encodings_of_variables(tmp_path: Path) -> None:
    import base64
    from urllib.parse import quote

    parts = (b'{"a":"', Var("password", Encoding.JSON), b'","b":"', Var("password", Encoding.BASE64), b'"}\0')
    target = Text(("/x?q=", Var("password", Encoding.URI), "a"))
    journey = call(RawBody(parts), secret("password"), target=target, headers=(("X-Pass", Text((Var("password"),))),))
    shellcheck(script(journey))
    (got,) = sent(journey, tmp_path, DF_PASSWORD=SECRET)
    assert got.target == f"/x?q={quote(SECRET, safe='')}a"
    assert dict(got.headers)["X-Pass"].encode("latin-1").decode() == SECRET
    encoded = json.dumps(SECRET, ensure_ascii=False)[1:-1].encode()
    assert got.body == b'{"a":"' + encoded + b'","b":"' + base64.b64encode(SECRET.encode()) + b'"}\0'


def test_a_line_break_in_a_variable_cannot_add_a_header(tmp_path: Path) -> None:
    journey = call(None, secret("password"), headers=(("X-Pass", Text((Var("password"),))),))
    with EchoServer() as echo:
        done = run(journey, tmp_path, {"DF_BASE_URL": echo.url, "DF_PASSWORD": "a\r\nX-More: b"})
    assert not any("X-More" in dict(got.headers) for got in echo.received)
    assert done.returncode == 1
    assert "line break" in done.stderr
    assert echo.received == []


def test_names_of_the_journey_never_meet_names_of_the_script(tmp_path: Path) -> None:
    source = script(replace(PROVISION, steps=(*PROVISION.steps, *DANGEROUS.steps)))
    templates = "".join(file.read_text() for file in (ROOT / "templates" / "curl").glob("*.j2"))
    assert set(re.findall(r"^([a-z_]+)\(\) ?\{", templates, re.M)) <= reserved_names()
    functions = set(re.findall(r"^([a-z_]+)\(\) ?\{", source, re.M))
    theirs = {"log_in", "log_out", "create_role", "create_user", "update_role", "find_service_id", "delete_role"}
    variables = {
        name
        for names in re.findall(r"^ *local ([^;\n]+)", source, re.M)
        for name in re.findall(r"([a-z_]+)(?==|\b)", names)
    }
    assert functions - theirs <= reserved_names()
    names = ["status", "curl", "jq", "if", "body", "answer", "read", "path", "target", "end", "reduce", "step", "key"]
    names += sorted((functions - theirs) | variables)
    names = [name for name in dict.fromkeys(names) if re.fullmatch("[a-z][a-z0-9_]*", name)]
    members = tuple((name, Var(name)) for name in names)
    captures = tuple(Capture(name, (name,)) for name in names)
    first = replace(raw_step("GET", "/first"), name="send", captures=captures)
    request = RequestTemplate("POST", Text(("/second",)), (JSON,), JsonBody(Object(members)))
    journey = literal(
        first,
        Step("status", "x", StepKind.CALL, request),
        variables=tuple(Variable(name, VariableKind.CAPTURE) for name in names),
    )
    wanted = {name: f"value of {name}" for name in names}
    with EchoServer({("GET", "/first"): (200, json.dumps(wanted))}) as echo:
        done = run(journey, tmp_path, {"DF_BASE_URL": echo.url})
        assert done.returncode == 0, done.stderr
    assert json.loads(echo.received[1].body) == wanted


# ---------------------------------------------------------------- captures


MADE = Var("made")


def capturing(type: str, answer: str, body: Tree = MADE, is_secret: bool = False) -> tuple[Journey, EchoServer]:
    step = replace(raw_step("POST", "/make"), name="make", captures=(Capture("made", ("resource", 0, "odd '$key")),))
    request = RequestTemplate("PUT", Text(("/x/", Var("made", Encoding.URI))), (JSON,), JsonBody(body))
    journey = literal(
        step,
        Step("use", "use", StepKind.CALL, request),
        variables=(Variable("made", VariableKind.CAPTURE, type, secret=is_secret),),
    )
    text = '{"resource":[{"odd \'$key": ' + answer + "}]}"
    return journey, EchoServer({("POST", "/make"): (201, text)})


@pytest.mark.parametrize(
    ("type", "answer", "target"),
    [
        ("integer", "7", "/x/7"),
        ("integer", "-7", "/x/-7"),
        ("boolean", "false", "/x/false"),
        ("string", '"a/b?\\u00e9!"', "/x/a%2Fb%3F%C3%A9%21"),
        ("string", '"7"', "/x/7"),
    ],
)
def test_a_captured_value_keeps_type_and_digits(tmp_path: Path, type: str, answer: str, target: str) -> None:
    journey, server = capturing(type, answer)
    with server as echo:
        done = run(journey, tmp_path, {"DF_BASE_URL": echo.url})
        assert done.returncode == 0, done.stderr
    assert echo.received[1].target == target
    assert decoded(echo.received[1].body) == decoded(answer.encode())
    shellcheck(script(journey))


def test_a_long_captured_number_is_never_rounded(tmp_path: Path) -> None:
    """jq 1.6 would round it in a body: then the run stops. In a path any length goes."""
    number = "12345678901234567890"
    journey, server = capturing("integer", number, "made")
    with server as echo:
        assert run(journey, tmp_path, {"DF_BASE_URL": echo.url}).returncode == 0
    assert echo.received[1].target == f"/x/{number}"
    journey, server = capturing("integer", number)
    with server as echo:
        done = run(journey, tmp_path, {"DF_BASE_URL": echo.url})
    if done.returncode == 0:
        assert echo.received[1].body == number.encode()
    else:
        assert number in done.stderr
        assert len(echo.received) == 1


@pytest.mark.parametrize("answer", ["null", "{}", "[1]", '"../../service/1"', '""', "1.5"])
def test_a_missing_or_odd_captured_id_stops_the_run(tmp_path: Path, answer: str) -> None:
    journey, server = capturing("integer", answer)
    with server as echo:
        done = run(journey, tmp_path, {"DF_BASE_URL": echo.url})
    assert done.returncode == 1
    assert "resource[0]" in done.stderr
    assert len(echo.received) == 1


def test_a_captured_secret_is_not_printed(tmp_path: Path) -> None:
    journey, server = capturing("string", '"hush-hush"', Text(("x", Var("made"))), is_secret=True)
    with server as echo:
        done = run(journey, tmp_path, {"DF_BASE_URL": echo.url})
    assert json.loads(echo.received[1].body) == "xhush-hush"
    assert "hush" not in done.stdout + done.stderr


# ---------------------------------------------------------------- refusals


def refused(status: int, text: str, folder: Path) -> str:
    journey = literal(
        replace(raw_step("POST", "/x", title="Create it"), name="a"), replace(raw_step("GET", "/y"), name="b")
    )
    with EchoServer({("POST", "/x"): (status, text)}) as echo:
        done = run(journey, folder, {"DF_BASE_URL": echo.url})
    assert done.returncode == 1
    assert "Create it" in done.stderr
    assert len(echo.received) == 1
    return done.stderr


def test_the_server_is_quoted_when_it_refuses(tmp_path: Path) -> None:
    batch = {
        "code": 1000,
        "message": "Batch Error: it&#039;s &lt;all&gt; &amp;quot; wrong",
        "context": {
            "error": [0, 2],
            "resource": [
                {"code": "23000", "message": "SQLSTATE[23000]: &quot;dup&quot;"},
                {"id": 4},
                {"code": 400, "context": {"name": ["The name field is required."]}},
            ],
        },
    }
    words = refused(400, json.dumps({"error": batch}), tmp_path)
    assert "Batch Error: it's <all> &quot; wrong" in words
    assert 'SQLSTATE[23000]: "dup"' in words
    assert "The name field is required." in words


@pytest.mark.parametrize(
    "text", ["<html>\x1b[31mOops\nsecond", "[1]", '"Oops"', "", '{"error":"Oops"}', '{"error":{}}']
)
def test_any_other_refusal_shows_the_status(tmp_path: Path, text: str) -> None:
    words = refused(503, text, tmp_path)
    assert "503" in words
    assert "second" not in words
    assert "\x1b" not in words
    assert ("Oops" in words) == ("Oops" in text)


def test_no_connection_is_one_clear_message(tmp_path: Path) -> None:
    done = run(call(None), tmp_path, {"DF_BASE_URL": "http://127.0.0.1:9"})
    assert done.returncode == 1
    assert "127.0.0.1" in done.stderr
    assert len(done.stderr.splitlines()) <= 3


def test_a_body_that_cannot_be_made_is_not_sent_empty(tmp_path: Path) -> None:
    jq = tmp_path / "bin" / "jq"
    jq.parent.mkdir()
    jq.write_text("#!/bin/sh\nexit 5\n")
    jq.chmod(0o755)
    path = tmp_path / "script.sh"
    path.write_text(script(call(JsonBody(Object((("a", "b"),))))))
    with EchoServer() as echo:
        environment = {"PATH": f"{jq.parent}:/usr/local/bin:/usr/bin:/bin", "DF_BASE_URL": echo.url}
        done = subprocess.run(["bash", path], env=environment, capture_output=True, text=True)
    assert done.returncode != 0
    assert echo.received == []


DANGEROUS = literal(
    replace(raw_step("DELETE", "/x", title="Delete role 'x'"), name="delete_role", danger="it removes $(touch CANARY)")
)


def test_dangerous_steps_need_consent(tmp_path: Path) -> None:
    with EchoServer() as echo:
        done = run(DANGEROUS, tmp_path, {"DF_BASE_URL": echo.url})
        assert done.returncode == 2
        assert "Delete role 'x'" in done.stderr
        assert "it removes $(touch CANARY)" in done.stderr
        assert echo.received == []
        assert run(DANGEROUS, tmp_path, {"DF_BASE_URL": echo.url, "DF_YES": "1"}).returncode == 0
        command = ["bash", str(tmp_path / "script.sh"), "--yes"]
        assert subprocess.run(command, env={"PATH": "/usr/bin:/bin", "DF_BASE_URL": echo.url}).returncode == 0
        assert len(echo.received) == 2


# ---------------------------------------------------------------- lookups


def looking(
    *match: tuple[str, Tree],
    rows: tuple[str, ...] = ("resource",),
    path: str = "/r",
    variables: tuple[Variable, ...] = (),
) -> Journey:
    lookup = Lookup("role", Text((path,)), rows, match, "id", "Find it", (ACCEPT,))
    found = Variable("role_id", VariableKind.LOOKUP, "integer", lookup=lookup)
    use = Step(
        "use", "use", StepKind.CALL, RequestTemplate("PUT", Text(("/r/", Var("role_id", Encoding.URI))), (), None)
    )
    return replace(literal(use, variables=(found, *variables)), literal=False)


def look(
    journey: Journey, folder: Path, *rows: object, filtered: tuple[int, str] | None = None, **environment: str
) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """Run against a server whose list holds these rows, and whose filter (if given) answers that."""
    lists = {"resource": list(rows), "access": list(rows)}

    class Answers(dict[tuple[str, str], tuple[int, str]]):
        def get(self, key: tuple[str, str], default: Any = None) -> Any:
            if key[0] != "GET":
                return default
            return filtered if "filter=" in key[1] and filtered else (200, json.dumps(lists))

    with EchoServer(Answers({("", ""): (0, "")})) as echo:
        done = run(journey, folder, {"DF_BASE_URL": echo.url, **environment})
    return done, [got.target for got in echo.received]


def test_a_name_is_found_by_the_servers_filter(tmp_path: Path) -> None:
    done, targets = look(
        looking(("name", "a'b ä%")), tmp_path, {"id": 5, "name": "a'b ä%"}, {"id": 6, "name": "A'b ä%"}
    )
    assert done.returncode == 0, done.stderr
    assert targets[-1] == "/r/5"
    assert len(targets) == 2
    assert "filter=name%3D%22a%27b%20%C3%A4%25%22" in targets[0]
    assert "fields=id,name" in targets[0]


@pytest.mark.parametrize("name", ['q"u', "back\\slash", "a) and (b", "{lookup}", "a,b", ""])
def test_what_the_filter_cannot_say_is_listed(tmp_path: Path, name: str) -> None:
    done, targets = look(looking(("name", name)), tmp_path, {"id": 5, "name": name}, {"id": 6, "name": "x"})
    assert done.returncode == 0, done.stderr
    assert targets[-1] == "/r/5"
    assert "filter=" not in targets[0]


@pytest.mark.parametrize(
    "filtered", [(400, "{}"), (200, '{"resource":[]}'), (200, '{"resource":[{"id":9,"name":"X"}]}')]
)
def test_the_list_is_the_fallback_of_the_filter(tmp_path: Path, filtered: tuple[int, str]) -> None:
    done, targets = look(looking(("name", "x")), tmp_path, {"id": 5, "name": "x"}, filtered=filtered)
    assert done.returncode == 0, done.stderr
    assert ["filter=" in target for target in targets] == [True, False, False]
    assert targets[-1] == "/r/5"


def test_none_or_several_stop_the_run_with_a_clear_line(tmp_path: Path) -> None:
    done, targets = look(looking(("name", "no such")), tmp_path, {"id": 5, "name": "x"})
    assert done.returncode == 1
    for word in ("role", "name", "no such"):
        assert word in done.stderr.splitlines()[-1]
    assert not [target for target in targets if target.startswith("/r/")]
    done, _ = look(looking(("name", "x")), tmp_path, *[{"id": id, "name": "x"} for id in range(3)])
    assert done.returncode == 1
    assert "3 records" in done.stderr.splitlines()[-1]


def test_types_are_compared_exactly(tmp_path: Path) -> None:
    rows = [{"id": 1, "name": 7}, {"id": 2, "name": "7"}, {"id": 3, "name": "7 "}, {"id": 4}]
    assert look(looking(("name", "7")), tmp_path, *rows)[1][-1] == "/r/2"
    assert look(looking(("name", Number("7"))), tmp_path, *rows)[1][-1] == "/r/1"


def test_nested_rows_are_found_by_all_their_keys(tmp_path: Path) -> None:
    pairs: tuple[tuple[str, Tree], ...] = (
        ("component", "*"),
        ("service_id", Var("service_id")),
        ("verb_mask", Number("3")),
        ("filter", None),
        ("note", Text(("x", Var("service_id")))),
    )
    journey = looking(
        *pairs, rows=("access",), path="/r/1?related=access", variables=(variable("service_id", "integer"),)
    )
    shellcheck(script(journey))
    row = {"component": "*", "service_id": 8, "verb_mask": 3, "filter": None, "note": "x8"}
    others = [{**row, key: "other", "id": 20 + n} for n, key in enumerate(row)]
    done, targets = look(journey, tmp_path, *others, {**row, "id": 12}, DF_SERVICE_ID="8")
    assert done.returncode == 0, done.stderr
    assert targets == ["/r/1?related=access", "/r/12"]


def test_a_lookup_path_may_have_a_query(tmp_path: Path) -> None:
    done, targets = look(looking(("name", "x"), path="/r?related=y"), tmp_path, {"id": 5, "name": "x"})
    assert done.returncode == 0, done.stderr
    assert targets[0].startswith("/r?related=y&filter=")


# ---------------------------------------------------------------- secrets


def command_lines() -> Iterator[bytes]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield path.read_bytes()
        except OSError:
            continue


def test_no_secret_shows_in_ps_or_stays_in_a_file(tmp_path: Path) -> None:
    lookup = Lookup(
        "app", Text(("/api/v2/system/app",)), ("resource",), (("api_key", Var("key")),), "id", "Find", (TOKEN,)
    )
    parts = (b"a=", Var("key", Encoding.URI), b"&b=", Var("key", Encoding.BASE64), b"&c=", Var("key"))
    steps = (
        PROVISION.steps[0],
        Step(
            "use_key",
            "Use the key",
            StepKind.CALL,
            RequestTemplate(
                "POST",
                Text(("/slow?k=", Var("key", Encoding.URI), "&app=", Var("app_id", Encoding.URI))),
                (JSON, TOKEN, ("X-Key", Text((Var("key"),)))),
                record(("key", Var("key")), ("token", Var("session_token")), ("made", Number("1e400"))),
            ),
            captures=(Capture("made_key", ("made_key",)),),
        ),
        Step("form", "form", StepKind.CALL, RequestTemplate("POST", Text(("/slow",)), (TOKEN,), RawBody(parts))),
        Step(
            "again",
            "again",
            StepKind.CALL,
            RequestTemplate("PUT", Text(("/slow",)), (TOKEN,), record(("k", Var("made_key")), ("p", Var("password")))),
        ),
        LOGOUT,
    )
    journey = replace(
        PROVISION,
        steps=steps,
        variables=(
            *PROVISION.variables[:4],
            secret("key"),
            Variable("made_key", VariableKind.CAPTURE, secret=True),
            Variable("app_id", VariableKind.LOOKUP, "integer", lookup=lookup),
        ),
    )
    shellcheck(script(journey))
    secrets = {"DF_PASSWORD": "canary-password", "DF_KEY": "canary-key"}

    class Slow(dict[tuple[str, str], tuple[int, str]]):
        def get(self, key: tuple[str, str], default: Any = None) -> Any:
            time.sleep(0.15)
            if key[0] == "GET":
                return 200, '{"resource":[{"id":3,"api_key":"canary-key"}]}'
            return 200, '{"session_token":"canary-token","made_key":"canary-made"}'

    seen: set[bytes] = set()
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            seen.update(command_lines())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with EchoServer(Slow({("", ""): (0, "")})) as echo:
            result = run(journey, tmp_path, {"DF_BASE_URL": echo.url, "DF_EMAIL": "a@b.c", **secrets})
            assert result.returncode == 0, result.stderr
    finally:
        done.set()
        watcher.join()
    assert any(b"curl" in line for line in seen)
    assert not [line for line in seen if b"canary-" in line]
    assert "canary-" not in result.stdout + result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["script.sh"]
    assert json.loads(echo.received[4].body)["resource"] == [{"k": "canary-made", "p": "canary-password"}]
