"""Rows that created records give to found ones go with them, where no database takes away what points to nothing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from dfrecord.recording.har_writer import har_chunks
from tests.doubles.server import DreamFactoryDouble
from tests.recorder import RecordedSession
from tests.states import portable
from tests.test_end_to_end import environment
from tests.test_graphs import settled
from tests.test_journeys import PASSWORD
from tests.test_rows_alike import ROW
from tests.test_settled import WAYS_TO_UNDO, by_name, runner
from tests.tools import rendered, run, torn_down

BY_USER, BY_ROLE, BY_APP = (f"user_to_app_to_role_by_{name}_id" for name in ("user", "role", "app"))


def prepared(df: DreamFactoryDouble) -> RecordedSession:
    s = RecordedSession(df)
    [old] = s.create("role", {"name": "old", "is_active": True})
    first, *_ = s.create(
        "app", *({"name": name, "type": "0", "is_active": True} for name in ("first", "second", "more"))
    )
    assigned = [{"app_id": first, "role_id": old}]
    s.create("user", {"email": "ann@example.com", "name": "Ann", "password": PASSWORD, BY_USER: assigned})
    df.reset_log()
    return RecordedSession(df)


def giving(s: RecordedSession) -> None:
    """A new role gives itself to a user in an app, as it is made and later; a new app does the like."""
    [user] = [row["id"] for row in s.call("GET", "system/user")["resource"]]
    apps, roles = by_name(s, "app"), by_name(s, "role")
    given: dict[str, Any] = {"user_id": user, "app_id": apps["second"]}
    s.create("role", {"name": "new", "is_active": True, BY_ROLE: [given]})
    [later] = s.create("role", {"name": "later", "is_active": True})
    s.call("PATCH", f"system/role/{later}", {BY_ROLE: [{"user_id": user, "app_id": apps["more"]}]})
    s.create("app", {"name": "third", "type": "0", BY_APP: [{"user_id": user, "role_id": roles["old"]}]})


@pytest.mark.parametrize("way", [*WAYS_TO_UNDO, "ansible"])
def test_rows_that_a_created_record_gives_to_a_found_one_go_with_it(way: str, tmp_path: Path) -> None:
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        session, _ = prepared(recorded), prepared(target)
        giving(session)
        script = runner(way, session, tmp_path)
        before = target.state()
        script.run(target)
        assert settled(target.state()) == settled(recorded.state())
        assert portable(target.state()) != portable(before)
        if way in ("python", "replay"):
            told = script.run(target, teardown=True, plan=True, code=3)
            assert re.findall(r"[~-] (?:Remove the rows that|Delete) /api/v2/system/(\w+)", told) == [
                *("app", "app", "role", "role", "role", "role")  # of each the rows, then itself
            ]
            assert "Plan: 0 to create, 3 to change, 3 to delete" in told
        script.run(target, teardown=True)
        assert portable(target.state()) == portable(before)


@pytest.mark.parametrize("format", ["curl", "python", "postman", "ansible", "locust"])
def test_plain_scripts_take_them_away_too(format: str, tmp_path: Path) -> None:
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        session, _ = prepared(recorded), prepared(target)
        giving(session)
        (recording := tmp_path / "session.har").write_bytes(b"".join(har_chunks(session.exchanges)))
        script = rendered(recording, format, tmp_path, "--teardown")
        before = target.state()
        done = run(script, format, environment(target))
        assert done.returncode == 0, done.stdout + done.stderr
        assert portable(target.state()) != portable(before)
        torn_down(script, format, environment(target))
        assert portable(target.state()) == portable(before)


@pytest.mark.parametrize("way", WAYS_TO_UNDO)
@pytest.mark.parametrize("deleted", ["before", "after"])
def test_a_row_is_removed_that_pointed_to_what_is_deleted(deleted: str, way: str, tmp_path: Path) -> None:
    """No other row of the role goes, neither in the first run nor, where the service is absent, in the second."""
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        for df in (recorded, target):
            s = RecordedSession(df)
            service = {"name": "doomed", "label": "d", "description": "d", "type": "local_file", "is_active": True}
            [own] = s.create("service", {**service, "config": {"container": "x"}})
            rows = [{**ROW, "service_id": each, "filters": []} for each in (own, None)]
            s.create("role", {"name": "ops", "is_active": True, "role_service_access_by_role_id": rows})
        session = RecordedSession(recorded)
        path = f"system/role/{by_name(session, 'role')['ops']}"
        doomed = f"system/service/{by_name(session, 'service')['doomed']}"
        if deleted == "before":
            session.call("DELETE", doomed)
        role = session.call("GET", f"{path}?related=role_service_access_by_role_id")
        first, second = role["role_service_access_by_role_id"]
        rows = [{**first, "role_id": None}, second]
        session.call("PUT", path, {**role, "description": "changed", "role_service_access_by_role_id": rows})
        if deleted == "after":
            session.call("DELETE", doomed)
        runner(way, session, tmp_path).settles(recorded, target)
