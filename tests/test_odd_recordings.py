"""Recordings that lack answers, hold entries twice, or write ids, rows and lists in other ways end as recorded, too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

import dfrecord
from dfrecord.recording.exchange import NOT_RECORDED, Recording, Response
from dfrecord.recording.har_writer import har_chunks
from dfrecord.replaying.planned import Action
from tests.doubles.server import DreamFactoryDouble
from tests.recorder import RecordedSession
from tests.states import portable
from tests.test_end_to_end import environment
from tests.test_journeys import ACCESS, INSTALLED, PASSWORD
from tests.test_settled import ROWS, SCRIPT, by_name, runner
from tests.tools import EVERY_OPTION, rendered, run, torn_down

WAYS = ["curl", "python", "postman", "replay"]
NOT_THE_ID = "it asks for the id, too, which the recorded call left out"
ASSIGNED = "user_to_app_to_role_by_user_id"


def prepared(df: DreamFactoryDouble) -> None:
    s = RecordedSession(df)
    services = by_name(s, "service")
    rows = [{**ACCESS, "service_id": services[name]} for name in ("db", "files", "logs")]
    s.create("role", {"name": "there", "is_active": True, ROWS: rows}, {"name": "other", ROWS: rows})
    s.create("email_template", {"name": "Hello", "subject": "s", "to": "a@x.com", "body_html": "<p>"})
    df.reset_log()


@contextmanager
def worlds() -> Iterator[tuple[DreamFactoryDouble, DreamFactoryDouble, RecordedSession]]:
    """Two instances that hold the same, with other ids, and a session on the first."""
    with DreamFactoryDouble(installed=INSTALLED) as recorded, DreamFactoryDouble(700, installed=INSTALLED) as target:
        for df in (recorded, target):
            prepared(df)
        yield recorded, target, RecordedSession(recorded)


def without_answers(s: RecordedSession) -> None:
    """A browser lets go of the answers of creates; lists that are read later show what they made."""
    [role] = s.create("role", {"name": "made", "is_active": True})
    forget_answer(s)
    s.call("GET", "system/role")
    apps = s.create("app", *({"name": name, "type": "0", "role_id": role, "is_active": True} for name in "ab"))
    forget_answer(s)
    s.call("GET", "system/app")
    [user] = s.create("user", {"email": "u@x.com", "name": "U", "password": PASSWORD})
    forget_answer(s)
    s.call("GET", "system/user")
    s.call("PUT", f"system/user/{user}", {ASSIGNED: [{"app_id": apps[1], "role_id": role}]})
    forget_answer(s)


def forget_answer(s: RecordedSession) -> None:
    last = s.exchanges[-1]
    s.exchanges[-1] = replace(last, response=replace(last.response, body=NOT_RECORDED))


def without_ids(s: RecordedSession) -> None:
    """Creates from the API docs page, whose `fields` leave the id out; reads that come later show it."""
    services = by_name(s, "service")
    rows = [{**ACCESS, "service_id": services["db"]}]
    records = [{"name": name, "is_active": True, ROWS: rows} for name in ("fn", "gn")]
    s.call("POST", f"system/role?fields=name&related={ROWS}", {"resource": records})
    s.call("GET", "system/role?fields=name")
    role = s.call("GET", "system/role?fields=id,name&filter=name%3Dgn")["resource"][0]["id"]
    s.call("PATCH", f"system/role/{role}?fields=name", {"description": "changed"})
    app = {"name": "fn", "type": 0, "is_active": True, "role_id": role}
    s.call("POST", "system/app?fields=name,api_key", {"resource": [app]})
    s.call("POST", "system/email_template?fields=name", {"resource": [{"name": "fn", "subject": "s"}]})
    template = next(t for t in s.call("GET", "system/email_template?limit=50")["resource"] if t["name"] == "fn")
    s.call("PUT", f"system/email_template/{template['id']}", {**template, "subject": "changed"})
    s.call("POST", "system/cors?fields=path,origin", {"resource": [{"path": "fn/*", "origin": "*"}]})
    s.call("POST", "system/custom?fields=name", {"resource": [{"name": name, "value": "1"} for name in ("fn", "gn")]})
    s.call("POST", "system/event_script/db.get.pre_process?fields=name", SCRIPT)


def doubled(s: RecordedSession) -> None:
    """Two exports of one session, the one behind the other."""
    [role] = s.create("role", {"name": "once", "is_active": True, "description": "new"})
    s.call("PATCH", f"system/role/{role}", {"description": "changed"})
    s.create("app", {"name": "once", "type": "0", "role_id": role, "is_active": True})
    timed = [replace(e, started=f"2026-11-25T10:00:{n:02}.123Z") for n, e in enumerate(s.exchanges)]
    s.exchanges = [replace(e, number=number) for number, e in enumerate(timed * 2)]


def rows_with_names(s: RecordedSession) -> None:
    """An array of PHP from which something was taken is an object in JSON."""
    services = {row["name"]: row["id"] for row in s.call("GET", "system/service")["resource"]}
    rows = {"1": {**ACCESS, "service_id": services["db"]}, "3": {**ACCESS, "service_id": services["files"]}}
    s.create("role", {"name": "from PHP", "is_active": True, ROWS: rows})


def ids_and_lists_as_text(s: RecordedSession) -> None:
    """Ids as another client writes them, and a list of addresses that reads back as one."""
    s.call("GET", "system/service")
    read = s.call("GET", f"system/role/{by_name(s, 'role')['there']}?related={ROWS}")
    first, second, third = [{**row, "id": str(row["id"]), "service_id": str(row["service_id"])} for row in read[ROWS]]
    rows = [{**first, "verb_mask": "15"}, {**second, "role_id": None}, third]
    s.call("PUT", f"system/role/{read['id']}", {**read, "id": str(read["id"]), ROWS: rows})
    template = next(t for t in s.call("GET", "system/email_template")["resource"] if t["name"] == "Hello")
    s.call("PUT", f"system/email_template/{template['id']}?fields=*", {**template, "to": "a@x.com, b@x.com"})


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("record", [without_answers, without_ids, doubled, ids_and_lists_as_text, rows_with_names])
def test_odd_recording_is_done_once_and_undone(
    record: Callable[[RecordedSession], None], way: str, tmp_path: Path
) -> None:
    with worlds() as (recorded, target, session):
        before = portable(target.state())
        record(session)
        runs = runner(way, session, tmp_path)
        runs.run(target, DF_USER_PASSWORD=PASSWORD)
        assert portable(target.state()) == portable(recorded.state())
        target.reset_log()
        runs.run(target, DF_USER_PASSWORD=PASSWORD)
        assert target.writes == []
        runs.run(target, teardown=True, DF_YES="1", DF_USER_PASSWORD=PASSWORD)
        assert portable(target.state()) == before


def test_a_doubled_entry_and_an_answer_that_is_missing_are_told(tmp_path: Path) -> None:
    with DreamFactoryDouble() as df:
        session = RecordedSession(df)
        without_answers(session)
        journey = dfrecord.plan(Recording("session.har", tuple(session.exchanges)))
        notes = [note for step in journey.steps if step.title == "Create role made" for note in step.notes]
        assert notes == ["its answer was not recorded; a later read shows what it made"]
        session = RecordedSession(df)
        doubled(session)
        journey = dfrecord.plan(Recording("session.har", tuple(session.exchanges)))
        told = [line.entry for line in journey.residue if line.reason == "the same entry as one before it"]
        assert told == list(range(len(session.exchanges) // 2, len(session.exchanges)))


@pytest.mark.parametrize("way", EVERY_OPTION)
def test_creates_whose_answers_have_no_id_are_done_and_deleted_again(way: str, tmp_path: Path) -> None:
    """Without --upsert."""
    with worlds() as (recorded, target, session):
        without_ids(session)
        is_done_and_deleted_again(session, recorded, target, way, tmp_path, "--teardown")


def is_done_and_deleted_again(
    session: RecordedSession,
    recorded: DreamFactoryDouble,
    target: DreamFactoryDouble,
    way: str,
    folder: Path,
    *options: str,
) -> None:
    before = portable(target.state())
    recording = folder / "session.har"
    recording.write_bytes(b"".join(har_chunks(session.exchanges)))
    script = rendered(recording, way, folder, *options)
    done = run(script, way, environment(target))
    assert done.returncode == 0, done.stdout + done.stderr
    assert portable(target.state()) == portable(recorded.state())
    undone = torn_down(script, way, environment(target))
    assert undone.returncode == 0, undone.stdout + undone.stderr
    assert "already absent" not in undone.stdout
    assert portable(target.state()) == before


@pytest.mark.parametrize("upsert", [False, True])
def test_creates_whose_answers_have_no_id_are_planned_replayed_and_deleted_again(upsert: bool, tmp_path: Path) -> None:
    with worlds() as (recorded, target, session):
        before = portable(target.state())
        without_ids(session)
        given = {"DF_EMAIL": target.email, "DF_PASSWORD": target.password}
        journey = dfrecord.plan(Recording("session.har", tuple(session.exchanges)), upsert=upsert, teardown=True)
        asked = {step.resource for step in journey.steps if NOT_THE_ID in step.notes}
        assert asked == {"role", "app", "email_template", "cors"}
        planned = dfrecord.preview(journey, target.url, given)
        assert planned.count(Action.CREATE) == 8
        replayed = dfrecord.replay(journey, target.url, given, created_file=tmp_path / "made")
        assert replayed.ok, replayed.results
        assert portable(target.state()) == portable(recorded.state())
        undone = dfrecord.replay(journey, target.url, given, created_file=tmp_path / "made", undo=True)
        assert undone.ok, undone.results
        assert portable(target.state()) == before


@pytest.mark.parametrize("options", [("--teardown",), ("--upsert", "--teardown")])
@pytest.mark.parametrize("way", EVERY_OPTION)
def test_a_lone_create_without_an_id_runs_and_is_deleted_again(
    way: str, options: tuple[str, ...], tmp_path: Path
) -> None:
    """Nothing else of the recording shows its id."""
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        session = RecordedSession(recorded)
        session.call("POST", "system/role?fields=name", {"resource": [{"name": "fn", "is_active": True}]})
        is_done_and_deleted_again(session, recorded, target, way, tmp_path, *options)


@pytest.mark.parametrize("query", ["", "fields=*", "fields=name,id", "fields=", "fields=name%2C%20id"])
def test_a_create_that_is_answered_with_the_id_is_sent_as_recorded(query: str) -> None:
    assert created_with(query) == (f"/api/v2/system/role?{query}" if query else "/api/v2/system/role", ())


def test_a_literal_create_is_sent_as_recorded() -> None:
    assert created_with("fields=name", literal=True) == ("/api/v2/system/role?fields=name", ())


def created_with(query: str, *, literal: bool = False) -> tuple[str | None, tuple[str, ...]]:
    """The target and the notes of the step that creates a role, recorded with this query."""
    with DreamFactoryDouble() as df:
        session = RecordedSession(df)
        session.call("POST", f"system/role?{query}".rstrip("?"), {"resource": [{"name": "fn", "is_active": True}]})
        journey = dfrecord.plan(Recording("session.har", tuple(session.exchanges)), literal=literal)
    return journey.steps[-1].request.target.literal, journey.steps[-1].notes


def test_a_record_is_sent_whole_more_than_once(tmp_path: Path) -> None:
    """With the API key that a read showed of it."""
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        for df in (recorded, target):
            RecordedSession(df).create("app", {"name": "app", "type": "0", "is_active": True})
        session = RecordedSession(recorded)
        read = next(row for row in session.call("GET", "system/app")["resource"] if row["name"] == "app")
        for description in ("first", "second"):
            session.call("PUT", f"system/app/{read['id']}", {**read, "description": description})
        keys = [row["api_key"] for row in target.state()["app"]]
        journey = dfrecord.plan(Recording("session.har", tuple(session.exchanges)), whole_records=True)
        given = {"DF_EMAIL": target.email, "DF_PASSWORD": target.password}
        replayed = dfrecord.replay(journey, target.url, given, created_file=tmp_path / "made")
        assert replayed.ok, replayed.results
        assert portable(target.state()) == portable(recorded.state())
        assert [row["api_key"] for row in target.state()["app"]] == keys


def test_reads_from_the_cache_and_dates_of_files_are_no_differences(tmp_path: Path) -> None:
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        for df in (recorded, target):
            RecordedSession(df).upload("files/a.txt", "text/plain", b"a")
        for tree in recorded.content.trees.values():
            tree.dates = dict.fromkeys(tree.dates, "Thu, 23 Apr 2020 17:58:41 GMT")
        session = RecordedSession(recorded)
        session.call("GET", "files/")
        session.call("GET", "system/role")
        last = session.exchanges[-1]
        session.exchanges[-1] = replace(last, response=Response(304, reason="Not Modified"))
        session.create("role", {"name": "new", "is_active": True})
        recording = Recording("session.har", tuple(session.exchanges))
        journey = dfrecord.plan(recording, filters=["api/v2"], reads="all")
        assert [step.title for step in journey.steps][1:3] == ["GET /api/v2/files/", "Read the list of role records"]
        given = {"DF_EMAIL": target.email, "DF_PASSWORD": target.password}
        replayed = dfrecord.replay(journey, target.url, given, created_file=tmp_path / "made")
        assert replayed.ok, replayed.results


def test_an_id_that_the_recorded_server_used_again_is_no_difference(tmp_path: Path) -> None:
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        session = RecordedSession(recorded)
        for name in ("first", "second"):
            [role] = session.create("role", {"name": name, "is_active": True})
            session.call("DELETE", f"system/role/{role}")
            recorded.store.last_ids["role"] -= 1
        [again] = session.create("role", {"name": "third", "is_active": True})
        assert again == role
        session.create("app", {"name": "app", "type": "0", "role_id": again, "is_active": True})
        journey = dfrecord.plan(Recording("session.har", tuple(session.exchanges)))
        given = {"DF_EMAIL": target.email, "DF_PASSWORD": target.password}
        replayed = dfrecord.replay(journey, target.url, given, created_file=tmp_path / "made")
        assert replayed.ok, replayed.results
        assert portable(target.state()) == portable(recorded.state())
