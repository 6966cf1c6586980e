"""What an upsert makes of records that change, move and go, and what a teardown undoes: every format, and replay."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import dfrecord
from dfrecord.errors import UsageError
from dfrecord.journey.teardown import ROW_STAYS
from dfrecord.recording.exchange import Recording
from dfrecord.recording.har_writer import har_chunks
from tests.doubles.server import DreamFactoryDouble
from tests.doubles.wire import Answer
from tests.recorder import RecordedSession
from tests.replaying.test_plan import given_for_a_while_with_ids_as_text
from tests.states import portable
from tests.test_end_to_end import environment
from tests.test_journeys import ACCESS, INSTALLED, PASSWORD
from tests.test_upsert import made_records, values, without_dates
from tests.tools import EVERY_OPTION, ROOT, rendered, run

WAYS = [*EVERY_OPTION, "replay"]
# Undo by parameter and of creates that were never answered (docs/ansible.md, docs/load-tests.md tell what others do).
WAYS_TO_UNDO = ["curl", "python", "postman", "replay"]
SERVICE: dict[str, Any] = {"type": "local_file", "is_active": True, "description": "d", "config": {"container": "x"}}
SCRIPT: dict[str, Any] = {"type": "nodejs", "content": "//1", "is_active": True}
ROWS = "role_service_access_by_role_id"


@dataclass
class Runner:
    """Runs one recording in one way, again and again, with the same notes of what was created."""

    way: str
    folder: Path
    recording: Path
    script: Path | None
    options: tuple[str, ...]

    def run(
        self, df: DreamFactoryDouble, *, code: int = 0, teardown: bool = False, plan: bool = False, **given: str
    ) -> str:
        """Everything that the run said. `given` are parameters by environment variable."""
        env: Mapping[str, str] = {**environment(df), "DF_TENANT": "", "DF_TEARDOWN": "1" if teardown else "", **given}
        if self.script is not None:
            done = run(self.script, self.way, env, options=["--plan"] if plan else [])
        else:
            modes = [mode for mode, chosen in (("--plan", plan), ("--teardown", teardown)) if chosen]
            command = [
                sys.executable,
                "-m",
                "dfrecord",
                "replay",
                str(self.recording),
                *modes,
                "--upsert",
                *self.options,
            ]
            env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **env}
            done = subprocess.run(command, cwd=self.folder, env=env, capture_output=True, text=True, timeout=120)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def settles(self, recorded: DreamFactoryDouble, target: DreamFactoryDouble, **given: Any) -> str:
        """A run ends as recorded, a second writes nothing, a teardown brings back what was. What the second said."""
        before = portable(target.state())
        told = self.repeats(recorded, target, **given)
        self.run(target, teardown=True)
        assert portable(target.state()) == before
        return told

    def repeats(self, recorded: DreamFactoryDouble, target: DreamFactoryDouble, **given: Any) -> str:
        """A run ends as recorded, a second writes nothing. What the second said."""
        self.run(target, **given)
        assert portable(target.state()) == portable(recorded.state())
        target.reset_log()
        told = self.run(target, **given)
        assert target.writes == []
        return told


def runner(way: str, session: RecordedSession, folder: Path, *options: str) -> Runner:
    recording = folder / "session.har"
    recording.write_bytes(b"".join(har_chunks(session.exchanges)))
    script = None if way == "replay" else rendered(recording, way, folder, "--upsert", "--teardown", *options)
    return Runner(way, folder, recording, script, options)


def by_name(s: RecordedSession, resource: str) -> dict[str, int]:
    return {row["name"]: row["id"] for row in s.call("GET", f"system/{resource}")["resource"]}


def prepared(df: DreamFactoryDouble) -> RecordedSession:
    """What is there before the recordings below."""
    s = RecordedSession(df)
    names = ("doomed", "kept", "to-archive", "referred")
    s.create("role", *({"name": name, "description": "old", "is_active": True} for name in names))
    services = by_name(s, "service")
    masks = {"files": 1, "db": 2}  # one beside the new rows, one that differs from them in its verbs
    rows = [{**ACCESS, "service_id": services[name], "verb_mask": mask} for name, mask in masks.items()]
    remade = {"name": "remade", "description": "old", "is_active": True, ROWS: rows}
    s.create("role", {**remade, "lookup_by_role_id": [{"name": "old", "value": "1"}]})
    s.call("POST", "system/event_script/db.get.pre_process", {**SCRIPT, "name": "db.get.pre_process", "type": "php"})
    df.reset_log()
    return RecordedSession(df)


def changing_moving_going(s: RecordedSession) -> None:
    """Records updated and then deleted, renamed beside a new namesake, remade, made for a while, kept otherwise."""
    roles = by_name(s, "role")
    s.call("PATCH", f"system/role/{roles['doomed']}", {"description": "for the last time"})
    s.call("DELETE", f"system/role/{roles['doomed']}")
    s.call("PATCH", f"system/role/{roles['to-archive']}", {"name": "archived"})
    s.create("role", {"name": "to-archive", "is_active": True, "description": "x" * 300})
    s.call("GET", "system/role")
    s.call("PATCH", f"system/role/{roles['remade']}", {"description": "for a while"})
    s.call("DELETE", f"system/role/{roles['remade']}")  # what is made anew has its new rows only
    services = by_name(s, "service")
    row = {**ACCESS, "service_id": services["db"]}
    [remade] = s.create("role", {"name": "remade", "description": "new", "is_active": True, ROWS: [row]})
    read = s.call("GET", f"system/role/{remade}?related={ROWS}")
    rows = [{**read[ROWS][0], "verb_mask": 15}, {**row, "service_id": services["logs"]}]
    s.call("PUT", f"system/role/{remade}", {**read, ROWS: rows})
    [passing] = s.create("role", {"name": "passing", "is_active": True})
    [app] = s.create("app", {"name": "moving", "type": "0", "role_id": passing, "is_active": True})
    s.call("PATCH", f"system/app/{app}", {"role_id": roles["kept"]})
    s.call("DELETE", f"system/role/{passing}")
    [left] = s.create("app", {"name": "left", "type": "0", "role_id": roles["referred"], "is_active": True})
    s.call("PATCH", f"system/app/{left}", {"role_id": roles["kept"]})
    s.call("DELETE", f"system/role/{roles['referred']}")
    s.call("PUT", "system/event_script/db.get.pre_process", {**SCRIPT, "content": "//0"})
    s.call("DELETE", "system/event_script/db.get.pre_process")
    s.call("POST", "system/event_script/db.get.pre_process", {**SCRIPT, "name": "db.get.pre_process"})
    s.call("POST", "system/event_script/db.get.post_process", {**SCRIPT, "name": "db.get.post_process"})
    s.call("DELETE", "system/event_script/db.get.post_process")
    [bare] = s.create(
        "service", {key: value for key, value in SERVICE.items() if key != "description"} | {"name": "s1"}
    )
    read = s.call("GET", f"system/service/{bare}")
    s.call("PUT", f"system/service/{bare}", {**read, "label": "L", "description": ""})
    s.create("service", {**SERVICE, "name": "s2", "label": ""})
    s.call("GET", "system/service")
    [doc] = s.create(
        "service", {**SERVICE, "name": "s3", "service_doc_by_service_id": [{"format": 0, "content": "{}"}]}
    )
    changed = {"service_id": doc, "format": 0, "content": '{"a":1}'}
    s.call("GET", f"system/service/{doc}?related=service_doc_by_service_id")
    s.call("PUT", f"system/service/{doc}", {"service_doc_by_service_id": [changed]})
    s.create("cors", {"path": "a/*", "origin": "*", "header": "*", "method": "GET,POST", "max_age": "0"})
    [template] = s.create("email_template", {"name": "T", "to": "a@x.com, b@x.com", "subject": "s"})
    s.call("PUT", f"system/email_template/{template}", {"cc": "c@x.com,d@x.com"})
    s.call("DELETE", "system/cache/s2")


@pytest.mark.parametrize("way", WAYS)
def test_what_changes_moves_and_goes_ends_as_recorded_and_stays_so(way: str, tmp_path: Path) -> None:
    with DreamFactoryDouble(installed=INSTALLED) as recorded, DreamFactoryDouble(700, installed=INSTALLED) as target:
        session = prepared(recorded)
        prepared(target)
        changing_moving_going(session)
        script = runner(way, session, tmp_path)
        before = target.state()
        planned = script.run(target, plan=True, code=3) if way in ("python", "replay") else ""
        target.reset_log()
        script.run(target)
        assert portable(target.state()) == portable(recorded.state())
        verbs = [call.verb for call in target.writes if "/cache" not in call.path]
        counts = [f"{verbs.count('POST')} to create", f"{verbs.count('PATCH')} to change"]
        assert not planned or f"Plan: {', '.join(counts)}, {verbs.count('DELETE')} to delete" in planned
        target.reset_log()
        assert "unchanged" in script.run(target)
        assert [(call.method, call.path, call.body) for call in target.writes] == []
        told = script.run(target, teardown=True)
        if way in WAYS_TO_UNDO:  # and makes what was deleted anew, with another id
            assert portable(target.state()) == portable(before)
            assert told.count("with another id") == 2  # doomed, referred
        else:
            assert made_records(target.state(), before) == []


@pytest.mark.parametrize("goes", ["deleted", "renamed"])
@pytest.mark.parametrize("takes", ["found", "created"])
def test_names_that_change_hands_are_refused_before_anything_is_sent(goes: str, takes: str) -> None:
    with DreamFactoryDouble(installed=INSTALLED) as recorded:
        session = prepared(recorded)
        roles = by_name(session, "role")
        if goes == "deleted":
            session.call("DELETE", f"system/role/{roles['doomed']}")
        else:
            session.call("PATCH", f"system/role/{roles['doomed']}", {"name": "other"})
        heir = roles["kept"] if takes == "found" else session.create("role", {"name": "new", "is_active": True})[0]
        session.call("PATCH", f"system/role/{heir}", {"name": "doomed"})
        recording = Recording("session.har", tuple(session.exchanges))
    with pytest.raises(UsageError, match=r"upsert: step update_role.* cannot be told apart by name"):
        dfrecord.plan(recording, upsert=True)
    dfrecord.plan(recording)


@pytest.mark.parametrize("way", WAYS)
def test_records_whose_ids_are_sent_as_text_are_found_again(way: str, tmp_path: Path) -> None:
    with DreamFactoryDouble(installed=INSTALLED) as recorded, DreamFactoryDouble(700, installed=INSTALLED) as target:
        session = prepared(recorded)
        prepared(target)
        service, role = str(by_name(session, "service")["db"]), str(by_name(session, "role")["kept"])
        limit = {"type": "instance.service", "rate": "10", "period": "hour", "service_id": service}
        session.call("POST", "system/limit", {"resource": [{**limit, "name": "text"}]})
        session.create("app", {"name": "text", "type": "0", "role_id": role, "is_active": True})
        assert "unchanged" in runner(way, session, tmp_path).repeats(recorded, target)


@pytest.mark.parametrize("way", WAYS)
def test_rows_whose_ids_are_sent_as_text_and_that_are_removed_again_stay_away(way: str, tmp_path: Path) -> None:
    with DreamFactoryDouble(installed=INSTALLED) as recorded, DreamFactoryDouble(700, installed=INSTALLED) as target:
        session = prepared(recorded)
        prepared(target)
        given_for_a_while_with_ids_as_text(session)
        assert "unchanged" in runner(way, session, tmp_path).repeats(recorded, target)


def sent_with_null(s: RecordedSession) -> None:
    """The server keeps false, 0 or a default of its own in the place of null, as its answers show."""
    services, kept = by_name(s, "service"), by_name(s, "role")["kept"]
    s.create("service", {**SERVICE, "name": "off", "label": "", "type": "sqlite", "config": {"cache_enabled": None}})
    s.call("GET", "system/service")
    s.create("app", {"name": "off", "type": "0", "is_active": None, "requires_fullscreen": None})
    cors = {"path": "off", "origin": "*", "header": "*", "method": ["GET"], "max_age": None, "enabled": None}
    s.create("cors", {**cors, "supports_credentials": None})
    s.call("GET", "system/app")
    s.call("GET", "system/cors")
    row = {**ACCESS, "service_id": services["db"], "filter_op": None}
    rows = [{**row, "requestor_mask": mask} for mask in (None, 2)]
    answer = s.call("POST", f"system/role?fields=*&related={ROWS}", {"resource": [{"name": "off", ROWS: rows}]})
    made = answer["resource"][0]
    s.call("PUT", f"system/role/{made['id']}", {ROWS: [{**made[ROWS][0], "verb_mask": 3, "filter_op": None}]})
    s.call("GET", f"system/role/{made['id']}?related={ROWS}")
    lookup = {"name": "off", "value": "1", "private": None}
    s.call("PUT", f"system/role/{kept}", {ROWS: [rows[0]], "lookup_by_role_id": [lookup]})
    s.call("GET", f"system/role/{kept}?related={ROWS},lookup_by_role_id")


@pytest.mark.parametrize("way", WAYS)
def test_what_the_server_keeps_in_the_place_of_null_is_no_difference(way: str, tmp_path: Path) -> None:
    with DreamFactoryDouble(installed=INSTALLED) as recorded, DreamFactoryDouble(700, installed=INSTALLED) as target:
        session = prepared(recorded)
        prepared(target)
        sent_with_null(session)
        assert "unchanged" in runner(way, session, tmp_path).repeats(recorded, target)


@pytest.mark.parametrize("way", WAYS_TO_UNDO)
def test_a_create_without_an_answer_is_undone_whose_key_holds_empty_texts(way: str, tmp_path: Path) -> None:
    with DreamFactoryDouble(installed=INSTALLED) as recorded, DreamFactoryDouble(700, installed=INSTALLED) as target:
        session = RecordedSession(recorded)
        session.create(
            "limit", {"name": "l", "type": "instance", "rate": 1, "period": "day", "endpoint": "", "verb": ""}
        )
        script = runner(way, session, tmp_path)
        with LostAnswers(target, "/limit"):
            script.run(target, code=1)
        assert len(target.state()["limit"]) == 1
        script.run(target, teardown=True)
        assert target.state()["limit"] == []


@pytest.mark.parametrize("way", WAYS_TO_UNDO)
def test_empty_texts_in_free_json_are_the_null_that_the_server_keeps(way: str, tmp_path: Path) -> None:
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        for df in (recorded, target):
            there = {"theme": {"colour": "red"}, "sizes": ["s", "m"]}
            rows = [{"name": name, "value": value} for name, value in there.items()]
            RecordedSession(df).call("POST", "system/custom", {"resource": rows})
        session = RecordedSession(recorded)
        made = {"name": "made", "value": {"a": "", "b": [{"c": ""}, 1]}}
        session.call("POST", "system/custom", {"resource": [made]})
        session.call("PATCH", "system/custom/theme", {"value": {"colour": "", "font": "big"}})
        session.call("PATCH", "system/custom/sizes", {"value": ["", "m"]})
        script, before = runner(way, session, tmp_path), values(target)
        script.run(target)
        assert values(target) == values(recorded) != before
        target.reset_log()
        assert "unchanged" in script.run(target)
        assert target.writes == []
        assert "changed it since" not in script.run(target, teardown=True)
        assert values(target) == before


@pytest.mark.parametrize("way", WAYS_TO_UNDO)
def test_a_document_that_a_service_got_stays_and_is_told(way: str, tmp_path: Path) -> None:
    """The server takes no document away from a service (system-api.md section 10)."""
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        session = RecordedSession(recorded)
        own = by_name(session, "service")["db"]
        document = {"service_id": own, "format": 0, "content": "{}"}
        session.call("PUT", f"system/service/{own}", {"label": "L", "service_doc_by_service_id": [document]})
        script = runner(way, session, tmp_path)
        script.run(target)
        assert portable(target.state()) == portable(recorded.state())
        labels = [row["label"] for row in target.state()["service"]]
        script.run(target, teardown=True)
        documents = [doc for row in target.state()["service"] for doc in row["service_doc_by_service_id"]]
        assert [doc["content"] for doc in documents] == ["{}"]
        assert [row["label"] for row in target.state()["service"]] != labels
        journey = dfrecord.plan(Recording("session.har", tuple(session.exchanges)), upsert=True, teardown=True)
        told = [line.reason for line in journey.residue]
        assert f"service_doc_by_service_id: {ROW_STAYS}" in told


@pytest.mark.parametrize("way", WAYS_TO_UNDO)
def test_names_that_rows_handed_on_are_put_back(way: str, tmp_path: Path) -> None:
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        for df in (recorded, target):
            lookups = [{"name": name, "value": name} for name in ("a", "b")]
            RecordedSession(df).create("role", {"name": "role", "is_active": True, "lookup_by_role_id": lookups})
        session = RecordedSession(recorded)
        [role] = session.call("GET", "system/role?related=lookup_by_role_id")["resource"]
        first, second = role["lookup_by_role_id"]
        rows = [{**second, "name": "c"}, {**first, "name": "b"}, {"name": "a", "value": "new", "private": False}]
        session.call("PUT", f"system/role/{role['id']}", {"lookup_by_role_id": rows})
        script = runner(way, session, tmp_path)
        before = target.state()
        script.run(target)
        assert portable(target.state()) == portable(recorded.state())
        script.run(target, teardown=True)
        assert portable(target.state()) == portable(before)


@pytest.mark.parametrize("way", WAYS)
def test_rows_of_a_role_that_is_there_are_changed_in_place(way: str, tmp_path: Path) -> None:
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        for df, masks in ((recorded, {"files": 31, "db": 3}), (target, {"files": 1, "logs": 1})):
            session = RecordedSession(df)
            services = by_name(session, "service")
            rows = [{**ACCESS, "service_id": services[name], "verb_mask": mask} for name, mask in masks.items()]
            session.create("role", {"name": "there", "is_active": True, ROWS: rows})
            if df is recorded:
                script = runner(way, session, tmp_path)
        script.run(target)
        found = portable(target.state())["role"]["there"][ROWS]
        masks = {row["service_id"]: row["verb_mask"] for row in found}
        assert masks == {"service:files": 31, "service:db": 3, "service:logs": 1}
        assert len(found) == 3


@pytest.mark.parametrize("way", [way for way in WAYS if way != "ansible"])  # docs/ansible.md
def test_hidden_secrets_go_along_with_other_changes_only(way: str, tmp_path: Path) -> None:
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        session = RecordedSession(recorded)
        RecordedSession(target).create("user", {"email": "there@example.com", "name": "T", "password": PASSWORD})
        [there] = session.create("user", {"email": "there@example.com", "name": "T", "password": PASSWORD})
        session.exchanges[1:] = []
        [new] = session.create("user", {"email": "new@example.com", "name": "N", "password": PASSWORD})
        session.call("GET", "system/user")
        session.call("PUT", f"system/user/{new}", {"password": "Changed!pass-word-16"})
        session.call("PUT", f"system/user/{there}", {"password": "Changed!pass-word-16"})
        script = runner(way, session, tmp_path)
        for expected, not_compared in ((["Changed!pass-word-16"] * 2, 1), ([], 2)):
            target.reset_log()
            told = script.run(target, DF_USER_PASSWORD_2="Changed!pass-word-16")
            bodies = [call.json() for call in target.writes]
            assert [(body.get("resource") or [body])[0]["password"] for body in bodies] == expected
            if way != "locust":  # says no more than which iteration is done
                assert told.count("not compared: password") == not_compared


@pytest.mark.parametrize("way", ["curl", "python", "postman", "replay"])
def test_run_that_goes_on_after_a_create_without_an_answer_lacks_no_later_secret(way: str, tmp_path: Path) -> None:
    """The server shows no secret, so what a create makes has at once the one that a later update would give it."""
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        session = RecordedSession(recorded)
        config = {"host": "h", "database": "d", "password": "First-Secret-12345"}
        [own] = session.create("service", {**SERVICE, "name": "pg", "type": "pgsql", "config": config})
        session.call("PUT", f"system/service/{own}", {"description": "d", "config": {"password": "Last-Secret-12345"}})
        [own] = session.create("user", {"email": "new@example.com", "name": "N", "password": PASSWORD})
        session.call("PUT", f"system/user/{own}", {"password": "Changed!pass-word-16"})
        script = runner(way, session, tmp_path)
        given: dict[str, Any] = {
            "DF_SERVICE_PASSWORD_2": "Last-Secret-12345",
            "DF_USER_PASSWORD_2": "Changed!pass-word-16",
        }
        for lost in ("/service", "/user"):
            with LostAnswers(target, lost):
                script.run(target, code=1, **given)
        script.run(target, **given)
        own_login = json.dumps({"email": "new@example.com", "password": "Changed!pass-word-16"}).encode()
        assert target.call("POST", "/api/v2/user/session", own_login)[0] == 200
        made = target.store.by_name("service", "pg")
        assert made is not None
        assert made["config"]["password"] == "Last-Secret-12345"


@pytest.mark.parametrize("way", WAYS_TO_UNDO)
def test_teardown_undoes_the_tenant_it_is_asked_for_and_creates_without_an_answer(way: str, tmp_path: Path) -> None:
    with DreamFactoryDouble(installed=INSTALLED) as recorded, DreamFactoryDouble(700, installed=INSTALLED) as target:
        session = RecordedSession(recorded)
        session.create("service", {**SERVICE, "name": "acme_files"})
        session.create("role", {"name": "acme-role", "is_active": True})
        name = "acme_files.get.pre_process"
        session.call("POST", f"system/event_script/{name}", {**SCRIPT, "name": name})
        script = runner(way, session, tmp_path, "--parameter", "tenant=acme")
        empty = target.state()
        script.run(target, DF_TENANT="acme")
        acme = target.state()
        script.run(target, DF_TENANT="globex")
        told = script.run(target, DF_TENANT="globex", teardown=True)
        assert "3 made with no parameters" in told or "3 more made with no parameters" in told
        assert without_dates(target.state()) == without_dates(acme)
        script.run(target, DF_TENANT="acme", teardown=True)
        assert without_dates(target.state()) == without_dates(empty)
        for lost in ("/role", "/event_script"):
            with LostAnswers(target, lost):
                script.run(target, DF_TENANT="acme", code=1)
            script.run(target, DF_TENANT="acme", teardown=True)
            assert without_dates(target.state()) == without_dates(empty)


@pytest.mark.parametrize("way", ["curl", "python", "replay"])
def test_what_is_renamed_more_than_once_is_known_by_each_name_in_turn(way: str, tmp_path: Path) -> None:
    """A limit renamed, moved and changed; a role renamed and back; a user renamed before another change."""
    with DreamFactoryDouble(installed=INSTALLED) as recorded, DreamFactoryDouble(700, installed=INSTALLED) as target:
        s = RecordedSession(recorded)
        services = by_name(s, "service")
        limit = {"name": "l1", "type": "instance.service", "rate": "1", "period": "day", "service_id": services["db"]}
        [own] = s.create("limit", limit)
        for change in ({"name": "l2"}, {"service_id": services["files"]}, {"rate": 2}):
            s.call("PUT", f"system/limit/{own}", change)
        [own] = s.create("role", {"name": "right", "is_active": True})
        for name in ("wrong", "right"):
            s.call("PUT", f"system/role/{own}", {"name": name, "description": name})
        [own] = s.create("user", {"email": "typo@example.com", "name": "U", "password": PASSWORD})
        s.call("PUT", f"system/user/{own}", {"email": "u@example.com", "username": "u@example.com"})
        s.call("PUT", f"system/user/{own}", {"phone": "1"})
        script = runner(way, s, tmp_path)
        empty = target.state()
        for lost, goes_on in (("/limit", False), ("/role", False), ("/user", True)):
            with LostAnswers(target, lost):
                script.run(target, code=1, DF_USER_PASSWORD=PASSWORD)
            if goes_on:
                script.run(target, DF_USER_PASSWORD=PASSWORD)
                assert portable(target.state()) == portable(recorded.state())
            script.run(target, teardown=True, DF_USER_PASSWORD=PASSWORD)
            assert without_dates(target.state()) == without_dates(empty), lost
        script.run(target, DF_USER_PASSWORD=PASSWORD)
        RecordedSession(target).create("role", {"name": "wrong", "description": "somebody's"})
        target.reset_log()
        script.run(target, DF_USER_PASSWORD=PASSWORD)
        assert target.writes == []


def handing_on(s: RecordedSession) -> None:
    """A role that is made takes the name of another one that is made."""
    first, second = s.create("role", *({"name": name, "description": name, "is_active": True} for name in ("a", "b")))
    s.call("PATCH", f"system/role/{second}", {"name": "c"})
    s.call("PATCH", f"system/role/{first}", {"name": "b"})


@pytest.mark.parametrize("way", WAYS)
def test_a_run_that_goes_on_finds_records_that_hand_on_their_names(way: str, tmp_path: Path) -> None:
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        s = RecordedSession(recorded)
        handing_on(s)
        script = runner(way, s, tmp_path)
        empty = target.state()
        for renamed in ((), ("c",), ("c", "b")):  # how far the run came that ended
            there = RecordedSession(target)
            rows = [{"name": name, "description": name, "is_active": True} for name in ("a", "b")]
            ids = there.create("role", *rows)
            for own, name in zip(reversed(ids), renamed, strict=False):
                there.call("PATCH", f"system/role/{own}", {"name": name})
            script.run(target)
            assert portable(target.state()) == portable(recorded.state())
            target.reset_log()
            script.run(target)
            assert target.writes == []
            there.call("DELETE", f"system/role?ids={','.join(map(str, ids))}")
            assert portable(target.state()) == portable(empty)


def test_a_third_record_with_a_name_on_the_way_is_refused() -> None:
    with DreamFactoryDouble() as recorded:
        s = RecordedSession(recorded)
        handing_on(s)
        s.create("role", {"name": "a", "is_active": True})
        with pytest.raises(UsageError, match="cannot be told apart by name"):
            dfrecord.plan(Recording("session.har", tuple(s.exchanges)), upsert=True)


@pytest.mark.parametrize("way", WAYS_TO_UNDO)
def test_teardown_leaves_what_somebody_changed_since_and_notes_no_secret(way: str, tmp_path: Path) -> None:
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        for df in (recorded, target):
            config = {"host": "h", "port": 1, "database": "d", "password": "Old-Secret-12345"}
            session = RecordedSession(df)
            session.create(
                "service", {"name": "pg1", "label": "L", "description": "d", "type": "pgsql", "config": config}
            )
            row = {**ACCESS, "service_id": by_name(session, "service")["db"]}
            session.create(
                "role",
                {"name": "there", "description": "old", "is_active": True, ROWS: [row, row | {"component": "x"}]},
            )
            # what holds a secret of the run is not noted
            session.create("role", {"name": "odd", "description": f"was {PASSWORD}"})
        session = RecordedSession(recorded)
        services, roles = by_name(session, "service"), by_name(session, "role")
        read = session.call("GET", f"system/service/{services['pg1']}")
        config = {**read["config"], "host": "other", "port": 2, "password": PASSWORD}
        session.call("PUT", f"system/service/{services['pg1']}", {**read, "label": "M", "config": config})
        read = session.call("GET", f"system/role/{roles['there']}?related={ROWS}")
        rows = [{**row, "verb_mask": 7} for row in read[ROWS]]
        session.call(
            "PUT", f"system/role/{roles['there']}", {**read, "description": "new", "is_active": False, ROWS: rows}
        )
        session.call("PATCH", f"system/role/{roles['odd']}", {"description": "new"})
        script = runner(way, session, tmp_path)
        before = portable(target.state())
        script.run(target, DF_SERVICE_PASSWORD=PASSWORD)
        assert portable(target.state()) == portable(recorded.state())
        notes = next(file for file in tmp_path.iterdir() if file.name.endswith((".created.jsonl", "environment.json")))
        noted = [line for line in notes.read_text().splitlines() if "changed" in line]
        assert noted != []
        assert PASSWORD not in "".join(noted)
        session = RecordedSession(target)
        services, roles = by_name(session, "service"), by_name(session, "role")
        session.call("PATCH", f"system/service/{services['pg1']}", {"config": {"port": 3}})
        [first, _] = session.call("GET", f"system/role/{roles['there']}?related={ROWS}")[ROWS]
        somebody = {"description": "somebody's", ROWS: [{"id": first["id"], "verb_mask": 15}]}
        session.call("PATCH", f"system/role/{roles['there']}", somebody)
        told = script.run(target, teardown=True, DF_SERVICE_PASSWORD=PASSWORD)
        assert "left as somebody changed it since: config.port" in told
        assert f"left as somebody changed it since: description, {ROWS}" in told
        expected = json.loads(json.dumps(before))
        expected["service"]["pg1"]["config"]["port"] = 3
        expected["role"]["there"]["description"] = "somebody's"
        [changed] = [row for row in expected["role"]["there"][ROWS] if row["component"] == "*"]
        changed["verb_mask"] = 15
        expected["role"]["odd"]["description"] = "new"
        assert portable(target.state()) == expected


@pytest.mark.parametrize("way", WAYS_TO_UNDO)
def test_a_refused_teardown_says_so_and_a_later_one_ends_it(way: str, tmp_path: Path) -> None:
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        session = RecordedSession(recorded)
        app = {
            "name": "new",
            "type": "0",
            "is_active": True,
            "storage_service_id": by_name(session, "service")["files"],
        }
        session.create("app", app)
        script = runner(way, session, tmp_path)
        before = portable(target.state())
        script.run(target)
        whole = target.answer
        refused = Answer(400, {"error": {"code": 400, "message": "not today"}})
        target.answer = lambda method, *more: (refused, method) if method == "DELETE" else whole(method, *more)  # type: ignore
        assert "not today" in script.run(target, teardown=True, code=1)
        target.answer = whole  # type: ignore[method-assign]
        script.run(target, teardown=True)
        assert portable(target.state()) == before


def test_a_role_is_made_anew_without_the_rows_that_are_its_users(tmp_path: Path) -> None:
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        for df in (recorded, target):
            session = RecordedSession(df)
            [role] = session.create("role", {"name": "going", "is_active": True})
            assigned = [{"app_id": by_name(session, "app")["admin"], "role_id": role}]
            user = {"email": "u@example.com", "name": "U", "password": PASSWORD}
            session.create("user", {**user, "user_to_app_to_role_by_user_id": assigned})
            if df is recorded:
                session = RecordedSession(df)
                by_name(session, "role")
                session.call("DELETE", f"system/role/{role}")
                script = runner("replay", session, tmp_path)
        script.run(target, DF_YES="1")
        script.run(target, teardown=True)
        assert "going" in portable(target.state())["role"]


class LostAnswers:
    """The server does what a POST to the resource says, and the connection ends before the answer."""

    def __init__(self, df: DreamFactoryDouble, resource: str) -> None:
        self.df, self.resource, self.whole = df, resource, df.answer

    def __enter__(self) -> None:
        def lost(method: str, target: str, headers: Any, raw: bytes, caller: Any = None) -> tuple[Answer, str]:
            answer = self.whole(method, target, headers, raw, caller)
            if method == "POST" and f"system{self.resource}" in target:
                raise BrokenPipeError
            return answer

        self.df.answer = lost  # type: ignore[method-assign]

    def __exit__(self, *exception: object) -> None:
        self.df.answer = self.whole  # type: ignore[method-assign]


def test_replay_names_the_record_of_a_batch_that_failed(tmp_path: Path) -> None:
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        session = RecordedSession(recorded)
        session.create("role", {"name": "new", "is_active": True}, {"name": "taken", "is_active": True})
        recording = runner("replay", session, tmp_path).recording
        RecordedSession(target).create("role", {"name": "taken", "is_active": True})
        command = [sys.executable, "-m", "dfrecord", "replay", str(recording)]
        env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environment(target)}
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120)
        assert done.returncode == 1
        assert "record 2 (taken): SQLSTATE[23000]" in done.stderr


@pytest.mark.parametrize("way", WAYS)
def test_a_service_of_another_type_gets_all_of_the_configuration(way: str, tmp_path: Path) -> None:
    """Of another type the server shows other members, and what it does not show is not compared."""
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        session = RecordedSession(recorded)
        session.create("service", {**SERVICE, "name": "store", "type": "local_file", "config": {"container": "x"}})
        web = {**SERVICE, "name": "store", "type": "rws", "config": {"base_url": "http://x.example"}}
        RecordedSession(target).create("service", web)
        before = target.state()
        script = runner(way, session, tmp_path)
        script.run(target)
        store = portable(target.state())["service"]["store"]
        assert (store["type"], store["config"]["container"]) == ("local_file", "x")
        target.reset_log()
        script.run(target)
        assert target.writes == []
        if way in WAYS_TO_UNDO:
            script.run(target, teardown=True)
            undone = portable(target.state())["service"]["store"]
            there = portable(before)["service"]["store"]
            assert (undone["type"], undone["config"]["base_url"]) == (there["type"], there["config"]["base_url"])


@pytest.mark.parametrize("way", ["curl", "replay"])
def test_what_a_bash_script_noted_is_put_back_whatever_separators_stand_in_it(way: str, tmp_path: Path) -> None:
    """jq writes these as they are, and for Python they end lines."""
    old = "a\u2028b\x85c"
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as df:
        for each in (recorded, df):
            RecordedSession(each).create("role", {"name": "there", "description": old})
        session = RecordedSession(recorded)
        session.call("PATCH", f"system/role/{by_name(session, 'role')['there']}", {"description": "new"})
        script = runner("curl", session, tmp_path)
        script.run(df)
        assert df.state()["role"][0]["description"] == "new"
        Runner(way, tmp_path, script.recording, script.script if way == "curl" else None, ()).run(df, teardown=True)
        assert df.state()["role"][0]["description"] == old


@pytest.mark.parametrize("way", ["python", "replay"])
def test_a_name_that_no_address_can_hold_is_looked_for_in_the_list(way: str, tmp_path: Path) -> None:
    """With one of two surrogates of UTF-16."""
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        session = RecordedSession(recorded)
        session.create("role", {"name": "half \ud83d", "is_active": True})
        runner(way, session, tmp_path).repeats(recorded, target)


@pytest.mark.parametrize("way", ["curl", "python", "replay"])
def test_what_the_server_kept_of_each_record_of_a_bulk_update_is_known(way: str, tmp_path: Path) -> None:
    """Of the second one: it takes any text for true."""
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        session = RecordedSession(recorded)
        session.create("role", {"name": "one", "is_active": True}, {"name": "two", "is_active": True})
        ids = by_name(session, "role")
        changed = [{"id": ids["one"], "description": "1"}, {"id": ids["two"], "is_active": "maybe"}]
        session.call("PATCH", "system/role", {"resource": changed})
        by_name(session, "role")
        runner(way, session, tmp_path).repeats(recorded, target)
