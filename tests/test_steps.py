"""`dfrecord render --steps`: a script of some steps, which asks for what the left-out ones would have given."""

from __future__ import annotations

from pathlib import Path

import pytest

import dfrecord
from dfrecord.errors import UsageError
from dfrecord.journey.model import ResidueKind, VariableKind
from dfrecord.journey.steps import only_steps, parse_steps
from tests.doubles.server import DreamFactoryDouble
from tests.recorder import RecordedSession
from tests.test_end_to_end import environment
from tests.tools import FIXTURES, FORMATS, rendered, run
from tests.tools import dfrecord as command

TENANT = FIXTURES / "02-provision-tenant" / "recording.har"
MESSY = FIXTURES / "06-messy" / "recording.har"


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("1", {1}), ("1,3-5", {1, 3, 4, 5}), (" 2 - 3 , 7- ", {2, 3, 7, 8}), ("8,1,1", {1, 8}), ("1-", set(range(1, 9)))],
)
def test_lists_and_ranges_are_understood(text: str, numbers: set[int]) -> None:
    assert parse_steps(text, 8) == numbers


@pytest.mark.parametrize("text", ["", "0", "9", "3-9", "4-2", "two", "1;2", "1,,2", "-3", "1 2", "99999999999"])
def test_what_is_no_step_is_refused_with_the_range_that_is(text: str) -> None:
    with pytest.raises(UsageError, match="--steps"):
        parse_steps(text, 8)


@pytest.mark.parametrize("format", FORMATS)
def test_a_left_out_create_makes_its_id_a_required_parameter_of_the_script(format: str, tmp_path: Path) -> None:
    script = rendered(TENANT, format, tmp_path, "--steps", "1,3")
    with DreamFactoryDouble(id_offset=1000) as df:
        done = run(script, format, environment(df))
        assert done.returncode != 0
        assert "DF_SERVICE_ID" in done.stdout + done.stderr
        assert df.writes == []
        service = RecordedSession(df).create("service", {"name": "mine", "type": "rws", "config": {}})[0]
        df.reset_log()
        done = run(script, format, {**environment(df), "DF_SERVICE_ID": str(service)})
        assert done.returncode == 0, done.stdout + done.stderr
        created = [call for call in df.writes if "session" not in call.path]
        assert [call.path.partition("?")[0] for call in created] == ["/api/v2/system/role"]
        row = created[0].json()["resource"][0]["role_service_access_by_role_id"][0]
        assert row["service_id"] == service  # a number, not its text


@pytest.mark.parametrize("format", FORMATS)
def test_without_the_login_step_the_script_asks_for_a_session_token(format: str, tmp_path: Path) -> None:
    script = rendered(TENANT, format, tmp_path, "--steps", "2")
    with DreamFactoryDouble() as df:
        done = run(script, format, environment(df))
        assert done.returncode != 0
        assert "DF_SESSION_TOKEN" in done.stdout + done.stderr
        token = RecordedSession(df).exchanges[0].response.body.content.decode().split('"session_token":"')[1]
        token = token.partition('"')[0]
        df.reset_log()
        done = run(script, format, {"DF_BASE_URL": df.url, "DF_SESSION_TOKEN": token})
        assert done.returncode == 0, done.stdout + done.stderr
        assert [call.method for call in df.writes] == ["POST"]


def test_deleting_what_a_left_out_step_created_needs_consent() -> None:
    journey = dfrecord.plan(dfrecord.read(MESSY))
    assert [step.danger for step in journey.steps if step.title == "Delete role temp-role"] == [""]
    alone = only_steps(journey, {4})
    assert alone.steps[0].danger
    assert alone.variable("temp_role_id").kind is VariableKind.PARAMETER
    assert any(line.kind is ResidueKind.RISKY and line.step == alone.steps[0].name for line in alone.residue)


def test_every_left_out_step_is_in_the_residue_and_nothing_unused_is_asked_for() -> None:
    journey = dfrecord.plan(dfrecord.read(MESSY))
    some = only_steps(journey, {1, 2})
    told = {line.entry for line in some.residue if line.kind is ResidueKind.DROPPED}
    assert {step.entry for step in journey.steps[2:]} <= told
    assert "app_id" not in {variable.name for variable in some.variables}
    assert only_steps(journey, range(1, 9)) == journey


def test_a_step_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    done = command("render", TENANT, "-f", "curl", "-o", tmp_path / "x.sh", "--steps", "3-9", code=2)
    assert done.stderr.decode() == "dfrecord: --steps 3-9: 3-9 is not within 1-4; see the numbers in dfrecord show\n"
    assert not (tmp_path / "x.sh").exists()
