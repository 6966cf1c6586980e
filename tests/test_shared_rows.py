"""A user's role in an app hangs on the user, the role and the app: what one adds, another may change or remove."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dfrecord.recording.har_writer import har_chunks
from tests.doubles.server import DreamFactoryDouble
from tests.recorder import RecordedSession
from tests.states import portable
from tests.test_end_to_end import environment
from tests.test_journeys import PASSWORD
from tests.test_settled import WAYS_TO_UNDO, by_name, runner
from tests.tools import rendered, run

ACCOUNT = {"email": "ann@example.com", "name": "Ann", "password": PASSWORD}
TABLE = "user_to_app_to_role"


def prepared(df: DreamFactoryDouble) -> None:
    s = RecordedSession(df)
    s.create("role", *({"name": name, "is_active": True} for name in ("old", "new")))
    s.create("app", *({"name": name, "type": "0", "is_active": True} for name in ("first", "second")))
    s.create("user", ACCOUNT)


class Sides:
    """Sends rows with the record of any side, and reads them there as the console does before it edits them."""

    def __init__(self, session: RecordedSession) -> None:
        self.s = session
        [user] = [row["id"] for row in session.call("GET", "system/user")["resource"]]
        self.ids = {"ann": user, **by_name(session, "app"), **by_name(session, "role")}

    def send(self, side: str, name: str, *rows: dict[str, Any]) -> None:
        self.s.call("PUT", f"system/{side}/{self.ids[name]}", {f"{TABLE}_by_{side}_id": list(rows)})

    def read(self, side: str, name: str) -> list[dict[str, Any]]:
        relation = f"{TABLE}_by_{side}_id"
        rows: list[dict[str, Any]] = self.s.call("GET", f"system/{side}/{self.ids[name]}?related={relation}")[relation]
        return rows

    def row(self, user: str = "ann", app: str = "first", role: str = "old") -> dict[str, Any]:
        return {"user_id": self.ids[user], "app_id": self.ids[app], "role_id": self.ids[role]}


def role_then_user(it: Sides) -> None:
    it.send("role", "old", it.row())
    [row] = it.read("user", "ann")
    it.send("user", "ann", {**row, "role_id": it.ids["new"]})


def user_then_role_removes(it: Sides) -> None:
    it.send("user", "ann", it.row(), it.row(app="second"))
    row, _ = it.read("role", "old")
    it.send("role", "old", {**row, "role_id": None})


def role_then_app(it: Sides) -> None:
    it.send("role", "old", it.row())
    [row] = it.read("app", "first")
    it.send("app", "first", {**row, "role_id": it.ids["new"]})


def app_then_user_twice(it: Sides) -> None:
    it.send("app", "second", it.row(app="second"))
    [row] = it.read("user", "ann")
    it.send("user", "ann", {**row, "role_id": it.ids["new"]})
    [row] = it.read("user", "ann")
    it.send("user", "ann", {**row, "app_id": it.ids["first"]})


def role_user_role(it: Sides) -> None:
    it.send("role", "old", it.row())
    [row] = it.read("user", "ann")
    it.send("user", "ann", {**row, "role_id": it.ids["new"]})
    [row] = it.read("role", "new")
    it.send("role", "new", {**row, "app_id": it.ids["second"]})


def new_role_then_user(it: Sides) -> None:
    [own] = it.s.create("role", {"name": "made", "is_active": True, f"{TABLE}_by_role_id": [it.row()]})
    [row] = it.read("user", "ann")
    it.send("user", "ann", {**row, "app_id": it.ids["second"]})
    it.s.call("PATCH", f"system/role/{own}", {"description": "made"})


def new_user_then_new_role(it: Sides) -> None:
    [it.ids["made"]] = it.s.create("role", {"name": "made", "is_active": True})
    assigned = [{"user_id": 0, "app_id": it.ids["first"], "role_id": it.ids["made"]}]
    it.s.create("user", {**ACCOUNT, "email": "bob@example.com", f"{TABLE}_by_user_id": assigned})
    [row] = it.read("role", "made")
    it.send("role", "made", {**row, "app_id": it.ids["second"]})


EDITS: list[Callable[[Sides], None]] = [
    *(role_then_user, user_then_role_removes, role_then_app, app_then_user_twice, role_user_role),
    *(new_role_then_user, new_user_then_new_role),
]


def edited(recorded: DreamFactoryDouble, target: DreamFactoryDouble, edit: Callable[[Sides], None]) -> RecordedSession:
    """What was done on the one server; the other has what was there before."""
    prepared(recorded)
    prepared(target)
    session = RecordedSession(recorded)
    edit(Sides(session))
    return session


@pytest.mark.parametrize("way", WAYS_TO_UNDO)
@pytest.mark.parametrize("edit", EDITS)
def test_an_upsert_ends_as_recorded_whichever_record_wrote_last(
    edit: Callable[[Sides], None], way: str, tmp_path: Path
) -> None:
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        session = edited(recorded, target, edit)
        runner(way, session, tmp_path).settles(recorded, target)


@pytest.mark.parametrize("format", ["curl", "python", "postman", "ansible"])
@pytest.mark.parametrize("edit", EDITS)
def test_a_row_is_looked_for_after_another_record_got_it(
    edit: Callable[[Sides], None], format: str, tmp_path: Path
) -> None:
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        session = edited(recorded, target, edit)
        (recording := tmp_path / "session.har").write_bytes(b"".join(har_chunks(session.exchanges)))
        done = run(rendered(recording, format, tmp_path), format, environment(target))
        assert done.returncode == 0, done.stdout + done.stderr
        assert portable(target.state()) == portable(recorded.state())
