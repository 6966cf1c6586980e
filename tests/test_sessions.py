"""Sessions as they come: in a folder of the host, with the token in the query, of several accounts, of one's own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

import dfrecord
from dfrecord.errors import UsageError
from dfrecord.recording.exchange import Body, Exchange, Headers, Recording, Response
from dfrecord.recording.har_writer import har_chunks
from tests.doubles.server import DreamFactoryDouble
from tests.recorder import RecordedSession
from tests.states import portable
from tests.tools import FIXTURES, rendered, run, torn_down

SECOND, PASSWORD = "second@example.com", "Another!pass-word-16"


def test_a_console_in_a_folder_of_its_host_is_recorded_as_one_at_the_root(tmp_path: Path) -> None:
    recording = FIXTURES / "02-provision-tenant" / "recording.har"
    har = json.loads(recording.read_text())
    for entry in har["log"]["entries"]:
        entry["request"]["url"] = entry["request"]["url"].replace("/api/v2/", "/df/api/v2/", 1)
    folded = tmp_path / "recording.har"
    folded.write_text(json.dumps(har))
    there = dfrecord.plan(dfrecord.read(folded))
    assert there.steps == dfrecord.plan(dfrecord.read(recording)).steps
    assert [r.reason for r in there.residue if "/df" in r.reason] == [
        "the API lies under /df there: such a folder belongs into DF_BASE_URL"
    ]
    named = dfrecord.plan(dfrecord.read(folded, filters=["df/api/v2/system"]), filters=["df/api/v2/system"])
    assert named.steps == there.steps


def test_a_path_that_only_holds_the_name_of_the_api_is_in_no_folder() -> None:
    catalog = dfrecord.load_catalog(Path(dfrecord.__file__).parent / "system_api" / "resources.json")
    for url in ("https://h/api/v2/files/api/v2/system", "https://h/x?y=/api/v2/z", "https://h/api/files/api/v2/x"):
        assert catalog.at_root(url) == url


def test_a_token_in_the_query_is_sent_in_the_header(tmp_path: Path) -> None:
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        s = RecordedSession(recorded)
        token, s._token = s._token, ""
        s.call("POST", f"system/role?session_token={token}&fields=*", {"resource": [{"name": "r", "is_active": True}]})
        recording = Recording("query.har", tuple(s.exchanges))
        create = dfrecord.plan(recording).steps[1]
        assert create.request.target.literal == "/api/v2/system/role?fields=*"
        journey = dfrecord.plan(recording, upsert=True)
        given = {"DF_EMAIL": target.email, "DF_PASSWORD": target.password}
        assert dfrecord.replay(journey, target.url, given, created_file=tmp_path / "made").ok
        assert portable(target.state()) == portable(recorded.state())


@pytest.mark.parametrize("literal", [False, True])
@pytest.mark.parametrize("token", ["its own", "that of a session before"])
def test_a_login_that_carries_a_token_needs_none(token: str, literal: bool, tmp_path: Path) -> None:
    """The console may still hold the one of a session that has ended."""
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        s = RecordedSession(recorded)
        s.create("role", {"name": "r", "is_active": True})
        login = s.exchanges[0].request
        carried = ("X-DreamFactory-Session-Token", s._token if token == "its own" else "k7Qp2Zr9k7Qp2Zr9k7Qp2Zr9")
        request = replace(login, headers=Headers((*login.headers, carried)))
        (recording := tmp_path / "session.har").write_bytes(
            b"".join(har_chunks([replace(s.exchanges[0], request=request), *s.exchanges[1:]]))
        )
        given = {"DF_BASE_URL": target.url, "DF_EMAIL": target.email, "DF_PASSWORD": target.password}
        for format in ("curl", "python", "postman"):
            script = rendered(recording, format, tmp_path, *(["--literal"] if literal else []))
            done = run(script, format, given)
            assert done.returncode == 0, done.stdout + done.stderr
            [role] = target.state()["role"]
            assert role["name"] == "r"
            target.call("DELETE", f"/api/v2/system/role/{role['id']}")


def test_what_two_accounts_did_is_verified_and_undone_with_an_open_session(tmp_path: Path) -> None:
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        admin = {"email": SECOND, "name": "Second", "password": PASSWORD}
        for df in (recorded, target):
            df.call("POST", "/api/v2/system/admin", json.dumps({"resource": [admin]}).encode())
        s = RecordedSession(recorded)
        s.create("role", {"name": "first", "is_active": True})
        s.call("DELETE", "system/admin/session")
        s._token = ""
        s.call("POST", "system/admin/session", {"email": SECOND, "password": PASSWORD})
        s.create("role", {"name": "second", "is_active": True})
        s.call("DELETE", "system/admin/session")
        given = {"DF_EMAIL": target.email, "DF_PASSWORD": target.password}
        given |= {"DF_EMAIL_2": SECOND, "DF_PASSWORD_2": PASSWORD, "DF_BASE_URL": target.url}
        journey = dfrecord.plan(Recording("two.har", tuple(s.exchanges)), upsert=True)
        assert dfrecord.replay(journey, target.url, given, created_file=tmp_path / "made").ok
        for role in target.state()["role"]:
            target.call("DELETE", f"/api/v2/system/role/{role['id']}")
        recording = tmp_path / "two.har"
        recording.write_bytes(b"".join(har_chunks(s.exchanges)))
        script = rendered(recording, "postman", tmp_path, "--teardown")
        for go, names in ((run, ["first", "second"]), (torn_down, [])):
            done = go(script, "postman", given)
            assert done.returncode == 0, done.stdout
            assert [role["name"] for role in target.state()["role"]] == names


def test_ones_own_profile_is_written_only_where_it_differs(tmp_path: Path) -> None:
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        s = RecordedSession(recorded)
        read = s.call("GET", "system/admin/profile")
        s.call("PUT", "system/admin/profile", {**read, "name": "Ada L."})
        journey = dfrecord.plan(Recording("profile.har", tuple(s.exchanges)), upsert=True)
        given = {"DF_EMAIL": target.email, "DF_PASSWORD": target.password}
        for writes in (["PATCH"], []):
            target.reset_log()
            assert dfrecord.replay(journey, target.url, given, created_file=tmp_path / "made").ok
            assert [call.method for call in target.writes] == writes
        assert portable(target.state())["admin"][target.email]["name"] == "Ada L."


def as_in_http_2(exchange: Exchange) -> Exchange:
    """The exchange with the names of its headers in lower case."""
    headers = Headers(tuple((name.lower(), value) for name, value in exchange.request.headers))
    return replace(exchange, request=replace(exchange.request, headers=headers))


@pytest.mark.parametrize("seen", [lambda exchange: exchange, as_in_http_2], ids=["HTTP/1.1", "HTTP/2"])
def test_a_new_password_and_the_login_with_it_are_planned_run_and_verified(
    seen: Callable[[Exchange], Exchange], tmp_path: Path
) -> None:
    path = "system/admin/session"
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        s = RecordedSession(recorded)
        s.create("role", {"name": "first", "is_active": True})
        change = {"old_password": recorded.password, "new_password": PASSWORD}
        s.call("POST", "system/admin/password?login=true&reset=false", change)
        s.call("PUT", path)
        s.create("role", {"name": "second", "is_active": True})
        s.call("DELETE", path)
        s._token = ""
        s.call("POST", path, {"email": recorded.email, "password": PASSWORD})
        s.create("role", {"name": "third", "is_active": True})
        journey = dfrecord.plan(Recording("password.har", tuple(map(seen, s.exchanges))))
        [residue] = [r for r in journey.residue if "it changes the password of who logs in" in r.reason]
        assert residue.reason.endswith("a teardown needs the new one (DF_NEW_PASSWORD) as DF_PASSWORD")
        given = {"DF_EMAIL": target.email, "DF_PASSWORD": target.password, "DF_NEW_PASSWORD": PASSWORD}
        summary = "Plan: 3 to create, 0 to change, 0 to delete, 1 other call to send"
        assert dfrecord.preview(journey, target.url, given).summary == summary
        script = tmp_path / "script.py"
        script.write_bytes(dfrecord.render(journey, "python")[0].content)
        for session in ({}, {"DF_SESSION_TOKEN": RecordedSession(target)._token}):
            told = run(script, "python", {**given, **session, "DF_BASE_URL": target.url}, options=["--plan"])
            assert told.stdout.splitlines()[-1] == summary, told.stderr
        assert not [call for call in target.log if call.verb == "PUT"]
        replayed = dfrecord.replay(journey, target.url, given, created_file=tmp_path / "made")
        assert replayed.ok, replayed.results
        assert portable(target.state())["role"] == portable(recorded.state())["role"]


@pytest.mark.parametrize("upsert", [False, True], ids=["plain", "upsert"])
def test_the_profile_of_an_account_that_the_run_would_make_is_planned_from_its_record(
    upsert: bool, tmp_path: Path
) -> None:
    """Nobody can log in as it yet: the plan ends the administrator's session once, and no other."""
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        s = RecordedSession(recorded)
        access: dict[str, object] = {
            "service_id": None,
            "component": "*",
            "verb_mask": 31,
            "requestor_mask": 3,
            "filters": [],
        }
        rows = {"role_service_access_by_role_id": [access]}
        [role] = s.create("role", {"name": "made", "is_active": True, **rows})
        app = {"name": "made", "type": 0, "role_id": role, "is_active": True}
        made = s.call("POST", "system/app?fields=*", {"resource": [app]})["resource"][0]
        assigned = {"user_to_app_to_role_by_user_id": [{"app_id": made["id"], "role_id": role}]}
        s.create("user", {"email": "x@example.com", "name": "X", "password": PASSWORD, "is_active": True, **assigned})
        s.call("DELETE", "system/admin/session")
        own = RecordedSession(recorded, "x@example.com", PASSWORD, made["api_key"])
        own.call("PUT", "user/profile", {"phone": "123"})
        own.call("DELETE", "user/session")
        journey = dfrecord.plan(joined([*s.exchanges, *own.exchanges]), filters=["api/v2"], upsert=upsert)
        secrets = {v.env: PASSWORD for v in journey.variables if v.secret and v.required}
        given = {**secrets, "DF_EMAIL": target.email, "DF_PASSWORD": target.password, "DF_BASE_URL": target.url}
        script = tmp_path / "script.py"
        script.write_bytes(dfrecord.render(journey, "python")[0].content)

        planned = dfrecord.preview(journey, target.url, given)
        logs = [[(call.verb, call.path) for call in target.log if "session" in call.path]]
        target.reset_log()
        told = run(script, "python", given, options=["--plan"])
        logs += [[(call.verb, call.path) for call in target.log if "session" in call.path]]
        path = "/api/v2/system/admin/session"
        assert logs == [[("POST", path), ("DELETE", path)]] * 2, told.stderr
        assert [(field.name, field.old, field.new) for field in planned.steps[-1].fields] == [("phone", None, "123")]
        assert planned.summary == "Plan: 3 to create, 1 to change, 0 to delete"
        assert told.stdout.splitlines()[-2:] == ['      phone: null → "123"', planned.summary]
        replayed = dfrecord.replay(journey, target.url, given, created_file=tmp_path / "made")
        assert replayed.ok, replayed.results


def test_a_script_plans_a_recording_that_begins_after_the_login(tmp_path: Path) -> None:
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        s = RecordedSession(recorded)
        s.create("role", {"name": "first", "is_active": True})
        del s.exchanges[0]
        s.call("PUT", "system/admin/session")
        s.create("role", {"name": "second", "is_active": True})
        script = tmp_path / "script.py"
        script.write_bytes(dfrecord.render(dfrecord.plan(joined(s.exchanges)), "python")[0].content)
        given = {"DF_BASE_URL": target.url, "DF_EMAIL": target.email, "DF_PASSWORD": target.password}
        told = run(script, "python", given, options=["--plan"])
        assert told.stdout.splitlines()[-1] == "Plan: 2 to create, 0 to change, 0 to delete", told.stderr
        assert target.writes == []


def test_secrets_of_several_records_are_told_apart() -> None:
    with DreamFactoryDouble() as df:
        s = RecordedSession(df)
        for name in ("ann", "bob"):
            s.create("user", {"email": f"{name}@example.com", "name": name, "password": f"{PASSWORD}-{name}"})
        told = {variable.env: variable.description for variable in dfrecord.plan(joined(s.exchanges)).variables}
        assert told["DF_USER_PASSWORD"] == "the user password that the recording used (Create user ann@example.com)"
        assert told["DF_USER_PASSWORD_2"] == "the user password that the recording used (Create user bob@example.com)"


@pytest.mark.parametrize("status", [0, 504])
def test_a_create_whose_answer_was_lost_is_a_step_when_a_later_read_shows_its_record(
    status: int, tmp_path: Path
) -> None:
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        s = RecordedSession(recorded)
        s.create("role", {"name": "there"})
        s.call("GET", "system/role")
        record = {"name": "lost", "is_active": True}
        role = s.call("POST", "system/role?fields=*", {"resource": [record]})["resource"][0]["id"]
        s.exchanges[-1] = unheard(s.exchanges[-1], status)
        s.call("POST", "system/role", {"resource": [{"name": "lost"}]})  # refused: it is there
        s.exchanges.append(unheard(s.exchanges[1], status))  # not carried out: the name was taken
        s.call("GET", "system/role")
        s.create("app", {"name": "uses it", "type": "0", "role_id": role, "is_active": True})
        s.exchanges.append(replace(unheard(s.exchanges[-1], status), number=len(s.exchanges)))
        s.create("lookup", {"name": "tried twice"})
        s.exchanges.insert(-1, unheard(s.exchanges[-1], status))
        s.call("GET", "system/lookup")
        journey = dfrecord.plan(joined(s.exchanges))
        assert [step.title for step in journey.steps if step.kind == "create"] == [
            *("Create role there", "Create role lost", "Create app uses it", "Create lookup tried twice")
        ]
        given = {"DF_EMAIL": target.email, "DF_PASSWORD": target.password}
        replayed = dfrecord.replay(journey, target.url, given, created_file=tmp_path / "made")
        assert replayed.ok, replayed.results
        assert portable(target.state()) == portable(recorded.state())


def unheard(exchange: Exchange, status: int) -> Exchange:
    response = Response(status, body=Body.recorded(b""))
    return replace(exchange, response=response, error="" if status else "aborted")


def test_lookups_of_who_is_no_administrator_carry_the_key_that_chooses_the_role(tmp_path: Path) -> None:
    user = {"email": "ops@example.com", "name": "Ops", "password": PASSWORD}
    keys = {}
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        for df in (recorded, target):
            s = RecordedSession(df)
            services = {row["name"]: row["id"] for row in s.call("GET", "system/service")["resource"]}
            access = {"service_id": services["system"], "component": "*", "verb_mask": 31, "requestor_mask": 1}
            [role] = s.create("role", {"name": "ops", "is_active": True, "role_service_access_by_role_id": [access]})
            app = {"name": "ops", "type": "0", "is_active": True}
            [made] = s.call("POST", "system/app?fields=*", {"resource": [app]})["resource"]
            rows = [{"app_id": made["id"], "role_id": role}]
            s.create("user", {**user, "user_to_app_to_role_by_user_id": rows})
            keys[df] = made["api_key"]
        s = RecordedSession(recorded, user["email"], PASSWORD, keys[recorded])
        roles = {row["name"]: row["id"] for row in s.call("GET", "system/role")["resource"]}
        s.call("PATCH", f"system/role/{roles['ops']}", {"description": "by a user"})
        given = {"DF_EMAIL": user["email"], "DF_PASSWORD": PASSWORD, "DF_API_KEY": keys[target]}
        journey = dfrecord.plan(Recording("ops.har", tuple(s.exchanges)))
        assert dfrecord.replay(journey, target.url, given, created_file=tmp_path / "made").ok
        assert portable(target.state())["role"]["ops"]["description"] == "by a user"


def test_calls_to_another_instance_are_never_taken_for_calls_to_the_same() -> None:
    with DreamFactoryDouble() as one, DreamFactoryDouble() as two:
        first, second = RecordedSession(one), RecordedSession(two)
        for s, name in ((first, "a"), (second, "b")):
            [role] = s.create("role", {"name": name, "is_active": True})
            s.call("PATCH", f"system/role/{role}", {"description": name})
        mixed = [exchange for pair in zip(first.exchanges, second.exchanges, strict=True) for exchange in pair]
        recording = joined(mixed)
        with pytest.raises(UsageError, match=f"2 instances, {one.url} .*{two.url} .*--filter {one.url}/api/v2/system"):
            dfrecord.plan(recording)
        for df, s in ((one, first), (two, second)):
            chosen = dfrecord.plan(recording, filters=[f"{df.url}/api/v2/system"])
            alone = dfrecord.plan(joined(s.exchanges))
            assert [step.request for step in chosen.steps] == [step.request for step in alone.steps]
        second.exchanges[1:] = []
        second.call("GET", "system/role")
        read = dfrecord.plan(joined([*second.exchanges, *first.exchanges]))
        assert [step.request for step in read.steps] == [
            step.request for step in dfrecord.plan(joined(first.exchanges)).steps
        ]
        assert f"a call to {two.url}" in [line.reason for line in read.residue]
        token = dict(first.exchanges[-1].request.headers)["X-DreamFactory-Session-Token"]
        first._df, first._token = two, token  # the same instance under another name: it knows the session
        first.call("PATCH", "system/role/1", {"description": "refused here, as this is another"})
        first.exchanges[-1] = replace(first.exchanges[-1], response=first.exchanges[-2].response)
        assert len(dfrecord.plan(joined(first.exchanges)).steps) == 4


def joined(exchanges: list[Exchange]) -> Recording:
    return Recording("joined.har", tuple(replace(exchange, number=number) for number, exchange in enumerate(exchanges)))


@pytest.mark.parametrize("format", ["curl", "python", "postman"])
@pytest.mark.parametrize("options", [(), ("--upsert",)], ids=["plain", "upsert"])
def test_a_new_api_key_that_the_browser_made_is_asked_for(
    format: str, options: tuple[str, ...], tmp_path: Path
) -> None:
    """The console sends one of its own to refresh a key (system-api.md section 8, 7)."""
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        for df in (recorded, target):
            RecordedSession(df).create("app", {"name": "portal", "type": "0", "is_active": True})
        session = RecordedSession(recorded)
        apps = session.call("GET", "system/app?fields=*&related=role_by_role_id")["resource"]
        portal = next(app["id"] for app in apps if app["name"] == "portal")
        session.call("PUT", f"system/app/{portal}", {"api_key": "0123456789abcdef" * 4})
        session.call("GET", "system/app?fields=*&related=role_by_role_id")
        recording = tmp_path / "session.har"
        recording.write_bytes(b"".join(har_chunks(session.exchanges)))
        script = rendered(recording, format, tmp_path, *options)
        given = {"DF_BASE_URL": target.url, "DF_EMAIL": target.email, "DF_PASSWORD": target.password}
        done = run(script, format, {**given, "DF_API_KEY": "fedcba9876543210" * 4})
        assert done.returncode == 0, done.stdout + done.stderr
        keys = {app["name"]: app["api_key"] for app in target.call("GET", "/api/v2/system/app")[1]["resource"]}
        assert keys["portal"] == "fedcba9876543210" * 4
