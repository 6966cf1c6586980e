"""Scripts that can be run twice, undone and given other names: `--upsert`, `--teardown`, `--parameter`; all formats."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import dfrecord as dfrecord_api
from dfrecord.recording.exchange import Recording
from dfrecord.recording.har_writer import har_chunks
from tests.doubles.server import DreamFactoryDouble
from tests.recorder import RecordedSession
from tests.replaying.test_plan import named_values_made_changed_and_deleted
from tests.states import portable
from tests.test_end_to_end import CASES, GRID, environment, prepare
from tests.test_journeys import INSTALLED, PASSWORD, UPSERTED_GRID, without_secrets
from tests.test_journeys import prepare as prepare_made
from tests.tools import EVERY_OPTION, FAILED, FIXTURES, FORMATS, dfrecord, rendered, run, run_twice, torn_down

LOGIN = "/api/v2/system/admin/session"

PUTS_BACK = ("curl", "python", "postman")
"""The formats whose teardown also puts back what an upsert changed of records that it found."""


@pytest.mark.parametrize(("case", "format"), [pair for pair in GRID if pair[1] in EVERY_OPTION])
def test_upsert_ends_in_the_recorded_state_and_then_writes_nothing(case: str, format: str, tmp_path: Path) -> None:
    script = rendered(FIXTURES / case / "recording.har", format, tmp_path, "--upsert", "--teardown")
    with DreamFactoryDouble(id_offset=1000) as df:
        prepare(df, case)
        df.reset_log()
        before = df.state()
        first = run(script, format, environment(df))
        assert first.returncode == 0, first.stdout + first.stderr
        assert portable(df.state()) == portable(json.loads((FIXTURES / case / "state.json").read_text()))
        made = {call.path for call in df.writes if call.method == "POST"}
        df.reset_log()
        again = run(script, format, environment(df))
        assert again.returncode == 0, again.stdout + again.stderr
        assert df.writes == []
        assert "unchanged" in again.stdout + again.stderr
        assert format != "ansible" or " changed=0 " in again.stdout
        undone = torn_down(script, format, environment(df))
        assert undone.returncode == 0, undone.stdout + undone.stderr
        assert made == set() or df.writes != []
        if format in PUTS_BACK:
            assert restored(df.state(), case) == restored(before, case)
        else:
            assert made_records(df.state(), before) == []


@pytest.mark.parametrize("format", EVERY_OPTION)
def test_teardown_of_a_tenant_restores_the_state_before(format: str, tmp_path: Path) -> None:
    script = rendered(FIXTURES / "02-provision-tenant" / "recording.har", format, tmp_path, "--upsert", "--teardown")
    with DreamFactoryDouble(id_offset=1000) as df:
        before = df.state()
        done = run(script, format, environment(df))
        assert done.returncode == 0, done.stdout + done.stderr
        df.reset_log()
        undone = torn_down(script, format, environment(df))
        assert undone.returncode == 0, undone.stdout + undone.stderr
        assert [call.method for call in df.writes] == ["DELETE"] * 3
        assert without_dates(df.state()) == without_dates(before)
        df.reset_log()
        assert torn_down(script, format, environment(df)).returncode == 0
        assert df.writes == []


CUT_OFF = b'{"base_url": "http://h", "changed": "/api/v2/system/role/7", "was": {"description": "\xc3'
"""A note of a bash script, which a full disk cut off inside of a letter."""


@pytest.mark.parametrize("format", ["curl", "python", "ansible", "locust"])
def test_a_note_that_was_cut_off_hides_no_other_from_a_teardown(format: str, tmp_path: Path) -> None:
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as df:
        session = RecordedSession(recorded)
        session.create("role", {"name": "made", "is_active": True})
        (recording := tmp_path / "session.har").write_bytes(b"".join(har_chunks(session.exchanges)))
        script = rendered(recording, format, tmp_path, "--teardown")
        (tmp_path / "session.created.jsonl").write_bytes(CUT_OFF)
        for teardown in ("", "1"):
            done = run(script, format, {**environment(df), "DF_TEARDOWN": teardown}, timeout=60)
            assert done.returncode == 0, done.stdout + done.stderr
        assert df.state()["role"] == []


def test_a_note_that_was_cut_off_hides_no_other_from_a_replay(tmp_path: Path) -> None:
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as df:
        session = RecordedSession(recorded)
        session.create("role", {"name": "made", "is_active": True})
        journey = dfrecord_api.plan(Recording("session.har", tuple(session.exchanges)), teardown=True)
        (notes := tmp_path / "created.jsonl").write_bytes(CUT_OFF)
        for undo in (False, True):
            assert dfrecord_api.replay(journey, df.url, environment(df), created_file=notes, undo=undo).ok
        assert df.state()["role"] == []


@pytest.mark.parametrize(("scenario", "format"), UPSERTED_GRID)
def test_made_journey_can_be_upserted_twice(
    scenario: Callable[[RecordedSession], None], format: str, tmp_path: Path
) -> None:
    with DreamFactoryDouble(installed=INSTALLED) as recorded, DreamFactoryDouble(700, installed=INSTALLED) as target:
        prepare_made(recorded, "bystander")
        prepare_made(target, "bystander")
        session = RecordedSession(recorded)
        scenario(session)
        recording = tmp_path / "session.har"
        recording.write_bytes(b"".join(har_chunks(session.exchanges)))
        script = rendered(recording, format, tmp_path, "--upsert")
        told = json.loads(dfrecord("show", recording, "--json").stdout)
        secrets = {v["env"]: PASSWORD for v in told["variables"] if v["secret"] and v["required"]}
        run_twice(script, format, {**secrets, **environment(target), "DF_PASSWORD": target.password})
        assert without_secrets(portable(target.state())) == without_secrets(portable(recorded.state()))
        logins = [number for number, call in enumerate(target.log) if (call.method, call.path) == ("POST", LOGIN)]
        assert len(logins) == 2
        assert [(call.method, call.path) for call in target.log[logins[1] :] if call.is_write] == []


@pytest.mark.parametrize("format", FORMATS)
def test_second_tenant_beside_the_first(format: str, tmp_path: Path) -> None:
    script = rendered(
        FIXTURES / "02-provision-tenant" / "recording.har", format, tmp_path, "--parameter", "tenant=acme"
    )
    with DreamFactoryDouble(id_offset=1000) as df:
        for extra in ({}, {"DF_TENANT": "globex"}):
            done = run(script, format, {**environment(df), **extra})
            assert done.returncode == 0, done.stdout + done.stderr
        state = portable(df.state())
        recorded = portable(json.loads((FIXTURES / "02-provision-tenant" / "state.json").read_text()))
        renamed = json.loads(json.dumps(recorded).replace("acme", "globex").replace("ACME", "GLOBEX"))
        for resource in ("service", "role", "app"):
            assert state[resource] == {**recorded[resource], **renamed[resource]}


def test_tenants_made_in_a_loop_with_one_client_are_upserted_each_by_itself(tmp_path: Path) -> None:
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        session = RecordedSession(recorded)
        service = {"name": "acme_files", "label": "a", "description": "d", "type": "local_file", "is_active": True}
        session.create("service", {**service, "config": {"container": "acme"}})
        session.call("DELETE", "system/cache/acme_files")
        scripted(session, tmp_path, "python", "--upsert", "--parameter", "tenant=acme", "--name", "provision")
        lines = [
            "from script import DreamFactory, provision",
            f"df = DreamFactory({target.url!r}, email={target.email!r}, password={target.password!r})",
            "for tenant in 'one', 'two', 'one', 'two', 'three', 'one':",
            "    provision(df, tenant=tenant)",
        ]
        loop = tmp_path / "loop.py"
        loop.write_text("\n".join(lines))
        done = run(loop, "python", {})
        assert done.returncode == 0, done.stderr
        services = "/api/v2/system/service"
        calls = [(services, f"/api/v2/system/cache/{tenant}_files") for tenant in ("one", "two", "three")]
        assert [call.path for call in target.writes] == [path for pair in calls for path in pair]


@pytest.mark.parametrize("format", FORMATS)
def test_natural_keys_are_parameters(format: str, tmp_path: Path) -> None:
    script = rendered(FIXTURES / "02-provision-tenant" / "recording.har", format, tmp_path)
    with DreamFactoryDouble(id_offset=1000) as df:
        role = "o\"th'er $(x) {{y}} role"
        given = {"DF_SERVICE_NAME": "other_files", "DF_ROLE_NAME": role, "DF_APP_NAME": "other-app"}
        done = run(script, format, {**environment(df), **given})
        assert done.returncode == 0, done.stdout + done.stderr
        state = portable(df.state())
        assert "other_files" in state["service"]
        assert state["app"]["other-app"]["role_id"] == f"role:{role}"


@pytest.mark.parametrize("format", EVERY_OPTION)
def test_failed_run_goes_on_where_it_stopped_and_can_be_undone(format: str, tmp_path: Path) -> None:
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        session = RecordedSession(recorded)
        session.create("role", {"name": "first", "is_active": True})
        session.create("user", {"email": "u@example.com", "name": "U", "password": PASSWORD})
        session.create("role", {"name": "last", "is_active": True})
        script = scripted(session, tmp_path, format, "--upsert", "--teardown")
        RecordedSession(target).create("role", {"name": "last", "is_active": True, "description": "was there"})
        before = target.state()
        given = environment(target)
        failed = run(script, format, {**given, "DF_USER_PASSWORD": "short"})
        assert failed.returncode == FAILED.get(format, 1)
        assert "password" in failed.stdout + failed.stderr
        assert set(portable(target.state())["role"]) >= {"first", "last"}
        target.reset_log()
        done = run(script, format, {**given, "DF_USER_PASSWORD": PASSWORD})
        assert done.returncode == 0, done.stdout + done.stderr
        assert [call.path.rpartition("/")[2] for call in target.writes] == ["user"]
        assert torn_down(script, format, given).returncode == 0
        assert without_dates(target.state()) == without_dates(before)


@pytest.mark.parametrize("format", EVERY_OPTION)
def test_plain_batch_that_fails_is_named_and_what_it_made_is_undone(format: str, tmp_path: Path) -> None:
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        session = RecordedSession(recorded)
        session.create("role", {"name": "new", "is_active": True}, {"name": "taken", "is_active": True})
        script = scripted(session, tmp_path, format, "--teardown")
        RecordedSession(target).create("role", {"name": "taken", "is_active": True})
        before = target.state()
        failed = run(script, format, environment(target))
        assert failed.returncode == FAILED.get(format, 1)
        assert "record 2 (taken)" in failed.stdout + failed.stderr
        assert "new" in portable(target.state())["role"]
        assert torn_down(script, format, environment(target)).returncode == 0
        assert without_dates(target.state()) == without_dates(before)


@pytest.mark.parametrize("format", FORMATS)
def test_a_user_that_is_refused_is_named_by_the_email(format: str, tmp_path: Path) -> None:
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        session = RecordedSession(recorded)
        people = [{"email": f"u{n}@example.com", "name": "Alike", "password": PASSWORD} for n in range(2)]
        session.create("user", *people)
        script = scripted(session, tmp_path, format)
        RecordedSession(target).create("user", people[1])
        failed = run(script, format, {**environment(target), "DF_USER_PASSWORD": PASSWORD})
        assert failed.returncode == FAILED.get(format, 1)
        assert "record 2 (u1@example.com)" in failed.stdout + failed.stderr


@pytest.mark.parametrize("format", EVERY_OPTION)
def test_service_name_is_followed_into_paths_and_event_scripts(format: str, tmp_path: Path) -> None:
    with DreamFactoryDouble(installed=INSTALLED) as recorded, DreamFactoryDouble(9, installed=INSTALLED) as target:
        session = RecordedSession(recorded)
        service = {"name": "shop", "label": "shop", "description": "", "type": "local_file", "is_active": True}
        session.create("service", {**service, "config": {"container": "shop/"}})
        script_name = "shop.get.pre_process"
        script_body = {"name": script_name, "type": "nodejs", "content": "//", "is_active": True}
        session.call("POST", f"system/event_script/{script_name}", script_body)
        session.call("DELETE", "system/cache/shop")
        script = scripted(session, tmp_path, format, "--upsert")
        for expected in ("created", "unchanged"):
            target.reset_log()
            done = run(script, format, {**environment(target), "DF_SERVICE_NAME": "store"})
            assert done.returncode == 0, done.stdout + done.stderr
            assert expected in done.stdout + done.stderr
            paths = [call.path for call in target.writes]
            made = ["system/service", "system/event_script/store.get.pre_process", "system/cache/store"]
            assert paths == ([f"/api/v2/{path}" for path in made] if expected == "created" else [])
        state = portable(target.state())
        assert state["service"]["store"]["label"] == "store"
        assert list(state["event_script"]) == ["store.get.pre_process"]


@pytest.mark.parametrize("format", PUTS_BACK)
def test_teardown_of_one_tenant_puts_back_what_it_changed_of_another_ones_record(format: str, tmp_path: Path) -> None:
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        session = RecordedSession(recorded)
        session.create("role", {"name": "acme-role", "is_active": True})
        session.create("role", {"name": "shared", "description": "acme was here last", "is_active": True})
        script = scripted(session, tmp_path, format, "--upsert", "--teardown", "--parameter", "tenant=acme")
        before = target.state()
        acme, globex = ({**environment(target), "DF_TENANT": tenant} for tenant in ("acme", "globex"))
        assert run(script, format, acme).returncode == 0
        alone = target.state()
        assert run(script, format, globex).returncode == 0
        assert portable(target.state())["role"]["shared"]["description"] == "globex was here last"
        undone = torn_down(script, format, globex)
        assert undone.returncode == 0, undone.stdout + undone.stderr
        assert without_dates(target.state()) == without_dates(alone)
        assert torn_down(script, format, acme).returncode == 0
        assert without_dates(target.state()) == without_dates(before)


@pytest.mark.parametrize("format", EVERY_OPTION)
def test_imported_users_are_upserted_one_by_one(format: str, tmp_path: Path) -> None:
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        session = RecordedSession(recorded)
        rows = [f"u{n}@example.com,User {n},First,{PASSWORD}" for n in range(3)]
        table = "\r\n".join(["email,name,first_name,password", *rows])
        session.upload("system/user", "text/csv", b"\xef\xbb\xbf" + table.encode())
        script = scripted(session, tmp_path, format, "--upsert")
        RecordedSession(target).create("user", {"email": "u1@example.com", "name": "Before", "password": PASSWORD})
        for writes in (3, 0):
            target.reset_log()
            done = run(script, format, {**environment(target), "DF_USER_PASSWORD": PASSWORD})
            assert done.returncode == 0, done.stdout + done.stderr
            assert len(target.writes) == writes
        assert portable(target.state())["user"] == portable(recorded.state())["user"]


def scripted(session: RecordedSession, folder: Path, format: str, *options: str) -> Path:
    """The script of what a session made."""
    recording = folder / "session.har"
    recording.write_bytes(b"".join(har_chunks(session.exchanges)))
    return rendered(recording, format, folder, *options)


def made_records(state: dict[str, Any], before: dict[str, Any]) -> list[tuple[str, int]]:
    """The records that are in the state and were not before."""

    def records(of: dict[str, Any]) -> list[tuple[str, int]]:
        lists = [(resource, rows) for resource, rows in of.items() if isinstance(rows, list)]
        return [(resource, row.get("id") or row["name"]) for resource, rows in lists for row in rows]

    known = set(records(before))
    return [record for record in records(state) if record not in known]


def restored(state: dict[str, Any], case: str) -> Any:
    """What a teardown has to restore: all; of an app that was deleted, all but its id and its API key."""
    return portable(state) if case == "06-messy" else without_dates(state)


def without_dates(value: Any) -> Any:
    """The state without what every login and every write changes."""
    if isinstance(value, dict):
        dates = ("last_login_date", "last_modified_date", "last_modified_by_id")
        return {key: without_dates(item) for key, item in value.items() if key not in dates}
    return [without_dates(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("options", [[], ["--upsert"]], ids=["plain", "upsert"])
@pytest.mark.parametrize("case", CASES)
def test_plan_of_a_python_script_tells_what_it_then_does(case: str, options: list[str], tmp_path: Path) -> None:
    script = rendered(FIXTURES / case / "recording.har", "python", tmp_path, *options)
    with DreamFactoryDouble(id_offset=1000) as df:
        prepare(df, case)
        df.reset_log()
        given = {**environment(df), "DF_USER_PASSWORD": PASSWORD}
        planned = run(script, "python", given, options=["--plan"])
        assert planned.returncode == 3, planned.stdout + planned.stderr
        assert df.writes == []
        assert PASSWORD not in planned.stdout + planned.stderr
        assert run(script, "python", given).returncode == 0
        verbs = [call.verb for call in df.writes]
        changed = verbs.count("PUT") + verbs.count("PATCH")
        counts = f"{verbs.count('POST')} to create, {changed} to change, {verbs.count('DELETE')} to delete"
        assert f"Plan: {counts}" in planned.stdout
        if options:
            again = run(script, "python", given, options=["--plan"])
            assert again.returncode == 0, again.stdout + again.stderr
            assert "Plan: 0 to create, 0 to change, 0 to delete" in again.stdout


def values(df: DreamFactoryDouble) -> dict[str, Any]:
    """The named values, which `DreamFactoryDouble.state` does not have."""
    return {row["name"]: row["value"] for row in df.call("GET", "/api/v2/system/custom")[1]["resource"]}


@pytest.mark.parametrize("format", PUTS_BACK)
def test_values_that_have_a_name_and_no_id_are_compared_by_it(format: str, tmp_path: Path) -> None:
    """Their own path answers the bare value (system-api.md section 6), so they are read in the list."""
    with DreamFactoryDouble(installed=INSTALLED) as recorded, DreamFactoryDouble(700, installed=INSTALLED) as target:
        prepare_made(recorded, "bystander")
        prepare_made(target, "bystander")
        session = RecordedSession(recorded)
        named_values_made_changed_and_deleted(session)
        recording = tmp_path / "session.har"
        recording.write_bytes(b"".join(har_chunks(session.exchanges)))
        script = rendered(recording, format, tmp_path, "--upsert", "--teardown")
        given, before = {**environment(target), "DF_PASSWORD": target.password}, values(target)
        for expected in ([("POST", 201)] * 2, []):
            target.reset_log()
            done = run(script, format, given)
            assert done.returncode == 0, done.stdout + done.stderr
            assert [(call.method, call.status) for call in target.writes if call.method == "POST"] == expected
            assert len(target.writes) == (7 if expected else 0)
            assert values(target) == values(recorded)
        undone = torn_down(script, format, given)
        assert undone.returncode == 0, undone.stdout + undone.stderr
        assert values(target) == before
