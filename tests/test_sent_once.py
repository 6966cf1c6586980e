"""Calls that write no record, in an upsert: sent by the first run only, noted, and sent again after a teardown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import dfrecord
from dfrecord.recording.exchange import Recording
from dfrecord.recording.har_writer import har_chunks
from tests.doubles.server import DreamFactoryDouble
from tests.recorder import RecordedSession
from tests.test_end_to_end import environment
from tests.test_settled import WAYS, runner
from tests.tools import EVERY_OPTION, rendered, run

NOTING = [way for way in WAYS if way != "locust"]  # whose iterations are runs of their own
CLEARED = [("DELETE", "/api/v2/system/cache/files"), ("DELETE", "/api/v2/system/cache")]


def clearing_before_and_after(s: RecordedSession) -> None:
    s.call("DELETE", "system/cache/files")  # nothing before it tells whether it was done
    s.call("DELETE", "system/cache")
    s.create("role", {"name": "acme-role", "description": "d", "is_active": True})
    s.create("app", {"name": "acme-app", "type": "0", "is_active": True})
    s.call("DELETE", "system/cache/db")  # sent after changes


def calls(df: DreamFactoryDouble) -> list[tuple[str, str]]:
    found = [(call.method, call.path) for call in df.writes]
    df.reset_log()
    return found


@pytest.mark.parametrize("way", NOTING)
def test_call_is_sent_once_for_the_same_parameters_and_again_after_a_teardown(way: str, tmp_path: Path) -> None:
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        session = RecordedSession(recorded)
        clearing_before_and_after(session)
        script = runner(way, session, tmp_path, "--parameter", "tenant=acme")
        made = [*CLEARED, *(("POST", f"/api/v2/system/{name}") for name in ("role", "app"))]
        after = ("DELETE", "/api/v2/system/cache/db")
        script.run(target)
        assert calls(target) == [*made, after]
        told = script.run(target)
        assert calls(target) == []
        assert "unchanged" in told
        assert way == "ansible" or "sent before" in told
        if way in ("python", "replay"):
            script.run(target, plan=True, code=0)
        script.run(target, DF_TENANT="globex")
        assert calls(target) == [*made, after]
        script.run(target, DF_TENANT="globex")
        assert calls(target) == []
        script.run(target, teardown=True)
        calls(target)
        script.run(target)
        assert calls(target)[:2] == CLEARED
        script.run(target, DF_TENANT="globex")
        assert calls(target)[:2] == (CLEARED if way == "ansible" else [])  # its teardown deletes all that runs made


@pytest.mark.parametrize("format", [way for way in NOTING if way in EVERY_OPTION])
def test_upsert_alone_keeps_the_note_too(format: str, tmp_path: Path) -> None:
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        session = RecordedSession(recorded)
        session.call("DELETE", "system/cache")
        recording = tmp_path / "session.har"
        recording.write_bytes(b"".join(har_chunks(session.exchanges)))
        script = rendered(recording, format, tmp_path, "--upsert")
        for sent in ([("DELETE", "/api/v2/system/cache")], []):
            done = run(script, format, environment(target))
            assert done.returncode == 0, done.stdout + done.stderr
            assert calls(target) == sent
            assert format != "ansible" or f" changed={len(sent)} " in done.stdout


@pytest.mark.parametrize("way", NOTING)
def test_refused_call_is_not_noted(way: str, tmp_path: Path) -> None:
    with DreamFactoryDouble(installed=("limit",)) as recorded, DreamFactoryDouble() as target:
        session = RecordedSession(recorded)
        session.call("DELETE", "system/limit_cache")
        script = runner(way, session, tmp_path)
        code = 2 if way == "ansible" else 1
        for _ in range(2):
            script.run(target, code=code)
            assert calls(target) == [("DELETE", "/api/v2/system/limit_cache")]


def test_what_else_is_sent_has_another_name() -> None:
    def names(*paths: str) -> list[str]:
        with DreamFactoryDouble() as df:
            s = RecordedSession(df)
            for path in paths:
                s.call("DELETE", path)
        journey = dfrecord.plan(Recording("x.har", tuple(s.exchanges)), upsert=True)
        return [step.once for step in journey.steps if step.once]

    first, again, other = names("system/cache", "system/cache", "system/cache/files")
    assert len({first, again, other}) == 3
    assert names("system/cache") == [first]
    assert json.dumps(first).isascii()
