"""What pointed to a record that an upsert deleted points to the one that its teardown makes anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import dfrecord
from dfrecord.journey.teardown import WITHOUT_SECRETS
from dfrecord.recording.exchange import Recording
from tests.doubles.server import DreamFactoryDouble
from tests.doubles.wire import Answer
from tests.recorder import RecordedSession
from tests.states import portable
from tests.test_graphs import settled
from tests.test_journeys import INSTALLED, PASSWORD
from tests.test_settled import WAYS_TO_UNDO, LostAnswers, by_name, runner

SECRET = "Never-noted-77"
ASSIGNED = "user_to_app_to_role_by_user_id"
ACCESS = "role_service_access_by_role_id"


def prepared(df: DreamFactoryDouble) -> RecordedSession:
    """Roles, an app and a template, and what points to them: fields, rows, members of a config and rows in it."""
    s = RecordedSession(df)
    [shelf] = s.create("service", {"name": "shelf", "label": "S", "type": "local_file", "config": {"container": "x"}})
    role = {"description": "old", "is_active": True}
    access = {"service_id": shelf, "component": "*", "verb_mask": 1, "requestor_mask": 1}
    gone, kept = s.create("role", {**role, "name": "gone"}, {**role, "name": "kept", ACCESS: [access]})
    apps = [("doomed", gone), ("points", gone), ("moves", gone), ("stays", kept)]
    rest = {"type": "0", "is_active": True, "storage_service_id": shelf}
    s.create("app", *({"name": name, "role_id": role, **rest} for name, role in apps))
    app = by_name(s, "app")
    user = {"email": "ann@example.com", "name": "Ann", "password": PASSWORD, "default_app_id": app["doomed"]}
    assigned = [(app["points"], gone), (app["stays"], kept), (app["doomed"], kept)]
    s.create("user", {**user, ASSIGNED: [{"app_id": app, "role_id": role} for app, role in assigned]})
    limit = {"type": "instance.role", "rate": "9", "role_id": gone}
    for name, period in (("stays", "day"), ("goes", "hour")):
        s.call("POST", "system/limit", {"resource": [{**limit, "name": name, "period": period}]})
    task = {"service_id": shelf, "component": "x", "verb": "GET", "frequency": 60, "is_active": True}
    s.create("scheduler", {**task, "name": "nightly", "payload": '{"a":1}'})
    s.create("scheduler", {**task, "name": "stays", "service_id": by_name(s, "service")["db"]})
    [template] = s.create("email_template", {"name": "hello", "subject": "s", "body_text": "t"})
    config = {"default_role": gone, "app_role_map": [{"app_id": app[a], "role_id": r} for a, r in apps[:2]]}
    s.create("service", {"name": "sso", "label": "S", "type": "oauth_github", "config": config, "is_active": True})
    users = by_name(s, "service")["user"]
    s.call("PATCH", f"system/service/{users}", {"config": {"invite_email_template_id": template}})
    df.reset_log()
    return RecordedSession(df)


def deleting(s: RecordedSession) -> None:
    """Deletes what others point to; what pointed there is also changed before, and so is what is deleted."""
    roles, apps = by_name(s, "role"), by_name(s, "app")
    s.call("GET", "system/role?fields=*")
    s.call("GET", "system/app?fields=*")
    s.call("PATCH", f"system/app/{apps['moves']}", {"role_id": roles["kept"]})
    s.call("PATCH", f"system/app/{apps['stays']}", {"role_id": roles["gone"]})  # has no role in the end
    s.call("PATCH", f"system/role/{roles['kept']}", {"description": "new"})
    s.call("DELETE", f"system/limit/{by_name(s, 'limit')['goes']}")
    s.call("DELETE", f"system/role/{roles['gone']}")
    s.call("DELETE", f"system/scheduler/{by_name(s, 'scheduler')['nightly']}")
    s.call("DELETE", f"system/service/{by_name(s, 'service')['shelf']}")
    s.call("DELETE", f"system/app/{apps['doomed']}")
    templates = by_name(s, "email_template")
    s.call("DELETE", f"system/email_template/{templates['hello']}")


def set_null(df: DreamFactoryDouble) -> None:
    """What databases do that check references (`ON DELETE SET NULL`, `ON DELETE CASCADE`)."""
    tables = df.store.tables
    for table, column, of in (
        ("app", "role_id", "role"),
        ("user", "default_app_id", "app"),
        ("limit", "role_id", "role"),
    ):
        for row in tables[table].values():
            row[column] = row[column] if row[column] in tables[of] else None
    assigned = tables["user_to_app_to_role"]
    living = {
        n: row for n, row in assigned.items() if row["role_id"] in tables["role"] and row["app_id"] in tables["app"]
    }
    assert len(living) < len(assigned)
    tables["user_to_app_to_role"] = living
    access = tables["role_service_access"]
    tables["role_service_access"] = {n: row for n, row in access.items() if row["service_id"] in tables["service"]}
    assert len(tables["role_service_access"]) < len(access)


@pytest.mark.parametrize("database", ["keeps dead ids", "sets null"])
@pytest.mark.parametrize("way", WAYS_TO_UNDO)
def test_what_pointed_to_a_deleted_record_points_to_the_new_one(way: str, database: str, tmp_path: Path) -> None:
    with DreamFactoryDouble(installed=INSTALLED) as recorded, DreamFactoryDouble(700, installed=INSTALLED) as target:
        session, _ = prepared(recorded), prepared(target)
        deleting(session)
        script = runner(way, session, tmp_path)
        before = target.state()
        script.run(target, DF_YES="1")
        assert settled(target.state()) == settled(recorded.state())
        if database == "sets null":
            set_null(target)
        with LostAnswers(target, "/role"):  # it is made anew, and nobody hears with which id
            told = script.run(target, teardown=True, code=1)
        told += script.run(target, teardown=True)
        assert told.count("with another id") == 5
        assert "already there" in told or "unchanged" in told
        after = target.state()
        if database == "sets null":  # rows of a config are the service's own
            for state in (before, after):
                state["service"] = [without_rows(service) for service in state["service"]]
        assert portable(after) == portable(before)
        target.reset_log()
        script.run(target, teardown=True)
        assert [(call.method, call.path) for call in target.writes] == []


def test_it_is_told_what_is_made_anew_only_where_it_holds_no_secret() -> None:
    with DreamFactoryDouble(installed=INSTALLED) as recorded:
        session = prepared(recorded)
        deleting(session)
        journey = dfrecord.plan(Recording("deleting.har", tuple(session.exchanges)), upsert=True, teardown=True)
    told = [each for each in journey.residue if "makes anew" in each.reason]
    of: dict[str | None, str | None] = {step.name: step.resource for step in journey.steps}
    may_hide = {of[each.step] for each in told if each.reason.endswith(WITHOUT_SECRETS)}
    assert may_hide == {"app", "role", "service", "scheduler"}  # lookups of an app or a role may be private
    assert {of[each.step] for each in told} - may_hide == {"email_template", "limit"}


def changing_rows(s: RecordedSession) -> None:
    """Changes rows by their ids alone, and deletes then what some of them point to; one moves away from it before."""
    role, apps, services = by_name(s, "role")["kept"], by_name(s, "app"), by_name(s, "service")
    rows = s.call("GET", f"system/role/{role}?related={ACCESS}")[ACCESS]
    s.call("PATCH", f"system/role/{role}", {ACCESS: [{"id": row["id"], "verb_mask": 31} for row in rows]})
    [user] = [row["id"] for row in s.call("GET", "system/user")["resource"]]
    rows = s.call("GET", f"system/user/{user}?related={ASSIGNED}")[ASSIGNED]
    changes = {"doomed": {"role_id": by_name(s, "role")["gone"]}, "points": {"app_id": apps["moves"]}}
    sent = [{"id": row["id"], **changes[name]} for row in rows for name in changes if row["app_id"] == apps[name]]
    s.call("PATCH", f"system/user/{user}", {ASSIGNED: sent})
    s.call("DELETE", f"system/service/{services['shelf']}")
    s.call("DELETE", f"system/app/{apps['doomed']}")
    s.call("DELETE", f"system/app/{apps['points']}")


@pytest.mark.parametrize("way", WAYS_TO_UNDO)
def test_rows_that_went_with_what_they_pointed_to_come_back_as_they_were(way: str, tmp_path: Path) -> None:
    with DreamFactoryDouble(installed=INSTALLED) as recorded, DreamFactoryDouble(700, installed=INSTALLED) as target:
        session, _ = prepared(recorded), prepared(target)
        changing_rows(session)
        script = runner(way, session, tmp_path)
        before = target.state()
        script.run(target, DF_YES="1")
        assert settled(target.state()) == settled(recorded.state())
        set_null(target)
        script.run(target, teardown=True)
        after = target.state()
        for state in (before, after):
            state["service"] = [without_rows(service) for service in state["service"]]
        assert portable(after) == portable(before)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (Answer(200, {"resource": "none"}), "the answer is no list of records"),
        (Answer(200, b"<html>"), "the answer is no list of records"),
        (Answer(403, {"error": {"code": 403, "message": "Access Forbidden."}}), "403 Access Forbidden."),
        (Answer(404, {"error": {"code": 404, "message": "Gone."}}), "404 "),
        (Answer(500, {"error": {"code": 500, "message": "Out of memory."}}), "500 Out of memory."),
    ],
)
@pytest.mark.parametrize("way", WAYS_TO_UNDO)
def test_nothing_is_deleted_where_what_points_to_it_cannot_be_told(
    way: str, wrong: Answer, why: str, tmp_path: Path
) -> None:
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        for df in (recorded, target):
            RecordedSession(df).create("role", {"name": "gone", "is_active": True})
        session = RecordedSession(recorded)
        session.call("DELETE", f"system/role/{by_name(session, 'role')['gone']}")
        script = runner(way, session, tmp_path)
        target.reset_log()
        whole = target.answer

        def odd(method: str, path: str, *more: Any) -> Any:
            is_list = method == "GET" and "/system/app" in path
            return (wrong, method) if is_list else whole(method, path, *more)

        target.answer = odd  # type: ignore[method-assign, assignment]
        assert f"/api/v2/system/app: {why}" in script.run(target, DF_YES="1", code=1)
        assert target.writes == []


@pytest.mark.parametrize("way", WAYS_TO_UNDO)
def test_what_points_to_it_is_told_by_a_server_that_wraps_no_lists(way: str, tmp_path: Path) -> None:
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        for df in (recorded, target):
            [role] = RecordedSession(df).create("role", {"name": "gone", "is_active": True})
            RecordedSession(df).create("app", {"name": "points", "type": "0", "role_id": role})
        session = RecordedSession(recorded)
        session.call("DELETE", f"system/role/{by_name(session, 'role')['gone']}")
        script = runner(way, session, tmp_path)
        before, whole = portable(target.state()), target.answer

        def bare(method: str, *more: Any) -> Any:
            answer, verb = whole(method, *more)
            wrapped = method == "GET" and answer.body.get("resource")
            return (Answer(200, wrapped), verb) if isinstance(wrapped, list) else (answer, verb)

        target.answer = bare  # type: ignore[method-assign, assignment]
        script.run(target, DF_YES="1")
        script.run(target, teardown=True)
        target.answer = whole  # type: ignore[method-assign]
        assert portable(target.state()) == before


def without_rows(service: dict[str, Any]) -> dict[str, Any]:
    config = service.get("config")
    return {**service, "config": {**config, "app_role_map": None}} if isinstance(config, dict) else service


@pytest.mark.parametrize("way", WAYS_TO_UNDO)
def test_no_secret_of_a_deleted_service_is_noted(way: str, tmp_path: Path) -> None:
    headers = [{"name": "Authorization", "value": f"Basic {SECRET}"}]
    configs: dict[str, Any] = {
        "header": {"base_url": "http://h/", "headers": headers},
        "option": {"base_url": "http://h/", "options": {"x": [SECRET]}},
        "url": {"base_url": f"http://u:{SECRET}@h/"},
        "masked": {"host": "h", "database": "d", "username": "u", "password": SECRET},
    }
    with DreamFactoryDouble(installed=INSTALLED) as recorded, DreamFactoryDouble(700, installed=INSTALLED) as target:
        for df in (recorded, target):
            for name, config in configs.items():
                kind = "pgsql" if name == "masked" else "rws"
                RecordedSession(df).create("service", {"name": name, "label": "L", "type": kind, "config": config})
        session = RecordedSession(recorded)
        services = by_name(session, "service")
        for name in configs:
            session.call("DELETE", f"system/service/{services[name]}")
        script = runner(way, session, tmp_path)
        script.run(target, DF_YES="1")
        notes = "".join(path.read_text() for path in tmp_path.iterdir() if path.suffix in (".jsonl", ".json"))
        assert SECRET not in notes
        told = script.run(target, teardown=True)
        assert "Make anew" not in told
        assert not configs.keys() & by_name(RecordedSession(target), "service").keys()


def known_by_name(s: RecordedSession) -> None:
    for name in ("kept", "gone"):
        s.call("DELETE", f"system/custom/{name}")
        s.call("DELETE", f"system/event_script/db.{name}.pre_process")
    s.call("POST", "system/custom", {"resource": [{"name": "kept", "value": {"a": 2}}]})
    s.call("GET", "system/event_script/db.changed.pre_process")
    s.call("PUT", "system/event_script/db.changed.pre_process", {"content": "event.x = 2;"})
    s.call("PUT", "system/event_script/db.shy.pre_process", {"content": "event.y = 2;"})


def customs(s: RecordedSession) -> dict[str, Any]:
    return {row["name"]: row["value"] for row in s.call("GET", "system/custom")["resource"]}


@pytest.mark.parametrize("way", WAYS_TO_UNDO)
def test_what_has_a_name_for_an_id_is_made_anew_unless_it_may_hold_a_secret(way: str, tmp_path: Path) -> None:
    with DreamFactoryDouble(installed=INSTALLED) as recorded, DreamFactoryDouble(700, installed=INSTALLED) as target:
        for df in (recorded, target):
            s = RecordedSession(df)
            files = by_name(s, "service")["files"]
            for name, value in {"kept": {"a": [1]}, "gone": f"token: {SECRET}", "a/ü": {}}.items():
                s.call("POST", "system/custom", {"resource": [{"name": name, "value": value}]})
            contents = {"kept": "x = 1;\n", "gone": f"password = '{SECRET}'", "changed": "//1", "shy": f"// {SECRET}"}
            for name, content in contents.items():
                script: dict[str, Any] = {"type": "nodejs", "content": content, "storage_service_id": files}
                s.call("POST", f"system/event_script/db.{name}.pre_process", {**script, "is_active": True})
        session = RecordedSession(recorded)
        known_by_name(session)
        session.call("DELETE", "system/custom/a%2F%C3%BC")
        told = runner(way, session, tmp_path)
        before = target.state()
        told.run(target, DF_YES="1")
        assert portable(target.state()) == portable(recorded.state())
        assert customs(RecordedSession(target)) == {"kept": {"a": 2}}
        notes = "".join(path.read_text() for path in tmp_path.iterdir() if path.suffix in (".jsonl", ".json"))
        assert SECRET not in notes
        said = told.run(target, teardown=True)
        assert said.count("Make anew") == 2
        after = target.state()
        for state in (before, after):
            state["event_script"] = [r for r in state["event_script"] if r["name"].split(".")[1] not in ("gone", "shy")]
        assert portable(after) == portable(before)
        assert len(after["event_script"]) == 2
        assert customs(RecordedSession(target)) == {"kept": {"a": [1]}, "a/ü": {}}
        target.reset_log()
        told.run(target, teardown=True)
        assert target.writes == []
