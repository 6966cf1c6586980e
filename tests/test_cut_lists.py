"""A server shows only so many records of a list at once (`DB_MAX_RECORDS_RETURNED`): what lies behind is there, too."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dfrecord.recording.har_writer import har_chunks
from tests.doubles.server import DreamFactoryDouble
from tests.doubles.wire import Answer
from tests.recorder import RecordedSession
from tests.states import portable
from tests.test_end_to_end import environment
from tests.test_settled import WAYS, WAYS_TO_UNDO, Runner, runner
from tests.tools import FAILED, dfrecord, rendered, run

ODD = 'the "odd" (one), last'
MOST = 3
PLAIN_WAYS = [*WAYS, "http"]


def prepared(df: DreamFactoryDouble) -> RecordedSession:
    """Lists longer than what is shown, with odd names at their ends."""
    s = RecordedSession(df)
    s.create("role", *({"name": name, "description": "old", "is_active": True} for name in ("r1", "r2", "r3", "r4")))
    odd, doomed = s.create("role", *({"name": name, "is_active": True} for name in (ODD, "doomed <1>")))
    s.create("app", *({"name": f"app {n}", "type": "0", "role_id": odd, "is_active": True} for n in range(4)))
    s.create("app", {"name": "app of the doomed", "type": "0", "role_id": doomed, "is_active": True})
    s.call("POST", "system/custom", {"resource": [{"name": f"custom{n}", "value": n} for n in range(5)]})
    s.create("lookup", *({"name": f"look.{n}", "value": "1"} for n in range(5)))
    df.reset_log()
    return RecordedSession(df)


def using(s: RecordedSession) -> None:
    """A create that needs the id of the oddly named role."""
    roles = {row["name"]: row["id"] for row in s.call("GET", "system/role")["resource"]}
    s.create("app", {"name": "new app", "type": "0", "role_id": roles[ODD], "is_active": True})


def changing(s: RecordedSession) -> None:
    """The same, with records that change, move and go."""
    using(s)
    roles = {row["name"]: row["id"] for row in s.call("GET", "system/role")["resource"]}
    s.call("PATCH", f"system/role/{roles[ODD]}", {"description": "new"})
    s.create("role", {"name": 'new "one"', "is_active": True, "description": "d"})
    s.call("DELETE", f"system/role/{roles['doomed <1>']}")
    s.call("GET", "system/custom")
    s.call("POST", "system/custom", {"resource": [{"name": "custom4", "value": 44}]})
    s.call("GET", "system/lookup")


def recorded(way: str, actions: Callable[[RecordedSession], None], folder: Path, *options: str) -> Path:
    """The recording of the actions, or the script of it."""
    with DreamFactoryDouble() as df:
        session = prepared(df)
        actions(session)
    recording = folder / "session.har"
    recording.write_bytes(b"".join(har_chunks(session.exchanges)))
    return recording if way == "replay" else rendered(recording, way, folder, *options)


def sent(way: str, script: Path, df: DreamFactoryDouble, *, fails: bool = False) -> str:
    """What a run said."""
    if way == "replay":
        given = ["--base-url", df.url, "--created-file", str(script.with_name("created.jsonl"))]
        ended = dfrecord("replay", script, *given, code=int(fails), environment=environment(df))
        return (ended.stdout + ended.stderr).decode()
    done = run(script, way, environment(df))
    assert done.returncode == (FAILED.get(way, 1) if fails else 0), done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("way", WAYS)
def test_a_record_behind_the_maximum_is_found(way: str, tmp_path: Path) -> None:
    script = recorded(way, using, tmp_path)
    with DreamFactoryDouble(id_offset=100, most=MOST) as df, DreamFactoryDouble(id_offset=500) as whole:
        for server in (df, whole):
            prepared(server)
            sent(way, script, server)
        assert portable(df.state()) == portable(whole.state())
        lists = [call.query for call in whole.log if call.path == "/api/v2/system/role"]
        assert len(lists) == 1, lists  # a list that is complete is asked for once


@pytest.mark.parametrize("way", WAYS)
def test_an_upsert_settles_where_lists_are_cut(way: str, tmp_path: Path) -> None:
    with DreamFactoryDouble() as one, DreamFactoryDouble(id_offset=1000, most=MOST) as other:
        session = prepared(one)
        changing(session)
        prepared(other)
        script: Runner = runner(way, session, tmp_path)
        before = portable(other.state())
        script.run(other)
        assert portable(other.state()) == portable(one.state())
        other.reset_log()
        script.run(other)
        assert other.writes == []
        if way in WAYS_TO_UNDO:
            script.run(other, teardown=True)
            assert portable(other.state()) == before


class Stubborn(DreamFactoryDouble):
    """A double that reads no `offset`."""

    def answer(self, method: str, target: str, headers: Any, raw: bytes, caller: Any = None) -> tuple[Answer, str]:
        target = re.sub(r"&offset=\d+", "", target) if caller is None else target
        return super().answer(method, target, headers, raw, caller)


@pytest.mark.parametrize("way", PLAIN_WAYS)
def test_a_list_that_cannot_be_read_to_its_end_stops_the_run(way: str, tmp_path: Path) -> None:
    script = recorded(way, using, tmp_path)
    with Stubborn(id_offset=100, most=MOST) as df:
        prepared(df)
        told = re.sub(r"\s+", " ", sent(way, script, df, fails=True))
        assert "3 of 6 records" in told, told
        assert df.writes == []
        assert len([call for call in df.log if call.path == "/api/v2/system/role"]) <= 3


class Changing(DreamFactoryDouble):
    """A double that changes, once, after it has shown a part of a list."""

    meanwhile: Callable[[DreamFactoryDouble], object]
    changed = False

    def answer(self, method: str, target: str, headers: Any, raw: bytes, caller: Any = None) -> tuple[Answer, str]:
        if caller is None and "&offset=" in target and not self.changed:
            self.changed = True
            self.meanwhile(self)
        return super().answer(method, target, headers, raw, caller)


def delete_the_first(df: DreamFactoryDouble) -> object:
    _, roles = df.call("GET", "/api/v2/system/role?limit=1")
    return df.call("DELETE", f"/api/v2/system/role/{roles['resource'][0]['id']}")


@pytest.mark.parametrize("way", WAYS)
def test_a_record_deleted_meanwhile_hides_no_other(way: str, tmp_path: Path) -> None:
    script = recorded(way, using, tmp_path)
    with Changing(id_offset=100, most=MOST) as df:
        prepared(df)
        df.meanwhile = delete_the_first
        told = re.sub(r"\s+", " ", sent(way, script, df, fails=True))
        assert "3 of 6 records could be read" in told, told
        assert df.writes == []


@pytest.mark.parametrize("way", WAYS)
def test_records_added_meanwhile_do_no_harm(way: str, tmp_path: Path) -> None:
    script = recorded(way, using, tmp_path)
    more = b'{"resource": [{"name": "n1", "is_active": true}, {"name": "n2"}, {"name": "n3"}, {"name": "n4"}]}'
    with Changing(id_offset=100, most=MOST) as df:
        prepared(df)
        df.meanwhile = lambda df: df.call("POST", "/api/v2/system/role", more)
        sent(way, script, df)
        assert len(df.writes) == 1
