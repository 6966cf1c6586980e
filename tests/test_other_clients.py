"""Sessions of other clients than the console: scripts, several people beside an administrator, who registers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import dfrecord
from dfrecord.errors import UsageError
from dfrecord.recording.exchange import Recording
from tests.doubles.server import DreamFactoryDouble
from tests.recorder import RecordedSession
from tests.states import portable
from tests.test_accounts import PASSWORD, log_in, made_user
from tests.test_settled import WAYS_TO_UNDO, by_name, runner


@pytest.mark.parametrize("way", WAYS_TO_UNDO)
def test_booleans_that_are_written_as_words_are_compared_as_booleans(way: str, tmp_path: Path) -> None:
    xml = "<dfapi><resource><name>{0}</name><is_active>true</is_active></resource></dfapi>"
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        s = RecordedSession(recorded)
        s.upload("system/role", "application/xml", xml.format("made").encode())
        s.upload(f"system/role/{by_name(s, 'role')['made']}", "application/json", b'{"is_active":"True"}', "PATCH")
        script = runner(way, s, tmp_path)
        assert "unchanged" in script.settles(recorded, target)


@pytest.mark.parametrize("way", WAYS_TO_UNDO)
def test_a_record_is_known_by_whatever_path_it_is_written(way: str, tmp_path: Path) -> None:
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        for df in (recorded, target):
            RecordedSession(df).create("role", *({"name": name, "description": "old"} for name in ("a", "b", "c")))
        s = RecordedSession(recorded)
        roles = by_name(s, "role")
        s.call("PATCH", f"/system//role//{roles['a']}", {"description": "doubled"})
        s.call("PATCH", f"%73ystem/role/{roles['b']}/", {"description": "slash"})
        first, rest = str(roles["c"])[0], str(roles["c"])[1:]
        s.call("PATCH", f"system/role/%3{first}{rest}", {"description": "encoded"})
        [made] = s.call("POST", "system/role/", {"resource": [{"name": "new", "is_active": True}]})["resource"]
        s.call("POST", "system/app/?x=%2F", {"resource": [{"name": "new", "type": "0", "role_id": made["id"]}]})
        script = runner(way, s, tmp_path)
        script.settles(recorded, target)


def test_ids_that_are_encoded_are_counted_once_in_a_title() -> None:
    with DreamFactoryDouble() as recorded:
        s = RecordedSession(recorded)
        ids = s.create("role", {"name": "a"}, {"name": "b"})
        s.call("PATCH", f"system/role?ids={ids[0]}%2C%20{ids[1]}", {"resource": [{"description": "new"}]})
    journey = dfrecord.plan(Recording("ids.har", tuple(s.exchanges)))
    assert journey.steps[-1].title == "Update 2 role records: a, b"


@pytest.mark.parametrize("way", WAYS_TO_UNDO)
def test_an_administrator_beside_a_user_needs_no_key_to_log_in(way: str, tmp_path: Path) -> None:
    """The console sends the key of an app of its own with every call, and its dashboard shows that app."""
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        s = RecordedSession(recorded)
        s.exchanges.clear()
        own_key = next(row["api_key"] for row in recorded.store.rows("app") if row["name"] == "admin")
        log_in(s, "system/admin/session", recorded.email, recorded.password, own_key)
        s.call("GET", "system/app")
        key = made_user(s, "made")
        log_in(s, "user/session", "made@example.com", PASSWORD, key)
        s.create("role", {"name": "of-user", "is_active": True})
        log_in(s, "system/admin/session", recorded.email, recorded.password, own_key)
        s.create("role", {"name": "of-admin", "is_active": True})
        script = runner(way, s, tmp_path)
        script.settles(recorded, target, DF_USER_PASSWORD=PASSWORD)


def test_who_registers_is_looked_up_after_that() -> None:
    with DreamFactoryDouble() as recorded:
        s = RecordedSession(recorded)
        service = by_name(s, "service")["user"]
        s.call("PATCH", f"system/service/{service}", {"description": "d", "config": {"allow_open_registration": True}})
        s.call("POST", "user/register", {"email": "self@example.com", "new_password": PASSWORD})
        [user] = s.call("GET", "system/user")["resource"]
        s.call("PATCH", f"system/user/{user['id']}", {"phone": "1"})
    journey = dfrecord.plan(Recording("register.har", tuple(s.exchanges)), filters=["api/v2"])
    assert [item.name for item in journey.schedule()][-3:] == ["call_user_register", "user_id", "update_user"]


@pytest.mark.parametrize("way", [*WAYS_TO_UNDO, "ansible"])
def test_who_registered_is_found_by_the_next_run_and_deleted_by_a_teardown(way: str, tmp_path: Path) -> None:
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        for df in (recorded, target):
            s = RecordedSession(df)
            own = f"system/service/{by_name(s, 'service')['user']}"
            s.call("PATCH", own, {"description": "d", "config": {"allow_open_registration": True}})
        session, before = RecordedSession(recorded), target.state()
        session.call("POST", "user/register", {"email": "self@example.com", "name": "S", "new_password": PASSWORD})
        [user] = session.call("GET", "system/user")["resource"]
        session.call("PATCH", f"system/user/{user['id']}", {"phone": "1"})
        script = runner(way, session, tmp_path, "--filter", "api/v2")
        given: dict[str, Any] = {"DF_YES": "1", "DF_NEW_PASSWORD": PASSWORD}
        for _ in range(2):
            if way in ("python", "replay"):
                planned = script.run(target, plan=True, code=3, **given)
                assert "+ Register a user" in planned
                assert PASSWORD not in planned
                assert 'phone: null → "1"' in planned
                assert "Plan: 1 to create, 1 to change, 0 to delete\n" in planned
            script.run(target, **given)
            assert portable(target.state()) == portable(recorded.state())
            target.reset_log()
            script.run(target, **given)
            assert target.writes == []
            script.run(target, teardown=True, **given)
            if way in WAYS_TO_UNDO:
                assert portable(target.state()) == portable(before)


def test_records_that_trade_their_names_are_refused_before_anything_is_sent() -> None:
    with DreamFactoryDouble() as recorded:
        s = RecordedSession(recorded)
        first, second = s.create("role", {"name": "a"}, {"name": "b"})
        for role, name in ((first, "between"), (second, "a"), (first, "b")):
            s.call("PATCH", f"system/role/{role}", {"name": name})
        recording = Recording("trade.har", tuple(s.exchanges))
    with pytest.raises(UsageError, match=r"upsert: step update_role.* cannot be told apart by name"):
        dfrecord.plan(recording, upsert=True)
    dfrecord.plan(recording)
