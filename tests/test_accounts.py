"""Sessions of who is no administrator, whose role an API key chooses, alone and beside an administrator's."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from msgspec.structs import replace

import dfrecord
from dfrecord.recording.exchange import Headers, Recording
from tests.doubles.server import DreamFactoryDouble
from tests.recorder import RecordedSession
from tests.states import portable
from tests.test_end_to_end import environment
from tests.test_settled import WAYS_TO_UNDO, Runner, by_name, runner
from tests.tools import rendered, run

PASSWORD = "Another!pass-word-16"


def with_a_user(df: DreamFactoryDouble) -> str:
    """An instance with a role to change, and with a user who may do all through an app; gives the key of that."""
    return made_user(RecordedSession(df), "ops")


def made_user(s: RecordedSession, name: str, username: str = "") -> str:
    access = {"service_id": by_name(s, "service")["system"], "component": "*", "verb_mask": 31, "requestor_mask": 1}
    role = {"name": name, "description": "old", "is_active": True, "role_service_access_by_role_id": [access]}
    [role_id] = s.create("role", role)
    app = {"name": name, "type": "0", "is_active": True}
    [made] = s.call("POST", "system/app?fields=*", {"resource": [app]})["resource"]
    rows = [{"app_id": made["id"], "role_id": role_id}]
    user = {"email": f"{name}@example.com", "name": name, "password": PASSWORD, "user_to_app_to_role_by_user_id": rows}
    s.create("user", {**user, "username": username} if username else user)
    return str(made["api_key"])


def log_in(s: RecordedSession, path: str, email: str, password: str, api_key: str = "") -> None:
    s._token, s._api_key = "", api_key
    assert "session_token" in s.call("POST", path, {"email": email, "password": password})


def work(s: RecordedSession) -> None:
    s.call("GET", "system/app")  # as the dashboard does: it shows the key that the session itself uses
    s.create("role", {"name": "new", "is_active": True})
    s.call("PATCH", f"system/role/{by_name(s, 'role')['ops']}", {"description": "new"})


@pytest.mark.parametrize("way", WAYS_TO_UNDO)
def test_what_a_user_did_is_done_again_and_undone_with_the_key_that_chooses_the_role(way: str, tmp_path: Path) -> None:
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        keys = {df: with_a_user(df) for df in (recorded, target)}
        session = RecordedSession(recorded, "ops@example.com", PASSWORD, keys[recorded])
        work(session)
        script = runner(way, session, tmp_path)
        before = portable(target.state())
        given: dict[str, Any] = {"DF_EMAIL": "ops@example.com", "DF_PASSWORD": PASSWORD, "DF_API_KEY": keys[target]}
        script.run(target, **given)
        assert portable(target.state()) == portable(recorded.state())
        target.reset_log()
        script.run(target, **given)
        assert target.writes == []
        code = 1 if way == "postman" else 2
        told = script.run(target, teardown=True, code=code, **{**given, "DF_API_KEY": ""})
        assert "DF_API_KEY" in told
        assert target.writes == []
        script.run(target, teardown=True, **given)
        assert portable(target.state()) == before


def user_then_admin(s: RecordedSession, df: DreamFactoryDouble) -> dict[str, str]:
    log_in(s, "user/session", "ops@example.com", PASSWORD, s._api_key)
    work(s)
    log_in(s, "system/admin/session", df.email, df.password)
    s.create("role", {"name": "of-admin", "is_active": True})
    return {"DF_EMAIL": "ops@example.com", "DF_PASSWORD": PASSWORD}


def admin_then_the_user_it_makes(s: RecordedSession, df: DreamFactoryDouble) -> dict[str, str]:
    log_in(s, "system/admin/session", df.email, df.password)
    key = made_user(s, "made")
    log_in(s, "user/session", "made@example.com", PASSWORD, key)
    work(s)
    return {"DF_USER_PASSWORD": PASSWORD}


@pytest.mark.parametrize(
    ("session", "way"),
    [
        *((admin_then_the_user_it_makes, way) for way in WAYS_TO_UNDO),
        *((user_then_admin, way) for way in ("curl", "python")),
    ],
)
def test_what_several_accounts_did_is_undone_as_the_administrator(
    session: Callable[[RecordedSession, DreamFactoryDouble], dict[str, str]], way: str, tmp_path: Path
) -> None:
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        keys = {df: with_a_user(df) for df in (recorded, target)}
        s = RecordedSession(recorded)
        s.exchanges.clear()
        s._api_key = keys[recorded]
        given: dict[str, Any] = session(s, recorded)
        admin = "_2" if session is user_then_admin else ""
        to_undo: dict[str, Any] = {f"DF_EMAIL{admin}": target.email, f"DF_PASSWORD{admin}": target.password}
        named = {variable.env for variable in dfrecord.plan(Recording("s.har", tuple(s.exchanges))).variables}
        given |= {"DF_API_KEY": keys[target]} if "DF_API_KEY" in named else {}
        script = runner(way, s, tmp_path)
        before = portable(target.state())
        script.run(target, **{**given, **to_undo})
        assert portable(target.state()) == portable(recorded.state())
        script.run(target, teardown=True, **dict[str, Any](dict.fromkeys(given, ""), **to_undo))
        assert portable(target.state()) == before


@pytest.mark.parametrize("way", WAYS_TO_UNDO)
def test_an_account_that_the_journey_makes_logs_in_by_the_name_and_password_that_it_got(
    way: str, tmp_path: Path
) -> None:
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        s = RecordedSession(recorded)
        account = {"email": "Made@acme.com", "name": "made", "password": recorded.password}  # as the administrator's
        s.create("admin", account)
        log_in(s, "system/admin/session", "Made@acme.com", recorded.password)
        s.call("PUT", "system/admin/profile", {"phone": "1"})
        log_in(s, "system/admin/session", recorded.email, recorded.password)
        s.create("role", {"name": "last", "is_active": True})
        journey = dfrecord.plan(Recording("s.har", tuple(s.exchanges)))
        needed = {v.env for v in journey.variables if v.required}
        assert needed == {"DF_BASE_URL", "DF_EMAIL", "DF_PASSWORD", "DF_ADMIN_PASSWORD"}
        script = runner(way, s, tmp_path)
        name = "other@globex.com"
        given: dict[str, Any] = {"DF_ADMIN_PASSWORD": PASSWORD, "DF_ADMIN_EMAIL": name}
        if way in ("python", "replay"):
            told = script.run(target, plan=True, code=3, **given)
            assert "2 to create" in told
        for _ in range(2):
            target.reset_log()
            script.run(target, **given)
        assert target.writes == []
        assert name in portable(target.state())["admin"]
        logins = [json.loads(call.body)["email"] for call in target.log if call.path.endswith("/session") and call.body]
        assert logins == [target.email, name, target.email]


def imports(kind: str, password: str) -> tuple[str, bytes]:
    """A body that makes an account, of each kind that is no JSON, with its media type."""
    account = {"email": "made@acme.com", "name": "Made", "password": password}
    table = f'email,name,password\r\n"made@acme.com",Made,{password}\r\n'
    elements = "".join(f"<{name}>{value}</{name}>" for name, value in account.items())
    form = {f"resource[0][{name}]": value for name, value in account.items()}
    of_file = {"file": (table, 'filename="u.csv"', "Content-Type: text/csv")}
    fields = {name: (value, "", "X-Of: form") for name, value in form.items()}

    def parts(given: dict[str, tuple[str, str, str]]) -> str:
        one = '--b\r\nContent-Disposition: form-data; name="{}"; {}\r\n{}\r\n\r\n{}\r\n'
        return "".join(one.format(name, file, head, text) for name, (text, file, head) in given.items()) + "--b--\r\n"

    bodies = {
        "table": ("text/csv", table),
        "XML": ("application/xml", f"<dfapi><resource>{elements}</resource></dfapi>"),
        "form": ("application/x-www-form-urlencoded", urlencode(form)),
        "file of a form": ("multipart/form-data; boundary=b", parts(of_file)),
        "parts of a form": ("multipart/form-data; boundary=b", parts(fields)),
    }
    media_type, body = bodies[kind]
    return media_type, body.encode()


@pytest.mark.parametrize("way", ["curl", "python", "postman", "replay"])
@pytest.mark.parametrize("kind", ["table", "XML", "form", "file of a form", "parts of a form"])
def test_an_imported_account_logs_in_by_the_name_and_password_that_it_got(kind: str, way: str, tmp_path: Path) -> None:
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        s = RecordedSession(recorded)
        s.upload("system/admin", *imports(kind, recorded.password))  # the password is the administrator's
        log_in(s, "system/admin/session", "made@acme.com", recorded.password)
        s.create("role", {"name": "last", "is_active": True})
        journey = dfrecord.plan(Recording("s.har", tuple(s.exchanges)))
        needed = {v.env for v in journey.variables if v.required}
        assert needed == {"DF_BASE_URL", "DF_EMAIL", "DF_PASSWORD", "DF_ADMIN_PASSWORD"}
        given: dict[str, Any] = {"DF_ADMIN_PASSWORD": PASSWORD, "DF_ADMIN_EMAIL": "other@globex.com"}
        script = runner(way, s, tmp_path)
        if way in ("curl", "python", "postman"):  # as it was sent, in a body of its kind
            (folder := tmp_path / "plain").mkdir()
            plain = rendered(script.recording, way, folder)
            done = run(plain, way, {**environment(target), **given})
            assert done.returncode == 0, done.stdout + done.stderr
        else:
            script.run(target, **given)
        target.reset_log()
        script.run(target, **given)
        assert target.writes == []
        assert portable(target.state())["role"] == portable(recorded.state())["role"]
        assert "other@globex.com" in portable(target.state())["admin"]


@pytest.mark.parametrize("way", WAYS_TO_UNDO)
def test_a_chosen_stem_is_in_the_login_of_an_account_that_the_journey_makes(way: str, tmp_path: Path) -> None:
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        s = RecordedSession(recorded)
        s.create("admin", {"email": "a@acme.com", "name": "acme", "password": PASSWORD})
        log_in(s, "system/admin/session", "a@acme.com", PASSWORD)
        s.create("role", {"name": "acme-role", "is_active": True})
        script = runner(way, s, tmp_path, "--parameter", "tenant=acme")
        script.run(target, DF_TENANT="globex", DF_ADMIN_PASSWORD=PASSWORD)
        assert "globex-role" in portable(target.state())["role"]
        assert "a@globex.com" in portable(target.state())["admin"]


@pytest.mark.parametrize("way", WAYS_TO_UNDO)
def test_who_logs_in_again_is_one_account(way: str, tmp_path: Path) -> None:
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        s = RecordedSession(recorded)
        s.exchanges.clear()  # it begins after the login
        s.create("role", {"name": "first", "is_active": True})
        log_in(s, "system/admin/session", recorded.email, recorded.password)
        s.create("role", {"name": "second", "is_active": True})
        log_in(s, "system/admin/session", recorded.email, recorded.password)
        s.create("role", {"name": "third", "is_active": True})
        journey = dfrecord.plan(Recording("s.har", tuple(s.exchanges)))
        assert {v.env for v in journey.variables if v.required} == {"DF_BASE_URL", "DF_EMAIL", "DF_PASSWORD"}
        runner(way, s, tmp_path).run(target)
        assert portable(target.state())["role"] == portable(recorded.state())["role"]


def changes_its_profile(s: RecordedSession, df: DreamFactoryDouble) -> dict[str, Any]:
    """Two administrators, each their own; the first one's phone differs from what it was, and from the second's."""
    s.call("PUT", "system/admin/profile", {"phone": "7"})
    s.create("admin", {"email": "made@acme.com", "name": "made", "phone": "1", "password": PASSWORD})
    log_in(s, "system/admin/session", "made@acme.com", PASSWORD)
    s.call("PUT", "system/admin/session")  # another token
    s.call("PUT", "system/admin/profile", {"phone": "2", "first_name": "M"})
    s.call("DELETE", "system/admin/session")
    log_in(s, "system/admin/session", df.email, df.password)
    s.create("role", {"name": "last", "is_active": True})
    return {"DF_ADMIN_PASSWORD": PASSWORD}


def posts_its_profile(s: RecordedSession, df: DreamFactoryDouble) -> dict[str, Any]:
    """A user whom the administrator makes."""
    key = made_user(s, "made")
    log_in(s, "user/session", "made@example.com", PASSWORD, key)
    s.call("POST", "user/profile", {"phone": "2", "name": "Changed"})
    return {"DF_USER_PASSWORD": PASSWORD}


def is_there_for_a_while(s: RecordedSession, df: DreamFactoryDouble) -> dict[str, Any]:
    """An administrator who is deleted in the end: an upsert has nobody to log in."""
    [made] = s.create("admin", {"email": "made@acme.com", "name": "made", "password": PASSWORD})
    log_in(s, "system/admin/session", "made@acme.com", PASSWORD)
    s.call("PUT", "system/admin/profile", {"phone": "2"})
    log_in(s, "system/admin/session", df.email, df.password)
    s.call("DELETE", f"system/admin/{made}")
    s.create("role", {"name": "last", "is_active": True})
    return {"DF_YES": "1"}


def settles_and_is_undone(
    script: Runner, recorded: DreamFactoryDouble, target: DreamFactoryDouble, given: dict[str, Any]
) -> None:
    """The target becomes as the recorded server is, a second run writes nothing, and a teardown restores all."""
    before = portable(target.state())
    script.run(target, **given)
    assert portable(target.state()) == portable(recorded.state())
    target.reset_log()
    assert "unchanged" in script.run(target, **given)
    assert [(call.method, call.path) for call in target.writes if not call.path.endswith("session")] == []
    script.run(target, teardown=True, **given)
    assert portable(target.state()) == before


@pytest.mark.parametrize("way", WAYS_TO_UNDO)
@pytest.mark.parametrize("who", [changes_its_profile, posts_its_profile, is_there_for_a_while])
def test_what_an_account_changes_in_its_own_profile_is_what_its_create_wants(
    who: Callable[[RecordedSession, DreamFactoryDouble], dict[str, Any]], way: str, tmp_path: Path
) -> None:
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        s = RecordedSession(recorded)
        given = who(s, recorded)
        script = runner(way, s, tmp_path, "--filter", "api/v2")
        settles_and_is_undone(script, recorded, target, given)


@pytest.mark.parametrize("way", WAYS_TO_UNDO)
def test_a_teardown_leaves_the_profile_of_who_it_is_not(way: str, tmp_path: Path) -> None:
    """The account is there, and the one that undoes has by chance the values that the other's profile got."""
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        s = RecordedSession(recorded)
        s.create("admin", {"email": "made@acme.com", "name": "made", "password": PASSWORD})
        log_in(s, "system/admin/session", "made@acme.com", PASSWORD)
        s.call("PUT", "system/admin/profile", {"phone": "2"})
        there = RecordedSession(target)
        there.create("admin", {"email": "made@acme.com", "name": "made", "password": PASSWORD, "phone": "1"})
        there.call("PUT", "system/admin/profile", {"phone": "2"})
        journey = dfrecord.plan(Recording("s.har", tuple(s.exchanges)), upsert=True, teardown=True)
        assert "phone: the teardown does not put back the old value, as it acts as another account" in [
            line.reason for line in journey.residue
        ]
        script = runner(way, s, tmp_path)
        script.run(target, DF_ADMIN_PASSWORD=PASSWORD)
        after = portable(target.state())
        script.run(target, teardown=True, DF_ADMIN_PASSWORD=PASSWORD)
        assert portable(target.state()) == after


@pytest.mark.parametrize("way", [*WAYS_TO_UNDO, "ansible"])
@pytest.mark.parametrize("looks_up", [True, False])
def test_who_signs_each_call_with_a_password_needs_no_login_to_undo_it(
    looks_up: bool, way: str, tmp_path: Path
) -> None:
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        for df in (recorded, target):
            with_a_user(df)
        s = RecordedSession(recorded)
        s.create("role", {"name": "new", "is_active": True})
        if looks_up:
            s.call("PATCH", f"system/role/{by_name(s, 'role')['ops']}", {"description": "new"})
        signed = [("Authorization", f"Basic {b64encode(f'{recorded.email}:{recorded.password}'.encode()).decode()}")]
        for exchange in s.exchanges:
            kept = [header for header in exchange.request.headers if header[0] != "X-DreamFactory-Session-Token"]
            request = replace(exchange.request, headers=Headers((*kept, *signed)))
            s.exchanges[exchange.number] = replace(exchange, request=request)
        del s.exchanges[0]
        journey = dfrecord.plan(Recording("s.har", tuple(s.exchanges)))
        assert {v.env for v in journey.variables if v.required} == {"DF_BASE_URL", "DF_BASIC_CREDENTIALS"}
        script = runner(way, s, tmp_path)
        before = portable(target.state())
        own = b64encode(f"{target.email}:{target.password}".encode()).decode()
        given: dict[str, Any] = {"DF_EMAIL": "", "DF_PASSWORD": "", "DF_BASIC_CREDENTIALS": own}
        script.run(target, **given)
        assert portable(target.state()) == portable(recorded.state())
        code = {"postman": 1}.get(way, 2)
        told = script.run(target, teardown=True, code=code, **{**given, "DF_BASIC_CREDENTIALS": ""})
        assert "DF_BASIC_CREDENTIALS" in told
        script.run(target, teardown=True, **given)
        if way in WAYS_TO_UNDO:
            assert portable(target.state()) == before
        assert "new" not in portable(target.state())["role"]


def own_record_and_profile(s: RecordedSession, df: DreamFactoryDouble, key: str) -> dict[str, Any]:
    """An administrator changes what is there through the own record and the own profile, the one after the other."""
    own = {row["email"]: row["id"] for row in s.call("GET", "system/admin")["resource"]}[df.email]
    s.call("PATCH", f"system/admin/{own}", {"phone": "3", "first_name": "F"})
    s.call("PUT", "system/admin/profile", {"phone": "4", "last_name": "L"})
    s.call("PATCH", f"system/admin/{own}", {"last_name": "Last"})
    return {}


def record_and_profile_of_a_user(s: RecordedSession, df: DreamFactoryDouble, key: str) -> dict[str, Any]:
    """An administrator changes a user, who then changes the own profile."""
    [user] = [row["id"] for row in s.call("GET", "system/user")["resource"]]
    s.call("PATCH", f"system/user/{user}", {"phone": "5", "first_name": "Ann"})
    log_in(s, "user/session", "ann@example.com", PASSWORD, key)
    s.call("POST", "user/profile", {"phone": "6", "name": "Ann B"})
    return {"DF_EMAIL_2": "ann@example.com", "DF_PASSWORD_2": PASSWORD}


def record_and_profile_by_the_username(s: RecordedSession, df: DreamFactoryDouble, key: str) -> dict[str, Any]:
    """The same, where the user logs in by the username, which no answer shows beside the e-mail."""
    [user] = [row["id"] for row in s.call("GET", "system/user?fields=id,email")["resource"]]
    s.call("PATCH", f"system/user/{user}", {"phone": "5", "first_name": "Ann"})
    s._token, s._api_key = "", key
    assert "session_token" in s.call("POST", "user/session", {"username": "annabel", "password": PASSWORD})
    s.call("POST", "user/profile", {"phone": "6", "name": "Ann B"})
    return {"DF_EMAIL_2": "annabel", "DF_PASSWORD_2": PASSWORD}


@pytest.mark.parametrize(
    "who", [own_record_and_profile, record_and_profile_of_a_user, record_and_profile_by_the_username]
)
@pytest.mark.parametrize("way", WAYS_TO_UNDO)
def test_an_account_that_was_there_and_its_own_profile_are_one_record(
    way: str, who: Callable[[RecordedSession, DreamFactoryDouble, str], dict[str, Any]], tmp_path: Path
) -> None:
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        keys = {df: made_user(RecordedSession(df), "ann", "annabel") for df in (recorded, target)}
        s = RecordedSession(recorded)
        given = {**who(s, recorded, keys[recorded]), "DF_API_KEY": keys[target]}
        script = runner(way, s, tmp_path, "--filter", "api/v2")
        settles_and_is_undone(script, recorded, target, given)
