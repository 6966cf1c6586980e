"""`dfrecord replay` on the double: everything equal, one fault found exactly, the plan true, a stopped run goes on."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

import dfrecord
from dfrecord.journey.model import StepKind
from dfrecord.recording.exchange import Recording
from tests.doubles.server import DreamFactoryDouble
from tests.doubles.wire import Answer
from tests.published import assert_published_form
from tests.recorder import RecordedSession
from tests.replaying.test_plan import given, recorded
from tests.states import portable
from tests.test_end_to_end import CASES, environment, prepare
from tests.test_journeys import (
    INSTALLED,
    cors_template_limit_and_schedule,
    renamed_record_is_found_by_its_old_name,
    session_refreshed_on_the_way,
)
from tests.test_journeys import prepare as prepare_made
from tests.test_upsert import restored
from tests.tools import FIXTURES, ROOT, rendered, run

TENANT = FIXTURES / "02-provision-tenant" / "recording.har"
EDIT = FIXTURES / "03-edit-role" / "recording.har"


def replay(
    recording: Path, df: DreamFactoryDouble, folder: Path, *options: str, given: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dfrecord", "replay", str(recording), *options]
    if "--created-file" not in options:
        command += ["--created-file", str(folder / "created.jsonl")]
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environment(df), **(given or {})}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=120)
    assert "Traceback" not in done.stderr, done.stderr
    return done


class Faulty(DreamFactoryDouble):
    """A double with one fault: `ignores` a field of what is sent, or answers a `status` of its own, or `forgets`."""

    ignores = ""
    status = (0, 0)
    forgets = ""

    def answer(self, method: str, target: str, headers: Any, raw: bytes, caller: Any = None) -> tuple[Answer, str]:
        if self.ignores and method != "GET":
            raw = re.sub(rb'"%s":"[^"]*",?' % self.ignores.encode(), b"", raw)
        answer, verb = super().answer(method, target, headers, raw, caller)
        if self.status[0] == answer.status and method == "POST" and "/role" in target:
            answer = Answer(self.status[1], answer.body, answer.content_type, answer.headers)
        if self.forgets and method == "POST" and f'"name":"{self.forgets}"'.encode() in raw:
            own = answer.body["resource"][0]["id"]
            super().answer("DELETE", f"{target.partition('?')[0]}/{own}", headers, b"")
        return answer, verb


@pytest.mark.parametrize("case", CASES)
def test_every_step_compares_equal_on_a_server_with_other_ids(case: str, tmp_path: Path) -> None:
    with DreamFactoryDouble(id_offset=1000) as df:
        prepare(df, case)
        done = replay(FIXTURES / case / "recording.har", df, tmp_path, "--yes", "--json")
        told = json.loads(done.stdout)
        assert done.returncode == 0, done.stdout + done.stderr
        assert [step["differences"] for step in told["steps"] if step["differences"]] == []
        assert portable(df.state()) == portable(json.loads((FIXTURES / case / "state.json").read_text()))


@pytest.mark.parametrize(
    ("fault", "recording", "differences"),
    [
        ({"ignores": "description"}, TENANT, [("description", "Role of tenant ACME")]),
        ({"ignores": "description"}, EDIT, [("description", "Reads the warehouse and the partner API")]),
        ({"status": (201, 202)}, TENANT, [("status", "201")]),
        ({"forgets": "acme-app"}, TENANT, [("record", "there")]),
    ],
    ids=["ignored-on-create", "ignored-on-update", "status", "missing"],
)
def test_exactly_the_fault_is_reported(
    fault: dict[str, Any], recording: Path, differences: list[tuple[str, str]], tmp_path: Path
) -> None:
    with Faulty(id_offset=1000) as df:
        prepare(df, recording.parent.name)
        for name, value in fault.items():
            setattr(df, name, value)
        done = replay(recording, df, tmp_path, "--yes", "--json", "--junit", "results.xml")
        assert done.returncode == 1
        account = json.loads(done.stdout)
        assert_published_form(account, "replay")
        steps = [step for step in account["steps"] if step["differences"]]
        if fault.get("ignores") and recording == TENANT:  # the fault is in three creates
            steps = [step for step in steps if step["name"] == "create_role"]
        found = [(d["place"].rpartition(".")[2], d["recorded"].strip('"')) for s in steps for d in s["differences"]]
        assert found == differences
        suite = ElementTree.parse(tmp_path / "results.xml").getroot()
        assert int(suite.get("failures", "0")) >= 1


@pytest.mark.parametrize("options", [[], ["--upsert"]], ids=["plain", "upsert"])
@pytest.mark.parametrize("case", CASES)
def test_plan_tells_what_the_replay_then_does(case: str, options: list[str], tmp_path: Path) -> None:
    with DreamFactoryDouble(id_offset=1000) as df:
        prepare(df, case)
        df.reset_log()
        planned = replay(FIXTURES / case / "recording.har", df, tmp_path, "--plan", "--json", *options)
        assert planned.returncode == 3, planned.stderr
        assert df.writes == []
        plan = json.loads(planned.stdout)
        assert_published_form(plan, "plan")
        assert replay(FIXTURES / case / "recording.har", df, tmp_path, "--yes", *options).returncode == 0
        verbs = [call.verb for call in df.writes]
        assert plan["create"] == verbs.count("POST")
        assert plan["change"] == verbs.count("PUT") + verbs.count("PATCH")
        assert plan["delete"] == verbs.count("DELETE")
        after = replay(FIXTURES / case / "recording.har", df, tmp_path, "--plan", "--upsert")
        assert after.returncode == 0, after.stdout
        assert "Plan: 0 to create, 0 to change, 0 to delete" in after.stdout


def test_plan_shows_each_field_with_its_old_and_new_value(tmp_path: Path) -> None:
    with DreamFactoryDouble(id_offset=1000) as df:
        prepare(df, "06-messy")
        planned = replay(FIXTURES / "06-messy" / "recording.har", df, tmp_path, "--plan", "--upsert")
        assert '  ~ Update user bob.ross@example.com\n      name: "Bob Ross" → "Robert Ross"' in planned.stdout
        assert "  - Delete app old-app" in planned.stdout
        assert planned.stdout.endswith("Plan: 1 to create, 2 to change, 1 to delete\n")


def test_plan_shows_which_ids_are_not_known_yet(tmp_path: Path) -> None:
    with DreamFactoryDouble(id_offset=1000) as df:
        planned = replay(FIXTURES / "02-provision-tenant" / "recording.har", df, tmp_path, "--plan")
        assert '      role_id: "(new 2)"\n' in planned.stdout


@pytest.mark.parametrize("case", CASES)
def test_upsert_twice_and_teardown(case: str, tmp_path: Path) -> None:
    recording = FIXTURES / case / "recording.har"
    with DreamFactoryDouble(id_offset=1000) as df:
        prepare(df, case)
        before = df.state()
        assert replay(recording, df, tmp_path, "--upsert").returncode == 0
        df.reset_log()
        again = replay(recording, df, tmp_path, "--upsert")
        assert again.returncode == 0, again.stderr
        assert df.writes == []
        assert "unchanged" in again.stderr
        undone = replay(recording, df, tmp_path, "--teardown")
        assert undone.returncode == 0, undone.stderr
        assert restored(df.state(), case) == restored(before, case)


def test_a_plan_of_the_rest_and_of_a_teardown_change_nothing_either(tmp_path: Path) -> None:
    script = rendered(TENANT, "python", tmp_path, "--upsert", "--teardown")
    with DreamFactoryDouble(id_offset=1000) as df:
        rest = replay(TENANT, df, tmp_path, "--upsert", "--from", "4", "--plan")
        assert [line for line in rest.stdout.splitlines() if line.startswith("  + ")] == ["  + Create app acme-app"]
        assert replay(TENANT, df, tmp_path, "--upsert").returncode == 0
        made = [f"  - Delete /api/v2/system/{name}" for name in ("app", "role", "service")]
        df.reset_log()
        notes = {"DF_CREATED": str(tmp_path / "created.jsonl")}
        planned = replay(TENANT, df, tmp_path, "--upsert", "--teardown", "--plan")
        told = run(script, "python", {**environment(df), **notes}, options=["--plan", "--teardown"])
        for done in (planned, told):
            assert done.returncode == 3, done.stderr
            *deletes, total = [line for line in done.stdout.splitlines() if line]
            assert [line.rpartition("/")[0] for line in deletes] == made
            assert total == "Plan: 0 to create, 0 to change, 3 to delete"
        assert df.writes == []
        assert replay(TENANT, df, tmp_path, "--upsert", "--teardown").returncode == 0
        assert len(df.writes) == 3
        assert replay(TENANT, df, tmp_path, "--upsert", "--teardown", "--plan").returncode == 0


def test_record_deleted_made_anew_and_deleted_again_is_gone(tmp_path: Path) -> None:
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as df:
        for each in (recorded, df):
            RecordedSession(each).create("role", {"name": "old", "is_active": True})
        session = RecordedSession(recorded)
        [own] = [row["id"] for row in session.call("GET", "system/role")["resource"] if row["name"] == "old"]
        session.call("DELETE", f"system/role/{own}")
        [again] = session.create("role", {"name": "old", "is_active": True})
        session.call("DELETE", f"system/role/{again}")
        journey = dfrecord.plan(Recording("session.har", tuple(session.exchanges)), upsert=True)
        for writes in (1, 0):
            df.reset_log()
            file = tmp_path / "created.jsonl"
            assert dfrecord.replay(journey, df.url, environment(df), yes=True, created_file=file).ok
            assert len([call for call in df.writes if "session" not in call.path]) == writes
        assert "old" not in portable(df.state())["role"]


@pytest.mark.parametrize("empty", [{}, {"verb": ""}, {"verb": None, "endpoint": ""}], ids=str)
def test_limit_made_anew_is_the_same_whatever_stands_for_the_empty_parts_of_its_key(
    empty: dict[str, Any], tmp_path: Path
) -> None:
    limit = {"name": "l", "type": "instance", "rate": 1, "period": "day"}
    with DreamFactoryDouble(installed=("limit",)) as recorded, DreamFactoryDouble(700, installed=("limit",)) as df:
        for each in (recorded, df):
            RecordedSession(each).create("limit", limit)
        session = RecordedSession(recorded)
        [own] = [row["id"] for row in session.call("GET", "system/limit")["resource"]]
        session.call("DELETE", f"system/limit/{own}")
        session.create("limit", {**limit, **empty, "rate": 2})
        journey = dfrecord.plan(Recording("session.har", tuple(session.exchanges)), upsert=True)
        for writes in (["PATCH"], []):
            df.reset_log()
            file = tmp_path / "created.jsonl"
            assert dfrecord.replay(journey, df.url, environment(df), yes=True, created_file=file).ok
            assert [call.method for call in df.writes] == writes
        assert portable(df.state()) == portable(recorded.state())


def test_tenant_of_another_name_is_no_difference(tmp_path: Path) -> None:
    with DreamFactoryDouble(id_offset=1000) as df:
        done = replay(TENANT, df, tmp_path, "--parameter", "tenant=acme", given={"DF_TENANT": "globex"})
        assert done.returncode == 0, done.stderr
        assert "globex-role" in portable(df.state())["role"]
        assert "Create role globex-role" in done.stderr


def test_stopped_run_goes_on_from_its_step(tmp_path: Path) -> None:
    with DreamFactoryDouble(id_offset=1000) as df:
        whole = df.answer

        def refuse_apps(method: str, target: str, headers: Any, raw: bytes, caller: Any = None) -> tuple[Answer, str]:
            refused = Answer(503, {"error": {"code": 503, "message": "busy &amp; tired"}})
            return (
                (refused, method)
                if method == "POST" and "/app" in target
                else whole(method, target, headers, raw, caller)
            )

        df.answer = refuse_apps  # type: ignore[method-assign]
        failed = replay(TENANT, df, tmp_path)
        assert failed.returncode == 1
        assert "503 busy & tired" in failed.stderr
        assert "--from 4" in failed.stderr
        df.answer = whole  # type: ignore[method-assign]
        df.reset_log()
        done = replay(TENANT, df, tmp_path, "--from", "4")
        assert done.returncode == 0, done.stderr
        assert [call.path for call in df.writes] == ["/api/v2/system/app"]
        assert portable(df.state()) == portable(json.loads((TENANT.parent / "state.json").read_text()))


def test_a_step_is_finished_and_noted_when_the_terminal_is_closed(tmp_path: Path) -> None:
    with DreamFactoryDouble(id_offset=1000) as df:
        whole, asked = df.answer, threading.Event()

        def slow_roles(method: str, target: str, headers: Any, raw: bytes, caller: Any = None) -> tuple[Answer, str]:
            if method == "POST" and "/role" in target:
                asked.set()
                time.sleep(1)
            return whole(method, target, headers, raw, caller)

        df.answer = slow_roles  # type: ignore[method-assign]
        command = [sys.executable, "-m", "dfrecord", "replay", str(TENANT), "--base-url", df.url]
        command += ["--created-file", str(tmp_path / "notes.jsonl")]
        ours, theirs = pty.openpty()
        with subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **environment(df)},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        ) as running:
            os.close(theirs)
            assert asked.wait(60)
            os.close(ours)
            assert running.wait(20) == 128 + signal.SIGHUP
        assert [call.path for call in df.writes] == ["/api/v2/system/service", "/api/v2/system/role"]
        assert (tmp_path / "notes.jsonl").read_text().count('"created": ') == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("signals", [1, 2], ids=["once", "twice"])
def test_interrupted_run_says_where_and_how_to_go_on(signals: int, number: int, tmp_path: Path) -> None:
    recording = tmp_path / "o'ne recording.har"
    recording.write_bytes(TENANT.read_bytes())
    with DreamFactoryDouble(id_offset=1000) as df:
        whole, asked = df.answer, threading.Event()

        def slow_roles(method: str, target: str, headers: Any, raw: bytes, caller: Any = None) -> tuple[Answer, str]:
            if method == "POST" and "/role" in target and not asked.is_set():
                asked.set()
                time.sleep(2 if signals == 1 else 30)
            return whole(method, target, headers, raw, caller)

        df.answer = slow_roles  # type: ignore[method-assign]
        options = ["--parameter", "tenant=acme", "--created-file", "the created.jsonl"]
        command = [sys.executable, "-m", "dfrecord", "replay", recording.name, "--base-url", df.url, *options]
        env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environment(df)}
        with subprocess.Popen(command, cwd=tmp_path, env=env, stderr=subprocess.PIPE, text=True) as running:
            assert asked.wait(60)
            for _ in range(signals):
                running.send_signal(number)
                time.sleep(0.5)
            told = running.communicate(timeout=20)[1]
        assert running.returncode == 128 + number
        assert "Traceback" not in told
        again = told.splitlines()[-1].partition("go on with: dfrecord ")[2]
        if signals == 2:  # nobody knows whether the role was made
            assert again.endswith("--from 3")
            assert "stopped at step 3, which may have been done" in told
            return
        assert again.endswith("--from 4")
        python = f"{shlex.quote(sys.executable)} -m dfrecord"
        done = subprocess.run(
            ["bash", "-c", f"{python} {again}"], cwd=tmp_path, env=env, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert portable(df.state()) == portable(json.loads((TENANT.parent / "state.json").read_text()))
        assert (tmp_path / "the created.jsonl").exists()


@pytest.mark.parametrize(
    "scenario",
    [cors_template_limit_and_schedule, renamed_record_is_found_by_its_old_name, session_refreshed_on_the_way],
)
def test_a_run_goes_on_from_wherever_it_stopped(scenario: Callable[[RecordedSession], None], tmp_path: Path) -> None:
    journey = dfrecord.plan(recorded(scenario))
    states = []
    writes = sum(step.kind not in (StepKind.LOGIN, StepKind.CALL) for step in journey.steps)
    for stop in range(writes + 1):
        with Stopping(700, installed=INSTALLED) as df:
            prepare_made(df, "bystander")
            df.left = stop
            values, created = given(df, journey), tmp_path / f"{stop}.jsonl"
            replayed = dfrecord.replay(journey, df.url, values, created_file=created)
            assert bool(replayed.stopped_at) == (stop < writes)
            if replayed.stopped_at:
                df.left = writes
                first = replayed.stopped_at
                replayed = dfrecord.replay(journey, df.url, values, created_file=created, first_step=first)
            assert replayed.ok, replayed.results
            states.append(portable(df.state()))
    assert all(state == states[-1] for state in states)


class Stopping(DreamFactoryDouble):
    """A double that refuses every write after the first ones."""

    left = 0

    def answer(self, method: str, target: str, headers: Any, raw: bytes, caller: Any = None) -> tuple[Answer, str]:
        if caller is None and method != "GET" and "session" not in target:
            self.left -= 1
            if self.left < 0:
                return Answer(500, {"error": {"message": "stopped"}}), method
        return super().answer(method, target, headers, raw, caller)


def test_a_terminal_shows_what_is_under_way(tmp_path: Path) -> None:
    with DreamFactoryDouble(id_offset=1000) as df:
        terminal, end = os.openpty()
        env = {
            **environment(df),
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "TERM": "xterm",
            "COLUMNS": "100",
        }
        command = [sys.executable, "-m", "dfrecord", "replay", str(TENANT)]
        with subprocess.Popen(command, cwd=tmp_path, env=env, stderr=end) as running:
            os.close(end)
            shown = b""
            while True:
                try:
                    shown += os.read(terminal, 65536)
                except OSError:  # the program has closed it
                    break
        os.close(terminal)
    assert running.returncode == 0
    told = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())
    assert "2/4" in told
    assert "[3/4] Create role acme-role: done" in told
    assert told.rstrip().endswith("4 steps, all as recorded")


def test_one_step_is_told_as_one(tmp_path: Path) -> None:
    with DreamFactoryDouble() as df:
        done = replay(TENANT, df, tmp_path, "--teardown")
    assert done.stderr.endswith("\n1 step, all as recorded\n")


def test_missing_settings_and_consent_send_nothing(tmp_path: Path) -> None:
    with DreamFactoryDouble() as df:
        missing = replay(TENANT, df, tmp_path, given={"DF_PASSWORD": ""})
        assert missing.returncode == 2
        assert "set DF_PASSWORD first" in missing.stderr
        refused = replay(FIXTURES / "06-messy" / "recording.har", df, tmp_path, given={"DF_YES": ""})
        assert refused.returncode == 2
        assert "consent (--yes)" in refused.stderr
        assert df.log == []


def test_no_secret_of_the_run_is_told(tmp_path: Path) -> None:
    with Faulty(id_offset=1000) as df:
        df.ignores = "name"
        for options in ([], ["--json"], ["--plan"], ["--plan", "--json"], ["--junit", "out.xml"]):
            done = replay(FIXTURES / "01-create-user" / "recording.har", df, tmp_path, *options)
            written = done.stdout + done.stderr
            written += (tmp_path / "out.xml").read_text() if (tmp_path / "out.xml").exists() else ""
            assert df.password not in written
            assert "Another!pass-word-16" not in written


def test_a_refused_step_is_named_as_it_was_sent(tmp_path: Path) -> None:
    with DreamFactoryDouble() as df:
        session = RecordedSession(df)
        session.create("role", {"name": "recorded", "is_active": True})
        session.create("role", {"name": "taken", "is_active": True})
        journey = dfrecord.plan(Recording("role.har", tuple(session.exchanges[:2])))
        given = {"DF_EMAIL": df.email, "DF_PASSWORD": df.password, "DF_ROLE_NAME": "taken"}
        replayed = dfrecord.replay(journey, df.url, given, created_file=tmp_path / "made")
    assert replayed.results[-1].title == "Create role taken"
