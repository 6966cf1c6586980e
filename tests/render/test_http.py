"""What the `http` format promises beyond the grid: no client obeys recorded text; what it cannot do is refused."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import dfrecord
from dfrecord.errors import UsageError
from dfrecord.journey.model import JsonBody, Lookup, RawBody, RequestTemplate, Step, StepKind, Variable, VariableKind
from dfrecord.recording.har_writer import har_chunks
from dfrecord.tree import Array, Number, Object, Text, Var
from tests.doubles.echo import EchoServer
from tests.doubles.server import DreamFactoryDouble
from tests.recorder import RecordedSession
from tests.render.journeys import BASE_URL, JSON, PROVISION, literal, raw_step
from tests.states import portable
from tests.test_end_to_end import CASES, environment, prepare
from tests.test_journeys import (
    INSTALLED,
    existing_roles_with_odd_names,
    limits_with_empty_texts_in_their_keys,
    role_rows_changed_removed_and_added,
)
from tests.test_journeys import prepare as prepare_made
from tests.tools import FIXTURES, rendered, run
from tests.tools import dfrecord as command

TENANT = FIXTURES / "02-provision-tenant" / "recording.har"
ODD = (
    "{{base_url}} {{$guid}} }} ### < ./x >>! @a=b ?? status == 1 {{@js\n"
    "{{\nthrow 1\n}}\n### x\n< /etc/passwd\n// # @disabled ==="
)


@pytest.mark.parametrize("option", ["--upsert", "--teardown", "--literal"])
def test_what_a_http_file_cannot_do_is_refused_in_one_line(option: str, tmp_path: Path) -> None:
    done = command("render", TENANT, "-f", "http", "-o", tmp_path / "a.http", option, code=2)
    assert done.stderr.decode().startswith(f"dfrecord: format http cannot do {option}: ")
    assert done.stderr.count(b"\n") == 1
    assert not (tmp_path / "a.http").exists()
    assert "without --upsert, --teardown, --literal" in command("formats").stdout.decode()


def test_places_in_earlier_answers_are_written_as_rest_client_reads_them(tmp_path: Path) -> None:
    text = rendered(TENANT, "http", tmp_path).read_text()
    assert "# @name create_role\n" in text
    assert '"role_id": {{create_role.response.body.$.resource[0].id}},' in text
    assert "X-DreamFactory-Session-Token: {{log_in.response.body.$.session_token}}" in text
    assert "@role_name = acme-role\n" in text
    assert "@password = {{$processEnv DF_PASSWORD}}\n" in text


def test_recorded_text_is_no_directive_of_any_client() -> None:
    """Every line after the script is one of ours, or JSON, whatever was recorded."""
    body = JsonBody(Object(((ODD, Array((ODD, Text((ODD, Var("secret"), ODD))))),)))
    step = Step("step", ODD, StepKind.CALL, RequestTemplate("POST", Text((f"/{ODD}",)), (JSON,), body), notes=(ODD,))
    secret = replace(BASE_URL, name="secret", env="DF_SECRET", secret=True)
    journey = replace(literal(step, variables=(secret,)), literal=False, title=ODD, source=ODD)
    text = dfrecord.render(journey, "http")[0].content.decode()
    assert set(re.findall(r"\{\{(.+?)\}\}", re.sub(r"(?ms)^\{\{.*?^\}\}$", "", text))) == {
        "$processEnv DF_BASE_URL",
        "$processEnv DF_SECRET",
        "base_url",
        "secret",
    }
    requests = text.split("\n### ")[2:]
    assert len(requests) == 1
    ours = re.compile(
        r'(\d+\. |# Note: |# @name step$|# @no-redirect$|POST \{\{base_url\}\}/|Content-Type: |[{}\]]|  +["\]]|$)'
    )
    assert [line for line in requests[0].split("\n") if not ours.match(line)] == []


def test_other_bodies_are_sent_byte_for_byte_from_files_of_their_own(tmp_path: Path) -> None:
    content = ODD.encode() + b"\0\xff\r\n\n"
    journey = replace(literal(raw_step("PUT", "/x", (("Content-Type", "text/plain"),), content)), literal=False)
    for file in dfrecord.render(journey, "http", stem="script"):
        (tmp_path / f"script{file.suffix or '.http'}").write_bytes(file.content)
    with EchoServer() as echo:
        done = run(tmp_path / "script.http", "http", {"DF_BASE_URL": echo.url})
        assert done.returncode == 0, done.stdout
    assert [received.body for received in echo.received] == [content]


@pytest.mark.parametrize("value", ["{{x}}", "a,", "a, "])
def test_a_header_that_a_client_would_change_is_refused(value: str) -> None:
    with pytest.raises(UsageError, match="the header X-Odd cannot be written"):
        dfrecord.render(replace(literal(raw_step("POST", "/x", (("X-Odd", value),))), literal=False), "http")


@pytest.mark.parametrize("target", ["/x?a=%zz", "/x%", "/x%ff", "/x?a=%c3%28"])
def test_a_url_that_no_client_sends_is_refused(target: str) -> None:
    with pytest.raises(UsageError, match="clients refuse the % in the URL"):
        dfrecord.render(replace(literal(raw_step("GET", target)), literal=False), "http")


def test_body_with_a_variable_that_no_client_can_escape_is_refused() -> None:
    step = raw_step("POST", "/x")
    body = RawBody((b"password=", Var("secret")))
    secret = replace(BASE_URL, name="secret", env="DF_SECRET", secret=True)
    journey = literal(replace(step, request=replace(step.request, body=body)), variables=(secret,))
    with pytest.raises(UsageError, match="is not JSON and holds a variable"):
        dfrecord.render(replace(journey, literal=False), "http")


def test_captured_text_that_would_run_in_httpyac_stops_the_run(tmp_path: Path) -> None:
    (tmp_path / "script.http").write_bytes(dfrecord.render(PROVISION, "http")[0].content)
    answer = "{\"session_token\":\"{{require('fs').writeFileSync('CANARY','')}}\"}"
    with EchoServer({("POST", "/api/v2/system/admin/session"): (200, answer)}) as echo:
        given = {"DF_BASE_URL": echo.url, "DF_EMAIL": "a@b.c", "DF_PASSWORD": "p", "DF_USER_PASSWORD": "q"}
        done = run(tmp_path / "script.http", "http", given)
    assert done.returncode == 10
    assert "session_token of the answer holds what a .http file cannot carry on" in done.stdout + done.stderr
    assert len(echo.received) == 1
    assert not list(tmp_path.rglob("CANARY"))


def test_dangerous_step_and_numbers_are_taken_from_the_environment_as_they_are(tmp_path: Path) -> None:
    script = rendered(FIXTURES / "02-provision-tenant" / "recording.har", "http", tmp_path, "--steps", "1,3")
    assert '"service_id": {{service_id}},' in script.read_text()
    with DreamFactoryDouble() as df:
        wrong = run(script, "http", {**environment(df), "DF_SERVICE_ID": "x"})
        assert wrong.returncode == 10
        assert "DF_SERVICE_ID is not a JSON integer" in wrong.stdout + wrong.stderr
        assert df.log == []


# ---------------------------------------------------------------- JetBrains


def jetbrains(script: Path, df: DreamFactoryDouble) -> subprocess.CompletedProcess[str]:
    """Send the file for JetBrains with httpyac, which knows its dialect: no environment, but an environment file."""
    if shutil.which("httpyac") is None:
        pytest.skip("httpyac is not installed")
    values = {"base_url": df.url, "email": df.email, "password": df.password, "user_password": "Another!pass-word-16"}
    (script.parent / "http-client.private.env.json").write_text(json.dumps({"test": values}))
    command = ["httpyac", "send", f"{script.stem}.jetbrains.http", "--all", "--bail", "--env", "test"]
    return subprocess.run(command, cwd=script.parent, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("case", CASES)
def test_file_for_jetbrains_gives_the_recorded_end_state(case: str, tmp_path: Path) -> None:
    script = rendered(FIXTURES / case / "recording.har", "http", tmp_path)
    with DreamFactoryDouble(id_offset=1000) as df:
        prepare(df, case)
        done = jetbrains(script, df)
        assert done.returncode == 0, done.stdout + done.stderr
        assert portable(df.state()) == portable(json.loads((FIXTURES / case / "state.json").read_text()))


@pytest.mark.parametrize(
    "scenario",
    [role_rows_changed_removed_and_added, existing_roles_with_odd_names, limits_with_empty_texts_in_their_keys],
)
def test_file_for_jetbrains_finds_records_and_rows_again(
    scenario: Callable[[RecordedSession], None], tmp_path: Path
) -> None:
    with DreamFactoryDouble(installed=INSTALLED) as recorded, DreamFactoryDouble(700, installed=INSTALLED) as target:
        prepare_made(recorded, "bystander")
        prepare_made(target, "bystander")
        session = RecordedSession(recorded)
        scenario(session)
        (tmp_path / "session.har").write_bytes(b"".join(har_chunks(session.exchanges)))
        done = jetbrains(rendered(tmp_path / "session.har", "http", tmp_path), target)
        assert done.returncode == 0, done.stdout + done.stderr
        assert portable(target.state()) == portable(recorded.state())


def test_file_for_jetbrains_takes_names_and_stops_at_a_record_that_is_not_there(tmp_path: Path) -> None:
    script = rendered(TENANT, "http", tmp_path, "--parameter", "tenant=acme")
    with DreamFactoryDouble(id_offset=1000) as df:
        file = script.with_name(f"{script.stem}.jetbrains.http")
        file.write_text(file.read_text().replace("= acme", "= globex"))
        assert jetbrains(script, df).returncode == 0
        assert list(portable(df.state())["role"]) == ["globex-role"]
        script = rendered(FIXTURES / "06-messy" / "recording.har", "http", tmp_path)
        df.reset_log()
        missing = jetbrains(script, df)
        assert missing.returncode != 0
        assert "0 records match: service" in missing.stdout + missing.stderr
        assert "PATCH" not in [call.method for call in df.writes]


def test_lookup_for_jetbrains_compares_every_kind_of_value() -> None:
    match = (("a", None), ("b", True), ("c", Number("7")), ("d", 'x"}'), ("e", Array((True, "y"))), ("f", Object(())))
    lookup = Lookup("row", Text(("/rows",)), ("resource",), match, "id", "Find it", nth=1)
    found = Variable("row_id", VariableKind.LOOKUP, "integer", lookup=lookup)
    uses = Step("use", "Use it", StepKind.CALL, RequestTemplate("GET", Text(("/rows/", Var("row_id"))), ()))
    journey = replace(literal(uses, variables=(found,)), literal=False)
    text = dfrecord.render(journey, "http")[1].content.decode()
    assert (
        'return (row["a"] == null || row["a"] === "") && String(row["b"]) === String(true) && '
        'String(row["c"]) === String(7) && String(row["d"]) === String("x\\"\\u007d") && '
        'JSON.stringify(row["e"]) === JSON.stringify([true, "y"]) && '
        'JSON.stringify(row["f"]) === JSON.stringify({}); }).slice(1, 2);'
    ) in text


def test_recorded_text_neither_ends_a_script_for_jetbrains_nor_is_a_variable_in_it() -> None:
    title = '%} {{base_url}} ${x}\n%}\n"'
    steps = tuple(replace(step, title=title) for step in PROVISION.steps)
    text = dfrecord.render(replace(PROVISION, title=title, steps=steps), "http")[1].content.decode()
    scripts = re.findall(r"^> \{%\n(.*?)^%\}\n", text, re.MULTILINE | re.DOTALL)
    assert len(scripts) == text.count("\n### ") >= len(steps)
    for script in scripts:
        assert "%}" not in script
        assert "{{" not in script
    assert r'client.test("%\u007d \u007b \u007bbase_url\u007d\u007d $\u007bx\u007d %\u007d \""' in text
