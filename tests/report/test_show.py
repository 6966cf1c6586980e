"""`dfrecord show`: the account in words, as JSON by its schema, and one step as a curl command, pasted and run."""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import dfrecord
from dfrecord.errors import SecretInOutput, UsageError
from dfrecord.journey.account import account
from dfrecord.journey.model import JsonBody, RawBody, RequestTemplate, Step, StepKind, Variable, VariableKind
from dfrecord.recording.exchange import Recording
from dfrecord.renderers import refuse_secrets
from dfrecord.renderers.curl_command import curl_command, curl_commands
from dfrecord.reporting.words import told
from dfrecord.tree import Array, Encoding, Number, Object, Text, Tree, Var
from tests.doubles.echo import EchoServer, ReceivedRequest
from tests.doubles.server import DreamFactoryDouble
from tests.published import assert_published_form
from tests.recorder import RecordedSession
from tests.render.journeys import HOSTILE, PROVISION, literal, raw_step
from tests.render.test_encoders import journey_of, secret_texts, texts
from tests.test_end_to_end import CASES
from tests.test_journeys import INSTALLED
from tests.tools import FIXTURES
from tests.tools import dfrecord as command

TENANT = FIXTURES / "02-provision-tenant" / "recording.har"
MESSY = FIXTURES / "06-messy" / "recording.har"


# ---------------------------------------------------------------- in words


def test_each_step_says_what_it_sends_uses_from_where_and_makes() -> None:
    shown = command("show", TENANT).stdout.decode()
    step = shown.partition("3. Create role acme-role")[2].partition("   4. ")[0]
    assert "→ 201" in step
    assert "sends: name, description, is_active, role_service_access_by_role_id (1)" in step
    assert "service_id ← step 2" in step
    assert "makes: role_id" in step


def test_export_lines_can_be_pasted_into_a_shell() -> None:
    shown = command("show", MESSY).stdout.decode()
    lines = shown.partition("Set before you run the script\n")[2].partition("\n\n")[0]
    needed = re.findall(r"^  export (\w+)=", lines, re.MULTILINE)
    assert needed == ["DF_BASE_URL", "DF_EMAIL", "DF_PASSWORD"]
    everything = re.sub(r"^  # ", "", lines, flags=re.MULTILINE)
    done = subprocess.run(["bash", "-euc", f"{everything}\nenv"], capture_output=True, text=True, check=True, env={})
    assert {"DF_YES=1", "DF_ROLE_NAME=support-2", "DF_BASE_URL="} <= set(done.stdout.splitlines())


@pytest.mark.parametrize("text", ["a\n# b", "it's $(id) `id` !id", "\u202egpj\x1b[2J", "x\ty"])
def test_hostile_text_is_shown_on_one_line_and_stays_a_value_in_the_export_lines(text: str) -> None:
    given = Variable("role_name", VariableKind.PARAMETER, env="DF_ROLE_NAME", default=text, description=text)
    step = Step("create_role", text, StepKind.CALL, RequestTemplate("POST", Text(("/api/", Var("role_name")))))
    journey = replace(literal(step, variables=(given,)), title=text, source=text)
    lines = list(told(journey))
    assert all(line.isprintable() for line in lines)
    export = next(line for line in lines if "DF_ROLE_NAME=" in line).strip().removeprefix("# ")
    done = subprocess.run(
        ["bash", "-c", f'{export}\nprintf %s "$DF_ROLE_NAME"'], capture_output=True, text=True, check=True
    )
    assert done.stdout == text


# ---------------------------------------------------------------- as JSON


@pytest.mark.parametrize("options", [(), ("--literal",), ("--upsert", "--teardown"), ("--reads", "all")])
@pytest.mark.parametrize("case", CASES)
def test_json_follows_the_published_schema_and_holds_nothing_undocumented(case: str, options: tuple[str, ...]) -> None:
    shown = json.loads(command("show", FIXTURES / case / "recording.har", "--json", *options).stdout)
    assert_published_form(shown, "journey")


def test_json_says_which_step_makes_a_variable() -> None:
    shown = json.loads(command("show", TENANT, "--json").stdout)
    made_by = {variable["name"]: variable["made_by"] for variable in shown["variables"]}
    assert made_by["service_id"] == "create_service"
    assert made_by["email"] is None


def test_numbers_that_json_readers_cannot_hold_are_told_as_text() -> None:
    numbers = {"inf": "1e400", "long": "9" * 5000, "big": "12345678901234567890", "float": "1.50"}
    body = JsonBody(Object(tuple((name, Number(text)) for name, text in numbers.items())))
    step = Step("call", "call", StepKind.CALL, RequestTemplate("POST", Text(("/api/x",)), (), body))
    shown = json.loads(json.dumps(account(literal(step)), allow_nan=False))["steps"][0]["body"]
    assert shown == {"inf": "1e400", "long": "9" * 5000, "big": 12345678901234567890, "float": 1.5}


def test_no_output_gets_out_with_a_secret_in_it() -> None:
    journey = replace(literal(raw_step("GET", "/api/x?k=hunter2hunter2")), secrets=frozenset({"hunter2hunter2"}))
    with pytest.raises(SecretInOutput, match="show"):
        refuse_secrets(journey, "show", b"")
    with pytest.raises(SecretInOutput):
        refuse_secrets(replace(journey, steps=()), "show", b'"hunter2hunter2"')


@pytest.mark.parametrize(
    "tree",
    [
        Array((Object((("config", Object((("note", "hunter2hunter2"),))),)),)),
        Object((("hunter2hunter2", None),)),
        Object((("note", Text(("hunter2hunter2", Var("name")))),)),
        Array((Number("20261129.20261129"),)),
    ],
    ids=["value", "key", "text", "number"],
)
def test_no_output_gets_out_when_a_secret_stands_anywhere_in_a_body(tree: Tree) -> None:
    step = Step("call", "call", StepKind.CALL, RequestTemplate("POST", Text(("/api/x",)), (), JsonBody(tree)))
    journey = replace(literal(step), secrets=frozenset({"hunter2hunter2", "20261129.20261129"}))
    with pytest.raises(SecretInOutput):
        refuse_secrets(journey, "show", b"")


# ---------------------------------------------------------------- as a curl command


def paste(text: str, environment: dict[str, str], folder: Path) -> None:
    """Paste into an interactive bash, whose history expansion a script does not have."""
    exports = {**environment, "PATH": os.environ["PATH"], "HOME": str(folder), "HISTFILE": "", "LANG": "C.UTF-8"}
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "--noediting", "-i"],
        input=f"{text}\n",
        capture_output=True,
        text=True,
        cwd=folder,
        env=exports,
        timeout=120,
    )
    assert "event not found" not in done.stderr, done.stderr
    assert "rror" not in done.stderr, done.stderr


def value_of(text: Text, values: dict[str, str]) -> str:
    return "".join(part if isinstance(part, str) else values[part.name] for part in text.parts)


def assert_arrived(request: RequestTemplate, received: ReceivedRequest, values: dict[str, str]) -> None:
    assert (received.method, received.target) == (request.method, value_of(request.target, values))
    wanted = [(name.lower(), value_of(value, values)) for name, value in request.headers]
    got = [(name.lower(), value) for name, value in received.headers]
    assert [header for header in got if header in wanted] == wanted
    if isinstance(request.body, RawBody):
        assert received.body == b"".join(part for part in request.body.parts if isinstance(part, bytes))


def test_history_expansion_is_on_where_the_commands_are_pasted(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="event not found"):
        paste('echo "a!zzz"', {}, tmp_path)


def test_pasted_commands_send_the_journey_with_values_from_the_environment(tmp_path: Path) -> None:
    values = {
        "base_url": "",
        "email": "ann@example.com",
        "password": """p"w'\\$(touch CANARY)!x""",
        "session_token": "a.b!c",
        "user_password": "ü\n\"'",
        "role_id": "7",
        "service_id": "12",
    }
    with EchoServer() as echo:
        environment = {f"DF_{name.upper()}": value for name, value in values.items()} | {"DF_BASE_URL": echo.url}
        commands = list(curl_commands(PROVISION))
        paste("\n".join(shown.text for shown in commands), environment, tmp_path)
        assert len(echo.received) == len(PROVISION.steps)
        for step, received in zip(PROVISION.steps, echo.received, strict=True):
            assert_arrived(step.request, received, values)
        login, role, user = (json.loads(received.body) for received in echo.received[:3])
        assert login == {"email": values["email"], "password": values["password"]}
        assert role["resource"][0]["role_service_access_by_role_id"][0]["service_id"] == 12
        assert user["resource"][0]["password"] == values["user_password"]
        assert user["resource"][0]["phone"] == "role 7!"
        assert not list(tmp_path.rglob("CANARY"))
        for shown in commands:
            assert {variable.env for variable in shown.variables} <= environment.keys()


def test_hostile_requests_arrive_byte_for_byte(tmp_path: Path) -> None:
    with EchoServer() as echo:
        paste("\n".join(shown.text for shown in curl_commands(HOSTILE)), {"DF_BASE_URL": echo.url}, tmp_path)
        assert len(echo.received) == len(HOSTILE.steps)
        for step, received in zip(HOSTILE.steps, echo.received, strict=True):
            assert_arrived(step.request, received, {})
        assert not list(tmp_path.rglob("CANARY"))


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    values=st.lists(texts, min_size=10, max_size=20),
    blobs=st.lists(st.binary(max_size=40), max_size=5),
    secret=secret_texts,
)
def test_whatever_text_stands_anywhere_arrives_as_it_is(
    tmp_path_factory: pytest.TempPathFactory, values: list[str], blobs: list[bytes], secret: str
) -> None:
    folder = tmp_path_factory.mktemp("paste")
    journey = journey_of(values, blobs)
    with EchoServer() as echo:
        text = "\n".join(shown.text for shown in curl_commands(journey))
        paste(text, {"DF_BASE_URL": echo.url, "DF_SECRET": secret}, folder)
        bodies = [received.body for received in echo.received]
        assert bodies[: len(values)] == [value.encode() for value in values]
        for body, value in zip(bodies[len(values) : 2 * len(values)], values, strict=True):
            assert json.loads(body) == ({value: value, "s": secret} if value != "s" else {"s": secret})
        assert bodies[2 * len(values) :] == blobs
        assert not list(folder.rglob("CANARY"))


def test_values_inside_texts_are_encoded_as_the_text_needs(tmp_path: Path) -> None:
    body = RawBody(
        (b"a=", Var("key", Encoding.URI), b"&b=", Var("key", Encoding.BASE64), b'&c="', Var("key", Encoding.JSON))
    )
    step = Step(
        "call", "call", StepKind.CALL, RequestTemplate("POST", Text(("/api/", Var("key", Encoding.URI))), (), body)
    )
    key = Variable("key", VariableKind.SECRET, env="DF_KEY", secret=True, required=True)
    with EchoServer() as echo:
        shown = curl_command(literal(step, variables=(key,)), 1)
        paste(shown.text, {"DF_BASE_URL": echo.url, "DF_KEY": 'a/b "c"\n'}, tmp_path)
        assert echo.received[0].target == "/api/a%2Fb%20%22c%22%0A"
        assert echo.received[0].body == b'a=a%2Fb%20%22c%22%0A&b=YS9iICJjIgo=&c="a/b \\"c\\"\\n'


@pytest.mark.parametrize("size", [200_000, 1_000_000])
def test_a_body_too_long_for_an_argument_arrives(size: int, tmp_path: Path) -> None:
    content = ("ä!%'" * (size // 4)).encode()
    with EchoServer() as echo:
        shown = curl_command(literal(raw_step("POST", "/api/x", (("Content-Type", "text/plain"),), content)), 1)
        paste(shown.text, {"DF_BASE_URL": echo.url}, tmp_path)
        assert echo.received[0].body == content


def test_head_and_plain_requests_look_as_people_write_them() -> None:
    shown = [
        c.text
        for c in curl_commands(
            literal(raw_step("GET", "/api/x"), raw_step("HEAD", "/api/x"), raw_step("DELETE", "/api/x"))
        )
    ]
    assert shown == [
        'curl "$DF_BASE_URL/api/x"',
        'curl --head "$DF_BASE_URL/api/x"',
        'curl -X DELETE "$DF_BASE_URL/api/x"',
    ]


def test_recorded_names_stand_in_the_command_and_ids_and_secrets_do_not() -> None:
    journey = dfrecord.plan(dfrecord.read(TENANT))
    shown = curl_command(journey, 3)
    assert '"name": "acme-role"' in shown.text
    assert "$ENV.DF_SERVICE_ID" in shown.text
    assert [v.env for v in shown.variables] == ["DF_BASE_URL", "DF_SESSION_TOKEN", "DF_SERVICE_ID"]


def test_the_command_goes_to_standard_output_and_what_to_set_to_standard_error() -> None:
    done = command("show", TENANT, "--curl", "3")
    assert done.stdout.startswith(b'curl "$DF_BASE_URL/api/v2/system/role?')
    assert b"export DF_SERVICE_ID=''" in done.stderr
    assert command("show", TENANT, "--curl", "3", "--quiet").stderr == b""


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--curl", "9"), "steps 1 to 4"),
        (("--curl", "0"), "steps 1 to 4"),
        (("--curl", "1", "--upsert"), "--upsert"),
        (("--curl", "1", "--json"), "--json"),
    ],
)
def test_what_cannot_be_shown_is_one_clear_line(options: tuple[str, ...], words: str) -> None:
    done = command("show", TENANT, *options, code=2)
    assert done.stderr.decode().count("\n") == 1
    assert words in done.stderr.decode()


def test_a_journey_without_steps_has_no_command() -> None:
    with pytest.raises(UsageError):
        curl_command(literal(), 1)


def test_a_record_that_its_path_names_is_told_by_that_name() -> None:
    with DreamFactoryDouble(installed=INSTALLED) as df:
        session = RecordedSession(df)
        session.call("POST", "system/custom", {"resource": [{"name": "theme one", "value": "x"}]})
        session.call("PUT", "system/custom/theme%20one", {"value": "y"})
        script = "system/event_script/db._table.get.pre_process"
        session.call("POST", script, {"type": "nodejs", "content": "//", "is_active": True})
    journey = dfrecord.plan(Recording("made.har", tuple(session.exchanges)))
    assert [step.title for step in journey.steps[1:]] == [
        "Create custom theme one",
        "Update custom theme one",
        "Create event script db._table.get.pre_process",
    ]


def test_a_record_that_was_renamed_is_told_by_its_name_of_then() -> None:
    with DreamFactoryDouble() as df:
        session = RecordedSession(df)
        [role] = session.create("role", {"name": "one", "is_active": True})
        session.call("PATCH", f"system/role/{role}", {"name": "two"})
        session.call("PATCH", f"system/role/{role}", {"description": "x"})
        session.call("PATCH", f"system/role/{role}", {"name": "three"})
        session.call("GET", "system/role")
        session.call("DELETE", f"system/role/{role}")
    journey = dfrecord.plan(Recording("renamed.har", tuple(session.exchanges)))
    assert [step.title for step in journey.steps if step.kind != "read"][1:] == [
        "Create role one",
        "Update role one",
        "Update role two",
        "Update role two",
        "Delete role three",
    ]


def test_of_a_refusal_the_reason_is_told_without_the_statement_of_the_database() -> None:
    with DreamFactoryDouble(4711) as df:
        session = RecordedSession(df)
        session.create("role", {"name": "taken", "is_active": True})
        session.call("POST", "system/role", {"resource": [{"name": "taken", "is_active": True}]})
        [other] = session.create("role", {"name": "other", "is_active": True})
        session.call("PUT", f"system/role/{other}", {"name": "taken"})
    words = " ".join("".join(told(dfrecord.plan(Recording("two.har", tuple(session.exchanges))))).split())
    assert words.count("UNIQUE constraint failed: role.name") == 2
    assert "insert into" not in words
    assert str(other) not in words


def test_a_teardown_that_cannot_bring_back_a_private_row_is_told() -> None:
    with DreamFactoryDouble() as df:
        session = RecordedSession(df)
        private = {"name": "hush", "value": "Private-Value-1", "private": True}
        session.create("role", {"name": "role", "is_active": True, "lookup_by_role_id": [private]})
        session = RecordedSession(df)
        [role] = session.call("GET", "system/role?related=lookup_by_role_id")["resource"]
        [row] = role["lookup_by_role_id"]
        session.call("PUT", f"system/role/{role['id']}", {"lookup_by_role_id": [{**row, "role_id": None}]})
    journey = dfrecord.plan(Recording("private.har", tuple(session.exchanges)), upsert=True, teardown=True)
    reasons = [residue.reason for residue in journey.residue if residue.step == "update_role"]
    assert (
        "lookup_by_role_id: the teardown brings back a row that is removed here only where it holds no secret"
        in reasons
    )
