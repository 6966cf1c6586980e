"""Calls that write no record, in an upsert: sent by the first run only, noted, and sent again after a teardown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import dfrecord
from dfrecord.recording.exchange import Recording
from dfrecord.recording.har_writer import har_chunks
from tests.doubles.server import DreamFactoryDouble
from tests.doubles.wire import Answer
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


@pytest.mark.parametrize("way", NOTING)
def test_a_delete_of_what_no_record_tells_does_not_wait_for_changes(way: str, tmp_path: Path) -> None:
    """A file, say: on a target whose records are as wanted already, it is there all the same."""
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        for df in (recorded, target):
            s = RecordedSession(df)
            s.create("role", {"name": "role", "description": "old" if df is recorded else "new", "is_active": True})
            s.upload("files/old.txt", "text/plain", b"x")
        session = RecordedSession(recorded)
        [role] = session.call("GET", "system/role")["resource"]
        session.call("PATCH", f"system/role/{role['id']}", {"description": "new"})
        session.call("DELETE", "files/old.txt")
        script = runner(way, session, tmp_path, "--filter", "api/v2")
        calls(target)
        script.run(target, DF_YES="1")
        assert calls(target) == [("DELETE", "/api/v2/files/old.txt")]
        script.run(target, DF_YES="1")
        assert calls(target) == []


@pytest.mark.parametrize("way", NOTING)
def test_what_is_to_be_deleted_and_is_gone_is_already_absent(way: str, tmp_path: Path) -> None:
    """By DELETE, and as the console's file manager does it; what is refused otherwise stops the run."""
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        session = RecordedSession(recorded)
        for name in ("a", "b"):
            session.upload(f"files/{name}.txt", "text/plain", b"x")
        session.exchanges = session.exchanges[:1]
        session.call("DELETE", "files/a.txt")
        session.call("POST", "files/b.txt?method=DELETE")
        session.create("role", {"name": "after", "is_active": True})
        script = runner(way, session, tmp_path, "--filter", "api/v2")
        deletes = [("DELETE", "/api/v2/files/a.txt"), ("POST", "/api/v2/files/b.txt")]
        with refused(target, deletes[0]):
            script.run(target, DF_YES="1", code=2 if way == "ansible" else 1)
        assert calls(target) == deletes[:1]
        script.run(target, DF_YES="1")
        assert calls(target) == [*deletes, ("POST", "/api/v2/system/role")]
        script.run(target, DF_YES="1")
        assert calls(target) == []


def changing_between_clears(s: RecordedSession) -> None:
    s.create("role", {"name": "first", "is_active": True})
    s.call("DELETE", "system/cache/files")
    s.create("role", {"name": "second", "is_active": True})
    s.call("DELETE", "system/cache")


@pytest.mark.parametrize("way", NOTING)
def test_what_a_failed_run_did_not_clear_after_its_changes_is_cleared_by_the_next(way: str, tmp_path: Path) -> None:
    clears = [("DELETE", "/api/v2/system/cache/files"), ("DELETE", "/api/v2/system/cache")]
    role = ("POST", "/api/v2/system/role")
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        session = RecordedSession(recorded)
        changing_between_clears(session)
        script = runner(way, session, tmp_path, "--parameter", "tenant=first")
        failed = 2 if way == "ansible" else 1
        with refused(target, clears[0]):
            script.run(target, code=failed)
        assert calls(target) == [role, clears[0]]
        RecordedSession(target).create("role", {"name": "second", "is_active": True})
        target.reset_log()
        if way in ("python", "replay"):
            assert "2 other calls to send" in script.run(target, plan=True, code=3)
        with refused(target, clears[1]):
            script.run(target, code=failed)
        assert calls(target) == clears
        script.run(target)  # only what is left
        assert calls(target) == [clears[1]]
        script.run(target)
        assert calls(target) == []
        script.run(target, DF_TENANT="third")  # has nothing of the other's due, and something to change
        assert calls(target) == [role, *clears]
        script.run(target, teardown=True)
        calls(target)
        script.run(target)
        assert [call for call in calls(target) if call != role] == clears


@contextmanager
def refused(df: DreamFactoryDouble, call: tuple[str, str]) -> Iterator[None]:
    whole = df.answer

    def refusing(method: str, target: str, *more: Any) -> Any:
        if (method, target.partition("?")[0]) == call:
            return Answer(500, {"error": {"code": 500, "message": "Not now."}}), method
        return whole(method, target, *more)

    df.answer = refusing  # type: ignore[method-assign, assignment]
    yield
    df.answer = whole  # type: ignore[method-assign]


def answers_that_later_calls_need(s: RecordedSession) -> None:
    [row] = s.call("POST", "db/_table/todo", {"resource": [{"title": "made"}]})["resource"]
    s.call("PATCH", f"db/_table/todo/{row['id']}", {"title": "changed"})
    s.create("role", {"name": "acme-role", "description": f"for row {row['id']}", "is_active": True})
    s.call("DELETE", "system/cache")


@pytest.mark.parametrize("way", NOTING)
def test_what_a_call_answered_is_noted_for_those_that_need_it(way: str, tmp_path: Path) -> None:
    todo = "/api/v2/db/_table/todo"
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        recorded.content.tables["db", "todo"] = {}
        target.content.tables["db", "todo"] = {own: {"id": own, "title": "old"} for own in range(1, 41)}
        session = RecordedSession(recorded)
        answers_that_later_calls_need(session)
        script = runner(way, session, tmp_path, "--filter", "api/v2", "--parameter", "tenant=acme")
        with refused(target, ("PATCH", f"{todo}/41")):
            script.run(target, code=2 if way == "ansible" else 1)
        assert calls(target) == [("POST", todo), ("PATCH", f"{todo}/41")]
        if way in ("python", "replay"):
            assert "1 to create" in script.run(target, plan=True, code=3)
        script.run(target)
        rest = [("POST", "/api/v2/system/role"), ("DELETE", "/api/v2/system/cache")]
        assert calls(target) == [("PATCH", f"{todo}/41"), *rest]
        script.run(target)
        assert calls(target) == []
        script.run(target, DF_TENANT="globex")
        assert calls(target) == [("POST", todo), ("PATCH", f"{todo}/42"), *rest]
        assert [row["title"] for own, row in target.content.tables["db", "todo"].items() if own > 40] == ["changed"] * 2


@pytest.mark.parametrize("way", NOTING)
def test_no_secret_of_an_answer_is_noted_and_the_call_is_sent_again(way: str, tmp_path: Path) -> None:
    secret = "4711471147"
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700, password=secret) as target:
        for df in (recorded, target):
            df.content.tables["db", "todo"] = {}
        session = RecordedSession(recorded)
        answers_that_later_calls_need(session)
        script = runner(way, session, tmp_path, "--filter", "api/v2")
        whole = target.answer

        def telling(method: str, path: str, *more: Any) -> Any:
            answer, verb = whole(method, path.replace(secret, "1"), *more)
            if method == "POST" and "_table" in path:
                answer = Answer(answer.status, {"resource": [{"id": int(secret)}]})
            return answer, verb

        target.answer = telling  # type: ignore[method-assign, assignment]
        for _ in range(2):
            script.run(target)
            assert ("POST", "/api/v2/db/_table/todo") in calls(target)
        kept = [json.loads(path.read_text()) for path in tmp_path.glob("*.postman_environment.json")]
        notes = [value["value"] for each in kept for value in each["values"] if value["key"] == "DF_CREATED"]
        assert secret not in "".join([*notes, *(path.read_text() for path in tmp_path.glob("*.jsonl"))])
