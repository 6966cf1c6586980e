"""Any REST console: the knowledge of a platform is a file. An invented platform goes through every format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import requests

import dfrecord as api
from dfrecord.recording.exchange import ABSENT, Body, Exchange, Headers, Request, Response
from dfrecord.recording.har_writer import har_chunks
from dfrecord.system_api.catalog_file import schema
from tests.doubles.echo import EchoServer
from tests.doubles.gatehouse import PASSWORD, USER, Gatehouse
from tests.tools import EVERY_OPTION, FAILED, FORMATS, ROOT, dfrecord, rendered, run, torn_down

CATALOG = ROOT / "examples" / "another-platform" / "gatehouse.json"
PIN = "pin-4711-0815"


class Console:
    """Somebody who clicks in Gatehouse's console; `exchanges` holds every call with its answer."""

    def __init__(self, server: Gatehouse) -> None:
        self.server = server
        self.exchanges: list[Exchange] = []
        self.token = ""
        self.token = self("POST", "login", {"user": USER, "pass": PASSWORD})["access_token"]

    def __call__(self, method: str, path: str, sent: Any = None) -> Any:
        headers = {"Accept": "application/json", "User-Agent": "Browser"}
        headers |= {"Authorization": f"Bearer {self.token}"} if self.token else {}
        content = None if sent is None else json.dumps(sent).encode()
        headers |= {"Content-Type": "application/json"} if content else {}
        url = f"{self.server.url}/rest/v1/{path}"
        got = requests.request(method, url, headers=headers, data=content, timeout=30)
        body = ABSENT if content is None else Body.recorded(content)
        request = Request(method, url, Headers(tuple(headers.items())), body)
        answer = Response(got.status_code, Headers((("Content-Type", "application/json"),)), Body.recorded(got.content))
        self.exchanges.append(Exchange(len(self.exchanges), request, answer))
        return got.json() if got.content else None


def old_records(server: Gatehouse) -> None:
    """What is there before; in another order, with other ids, on each server."""
    server.answer("POST", "/rest/v1/sites", next(iter(server.tokens)), {"name": "Harbour", "alarm": None})


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """A new site with two doors, one of them at a site that was there, and a badge for both; then a change."""
    with Gatehouse() as server:
        console = Console(server)
        old_records(server)
        console("GET", "whoami")
        harbour = console("GET", "sites")[0]["uid"]
        site = console("POST", "sites", {"name": "Acme HQ", "alarm": {"pin": PIN, "armed": True}})["uid"]
        front = console("POST", "doors", {"label": "acme front", "site_uid": site})["uid"]
        quay = console("POST", "doors", {"label": "acme quay", "site_uid": harbour})["uid"]
        badge = {"holder": 'Ada "$(id)" {{x}}', "doors": [front], "issued_by": {"site_uid": site}}
        made = console("POST", "badges", badge)
        console("GET", f"badges/{made['uid']}")
        console("PATCH", f"badges/{made['uid']}", {**made, "doors": [front, quay]})
        console("DELETE", "login")
        path = tmp_path / "gatehouse.har"
        path.write_bytes(b"".join(har_chunks(console.exchanges)))
        (tmp_path / "state.json").write_text(json.dumps(server.state()))
        return path


def target_with_old_records() -> Gatehouse:
    server = Gatehouse()
    server.records["sites"] += [
        {"uid": "11111111-2222-3333-4444-555555555555", "created_at": "", "name": "Elsewhere", "alarm": None},
        {"uid": "66666666-7777-8888-9999-000000000000", "created_at": "", "name": "Harbour", "alarm": None},
    ]
    return server


def environment(server: Gatehouse) -> dict[str, str]:
    return {"DF_BASE_URL": server.url, "DF_EMAIL": USER, "DF_PASSWORD": PASSWORD, "DF_SITE_PIN": PIN}


@pytest.mark.parametrize("format", EVERY_OPTION)
def test_another_platform_goes_through_every_format(format: str, recording: Path, tmp_path: Path) -> None:
    (tmp_path / format).mkdir()
    options = ("--catalog", str(CATALOG), "--upsert", "--teardown")
    script = rendered(recording, format, tmp_path / format, *options)
    wanted = json.loads((tmp_path / "state.json").read_text())
    with target_with_old_records() as server:
        before = server.state()
        first = run(script, format, environment(server))
        assert first.returncode == 0, first.stdout + first.stderr
        wanted["sites"] += [row for row in before["sites"] if row["name"] == "Elsewhere"]
        assert server.state() == {name: sorted(rows, key=str) for name, rows in wanted.items()}
        server.writes.clear()
        again = run(script, format, environment(server))
        assert again.returncode == 0, again.stdout + again.stderr
        assert server.writes == []
        undone = torn_down(script, format, environment(server))
        assert undone.returncode == 0, undone.stdout + undone.stderr
        assert server.state() == before


@pytest.mark.parametrize("format", FORMATS)
def test_plain_script_of_another_platform(format: str, recording: Path, tmp_path: Path) -> None:
    (tmp_path / format).mkdir()
    script = rendered(recording, format, tmp_path / format, "--catalog", str(CATALOG))
    assert PIN not in script.read_text()
    wanted = json.loads((tmp_path / "state.json").read_text())
    with target_with_old_records() as server:
        done = run(script, format, environment(server))
        assert done.returncode == 0, done.stdout + done.stderr
        assert server.state()["badges"] == wanted["badges"]
        refused = run(script, format, environment(server))
        assert refused.returncode == FAILED.get(format, 1)
        assert "There is a name Acme HQ already." in refused.stdout + refused.stderr


def test_replay_and_plan_of_another_platform(recording: Path, tmp_path: Path) -> None:
    catalog = api.load_catalog(CATALOG)
    journey = api.plan(api.read(recording, catalog=catalog), catalog=catalog)
    with target_with_old_records() as server:
        planned = api.preview(journey, server.url, environment(server), catalog=catalog)
        assert planned.summary == "Plan: 4 to create, 1 to change, 0 to delete"
        assert server.writes == []
        created = tmp_path / "created.jsonl"
        replayed = api.replay(journey, server.url, environment(server), catalog=catalog, created_file=created)
        assert replayed.ok, replayed


def test_show_speaks_of_the_platforms_records(recording: Path) -> None:
    told = dfrecord("show", recording, "--catalog", CATALOG).stdout.decode()
    assert "4. Create door acme quay" in told
    assert "site_uid ← step 2" in told or "site_id ← step 2" in told
    assert "the console asks who is signed on" in told


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"prefix": None}, "missing required field `prefix`"),
        ({"resources": {"site": {"key": "name"}}}, "resources.site.key: expected `array`, got `str`"),
        ({"resources": {"site": {"keys": ["name"]}}}, "resources.site: object contains unknown field `keys`"),
        ({"resources": {"door": {"foreign_keys": {"site_uid": ["sites"]}}}}, "there is no resource 'sites'"),
        ({"session": {"admin_path": "/rest/v1/signin"}}, "/rest/v1/signin is not the path of a resource"),
        ({"session": {"token_fields": []}}, "session: a login has paths, admin_path, token_fields, "),
        ({"format": "2"}, 'format: has to be "dfrecord-catalog/1"'),
        ({"format": None}, 'format: has to be "dfrecord-catalog/1"'),
        ({"resources": {"door": {"path": "/rest/v1/sites/"}}}, "'/rest/v1/sites/' is the path of site, too"),
        ({"extends": "gatehouse"}, "extends: 'gatehouse' is not there to extend"),
    ],
)
def test_broken_catalog_is_told_with_its_place(change: dict[str, Any], complaint: str, tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text(json.dumps(_changed(json.loads(CATALOG.read_text()), change)))
    error = dfrecord("show", tmp_path / "any.har", "--catalog", broken, code=2).stderr.decode()
    assert f"{broken}: " in error
    assert complaint in error
    assert error.count("\n") == 1


def _changed(document: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    changed = dict(document)
    for name, value in change.items():
        if value is None:
            del changed[name]
        else:
            changed[name] = _changed(changed.get(name, {}), value) if isinstance(value, dict) else value
    return changed


def test_catalog_extends_the_built_in_one(tmp_path: Path) -> None:
    more = tmp_path / "more.json"
    tenant = {"path": "/api/v2/system/tenant", "id": "id", "key": ["name"], "foreign_keys": {"app_id": ["app"]}}
    service = {"foreign_keys": {"config.crm_role": ["role"]}, "secrets": [{"path": "config.seed"}]}
    more.write_text(json.dumps({"extends": "dreamfactory", "resources": {"tenant": tenant, "service": service}}))
    catalog, built_in = api.load_catalog(more), api.load_catalog(ROOT / "dfrecord" / "system_api" / "resources.json")
    assert catalog.locate("/api/v2/system/tenant/3") == built_in.locate("/api/v2/system/tenant/3").__class__(
        "tenant", "3"
    )
    assert catalog.resources["service"].foreign_keys["config.crm_role"] == ("role",)
    assert catalog.resources["service"].foreign_keys["config.default_role"] == ("role",)
    assert catalog.secret_rule("service", "config.seed") is not None
    assert built_in.secret_rule("service", "config.seed") is None


def test_schema_in_the_docs_is_the_code_s() -> None:
    assert json.loads((ROOT / "docs" / "catalog.schema.json").read_text()) == schema()


# ---------------------------------------------------------------- no login, and paths that go on below a record

FOLDERS = {
    "format": "dfrecord-catalog/1",
    "prefix": "/api",
    "default_filters": ["api"],
    "id": "uid",
    "text_ids": True,
    "session": {"token_header": "Authorization", "token_prefix": "Bearer "},
    "resources": {"folder": {"path": "/api/folders", "id": "uid", "key": ["title"], "server_made": ["uid"]}},
}


def sent_with_a_token(number: int, method: str, path: str, sent: Any, answer: Any) -> Exchange:
    headers = Headers((("Authorization", "Bearer glsa_0123456789abcdefXYZ"), ("Content-Type", "application/json")))
    request = Request(method, f"http://folders.example.com{path}", headers, Body.recorded(json.dumps(sent).encode()))
    types = Headers((("Content-Type", "application/json"),))
    return Exchange(number, request, Response(200, types, Body.recorded(json.dumps(answer).encode())))


@pytest.mark.parametrize("format", FORMATS)
def test_platform_without_login_takes_a_token_and_links_ids_inside_paths(format: str, tmp_path: Path) -> None:
    (tmp_path / "folders.json").write_text(json.dumps(FOLDERS))
    made = {"uid": "old-uid-1", "title": "Acme"}
    calls = [
        sent_with_a_token(0, "POST", "/api/folders", {"title": "Acme"}, made),
        sent_with_a_token(1, "POST", "/api/folders/old-uid-1/permissions", {"items": [{"uid": "x"}]}, {}),
        sent_with_a_token(2, "PUT", "/api/folders/id/old-uid-1", {"title": "Other", "uid": "y"}, {}),
    ]
    (tmp_path / "session.har").write_bytes(b"".join(har_chunks(calls)))
    script = rendered(tmp_path / "session.har", format, tmp_path, "--catalog", str(tmp_path / "folders.json"))
    with EchoServer({("POST", "/api/folders"): (200, json.dumps({**made, "uid": "new-uid-9"}))}) as echo:
        missing = run(script, format, {"DF_BASE_URL": echo.url})
        assert "DF_SESSION_TOKEN" in missing.stdout + missing.stderr
        assert echo.received == []
        done = run(script, format, {"DF_BASE_URL": echo.url, "DF_SESSION_TOKEN": "given-token"})
        assert done.returncode == 0, done.stdout + done.stderr
    assert [(call.method, call.target) for call in echo.received] == [
        ("POST", "/api/folders"),
        ("POST", "/api/folders/new-uid-9/permissions"),
        ("PUT", "/api/folders/id/new-uid-9"),
    ]
    tokens = [value for call in echo.received for name, value in call.headers if name.lower() == "authorization"]
    assert tokens == ["Bearer given-token"] * 3
    assert [json.loads(call.body) for call in echo.received[1:]] == [
        {"items": [{"uid": "x"}]},
        {"title": "Other", "uid": "y"},
    ]
