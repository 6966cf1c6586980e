"""`--plan` on journeys nobody recorded: what it tells is what the replay then does, of scripts as well."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

import dfrecord
from dfrecord.journey.model import Journey
from dfrecord.recording.exchange import Recording
from dfrecord.replaying.planned import Action, Plan
from dfrecord.replaying.told import plan_account, plan_lines, run_account
from tests.doubles.server import DreamFactoryDouble, LoggedRequest
from tests.published import assert_published_form
from tests.recorder import RecordedSession
from tests.states import portable
from tests.test_journeys import ACCESS, INSTALLED, PASSWORD, SCENARIOS, prepare, twelve_users
from tests.tools import run

RELATED = "related=role_service_access_by_role_id,lookup_by_role_id"


def ids(session: RecordedSession, resource: str) -> dict[str, int]:
    return {row["name"]: row["id"] for row in session.call("GET", f"system/{resource}?fields=id,name")["resource"]}


def role_made_and_edited_as_the_console_does(s: RecordedSession) -> None:
    services = ids(s, "service")
    row = {**ACCESS, "id": None, "role_id": 0, "service_id": services["db"]}
    lookup = {"id": None, "role_id": 0, "name": "lk", "value": "1", "private": False}
    record = {"id": 0, "name": "made", "is_active": True, "role_service_access_by_role_id": [row]}
    made = s.call("POST", f"system/role?fields=*&{RELATED}", {"resource": [{**record, "lookup_by_role_id": [lookup]}]})
    own = made["resource"][0]["id"]
    read = s.call("GET", f"system/role/{own}?{RELATED}")
    read["role_service_access_by_role_id"].append({**row, "role_id": own, "service_id": services["files"]})
    s.call("PUT", f"system/role/{own}?fields=*&{RELATED}", {**read, "description": "two rows"})
    read = s.call("GET", f"system/role/{own}?{RELATED}")
    read["role_service_access_by_role_id"][0]["role_id"] = None
    read["lookup_by_role_id"][0]["value"] = "2"
    s.call("PUT", f"system/role/{own}", read)


def role_that_was_there_renamed_and_then_its_rows_edited(s: RecordedSession) -> None:
    services, own = ids(s, "service"), ids(s, "role")["bystander"]
    s.call("PUT", f"system/role/{own}", {"name": "renamed"})
    read = s.call("GET", f"system/role/{own}?{RELATED}")
    new = {**ACCESS, "id": None, "role_id": own, "service_id": services["user"]}
    s.call("PUT", f"system/role/{own}", {**read, "role_service_access_by_role_id": [new]})
    read = s.call("GET", f"system/role/{own}?{RELATED}")
    lookups = [*read["lookup_by_role_id"], {"name": "one-more", "value": "1", "private": False}]
    read["role_service_access_by_role_id"][-1]["role_id"] = None
    s.call("PUT", f"system/role/{own}", {**read, "lookup_by_role_id": lookups})


def rows_of_a_new_role_changed_and_removed(s: RecordedSession) -> None:
    first = {**ACCESS, "service_id": ids(s, "service")["db"]}
    rows = [first, {**first, "component": "_table/*"}]
    [own] = s.create("role", {"name": "made", "is_active": True, "role_service_access_by_role_id": rows})
    read = s.call("GET", f"system/role/{own}?{RELATED}")["role_service_access_by_role_id"]
    s.call("PUT", f"system/role/{own}", {"role_service_access_by_role_id": [{**read[0], "role_id": None}]})
    s.call("PUT", f"system/role/{own}", {"role_service_access_by_role_id": [{**read[1], "verb_mask": 31}]})
    s.call("POST", f"system/role?method=DELETE&ids={own}")


def service_edited_and_its_cache_cleared(s: RecordedSession) -> None:
    own = ids(s, "service")["warehouse"]
    read = s.call("GET", f"system/service/{own}")
    s.call("PUT", f"system/service/{own}", {**read, "label": "New", "config": {**read["config"], "database": "w2"}})
    s.call("DELETE", "system/cache/warehouse")


def event_script_made_changed_and_deleted(s: RecordedSession) -> None:
    path = "system/event_script/db._table.get.pre_process"
    s.call("POST", path, {"type": "nodejs", "content": "// 1", "is_active": True})
    s.call("POST", path, {"content": "// 1a"})
    s.call("PUT", path, {"content": "// 2", "is_active": True})
    s.call("DELETE", path)


def several_roles_changed_and_deleted_at_once(s: RecordedSession) -> None:
    first, second, third = s.create("role", *({"name": f"b{number}", "is_active": True} for number in range(3)))
    s.call(
        "PATCH", "system/role", {"resource": [{"id": first, "description": "x"}, {"id": second, "description": "y"}]}
    )
    s.call("DELETE", "system/role", {"resource": [{"id": second}]})
    s.call("DELETE", f"system/role?ids={first},{third}")


def record_deleted_and_made_anew(s: RecordedSession) -> None:
    own = ids(s, "role")["plain, \\ 100%"]
    s.call("DELETE", f"system/role/{own}")
    s.create("role", {"name": "plain, \\ 100%", "description": "anew", "is_active": True})


def users_imported_and_records_named_by_text(s: RecordedSession) -> None:
    table = f"email,name,password\r\nann@example.com,Ann,{PASSWORD}\r\norr@example.com,Orr,{PASSWORD}\r\n"
    s.upload("system/user", "text/csv; charset=utf-8", table.encode())
    xml = f"<user><email>xml@example.com</email><name>X</name><password>{PASSWORD}</password></user>"
    s.upload("system/user", "application/xml", xml.encode())
    [first, second] = s.create("role", {"name": "7", "is_active": True}, {"name": "8", "is_active": True})
    s.call("PATCH", "system/role", {"resource": [{"id": f"{first}", "description": "x"}]})
    s.call("DELETE", "system/role", {"resource": [{"id": f"{second}"}]})


def password_of_a_user_set(s: RecordedSession) -> None:
    own = s.call("GET", "system/user")["resource"][0]["id"]
    s.call("PUT", f"system/user/{own}", {"password": f"{PASSWORD}-2"})


def records_updated_to_what_they_are(s: RecordedSession) -> None:
    s.call("PATCH", f"system/role/{ids(s, 'role')['bystander']}", {"is_active": True})
    [made] = s.create("role", {"name": "made", "is_active": True})
    s.call("PUT", f"system/role/{made}", {"name": "made", "is_active": True})


def secrets_set_again(s: RecordedSession) -> None:
    [user] = s.create("user", {"email": "x@example.com", "name": "X", "password": PASSWORD})
    s.call("PUT", f"system/user/{user}", {"password": PASSWORD})
    [lookup] = s.create("lookup", {"name": "pw", "value": "Lookup-Secret-1", "private": True})
    s.call("PUT", f"system/lookup/{lookup}", {"value": "Lookup-Secret-1", "private": True})
    [app] = s.create("app", {"name": "k", "type": "0", "is_active": True})
    s.call("PUT", f"system/app/{app}", {"api_key": "ab" * 32})
    s.call("PUT", f"system/app/{app}", {"api_key": "ab" * 32})
    record = {"name": "pg", "label": "pg", "description": "d", "type": "pgsql", "is_active": True}
    [service] = s.create("service", {**record, "config": {"host": "h", "password": "Db-Secret-12345"}})
    s.call("PUT", f"system/service/{service}", {"config": {"host": "h", "password": "Db-Secret-12345"}})


def service_of_which_the_server_keeps_less(s: RecordedSession) -> None:
    """The double knows no such connector: it keeps no config, as the list shows that the console reads then."""
    record = {"name": "my", "label": "My", "description": "d", "is_active": True, "type": "mysql"}
    [own] = s.create("service", {**record, "config": {"host": "h", "port": "3306", "password": "Db-Secret-12345"}})
    s.call("GET", "system/service?limit=50&offset=0&include_count=true")
    s.call("PATCH", f"system/service/{own}", {"label": "Mine", "config": {"host": "other"}})
    s.call("GET", f"system/service/{own}")


def named_values_made_changed_and_deleted(s: RecordedSession) -> None:
    s.call("POST", "system/custom", {"resource": [{"name": "a b/ü", "value": {"x": 1}}, {"name": "gone", "value": 1}]})
    s.call("PUT", "system/custom/a%20b%2F%C3%BC", {"value": {"x": 1, "y": [2, {"z": None}]}})
    s.call("PATCH", "system/custom/theme", {"value": {"colour": "red"}})
    s.call("DELETE", "system/custom/gone")
    s.call("PATCH", "system/custom", {"resource": [{"name": "sizes", "value": [1, 2]}]})
    s.call("DELETE", "system/custom?ids=old,older")
    script = {"name": "db._table.get.pre_process", "type": "nodejs", "content": "// 1", "is_active": True}
    s.call("POST", "system/event_script", {"resource": [script]})


def rows_that_updates_give_a_new_role_and_user_changed_later(s: RecordedSession) -> None:
    [role] = s.create("role", {"name": "made", "is_active": True})
    [user] = s.create("user", {"email": "x@example.com", "name": "X", "password": PASSWORD})
    access, lookup = "role_service_access_by_role_id", "lookup_by_role_id"
    assigned = "user_to_app_to_role_by_user_id"
    s.call("PUT", f"system/role/{role}", {access: [{**ACCESS, "service_id": ids(s, "service")["db"]}]})
    s.call("PUT", f"system/role/{role}", {lookup: [{"name": "lk", "value": "1", "private": False}]})
    s.call("PUT", f"system/user/{user}", {assigned: [{"app_id": ids(s, "app")["admin"], "role_id": role}]})
    read = s.call("GET", f"system/role/{role}?{RELATED}")
    changed = {access: [{**read[access][0], "verb_mask": 3}], lookup: [{**read[lookup][0], "value": "2"}]}
    s.call("PUT", f"system/role/{role}", changed)
    read = s.call("GET", f"system/user/{user}?related={assigned}")
    s.call("PUT", f"system/user/{user}", {assigned: [{**read[assigned][0], "user_id": None}]})


def lookup_sent_twice_without_its_id_and_changed_later(s: RecordedSession) -> None:
    """The server finds it by its name (system-api.md section 4.2)."""
    own = ids(s, "role")["bystander"]
    for value in ("1", "2"):
        s.call("PUT", f"system/role/{own}", {"lookup_by_role_id": [{"name": "lk", "value": value, "private": False}]})
    read = s.call("GET", f"system/role/{own}?{RELATED}")
    s.call("PUT", f"system/role/{own}", {"lookup_by_role_id": [{**read["lookup_by_role_id"][0], "value": "3"}]})


def given_for_a_while_with_ids_as_text(s: RecordedSession) -> None:
    role, app, service = (str(next(iter(ids(s, name).values()))) for name in ("role", "app", "service"))
    rows = {"role_service_access_by_role_id": [{**ACCESS, "service_id": service}]}
    [made] = s.create("role", {"name": "made", "is_active": True, **rows})
    user = {"email": "x@example.com", "name": "X", "password": PASSWORD}
    [own] = s.create("user", {**user, "user_to_app_to_role_by_user_id": [{"app_id": app, "role_id": role}]})
    for path, relation in (
        (f"system/role/{made}", "role_service_access_by_role_id"),
        (f"system/user/{own}", "user_to_app_to_role_by_user_id"),
    ):
        read = s.call("GET", f"{path}?related={relation}")
        s.call("PUT", path, {relation: [{**read[relation][0], relation.rpartition("_by_")[2]: None}]})


def app_and_user_pointed_from_one_new_record_to_another(s: RecordedSession) -> None:
    first, second = s.create("role", {"name": "ra", "is_active": True}, {"name": "rb", "is_active": True})
    [app] = s.create("app", {"name": "ap", "type": "0", "is_active": True, "role_id": first})
    assigned = [{"app_id": app, "role_id": first}]
    user = {"email": "x@example.com", "name": "X", "password": PASSWORD, "user_to_app_to_role_by_user_id": assigned}
    [own] = s.create("user", user)
    s.call("PATCH", f"system/app/{app}", {"role_id": second})
    read = s.call("GET", f"system/user/{own}?related=user_to_app_to_role_by_user_id")
    row = {**read["user_to_app_to_role_by_user_id"][0], "role_id": second}
    s.call("PUT", f"system/user/{own}", {"user_to_app_to_role_by_user_id": [row]})
    s.call("PATCH", f"system/app/{app}", {"role_id": second})


def user_made_inactive(s: RecordedSession) -> None:
    """The server drops what is empty from the create, so that the user is active until the update."""
    record = {"email": "new@example.com", "name": "N", "password": PASSWORD, "phone": "", "is_active": False}
    [own] = s.create("user", record)
    s.call("GET", "system/user")
    s.call("PUT", f"system/user/{own}", {"phone": "", "is_active": False})


def records_in_bodies_that_are_no_json(s: RecordedSession) -> None:
    lines = ["email,name,password", f"ann@example.com,Ann,{PASSWORD}", f"bob@example.com,Bob,{PASSWORD}"]
    s.upload("system/user", "text/csv", "\n".join(lines).encode())
    xml = "<role>\n<resource>\n<name>made</name>\n<is_active>true</is_active>\n</resource>\n</role>"
    s.upload("system/role", "application/xml", xml.encode())
    own = ids(s, "role")["bystander"]
    s.upload(f"system/role/{own}", "application/xml", b"<role>\n<is_active>0</is_active>\n</role>", "PATCH")
    s.upload(f"system/role/{own}", "application/x-www-form-urlencoded", b"description=by+a+form", "PATCH")


MADE: list[Callable[[RecordedSession], None]] = [
    role_made_and_edited_as_the_console_does,
    role_that_was_there_renamed_and_then_its_rows_edited,
    rows_of_a_new_role_changed_and_removed,
    service_edited_and_its_cache_cleared,
    event_script_made_changed_and_deleted,
    several_roles_changed_and_deleted_at_once,
    record_deleted_and_made_anew,
    users_imported_and_records_named_by_text,
    password_of_a_user_set,
    records_updated_to_what_they_are,
    secrets_set_again,
    named_values_made_changed_and_deleted,
    service_of_which_the_server_keeps_less,
    rows_that_updates_give_a_new_role_and_user_changed_later,
    lookup_sent_twice_without_its_id_and_changed_later,
    given_for_a_while_with_ids_as_text,
    app_and_user_pointed_from_one_new_record_to_another,
    user_made_inactive,
    records_in_bodies_that_are_no_json,
]


def recorded(scenario: Callable[[RecordedSession], None]) -> Recording:
    with DreamFactoryDouble(installed=INSTALLED) as df:
        prepare(df, "bystander")
        session = RecordedSession(df)
        scenario(session)
    return Recording("made.har", tuple(session.exchanges))


def given(df: DreamFactoryDouble, journey: Journey) -> dict[str, str]:
    secrets = {variable.env: PASSWORD for variable in journey.variables if variable.secret and variable.required}
    return {**secrets, "DF_EMAIL": df.email, "DF_PASSWORD": df.password}


def counted(plan: Plan) -> dict[str, int]:
    """The records that would be written; a change and what is sent again alike look like updates in a log."""
    counts = Counter(step.action for step in plan.steps if step.action is not Action.NONE)
    counts[Action.CHANGE] += counts.pop(Action.RESEND, 0)
    return {action.value: count for action, count in counts.items() if count}


def records(call: LoggedRequest) -> list[Any]:
    """The records in the body of a request; one when it does not list them."""
    media_type = next((value for name, value in call.headers if name.lower() == "content-type"), "")
    if media_type.startswith("text/csv"):
        return list(csv.DictReader(io.StringIO(call.body.decode())))
    if "urlencoded" in media_type or "xml" in media_type:
        return [call.body]
    sent = json.loads(call.body or b"{}")
    return sent if isinstance(sent, list) else sent.get("resource", [sent])


def done(df: DreamFactoryDouble) -> dict[str, int]:
    """The records that the logged requests wrote; a cache is no record."""
    verbs = {"POST": "create", "PUT": "change", "PATCH": "change", "DELETE": "delete"}
    counts: Counter[str] = Counter()
    for call in df.writes:
        rows = records(call)
        named = [part[4:].split(",") for part in call.query.split("&") if part.startswith("ids=")]
        does = "change" if "/event_script/" in call.path and call.status == 200 else verbs[call.verb]
        does = "delete" if call.verb == "DELETE" else does
        counts["call" if "/cache/" in call.path else does] += len((named or [rows])[0])
    return dict(counts)


@pytest.mark.parametrize("upsert", [False, True], ids=["plain", "upsert"])
@pytest.mark.parametrize(
    "scenario",
    [*(each for each in SCENARIOS if each is not twelve_users), *MADE],
    ids=lambda scenario: scenario.__name__,
)
def test_plan_is_what_the_replay_then_does(
    scenario: Callable[[RecordedSession], None], upsert: bool, tmp_path: Path
) -> None:
    journey = dfrecord.plan(recorded(scenario), upsert=upsert)
    with DreamFactoryDouble(700, installed=INSTALLED) as df:
        prepare(df, "bystander")
        values = given(df, journey)
        planned = dfrecord.preview(journey, df.url, values)
        assert df.writes == []
        df.reset_log()
        replayed = dfrecord.replay(journey, df.url, values, yes=True, created_file=tmp_path / "created.jsonl")
        assert replayed.ok, replayed.results
        assert counted(planned) == done(df)
        assert planned.writes == len(df.writes)
        assert_published_form(plan_account(planned), "plan")
        assert_published_form(run_account(replayed), "replay")
        if upsert:
            again = dfrecord.preview(journey, df.url, values)
            assert (counted(again), again.changes, again.writes) == ({}, False, 0)


def one_record_changed_twice(s: RecordedSession) -> None:
    own = ids(s, "role")["bystander"]
    s.call("PATCH", f"system/role/{own}", {"description": "new"})
    s.call("PATCH", f"system/role/{own}", {"is_active": False})


def test_a_plan_of_a_teardown_counts_each_request_also_of_one_record(tmp_path: Path) -> None:
    journey = dfrecord.plan(recorded(one_record_changed_twice), upsert=True, teardown=True)
    with DreamFactoryDouble(700, installed=INSTALLED) as df:
        prepare(df, "bystander")
        values, notes = given(df, journey), tmp_path / "created.jsonl"
        dfrecord.replay(journey, df.url, values, created_file=notes)
        df.reset_log()
        planned = dfrecord.preview(journey, df.url, values, created_file=notes, undo=True)
        assert dfrecord.replay(journey, df.url, values, created_file=notes, undo=True).ok
        assert planned.writes == len(df.writes) == 2


def test_what_a_plain_run_sends_again_is_told_and_is_no_change(tmp_path: Path) -> None:
    journey = dfrecord.plan(recorded(records_updated_to_what_they_are))
    with DreamFactoryDouble(700, installed=INSTALLED) as df:
        prepare(df, "bystander")
        planned = dfrecord.preview(journey, df.url, given(df, journey))
        actions = [(step.step, step.action) for step in planned.steps]
        assert actions == [(2, Action.RESEND), (3, Action.CREATE), (4, Action.RESEND)]
        assert planned.summary == "Plan: 1 to create, 0 to change, 0 to delete"
        before = portable(df.state())["role"]
        dfrecord.replay(journey, df.url, given(df, journey), created_file=tmp_path / "created.jsonl")
        assert [call.verb for call in df.writes] == ["PATCH", "POST", "PUT"]
        after = portable(df.state())["role"]
        assert {name: role for name, role in after.items() if name != "made"} == before


def role_event_script_and_role(s: RecordedSession) -> None:
    s.create("role", {"name": "first", "is_active": True})
    s.call("DELETE", "system/event_script/db._table.get.pre_process")
    s.create("role", {"name": "last", "is_active": True})


@pytest.mark.parametrize("there", [0, 1], ids=["create", "delete"])
def test_a_plan_ends_where_the_run_would(there: int, tmp_path: Path) -> None:
    """A create of what is there and a delete of what is not are refused, and nothing after them is reached."""
    path = "system/event_script/db._table.get.pre_process"
    with DreamFactoryDouble(installed=INSTALLED) as df:
        session = RecordedSession(df)
        df.call("POST", f"/api/v2/{path}", b'{"type": "nodejs", "content": "// 1", "is_active": true}')
        role_event_script_and_role(session)
    journey = dfrecord.plan(Recording("made.har", tuple(session.exchanges)))
    script = tmp_path / "script.py"
    script.write_bytes(dfrecord.render(journey, "python")[0].content)
    with DreamFactoryDouble(700, installed=INSTALLED) as df:
        if there == 0:
            RecordedSession(df).create("role", {"name": "first", "is_active": True})
        df.reset_log()
        planned = dfrecord.preview(journey, df.url, given(df, journey))
        told = run(script, "python", {**given(df, journey), "DF_BASE_URL": df.url, "DF_YES": "1"}, options=["--plan"])
        assert df.writes == []
        replayed = dfrecord.replay(journey, df.url, given(df, journey), yes=True, created_file=tmp_path / "c.jsonl")
    assert [step.action for step in planned.steps] == [
        *[Action.CREATE] * there,
        Action.REFUSED,
        *[Action.UNREACHED] * (2 - there),
    ]
    assert planned.steps[there].step == replayed.stopped_at
    assert planned.writes == len(df.writes)
    assert told.returncode == 3
    assert told.stdout.splitlines()[-1] == planned.summary
    assert told.stdout.count(": not reached") == 2 - there


@pytest.mark.parametrize("upsert", [False, True], ids=["plain", "upsert"])
@pytest.mark.parametrize("path", ["event_script/db._table.get.pre_process", "custom/theme"])
def test_an_update_of_what_is_not_there_is_no_create(path: str, upsert: bool, tmp_path: Path) -> None:
    """Only a POST makes an event script (system-api.md section 6.1); a PUT is answered with 404."""
    content = {"content": "// 2", "is_active": True} if "script" in path else {"value": 2}
    with DreamFactoryDouble(installed=INSTALLED) as df:
        script = {"name": "db._table.get.pre_process", "type": "nodejs", "content": "// 1", "is_active": True}
        df.call("POST", "/api/v2/system/event_script", json.dumps({"resource": [script]}).encode())
        df.call("POST", "/api/v2/system/custom", b'{"resource": [{"name": "theme", "value": 1}]}')
        session = RecordedSession(df)
        session.call("PUT", f"system/{path}", content)
    journey = dfrecord.plan(Recording("made.har", tuple(session.exchanges)), upsert=upsert)
    program = tmp_path / "script.py"
    program.write_bytes(dfrecord.render(journey, "python")[0].content)
    with DreamFactoryDouble(700, installed=INSTALLED) as df:
        values = given(df, journey)
        planned = dfrecord.preview(journey, df.url, values)
        told = run(program, "python", {**values, "DF_BASE_URL": df.url}, options=["--plan"])
        assert df.writes == []
        replayed = dfrecord.replay(journey, df.url, values, created_file=tmp_path / "c.jsonl")
    assert [step.action for step in planned.steps] == [Action.REFUSED]
    assert told.stdout.splitlines()[-1] == planned.summary
    assert told.returncode == 3
    assert replayed.stopped_at == planned.steps[0].step


@pytest.mark.parametrize("upsert", [False, True], ids=["plain", "upsert"])
@pytest.mark.parametrize("scenario", MADE, ids=lambda scenario: scenario.__name__)
def test_a_script_plans_the_same(scenario: Callable[[RecordedSession], None], upsert: bool, tmp_path: Path) -> None:
    journey = dfrecord.plan(recorded(scenario), upsert=upsert)
    script = tmp_path / "script.py"
    script.write_bytes(dfrecord.render(journey, "python")[0].content)
    with DreamFactoryDouble(700, installed=INSTALLED) as df:
        prepare(df, "bystander")
        values = given(df, journey)
        planned = dfrecord.preview(journey, df.url, values)
        told = run(script, "python", {**values, "DF_BASE_URL": df.url, "DF_YES": "1"}, options=["--plan"])
        assert told.returncode == (3 if planned.changes else 0), told.stderr
        assert told.stdout.splitlines()[-1] == planned.summary
        assert ids_of_new(told.stdout) == ids_of_new("\n".join(line for line, _ in plan_lines(planned)))
        assert df.writes == []


def ids_of_new(told: str) -> list[str]:
    """The lines of a plan that tell ids of records which the run would create."""
    return [line for line in told.splitlines() if "(new " in line or "(known after the run)" in line]


def test_one_new_record_in_the_place_of_another_is_a_change() -> None:
    journey = dfrecord.plan(recorded(app_and_user_pointed_from_one_new_record_to_another))
    with DreamFactoryDouble(700, installed=INSTALLED) as df:
        planned = dfrecord.preview(journey, df.url, given(df, journey))
    assert planned.summary == "Plan: 4 to create, 2 to change, 0 to delete"
    assert [(field.old, field.new) for field in planned.steps[4].fields] == [("(new 1)", "(new 2)")]


@pytest.mark.parametrize("upsert", [False, True], ids=["plain", "upsert"])
def test_a_script_plans_past_reads_of_what_the_run_would_make(upsert: bool, tmp_path: Path) -> None:
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        session = RecordedSession(recorded)
        [role] = session.create("role", {"name": "new", "is_active": True})
        session.call("GET", f"system/role/{role}?{RELATED}")
        session.call("GET", f"system/role?ids={role}")
        session.call("GET", f"system/app?filter=role_id={role}&fields=*")
        session.call("GET", f"system/role/{role}?{RELATED}")
        session.call("PATCH", f"system/role/{role}", {"description": "in the end"})
        journey = dfrecord.plan(Recording("reads.har", tuple(session.exchanges)), reads="all", upsert=upsert)
        script = tmp_path / "script.py"
        script.write_bytes(dfrecord.render(journey, "python")[0].content)
        given = {"DF_BASE_URL": target.url, "DF_EMAIL": target.email, "DF_PASSWORD": target.password}
        planned = run(script, "python", given, options=["--plan"])
        assert planned.returncode == 3, planned.stderr
        assert "Plan: 1 to create, 1 to change, 0 to delete" in planned.stdout
        assert [call.raw_target for call in target.log if "(new" in unquote(call.raw_target)] == []


def test_a_change_is_told_field_by_field_inside_objects_and_rows() -> None:
    journey = dfrecord.plan(recorded(role_made_and_edited_as_the_console_does))
    with DreamFactoryDouble(700, installed=INSTALLED) as df:
        prepare(df, "bystander")
        _, first, second = dfrecord.preview(journey, df.url, given(df, journey)).steps
        assert [field.name for field in first.fields] == ["description", "role_service_access_by_role_id[new]"]
        names = [(field.name, field.old if isinstance(field.old, str) else None, field.new) for field in second.fields]
        assert ("lookup_by_role_id[0].value", "1", "2") in names
        assert ("role_service_access_by_role_id[0]", None, None) in names
    journey = dfrecord.plan(recorded(service_edited_and_its_cache_cleared))
    with DreamFactoryDouble(700, installed=INSTALLED) as df:
        prepare(df, "bystander")
        step = dfrecord.preview(journey, df.url, given(df, journey)).steps[0]
        assert [(f.name, f.old, f.new) for f in step.fields] == [("label", "W", "New"), ("config.database", "w", "w2")]


def test_a_secret_that_nobody_can_compare_is_told_as_set() -> None:
    journey = dfrecord.plan(recorded(password_of_a_user_set))
    with DreamFactoryDouble(700) as df:
        prepare(df, "bystander")
        [step] = dfrecord.preview(journey, df.url, given(df, journey)).steps
        assert [(field.name, field.new) for field in step.fields] == [("password", "***")]


def credentials_switched_off_again(s: RecordedSession) -> None:
    [own] = s.create("cors", {"path": "a", "origin": "*", "method": ["GET"], "supports_credentials": True})
    s.call("PATCH", f"system/cors/{own}", {"supports_credentials": False})
    s.create("user", {"email": "x@example.com", "name": "X", "password": PASSWORD})


def test_a_truth_value_is_no_secret_whatever_it_is_called() -> None:
    journey = dfrecord.plan(recorded(credentials_switched_off_again))
    with DreamFactoryDouble(700) as df:
        prepare(df, "bystander")
        steps = dfrecord.preview(journey, df.url, given(df, journey)).steps
    told = [[(f.old, f.new) for f in step.fields if "cred" in f.name or "pass" in f.name] for step in steps]
    assert told == [[(None, True)], [(True, False)], [(None, "***")]]


def test_a_secret_that_is_part_of_every_text_disturbs_no_plan() -> None:
    journey = dfrecord.plan(recorded(password_of_a_user_set))
    with DreamFactoryDouble(700, installed=INSTALLED) as df:
        prepare(df, "bystander")
        secret = next(v.env for v in journey.variables if v.secret and v.required and v.env != "DF_PASSWORD")
        planned = dfrecord.preview(journey, df.url, {**given(df, journey), secret: "tru"})
        assert planned.count(Action.CHANGE) == 1
