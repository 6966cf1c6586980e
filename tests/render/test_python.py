"""Scripts of the `python` format, run by Python against the double and against a server that keeps the bytes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dfrecord.errors import UsageError
from dfrecord.journey.model import (
    Capture,
    Journey,
    JsonBody,
    Lookup,
    RawBody,
    RequestTemplate,
    Residue,
    ResidueKind,
    Step,
    StepKind,
    Variable,
    VariableKind,
)
from dfrecord.renderers import RenderOptions
from dfrecord.renderers.python import render
from dfrecord.renderers.python_format import once
from dfrecord.tree import Array, Encoding, Number, Object, Text, Tree, Var
from tests.doubles.echo import EchoServer
from tests.doubles.server import DreamFactoryDouble
from tests.render.journeys import ACCEPT, BASE_URL, HOSTILE, JSON, PROVISION, TOKEN, literal, raw_step
from tests.tools import ROOT

USER_PASSWORD = "Secret!user-Secret!user-ö"
LOGIN_ANSWER = {("POST", "/api/v2/system/admin/session"): (200, '{"session_token":"token-1"}')}


@lru_cache
def source_of(journey: Journey) -> str:
    return render(journey, RenderOptions())[0].content.decode("utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """An empty working directory; no script may leave anything in it, least of all a CANARY."""
    work = tmp_path / "work"
    work.mkdir()
    yield work
    assert sorted(path.name for path in work.iterdir()) in ([], ["script.py"])


def run(
    journey: Journey, folder: Path, environment: dict[str, str], *options: str, home: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the journey's script with this environment and nothing else of ours."""
    script = folder / "script.py"
    script.write_text(source_of(journey), encoding="utf-8")
    base = {"PATH": os.environ["PATH"], "HOME": str(home or folder), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, str(script), *options],
        env={**base, **environment},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )


def check(*scripts: Path) -> None:
    """Black, ruff and mypy --strict find nothing in these scripts, each on its own."""
    names = [str(script) for script in scripts]
    tools = [
        ["black", "--quiet", "--check", "--line-length", "88", "--target-version", "py311", *names],
        ["ruff", "check", "--quiet", "--isolated", "--no-cache", "--extend-select", "E,F,I,UP,B", *names],
        ["mypy", "--strict", "--no-error-summary", "--scripts-are-modules", *names],
    ]
    for command in tools:
        done = subprocess.run([sys.executable, "-m", *command], cwd=scripts[0].parent, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def one_call(body: Tree, *variables: Variable, target: Text | None = None) -> Journey:
    request = RequestTemplate("POST", target or Text(("/api/v2/system/role",)), (ACCEPT, JSON), JsonBody(body))
    return Journey(
        "one_call", "one call", "x.har", (Step("call", "Call", StepKind.CALL, request),), (BASE_URL, *variables)
    )


def with_lookup(match: tuple[tuple[str, Tree], ...], rows: tuple[str, ...] = ("resource",), path: str = "") -> Journey:
    lookup = Lookup(
        "service", Text((path or "/api/v2/system/service",)), rows, match, "id", "Find service db", (ACCEPT, TOKEN)
    )
    variables = tuple(
        replace(variable, lookup=lookup) if variable.name == "service_id" else variable
        for variable in PROVISION.variables
    )
    return replace(PROVISION, variables=variables)


PROVISION_SETTINGS = {"DF_EMAIL": "a@b.c", "DF_PASSWORD": "p", "DF_USER_PASSWORD": USER_PASSWORD}


# ---------------------------------------------------------------- running against the double


def test_journey_runs_on_an_instance_with_other_ids(folder: Path) -> None:
    with DreamFactoryDouble(id_offset=100) as df:
        settings = {"DF_BASE_URL": df.url + "/", "DF_EMAIL": df.email, "DF_PASSWORD": df.password}
        done = run(PROVISION, folder, {**settings, "DF_USER_PASSWORD": USER_PASSWORD})
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout).keys() == {"role_id", "user_id"}
        assert [call.method for call in df.log] == ["POST", "GET", "POST", "POST", "PUT", "DELETE"]
        [role] = df.state()["role"]
        [user] = df.state()["user"]
        service = next(service for service in df.state()["service"] if service["name"] == "db")
        assert (role["name"], role["description"]) == ("acme-role", "changed")
        assert role["role_service_access_by_role_id"][0]["service_id"] == service["id"]
        assert user["phone"] == f"role {role['id']}!"
        login = {"email": "grace@example.com", "password": USER_PASSWORD}
        assert df.call("POST", "/api/v2/user/session", json.dumps(login).encode())[0] == 200


def test_given_session_token_is_used_without_account_and_stays_logged_in(folder: Path) -> None:
    with DreamFactoryDouble(id_offset=100) as df:
        account = {"email": df.email, "password": df.password}
        _, answer = df.call("POST", "/api/v2/system/admin/session", json.dumps(account).encode())
        df.log.clear()
        settings = {"DF_BASE_URL": df.url, "DF_SESSION_TOKEN": answer["session_token"]}
        done = run(PROVISION, folder, {**settings, "DF_USER_PASSWORD": USER_PASSWORD})
        assert done.returncode == 0, done.stderr
        assert [call.method for call in df.log] == ["GET", "POST", "POST", "PUT"]


def test_refused_batch_stops_with_the_words_for_each_record(folder: Path) -> None:
    with DreamFactoryDouble(id_offset=100) as df:
        settings = {"DF_BASE_URL": df.url, "DF_EMAIL": df.email, "DF_PASSWORD": df.password}
        assert run(PROVISION, folder, {**settings, "DF_USER_PASSWORD": USER_PASSWORD}).returncode == 0
        df.log.clear()
        done = run(PROVISION, folder, {**settings, "DF_USER_PASSWORD": USER_PASSWORD})
        assert done.returncode == 1
        assert "failed: Create role acme-role: 400" in done.stderr
        assert "  record 1 (acme-role): SQLSTATE[23000]" in done.stderr
        assert "UNIQUE constraint failed: role.name" in done.stderr
        assert "&quot;" not in done.stderr
        assert [call.method for call in df.log] == ["POST", "GET", "POST"]


# ---------------------------------------------------------------- what is sent


def test_literal_requests_arrive_byte_for_byte(folder: Path) -> None:
    with EchoServer() as echo:
        done = run(HOSTILE, folder, {"DF_BASE_URL": echo.url})
        assert done.returncode == 0, done.stderr
    assert len(echo.received) == len(HOSTILE.steps)
    for got, step in zip(echo.received, HOSTILE.steps, strict=True):
        request = step.request
        body = b"".join(part for part in request.body.parts if isinstance(part, bytes)) if request.body else b""  # type: ignore[union-attr]
        assert (got.method, got.target, got.body) == (request.method, request.target.literal, body)
        names = {name.lower() for name, _ in request.headers}
        assert [header for header in got.headers if header[0].lower() in names] == [
            (name, value.literal) for name, value in request.headers
        ]
        if "content-type" not in names:
            assert "content-type" not in {name.lower() for name, _ in got.headers}


def test_literal_targets_that_http_forbids_are_percent_encoded_and_the_rest_is_kept(folder: Path) -> None:
    kept = ["/a#b", "//double", "/?", "/x?%zz%", "/..", "/|^`\\<>\"'", "/%2e%2e/x", "/a%20b/", "/@:8000/x"]
    journey = literal(
        *(replace(raw_step("GET", target), name=f"s{n}") for n, target in enumerate([*kept, "/a b\té\r\n"]))
    )
    with EchoServer() as echo:
        done = run(journey, folder, {"DF_BASE_URL": echo.url + "/prefix/"})
        assert done.returncode == 0, done.stderr
    assert [got.target for got in echo.received] == ["/prefix" + t for t in [*kept, "/a%20b%09%C3%A9%0D%0A"]]


@pytest.mark.parametrize("odd_target", [False, True])
def test_empty_body_and_no_body_differ(folder: Path, odd_target: bool) -> None:
    calls = [
        ("POST", b""),
        ("POST", None),
        ("DELETE", None),
        ("DELETE", b""),
        ("GET", None),
        ("GET", b""),
        ("GET", b"x"),
    ]
    target = "/%c3" if odd_target else "/x"
    journey = literal(*(replace(raw_step(m, target, body=body), name=f"s{n}") for n, (m, body) in enumerate(calls)))
    with EchoServer() as echo:
        done = run(journey, folder, {"DF_BASE_URL": echo.url})
        assert done.returncode == 0, done.stderr
    lengths = [dict(got.headers).get("Content-Length") for got in echo.received]
    assert lengths == ["0", "0", None, "0", None, "0", "1"]
    assert all("Transfer-Encoding" not in dict(got.headers) for got in echo.received)


def test_repeated_headers_odd_method_case_and_non_latin_values_arrive(folder: Path) -> None:
    headers = (
        ("X-A", "1"),
        ("x-a", "2"),
        ("Accept", "text/csv"),
        ("Accept", "*/*"),
        ("X-U", "ä漢 "),
        ("Bad Name", "x"),
    )
    with EchoServer() as echo:
        done = run(literal(raw_step("PaTcH", "/x", headers, b"")), folder, {"DF_BASE_URL": echo.url})
        assert done.returncode == 0, done.stderr
    [got] = echo.received
    assert got.method == "PaTcH"
    sent = [(name.lower(), value.encode("latin-1").decode()) for name, value in got.headers]
    assert [value for name, value in sent if name == "x-a"] == ["1", "2"]
    assert [value for name, value in sent if name == "accept"] == ["text/csv", "*/*"]
    assert [value for name, value in sent if name == "x-u"] == ["ä漢"]


def test_numbers_arrive_as_written_and_types_stay(folder: Path) -> None:
    texts = ["0", "-0", "1.0", "1.10", "1e400", "1E5", "-1.5e-7", "12345678901234567890", "0.1", "1" * 5000, "3"]
    tree = Object((("n", Array(tuple(map(Number, texts)))), ("t", True), ("none", None), ("s", "1")))
    with EchoServer() as echo:
        done = run(one_call(tree), folder, {"DF_BASE_URL": echo.url})
        assert done.returncode == 0, done.stderr
    assert echo.received[0].body.decode() == '{"n":[' + ",".join(texts) + '],"t":true,"none":null,"s":"1"}'
    assert "Number(" not in source_of(one_call(Array((Number("1.5"), Number("12345678901234567890")))))


@pytest.mark.parametrize("depth", [19, 300])
def test_deep_and_large_bodies_are_sent_and_stay_valid_python(folder: Path, depth: int) -> None:
    tree: Tree = Object(
        (("v", Var("secret")), ('k"', Text(("a", Var("secret")))), ("n", Number("1.10")), ("é", "\ud800"))
    )
    for _ in range(depth):
        tree = Array((tree, Object(()), Array(())))
    journey = one_call(tree, Variable("secret", VariableKind.SECRET, env="DF_S", secret=True, required=True))
    with EchoServer() as echo:
        done = run(journey, folder, {"DF_BASE_URL": echo.url, "DF_S": 'q"\\'})
        assert done.returncode == 0, done.stderr
    inside = r'{"v":"q\"\\","k\"":"aq\"\\","n":1.10,"é":"\ud800"}'
    assert echo.received[0].body.decode() == "[" * depth + inside + ",{},[]]" * depth
    assert [value for name, value in echo.received[0].headers if name == "Content-Type"] == ["application/json"]


def test_null_body_lone_surrogates_and_duplicate_keys(folder: Path) -> None:
    for tree, expected in [
        (None, "null"),
        ("\ud800\udc00x", r'"\ud800\udc00x"'),
        (Object((("a", Number("1")), ("b", True), ("a", Number("2")))), '{"a":2,"b":true}'),
        (Object(()), "{}"),
        (False, "false"),
    ]:
        with EchoServer() as echo:
            done = run(one_call(tree), folder, {"DF_BASE_URL": echo.url})
            assert done.returncode == 0, done.stderr
        assert echo.received[0].body.decode() == expected
        assert dict(echo.received[0].headers)["Content-Type"] == "application/json"


def test_secrets_are_escaped_where_they_stand(folder: Path) -> None:
    secret = "s'\"\\ä/?&=%\n+😀"
    body = RawBody(
        (b'{"p":"', Var("secret", Encoding.JSON), b'","b":"', Var("secret", Encoding.BASE64), b'"}\xff', Var("secret"))
    )
    step = Step(
        "s", "Send", StepKind.CALL,
        RequestTemplate("PUT", Text(("/x?k=", Var("secret", Encoding.URI), "&z={y}")), (), body),
    )  # fmt: skip
    journey = literal(
        step, variables=(Variable("secret", VariableKind.SECRET, env="DF_S", secret=True, required=True),)
    )
    with EchoServer() as echo:
        done = run(journey, folder, {"DF_BASE_URL": echo.url, "DF_S": secret}, "--verbose")
        assert done.returncode == 0, done.stderr
        assert run(journey, folder, {"DF_BASE_URL": "http://127.0.0.1:9", "DF_S": secret}).returncode == 1
    [got] = echo.received
    assert got.target == "/x?k=s%27%22%5C%C3%A4%2F%3F%26%3D%25%0A%2B%F0%9F%98%80&z={y}"
    encoded = "cyciXMOkLz8mPSUKK/CfmIA="
    escaped = json.dumps(secret, ensure_ascii=False)[1:-1]
    assert got.body == f'{{"p":"{escaped}","b":"{encoded}"}}'.encode() + b"\xff" + secret.encode()
    assert "PUT /x?k=***&z={y} -> 200" in done.stderr
    assert "%27%22" not in done.stderr


def test_netrc_does_not_replace_the_sessions_header(tmp_path: Path, folder: Path) -> None:
    (tmp_path / ".netrc").write_text("default login netrc password netrc\n")
    (tmp_path / ".netrc").chmod(0o600)
    with EchoServer() as echo:
        assert run(one_call(True), folder, {"DF_BASE_URL": echo.url}, home=tmp_path).returncode == 0
    assert "Authorization" not in dict(echo.received[0].headers)


def test_headers_that_differ_from_the_usual_ones_are_sent(folder: Path) -> None:
    steps = tuple(
        replace(PROVISION.steps[3], name=f"s{n}", request=replace(PROVISION.steps[3].request, headers=headers))
        for n, headers in enumerate(
            [
                (ACCEPT, JSON),
                (("Accept", Text(("text/csv",))), ("Content-Type", Text(("application/merge-patch+json",))), TOKEN),
                (ACCEPT, TOKEN, ("X-Two", Text(("a",))), ("X-Two", Text(("b ", Var("role_id"))))),
            ]
        )
    )
    journey = replace(PROVISION, steps=(*PROVISION.steps[:2], *steps))
    create = ("POST", "/api/v2/system/role?fields=*&related=role_service_access_by_role_id")
    answers = {
        **LOGIN_ANSWER,
        create: (201, '{"resource":[{"id":7}]}'),
        filtered("db"): (200, '{"resource":[{"id":3,"name":"db"}]}'),
    }
    with EchoServer(answers) as echo:
        done = run(journey, folder, {**PROVISION_SETTINGS, "DF_BASE_URL": echo.url})
        assert done.returncode == 0, done.stderr
    anonymous, other, repeated = [dict(got.headers) for got in echo.received[-3:]]
    assert "X-DreamFactory-Session-Token" not in anonymous
    assert (other["Accept"], other["Content-Type"]) == ("text/csv", "application/merge-patch+json")
    assert other["X-DreamFactory-Session-Token"] == "token-1"
    assert "Content-Type" not in repeated
    assert repeated["X-Two"] == "a, b 7"


# ---------------------------------------------------------------- settings


def test_all_missing_variables_are_named_at_once_and_nothing_is_sent(folder: Path) -> None:
    with EchoServer() as echo:
        done = run(PROVISION, folder, {"DF_PASSWORD": ""})
        assert (done.returncode, echo.received) == (2, [])
        assert "set DF_BASE_URL, DF_USER_PASSWORD, DF_EMAIL, DF_PASSWORD first" in done.stderr
        assert "Traceback" not in done.stderr
        done = run(PROVISION, folder, {"DF_BASE_URL": echo.url, "DF_SESSION_TOKEN": "t"})
        assert (done.returncode, echo.received) == (2, [])
        assert "set DF_USER_PASSWORD first" in done.stderr


@pytest.mark.parametrize("url", ["df.example.com", "ftp://x", "file:///etc/passwd"])
def test_base_url_that_is_none_is_refused(folder: Path, url: str) -> None:
    done = run(one_call(True), folder, {"DF_BASE_URL": url})
    assert done.returncode == 2
    assert "DF_BASE_URL must begin with http:// or https://" in done.stderr


@pytest.mark.parametrize("url", ["http://[", "http://", "http://x:99999999", "http://.", "http://127.0.0.1:9"])
def test_address_that_does_not_answer_is_one_line(folder: Path, url: str) -> None:
    for journey in (one_call(True), literal(raw_step("GET", "/%c3")), literal(raw_step("GET", "/x"))):
        done = run(journey, folder, {"DF_BASE_URL": url})
        assert done.returncode == 1, done.stderr
        assert done.stderr.splitlines()[-1].startswith(("failed: Call: no answer", "failed: step: no answer"))
        assert "Traceback" not in done.stderr


PARAMETERS = (
    Variable("tenant", VariableKind.PARAMETER, env="DF_TENANT", default="ac'me\n\"", description="100% of %(prog)s"),
    Variable("limit", VariableKind.PARAMETER, "integer", env="DF_LIMIT", default=Number("5")),
    Variable("rate", VariableKind.PARAMETER, "number", env="DF_RATE", default=Number("0.5")),
    Variable("active", VariableKind.PARAMETER, "boolean", env="DF_ACTIVE", default=True),
    Variable("verbose", VariableKind.PARAMETER, env="DF_VERBOSE", default="no"),
    Variable("class", VariableKind.PARAMETER, env="DF_CLASS", required=True),
    Variable("class_", VariableKind.PARAMETER, env="DF_CLASS_", default="second"),
    Variable("answer", VariableKind.PARAMETER, "integer", env="DF_ANSWER", required=True),
    Variable("l", VariableKind.PARAMETER, env="DF_L"),
)
WITH_PARAMETERS = replace(
    one_call(Object(tuple((v.name, Var(v.name)) for v in PARAMETERS)), *PARAMETERS), name="json", title="%(prog)s %s"
)


def test_parameters_have_typed_defaults_options_and_environment_variables(folder: Path) -> None:
    with EchoServer() as echo:
        settings = {"DF_BASE_URL": echo.url, "DF_CLASS": "c", "DF_ANSWER": "0"}
        assert (done := run(WITH_PARAMETERS, folder, settings)).returncode == 0, done.stderr
        changed = {**settings, "DF_LIMIT": "7", "DF_ACTIVE": "false", "DF_RATE": "2", "DF_L": "el"}
        options = ["--tenant", "other", "--set-verbose", "yes", "--class", "d", "--answer=-3"]
        assert (done := run(WITH_PARAMETERS, folder, changed, *options)).returncode == 0, done.stderr
        wrong = [("LIMIT", "a whole number", text) for text in ("many", " 7", "7_0", "7.0", "\u0667")]
        wrong += [("RATE", "a number", text) for text in ("nan", "inf", "1e999", "1_0", "0x1")]
        for name, rule, text in [*wrong, ("ACTIVE", "true or false", "perhaps")]:
            refused = run(WITH_PARAMETERS, folder, {**settings, f"DF_{name}": text})
            assert (refused.returncode, refused.stderr) == (2, f"DF_{name} must be {rule}\nnothing was sent\n")
        refused = run(WITH_PARAMETERS, folder, settings, "--limit", "many")
        assert (refused.returncode, refused.stderr) == (2, "DF_LIMIT must be a whole number\nnothing was sent\n")
        help_text = run(WITH_PARAMETERS, folder, settings, "--help")
        assert help_text.returncode == 0, help_text.stderr
        assert "100% of %(prog)s" in help_text.stdout
    defaults, given_values = [json.loads(got.body) for got in echo.received]
    assert defaults == {
        "tenant": "ac'me\n\"", "limit": 5, "rate": 0.5, "active": True, "verbose": "no", "class": "c",
        "class_": "second", "answer": 0, "l": None,
    }  # fmt: skip
    assert given_values == {
        "tenant": "other", "limit": 7, "rate": 2, "active": False, "verbose": "yes", "class": "d",
        "class_": "second", "answer": -3, "l": "el",
    }  # fmt: skip
    assert type(given_values["rate"]) is int


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf"])
def test_a_timeout_that_no_request_can_have_is_told_before_anything_is_sent(seconds: str, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(source_of(PROVISION))
    with EchoServer() as echo:
        command = [sys.executable, "script.py", "--base-url", echo.url, f"--timeout={seconds}"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 2
        assert "--timeout must be more than 0, and at most a day (86400)\n" in done.stderr
        assert "Traceback" not in done.stderr
        assert echo.received == []


@pytest.mark.parametrize("wrong", ["limit='x'", "limit=True", "limit=1.5", "limit=None", "tenant=[1]", "rate={}"])
def test_an_argument_of_the_wrong_type_is_told_before_anything_is_sent(wrong: str, tmp_path: Path) -> None:
    (tmp_path / "typed.py").write_text(source_of(replace(WITH_PARAMETERS, name="provision")))
    name, kind = wrong.partition("=")[0], {"l": "int", "t": "str", "r": "float"}[wrong[0]]
    with EchoServer() as echo:
        program = (
            f"import typed; df = typed.DreamFactory({echo.url!r})\n"
            f"try:\n    typed.provision(df, class_='c', answer_=1, {wrong})\n"
            "except TypeError as error:\n    print(error)"
        )
        done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
        assert done.stdout == f"provision: {name} must be of the type {kind}; nothing was sent\n", done.stderr
        assert echo.received == []


def test_login_with_a_further_parameter_needs_it_only_to_log_in(folder: Path) -> None:
    login = PROVISION.steps[0]
    body = JsonBody(Object((("email", Var("email")), ("password", Var("password")), ("service", Var("call")))))
    journey = replace(
        PROVISION,
        steps=(replace(login, request=replace(login.request, body=body)), *PROVISION.steps[-1:]),
        variables=(*PROVISION.variables[:4], Variable("call", VariableKind.PARAMETER, env="DF_LDAP", required=True)),
    )
    with EchoServer(LOGIN_ANSWER) as echo:
        settings = {"DF_BASE_URL": echo.url}
        assert run(journey, folder, {**settings, "DF_SESSION_TOKEN": "t"}).returncode == 0
        assert echo.received == []
        account = {"DF_EMAIL": "a", "DF_PASSWORD": "b"}
        assert "set DF_LDAP first" in run(journey, folder, {**settings, **account}).stderr
        assert run(journey, folder, {**settings, **account, "DF_LDAP": "ldap"}).returncode == 0
    assert json.loads(echo.received[0].body) == {"email": "a", "password": "b", "service": "ldap"}


def test_dangerous_steps_need_consent(folder: Path) -> None:
    step = replace(one_call(True).steps[0], title="Delete \x1b[31meverything", danger="removes all 100% of it")
    journey = replace(one_call(True), steps=(step,))
    with EchoServer() as echo:
        done = run(journey, folder, {"DF_BASE_URL": echo.url, "DF_YES": "0"})
        assert (done.returncode, echo.received) == (2, [])
        assert "everything: removes all 100% of it" in done.stderr
        assert "\x1b" not in done.stderr
        assert run(journey, folder, {"DF_BASE_URL": echo.url, "DF_YES": "1"}).returncode == 0
        assert run(journey, folder, {"DF_BASE_URL": echo.url}, "--yes").returncode == 0
        assert len(echo.received) == 2


# ---------------------------------------------------------------- lookups and answers

LIST = ("GET", "/api/v2/system/service?fields=id,name&include_count=true")


def filtered(value: str) -> tuple[str, str]:
    return ("GET", f"/api/v2/system/service?filter=name%3D%22{value}%22&fields=id,name")


def looked_up(folder: Path, journey: Journey, answers: dict[tuple[str, str], tuple[int, str]]) -> tuple[str, list[str]]:
    """The message of the run, and the methods of what was sent."""
    with EchoServer({**LOGIN_ANSWER, **answers}) as echo:
        done = run(journey, folder, {**PROVISION_SETTINGS, "DF_BASE_URL": echo.url})
        assert "Traceback" not in done.stderr, done.stderr
        assert done.returncode == 1
        return done.stderr, [f"{got.method} {got.target}" for got in echo.received[1:]]


def test_lookup_that_finds_nothing_stops_before_anything_changes(folder: Path) -> None:
    lists = {filtered("db"): (200, '{"resource":[]}'), LIST: (200, '{"resource":[{"id":1,"name":"DB"}]}')}
    message, sent = looked_up(folder, with_lookup((("name", "db"),)), lists)
    assert 'Find service db: there is no service with {"name": "db"}' in message
    assert sent == [" ".join(filtered("db")), " ".join(LIST)]


def test_lookup_that_finds_several_says_how_many(folder: Path) -> None:
    rows = '{"resource":[{"id":1,"name":"db"},{"id":2,"name":"db"},{"id":3,"name":"x"}]}'
    message, sent = looked_up(folder, with_lookup((("name", "db"),)), {filtered("db"): (200, rows)})
    assert '2 service records have {"name": "db"}' in message
    assert len(sent) == 1


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((403, '{"error":{"message":"Access Forbidden."}}'), "failed: Find service db: 403 Access Forbidden."),
        ((200, "<html>not the API</html>"), "failed: Find service db: the answer is no list of records"),
    ],
)
def test_refused_lookup_says_what_was_looked_for(folder: Path, answer: tuple[int, str], words: str) -> None:
    message, sent = looked_up(folder, with_lookup((("name", "db"),)), {filtered("db"): answer})
    assert words in message
    assert len(sent) == 1


def test_filter_answer_is_compared_and_a_refused_filter_falls_back_to_the_list(folder: Path) -> None:
    found = {LIST: (200, '{"resource":[{"id":9,"name":"db"}]}')}
    for first in [(200, '{"resource":[{"id":1,"name":"DB"}]}'), (400, '{"error":{"message":"Invalid filter"}}')]:
        message, sent = looked_up(folder, with_lookup((("name", "db"),)), {**found, filtered("db"): first})
        assert sent[:2] == [" ".join(filtered("db")), " ".join(LIST)]
        assert "Create role acme-role" in message


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a(b", "a,b", "{x", ""])
def test_name_that_a_filter_cannot_express_is_looked_for_in_the_list(folder: Path, name: str) -> None:
    rows = json.dumps({"resource": [{"id": 4, "name": name}]})
    _, sent = looked_up(folder, with_lookup((("name", name),)), {LIST: (200, rows)})
    assert sent[0] == " ".join(LIST)
    assert sent[1].startswith("POST ")


def test_several_keys_are_compared_with_their_types(folder: Path) -> None:
    path = "/api/v2/system/role/1?related=rows"
    match: tuple[tuple[str, Tree], ...] = (("service_id", Number("1")), ("component", None), ("on", True))
    rows = (
        '{"rows":[{"id":1,"service_id":true,"component":null,"on":true},{"id":2,"service_id":"1","component":null,'
        '"on":true},{"id":3,"service_id":1,"component":null,"on":1},{"id":4,"service_id":1,"component":null,"on":true}]}'
    )
    _, sent = looked_up(folder, with_lookup(match, ("rows",), path), {("GET", path): (200, rows)})
    assert sent[0] == f"GET {path}"
    assert sent[1].startswith("POST ")


def test_lookup_with_a_query_of_its_own_keeps_it(folder: Path) -> None:
    path = "/api/v2/system/service?related=x"
    searched = f"{path}&filter=name%3D%22db%22&fields=id,name"
    nothing = {("GET", searched): (200, '{"resource":[]}')}
    _, sent = looked_up(folder, with_lookup((("name", "db"),), path=path), nothing)
    assert sent[:2] == [f"GET {searched}", f"GET {path}&fields=id,name&include_count=true"]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((401, '{"error":{"message":"Say &quot;please&quot; &amp; try\\u001b[31m again"}}'), 'Say "please" & try'),
        ((500, "<!DOCTYPE html>\n<html>500 | Server Error</html>"), "500 Internal Server Error <!DOCTYPE html>"),
        ((502, ""), "502 Bad Gateway"),
        ((400, '{"error":{"context":{"resource":[{"id":1},{"message":"a &lt; b"}]}}}'), "record 2: a < b"),
        ((400, '{"error":{"message":null,"context":"x"}}'), "400"),
        ((400, '{"error":"odd"}'), '{"error":"odd"}'),
        ((400, "[[[["), "[[[["),
        ((204, ""), "the answer has no session_token"),
        ((200, '{"session_token":null}'), "the answer has no session_token"),
        ((200, "text"), "the answer has no session_token"),
    ],
)  # fmt: skip
def test_failed_step_is_told_in_the_servers_words_and_ends_the_run(
    folder: Path, answer: tuple[int, str], words: str
) -> None:
    with EchoServer({("POST", "/api/v2/system/admin/session"): answer}) as echo:
        done = run(PROVISION, folder, {**PROVISION_SETTINGS, "DF_BASE_URL": echo.url})
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert "\x1b" not in done.stderr
    assert len(echo.received) == 1


@pytest.mark.parametrize(
    "journey", [one_call(True), literal(raw_step("POST", "/x")), literal(raw_step("POST", "/%c3"))]
)
def test_redirect_is_an_error_that_names_the_address(folder: Path, journey: Journey) -> None:
    class Redirecting(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(307)
            self.send_header("Location", "https://elsewhere.example/login")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Redirecting) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        done = run(journey, folder, {"DF_BASE_URL": f"http://127.0.0.1:{server.server_address[1]}"})
        server.shutdown()
    assert done.returncode == 1
    assert "redirected to https://elsewhere.example/login" in done.stderr


def test_secret_that_no_header_can_hold_is_not_shown(folder: Path) -> None:
    step = raw_step("GET", "/x")
    for target in ("/x", "/%c3"):
        request = RequestTemplate("GET", Text((target,)), (("X-Key", Text((Var("key"),))),))
        journey = literal(
            replace(step, request=request),
            variables=(Variable("key", VariableKind.SECRET, env="DF_KEY", secret=True, required=True),),
        )
        done = run(journey, folder, {"DF_BASE_URL": "http://127.0.0.1:9", "DF_KEY": "tell\nnobody"})
        assert done.returncode == 1
        assert "failed: step: no answer" in done.stderr
        assert "nobody" not in done.stderr


def test_secret_capture_is_returned_but_not_printed(folder: Path) -> None:
    step = one_call(True, Variable("api_key", VariableKind.CAPTURE, secret=True)).steps[0]
    journey = one_call(True, Variable("api_key", VariableKind.CAPTURE, secret=True))
    journey = replace(journey, steps=(replace(step, captures=(Capture("api_key", ("key",)),)),))
    with EchoServer({("POST", "/api/v2/system/role"): (200, '{"key":"CONFIDENTIAL"}')}) as echo:
        done = run(journey, folder, {"DF_BASE_URL": echo.url}, "--verbose")
    assert done.returncode == 0
    assert "CONFIDENTIAL" not in done.stdout + done.stderr


# ---------------------------------------------------------------- the source


PRAGMAS = [
    "fmt: off",
    "# fmt: off",
    "noqa",
    "type: ignore",
    "/// script",
    "%(prog)s",
    '"""',
    "\\",
    "\u202e\u2066\ufeff",
]


def nasty_journey() -> Journey:
    """Recorded text in every place that a reader sees."""
    nasty = " ".join(["'\"`$(touch CANARY)\n\r\u2028*/ \x00\x1b[31m", *PRAGMAS, "ä漢😀" * 30])
    lines = (nasty, *PRAGMAS, *(f"x\n{pragma}" for pragma in PRAGMAS))
    steps = tuple(replace(step, title=nasty, notes=lines, danger=nasty) for step in PROVISION.steps)
    variables = tuple(
        replace(
            variable,
            description=nasty,
            lookup=replace(variable.lookup, title=nasty, resource=nasty) if variable.lookup else None,
        )
        for variable in PROVISION.variables
    )
    residue = tuple(Residue(ResidueKind.RISKY, line, subject=line) for line in lines)
    return replace(PROVISION, title=nasty, source=nasty, steps=steps, variables=variables, residue=residue)


def test_recorded_text_for_people_does_no_harm(folder: Path) -> None:
    journey = nasty_journey()
    source = source_of(journey)
    assert not {"\u2028", "\u202e", "\u2066", "\ufeff", "\x1b", "\0", "\r"} & set(source)
    assert source.count("# ///") == 2
    assert "CANARY" in source
    with DreamFactoryDouble(id_offset=100) as df:
        settings = {"DF_BASE_URL": df.url, "DF_EMAIL": df.email, "DF_PASSWORD": df.password, "DF_YES": "1"}
        assert run(journey, folder, settings, "--help").returncode == 0
        done = run(journey, folder, {**settings, "DF_USER_PASSWORD": USER_PASSWORD})
        assert done.returncode == 0, done.stderr


def test_scripts_are_clean_under_black_ruff_and_mypy(tmp_path: Path) -> None:
    exotic = one_call(Array((Number("1e400"), "x" * 200, Text((Var("key"), "{}")))), *PARAMETERS)
    large = one_call(Array(tuple(Object((("n", Number(str(n))), ("s", f"é{n}"))) for n in range(3000))))
    key = Variable("key", VariableKind.SECRET, env="DF_KEY", secret=True, required=True)
    journeys = {
        "provision": PROVISION,
        "hostile": HOSTILE,
        "nasty": nasty_journey(),
        "parameters": WITH_PARAMETERS,
        "exotic": replace(exotic, variables=(*exotic.variables, key)),
        "large": large,
        "plain_literal": literal(raw_step("DELETE", "/x"), variables=(key,)),
        "empty": literal(),
        "no_session": replace(PROVISION, steps=PROVISION.steps[1:4]),
    }
    scripts = [tmp_path / f"{name}.py" for name in journeys]
    for script, journey in zip(scripts, journeys.values(), strict=True):
        script.write_text(source_of(journey), encoding="utf-8")
        script.chmod(0o755)
    check(*scripts)


def test_same_journey_gives_the_same_bytes() -> None:
    program = (
        "import sys; from tests.render.journeys import HOSTILE, PROVISION; from dfrecord.renderers import python, "
        "RenderOptions; [sys.stdout.buffer.write(file.content) for journey in (PROVISION, HOSTILE) "
        "for file in python.render(journey, RenderOptions())]"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, env=environment, cwd=ROOT)
    assert done.stdout.decode() == source_of(PROVISION) + source_of(HOSTILE)


def test_own_template_comes_first_and_a_broken_one_is_a_clear_error(tmp_path: Path) -> None:
    template = tmp_path / "python" / "script.py.j2"
    template.parent.mkdir()
    template.write_text("print({{ journey.title | string }})\n")
    assert render(PROVISION, RenderOptions(template_dir=tmp_path))[0].content == b'print("provision tenant")\n'
    with pytest.raises(UsageError, match="missing: is no folder"):
        render(PROVISION, RenderOptions(template_dir=tmp_path / "missing"))
    template.write_text("print({{ journey.title }})\n")
    with pytest.raises(UsageError, match="does not make valid Python"):
        render(PROVISION, RenderOptions(template_dir=tmp_path))


json_texts = st.text(st.characters(), max_size=20)
trees: st.SearchStrategy[object] = st.recursive(
    st.one_of(st.none(), st.booleans(), json_texts, st.integers(), st.floats(allow_nan=False, allow_infinity=False)),
    lambda children: st.one_of(st.lists(children, max_size=4), st.dictionaries(json_texts, children, max_size=4)),
    max_leaves=8,
)


def as_tree(value: object) -> Tree:
    match value:
        case None | bool() | str():
            return value
        case int() | float():
            return Number(json.dumps(value))
        case list():
            return Array(tuple(map(as_tree, value)))
        case dict():
            return Object(tuple((key, as_tree(item)) for key, item in value.items()))
    raise AssertionError


@settings(max_examples=2, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    values=st.lists(trees, min_size=40, max_size=60), blobs=st.lists(st.binary(max_size=300), min_size=20, max_size=40)
)
def test_any_json_and_any_bytes_arrive(values: list[object], blobs: list[bytes]) -> None:
    steps = [
        replace(one_call(as_tree(value)).steps[0], name=f"json_{n}", title=str(value)) for n, value in enumerate(values)
    ]
    steps += [replace(raw_step("PUT", "/b", body=blob), name=f"blob_{n}") for n, blob in enumerate(blobs)]
    journey = Journey("any", "any", "x.har", tuple(steps), (BASE_URL,))
    with tempfile.TemporaryDirectory() as work, EchoServer() as echo:
        done = run(journey, Path(work), {"DF_BASE_URL": echo.url})
        assert done.returncode == 0, done.stderr
    expected = [
        json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")
        for value in values
    ]
    assert [got.body for got in echo.received] == expected + blobs


def test_long_script_is_the_same_from_several_processes_as_from_one(monkeypatch: pytest.MonkeyPatch) -> None:
    step = PROVISION.steps[-1]
    steps = tuple(replace(step, name=f"step_{n}", title=f"7. # 8. step {n}") for n in range(60))
    journey = replace(PROVISION, steps=PROVISION.steps + steps)
    monkeypatch.setattr("os.cpu_count", lambda: 3)
    monkeypatch.setattr("dfrecord.renderers.python_format.LONG", 10**9)
    whole = render(journey, RenderOptions())[0].content
    monkeypatch.setattr("dfrecord.renderers.python_format.LONG", 0)
    assert render(journey, RenderOptions())[0].content == whole
    monkeypatch.setattr("dfrecord.renderers.python.formatted", once)
    assert render(journey, RenderOptions())[0].content == whole


@pytest.mark.parametrize("title", ["", "'", '"', "# type: x", "1. ", "\x0c", "\u2028", "é" * 50, "fmt: off"], ids=repr)
def test_long_hostile_script_is_as_black_makes_it(title: str, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [title, "'\"", '"', "\\'", "'''", '"""\n    # 7. x', "{}", "\\N{DASH}", "\x00", "é" * 60, "x" * 90]
    calls = [one_call(Object(((text, other), ("n", Number("1E5"))))).steps[0] for text in texts for other in texts]
    steps = (
        *(replace(step, name=f"step_{n}", title=title if n % 2 else f"Step {n}") for n, step in enumerate(calls)),
        *(replace(raw_step("PUT", f"/{n}", body=text.encode()), title=title) for n, text in enumerate(texts)),
    )
    journey = Journey("hostile", "hostile", "x.har", steps, (BASE_URL,))
    quick = render(journey, RenderOptions())[0].content
    monkeypatch.setattr("dfrecord.renderers.python.formatted", once)
    assert quick == render(journey, RenderOptions())[0].content
