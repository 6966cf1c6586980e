"""What linking makes of a recording, told by the plan alone, in places that are easily missed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from msgspec.structs import replace

import dfrecord
from dfrecord.errors import UsageError
from dfrecord.journey.account import account
from dfrecord.journey.calls import SENT_ONCE
from dfrecord.journey.filter_text import with_ids
from dfrecord.journey.model import Journey, JsonBody, RawBody, ResidueKind, VariableKind
from dfrecord.recording.exchange import ABSENT, Body, Exchange, Headers, Recording, Request, Response
from dfrecord.recording.har_writer import har_chunks
from dfrecord.system_api.catalog import load
from dfrecord.tree import Encoding, Number, Object, Text, Var
from tests.doubles.echo import EchoServer
from tests.doubles.server import DreamFactoryDouble
from tests.recorder import RecordedSession
from tests.tools import rendered, run

ROWS = "role_service_access_by_role_id"
DATABASE = {"name": "pg", "label": "pg", "description": "d", "type": "pgsql", "is_active": True}


@contextmanager
def console() -> Iterator[RecordedSession]:
    with DreamFactoryDouble(installed=("event_script", "limit")) as df:
        yield RecordedSession(df)


def planned(exchanges: list[Exchange], **options: Any) -> Journey:
    recording = Recording("session.har", tuple(replace(e, number=n) for n, e in enumerate(exchanges)))
    return dfrecord.plan(recording, **options)


def bodies(journey: Journey, kind: str) -> list[Any]:
    return [step["body"] for step in account(journey)["steps"] if step["kind"] == kind]


@pytest.mark.parametrize(("milliseconds", "kept"), [(500.0, [{"description": "edited"}]), (50.0, []), (-1.0, [])])
def test_read_that_was_under_way_says_nothing_of_the_update_sent_meanwhile(
    milliseconds: float, kept: list[Any]
) -> None:
    with console() as s:
        [role] = s.create("role", {"name": "r", "description": "old"})
        read = s.call("GET", f"system/role/{role}")
        s.call("PUT", f"system/role/{role}", {**read, "last_modified_date": "before", "description": "edited"})
        s.call("GET", "system/role?limit=50")
    *before, update, overlapping = s.exchanges
    timed = [replace(e, started=f"2026-11-24T09:00:0{n}Z", milliseconds=40.0) for n, e in enumerate(before)]
    timed.append(replace(overlapping, started="2026-11-24T09:00:08.000Z", milliseconds=milliseconds))
    timed.append(replace(update, started="2026-11-24T09:00:08.100Z", milliseconds=40.0))
    assert bodies(planned(timed), "update") == kept  # answered before, it would show that nothing changed


def test_id_that_holds_a_secret_is_not_told() -> None:
    with console() as s:
        user = {"name": "u", "email": "u@example.com", "password": 16 * "7"}
        s.create("user", user)
        s.call("GET", "system/user")
        deleted = s.exchanges[-1]
        url = deleted.request.url.replace("system/user", f"system/app/{17 * '7'}")
    gone = replace(deleted, request=replace(deleted.request, url=url, method="DELETE"))
    journey = planned([*s.exchanges[:-1], gone])
    asked = next(variable for variable in journey.variables if "on the recorded instance" in variable.description)
    assert 16 * "7" not in asked.description


def test_bulk_update_is_of_the_records_that_it_changes(tmp_path: Path) -> None:
    with console() as s:
        s.create("role", {"name": "a", "description": "1"}, {"name": "b", "description": "2"})
        rows = [row for row in s.call("GET", "system/role")["resource"] if row["name"] in ("a", "b")]
        s.call("PATCH", "system/role", {"resource": [rows[0], {**rows[1], "description": "edited"}]})
    journey = planned(s.exchanges)
    assert journey.steps[-1].title == "Update role b"
    assert journey.steps[-1].notes == ("left out: 1 of 2 records, which it does not change",)
    assert (journey.steps[-1].name, "1 of 2 records, which it does not change") in [
        (r.step, r.reason) for r in journey.residue
    ]
    with DreamFactoryDouble(id_offset=50) as df:
        given = {"DF_EMAIL": df.email, "DF_PASSWORD": df.password}
        result = dfrecord.replay(journey, df.url, given, created_file=tmp_path / "created.jsonl")
        assert result.ok, result.results


def test_update_sends_what_changed_against_all_that_was_read_before() -> None:
    with console() as s:
        config = {"host": "h", "port": 5432, "username": "u", "password": "Db-Secret-12345"}
        [service] = s.create("service", {**DATABASE, "config": config})
        read = s.call("GET", f"system/service/{service}")
        s.call("GET", "system/service?fields=id,name")
        body = {**read, "config": {**read["config"], "host": "new"}, "service_doc_by_service_id": None}
        s.call("PUT", f"system/service/{service}", body)
        s.call("PUT", f"system/service/{service}", {**read, "label": "pg"})
        apps = {row["name"]: row for row in s.call("GET", "system/app")["resource"]}
        app = apps["file_manager"]
        s.call("PUT", f"system/app/{app['id']}", {**app, "type": str(app["type"]), "description": "edited"})
        many = [{**app, "description": "1"}, {**apps["admin"], "description": apps["admin"]["description"]}]
        s.call("PATCH", "system/app", {"resource": many})
    first, back, edited, bulk = bodies(planned(s.exchanges), "update")
    assert first == {"config": {"host": "new"}}
    assert back == {"config": {"host": "h"}}  # what the step before changed is set back, though the read shows it so
    assert edited == {"description": "edited"}
    assert [list(row) for row in bulk["resource"]] == [["id", "description"]]


def test_access_row_without_its_id_is_a_new_one_and_the_one_like_it_is_sent_too() -> None:
    """Without that, an upsert could not know that there are to be two."""
    with console() as s:
        row = {"service_id": 3, "component": "*", "verb_mask": 1, "requestor_mask": 1, "filters": []}
        [role] = s.create("role", {"name": "r", ROWS: [row, {**row, "verb_mask": 3}]})
        read = s.call("GET", f"system/role/{role}?related={ROWS}")
        again = {key: value for key, value in read[ROWS][0].items() if key != "id"}
        s.call("PUT", f"system/role/{role}", {**read, ROWS: [*read[ROWS], again]})
    [update] = bodies(planned(s.exchanges), "update")
    assert [("id" in row, row["verb_mask"]) for row in update[ROWS]] == [(True, 1), (False, 1)]


@pytest.mark.parametrize(
    ("text", "linked"),
    [
        ("role_id=7", "role_id=<7>"),
        ("(role_id = 7) and (is_active=1)", "(role_id = <7>) and (is_active=1)"),
        ('role_id="7"', 'role_id="<7>"'),
        ("((role_id='7') or (storage_service_id != 8))", "((role_id='<7>') or (storage_service_id != <8>))"),
        ("role_id in (7, 8,9)", "role_id in (<7>, <8>,<9>)"),
        ('role_id NOT IN ("7","8")', 'role_id NOT IN ("<7>","<8>")'),
        ("(id not in (7))and(type=2)", "(id not in (<7>))and(type=2)"),
        ('name="role_id=7"', 'name="role_id=7"'),
        ("name='in (7)' and role_id=7", "name='in (7)' and role_id=<7>"),
        ("role_id=7x", "role_id=7x"),
        ('description like "%7%"', 'description like "%7%"'),
    ],
)
def test_ids_in_filter_texts(text: str, linked: str) -> None:
    app = load().resources["app"]
    parts = with_ids(
        text,
        lambda field: ("app",) if field == "id" else app.foreign_keys.get(field, ()),
        lambda value, targets: Var(value),
    )
    assert "".join(part if isinstance(part, str) else f"<{part.name}>" for part in parts) == linked


def test_the_title_of_a_call_names_no_recorded_id() -> None:
    with DreamFactoryDouble(installed=("limit",)) as df:
        s = RecordedSession(df)
        [limit] = s.create("limit", {"name": "l", "type": "instance", "rate": "1", "period": "day", "is_active": True})
        s.call("DELETE", f"system/limit_cache/{limit}")
        step = planned(s.exchanges).steps[-1]
        assert step.title == "Reset the counter of limit l"
        assert [var.name for var in step.request.target.variables] == ["limit_id"]
        assert planned([s.exchanges[0], s.exchanges[2]]).steps[-1].title == "Reset the counter of limit (DF_LIMIT_ID)"


def test_a_call_is_told_in_words_and_by_the_verb_that_it_stands_for() -> None:
    with console() as s:
        s.create("service", {"name": "f2", "label": "F", "type": "local_file", "is_active": True, "config": {}})
        s.call("DELETE", "system/cache/f2")
        s.call("DELETE", "system/cache")
        s.call("POST", "files/a?method=PUT", {"resource": []})
        exchange = replace(s.exchanges[-1], response=replace(s.exchanges[-1].response, status=200))
        s.exchanges[-1:] = [exchange]
        steps = planned(s.exchanges, filters=("api/v2",)).steps
    assert [step.title for step in steps[2:]] == ["Clear the cache of f2", "Clear all caches", "PUT /api/v2/files/a"]
    assert steps[2].heading == Text(("Clear the cache of ", Var("service_name")))


def test_package_manifests_and_forms_follow_names() -> None:
    with console() as s:
        [service] = s.create("service", {**DATABASE, "name": "acme"})
        s.create("role", {"name": "acme-role"})
        manifest = {"service": {"system": {"role": ["acme-role", "other"]}, "acme": ["a"]}, "secured": False}
        s.call("POST", "system/package", manifest)
        form = b"label=acme%26co&description=a+%26+b"
        s.upload(f"system/service/{service}", "application/x-www-form-urlencoded", form, "PATCH")
        ok = replace(s.exchanges[0].response, status=200, body=Body.recorded(b"{}"))
        exchanges = [
            replace(exchange, response=ok) if "package" in exchange.request.url else exchange
            for exchange in s.exchanges
        ]
    [sent] = bodies(planned(exchanges), "call")
    assert sent["service"] == {"system": {"role": ["{role_name}", "other"]}, "{service_name}": ["a"]}
    journey = planned(exchanges, parameters={"tenant": "acme"})
    [sent] = bodies(journey, "call")
    assert sent["service"] == {"system": {"role": ["{tenant}-role", "other"]}, "{tenant}": ["a"]}
    assert journey.steps[-1].request.body == RawBody(
        (b"label=", Var("tenant", Encoding.URI), b"%26co&description=a+%26+b")
    )


def test_a_create_without_a_natural_key_is_sent_once_and_told() -> None:
    with console() as s:
        s.create("role", {"name": "made", "description": "d"})
    create = s.exchanges[-1]
    unnamed = replace(
        create, request=replace(create.request, body=Body.recorded(b'{"resource":[{"description":"d"}]}'))
    )
    journey = planned([*s.exchanges[:-1], unnamed], upsert=True)
    [step] = [step for step in journey.steps if step.resource == "role"]
    assert step.wanted is None
    assert isinstance(step.request.body, JsonBody)
    assert [residue.reason for residue in journey.residue if residue.step == step.name] == [SENT_ONCE]


def test_tunnelled_read_names_no_recorded_id() -> None:
    with console() as s:
        roles = s.create("role", {"name": "a"}, {"name": "b"})
        s.call("POST", "system/role?method=GET", {"ids": roles, "fields": "*"})
        s.call("POST", "system/app?method=GET", {"filter": f"role_id={roles[0]}", "ids": f"{roles[1]}"})
    by_list, by_text = bodies(planned(s.exchanges, reads="all"), "read")
    assert by_list["ids"] == ["{role_id}", "{role_id_2}"]
    assert by_text["filter"] == "role_id={role_id}"
    assert by_text["ids"] == "{app_id}"


def test_only_a_key_and_its_copies_follow_the_key() -> None:
    with console() as s:
        s.create("service", {**DATABASE, "name": "sqlite", "label": "sqlite", "type": "sqlite"})
        s.create("cors", {"path": "*", "origin": "*", "header": "*", "method": ["GET"], "max_age": 0})
    service, cors = (body["resource"][0] for body in bodies(planned(s.exchanges), "create"))
    assert (service["name"], service["label"]) == ("{service_name}", "{service_name}")
    assert service["type"] == "sqlite"
    assert (cors["path"], cors["origin"], cors["header"]) == ("{cors_path}", "*", "*")


def test_service_name_follows_into_paths_scripts_and_attachments_also_when_renamed() -> None:
    with console() as s:
        [service] = s.create("service", {**DATABASE, "name": "acme"})
        event = {"name": "acme.get.pre_process", "type": "nodejs", "content": "acme.get()", "is_active": True}
        s.call("POST", "system/event_script/acme.get.pre_process", event)
        s.create("email_template", {"name": "t", "attachment": [{"service": "acme", "path": "acme.pdf"}]})
        s.call("PATCH", f"system/service/{service}", {"name": "acme2"})
        s.call("DELETE", "system/cache/acme2")
    steps = account(planned(s.exchanges))["steps"]
    script, template, cache = (
        next(s for s in steps if s["resource"] == name) for name in ("event_script", "email_template", "cache")
    )
    assert script["target"] == "/api/v2/system/event_script/{service_name}.get.pre_process"
    assert script["body"]["name"] == "{service_name}.get.pre_process"
    assert script["body"]["content"] == "acme.get()"
    attachment = template["body"]["resource"][0]["attachment"][0]
    assert attachment == {"service": "{service_name}", "path": "acme.pdf"}
    assert cache["target"] == "/api/v2/system/cache/{new_service_name}"


def test_a_number_that_looks_like_an_id_is_never_sent_as_recorded() -> None:
    with console() as s:
        services = {row["name"]: row["id"] for row in s.call("GET", "system/service")["resource"]}
        config = {
            "own_service_id": services["db"],
            "maps": [{"other_app_id": 77}],
            "tenant_id": 31,
            "tenantIds": [31, 32],
        }
        config["port_id"] = 1.5
        s.create("service", {**DATABASE, "type": "of_tomorrow", "config": config})
    journey = planned(s.exchanges)
    [body] = bodies(journey, "create")
    config = body["resource"][0]["config"]
    service, app = config["own_service_id"], config["maps"][0]
    assert journey.variable(service.strip("{}")).lookup is not None
    assert journey.variable(app["other_app_id"].strip("{}")).required
    tenant = journey.variable(config["tenant_id"].strip("{}"))
    assert (tenant.env, tenant.required, tenant.default) == ("DF_TENANT_ID", False, Number("31"))
    tenants = [journey.variable(item.strip("{}")).default for item in config["tenantIds"]]
    assert (tenants, config["port_id"]) == ([Number("31"), Number("32")], 1.5)
    assert [r.subject for r in journey.residue if "looks like an id" in r.reason] == [
        "config.own_service_id",
        "config.maps[].other_app_id",
        "config.tenant_id",
        "config.tenantIds[]",
        "config.tenantIds[]",
    ]


@pytest.mark.parametrize(
    "odd", ["\ue0000\ue000", "\ue0009\ue000", "\ue000", "\ue001\ue0000\ue000x\ue001", "%EE%80%800%EE%80%80"]
)
def test_no_text_in_a_form_passes_for_a_variable(odd: str) -> None:
    with console() as s:
        [role] = s.create("role", {"name": "made"})
        app = s.call("GET", "system/app")["resource"][0]["id"]
        form = f"role_id={role}&description={odd}".encode()
        s.upload(f"system/app/{app}", "application/x-www-form-urlencoded", form, "PATCH")
    body = planned(s.exchanges).steps[-1].request.body
    assert body == RawBody((b"role_id=", Var("role_id", Encoding.URI), f"&description={odd}".encode()))
    wanted = planned(s.exchanges, upsert=True).steps[-1].wanted
    assert wanted
    assert wanted.document.get("record") == Object((("role_id", Var("role_id")), ("description", unquote(odd))))


def test_ids_in_forms_and_xml_are_linked_or_asked_for() -> None:
    with console() as s:
        services = {row["name"]: row["id"] for row in s.call("GET", "system/service")["resource"]}
        [role] = s.create("role", {"name": "made", "is_active": True})
        app = s.call("GET", "system/app")["resource"][0]["id"]
        form = f"role_id={role}&description=7&storage_service_id=77&resource%5B0%5D%5Bconfig%5D=8&path=a%3D1"
        s.upload(f"system/app/{app}", "application/x-www-form-urlencoded", form.encode(), "PATCH")
        form = (
            f"resource[0][id]={role}&resource[0][{ROWS}][0][service_id]={services['db']}&resource[0][{ROWS}][1][id]=9"
        )
        s.upload("system/role", "application/x-www-form-urlencoded", form.encode(), "PATCH")
        rows = f"<{ROWS}><row a='/'><service_id> {services['db']} </service_id><id>9</id><br/></row></{ROWS}>"
        s.upload(
            f"system/role/{role}", "application/xml", f"<role><id>0</id>{rows}<id>{role}</id></role>".encode(), "PUT"
        )
        ok = replace(s.exchanges[0].response, status=200, body=Body.recorded(b"{}"))
        exchanges = [*s.exchanges[:-3], *(replace(exchange, response=ok) for exchange in s.exchanges[-3:])]
    journey = planned(exchanges)
    parts = [step.request.body.parts for step in journey.steps if isinstance(step.request.body, RawBody)]
    sent = ["".join(f"{{{p.name}}}" if isinstance(p, Var) else p.decode() for p in body) for body in parts]
    assert sent[0] == (
        "role_id={role_id}&description=7&storage_service_id={service_id}&resource%5B0%5D%5Bconfig%5D=8&path=a%3D1"
    )
    row = f"resource[0][{ROWS}]"
    assert sent[1] == (
        f"resource[0][id]={{role_id}}&{row}[0][service_id]={{db_service_id}}&{row}[1][id]={{role_service_access_id}}"
    )
    assert sent[2] == (
        f"<role><id>0</id><{ROWS}><row a='/'><service_id> {{db_service_id}} </service_id>"
        f"<id>{{role_service_access_id}}</id><br/></row></{ROWS}><id>{{role_id}}</id></role>"
    )
    asked = {v.name for v in journey.variables if v.kind is VariableKind.PARAMETER and v.type == "integer"}
    assert asked == {"service_id", "role_service_access_id"}


WRITTEN = {
    "application/x-www-form-urlencoded": "name=a&role_id=%s&tenant_id=%s&code_id=007&port=9",
    "text/csv": "name,role_id,tenant_id,code_id,port\r\na,%s,%s,007,9\r\n",
    "application/xml": "<resource><app role_id=\"%s\" tenant_id='%s' code_id = '007'><name port='9'/></app></resource>",
    "application/xml; elements": "<resource><role_id>%s</role_id><tenant_id>%s</tenant_id><port>9</port></resource>",
    "multipart/form-data; boundary=B": '--B\r\nContent-Disposition: form-data; name="role_id"\r\n\r\n%s\r\n'
    '--B\r\nContent-Disposition: form-data; name="tenant_id"\r\n\r\n%s\r\n--B--\r\n',
    "text/plain": '{"resource":[{"name":"a","role_id":%s,"tenant_id":%s,"port":9}]}',
    "": '{"resource":[{"name":"a","role_id":%s,"tenant_id":%s,"port":9}]}',
}
"""Bodies that name a role and a number that looks like an id, by what they say they are."""


@pytest.mark.parametrize("media_type", WRITTEN)
@pytest.mark.parametrize("way", ["curl", "python", "postman", "replay"])
def test_ids_and_what_looks_like_one_are_sent_as_on_the_target_in_every_body(
    way: str, media_type: str, tmp_path: Path
) -> None:
    with console() as s:
        [role] = s.create("role", {"name": "made", "is_active": True})
        s.upload("system/app", media_type, (WRITTEN[media_type] % (role, 31)).encode())
    create = s.exchanges[-1].request
    headers = Headers(tuple(pair for pair in create.headers if pair != ("Content-Type", "")))
    made = replace(s.exchanges[1].response, body=Body.recorded(b"{}"))
    exchanges = [*s.exchanges[:-1], replace(s.exchanges[-1], request=replace(create, headers=headers), response=made)]
    journey = planned(exchanges)
    assert [r.kind for r in journey.residue if "tenant_id = 31 looks like an id" in r.reason] == [ResidueKind.UNKNOWN]
    answers = {
        ("POST", "/api/v2/system/admin/session"): (200, '{"session_token":"t"}'),
        ("POST", "/api/v2/system/role"): (201, '{"resource":[{"id":41}]}'),
    }
    with EchoServer(answers, default=(201, '{"resource":[]}')) as echo:
        given = {"DF_BASE_URL": echo.url, "DF_EMAIL": "a@example.com", "DF_PASSWORD": "p", "DF_TENANT_ID": "32"}
        if way == "replay":
            dfrecord.replay(journey, echo.url, given, created_file=tmp_path / "made")
        else:
            recording = tmp_path / "bodies.har"
            recording.write_bytes(b"".join(har_chunks(exchanges)))
            done = run(rendered(recording, way, tmp_path), way, given)
            assert done.returncode == 0, done.stdout + done.stderr
        [received] = [r for r in echo.received if r.target == "/api/v2/system/app" and r.method == "POST"]
    wanted, sent = WRITTEN[media_type] % (41, 32), received.body.decode()
    assert json.loads(sent) == json.loads(wanted) if wanted.startswith("{") else sent == wanted
    assert [value for name, value in received.headers if name.lower() == "content-type"] == [media_type][
        : bool(media_type)
    ]


@pytest.mark.parametrize("way", ["curl", "python", "postman", "ansible", "replay"])
def test_a_number_that_looks_like_an_id_in_json_that_stands_in_a_text_is_a_parameter(way: str, tmp_path: Path) -> None:
    payload = '{"resource" : [{"role_id":12, "name":"\\"x_id\\": 5, {{y}} $z", "port":9}], "code_id":"7"}'
    with DreamFactoryDouble(installed=("scheduler",)) as df:
        session = RecordedSession(df)
        service = session.call("GET", "system/service")["resource"][0]["id"]
        task = {"name": "t", "service_id": service, "component": "x", "verb_mask": 2, "frequency": 3}
        session.create("scheduler", {**task, "payload": payload}, {**task, "name": "plain", "payload": '"role_id": 12'})
    journey = planned(session.exchanges)
    assert [r.subject for r in journey.residue if "looks like an id" in r.reason] == ["payload.role_id"]
    with DreamFactoryDouble(700, installed=("scheduler",)) as df:
        given = {"DF_BASE_URL": df.url, "DF_EMAIL": df.email, "DF_PASSWORD": df.password, "DF_ROLE_ID": "34"}
        if way == "replay":
            dfrecord.replay(journey, df.url, given, created_file=tmp_path / "made")
        else:
            recording = tmp_path / "task.har"
            recording.write_bytes(b"".join(har_chunks(session.exchanges)))
            done = run(rendered(recording, way, tmp_path), way, given)
            assert done.returncode == 0, done.stdout + done.stderr
        payloads = [row["payload"] for row in df.state()["scheduler"]]
    assert payloads == [payload.replace("12", "34"), '"role_id": 12']


def test_deletes_of_what_the_journey_made_need_no_consent() -> None:
    with console() as s:
        made = s.create("role", {"name": "a"}, {"name": "b"}, {"name": "c"})
        s.call("DELETE", f"system/role?ids={made[0]},{made[1]}")
        s.call("DELETE", "system/role", {"resource": [{"id": made[2]}]})
        s.call("DELETE", 'system/lookup?filter=name="x"')
        s.call("DELETE", f"system/role?ids={s.create('role', {'name': 'd'})[0]},4711")
    dangers = [bool(step.danger) for step in planned(s.exchanges).steps if step.kind == "delete"]
    assert dangers == [False, False, False]  # of the last, the server took only what was made here; one was refused
    with console() as s:
        s.call("DELETE", f"system/app/{s.call('GET', 'system/app')['resource'][2]['id']}")
    assert [bool(step.danger) for step in planned(s.exchanges).steps if step.kind == "delete"] == [True]


def test_deletes_outside_of_the_system_api_need_consent_unless_the_journey_wrote_there() -> None:
    with console() as s:
        s.create("role", {"name": "a"})
        login, create = s.exchanges

        def asks(method: str, *paths: str, **options: Any) -> list[bool]:
            url, method_of = create.request.url.partition("/api/v2/")[0], {"made.txt": "POST"}
            calls = [
                replace(
                    create.request, method=method_of.get(path, method), url=f"{url}/api/v2/files/{path}", body=ABSENT
                )
                for path in paths
            ]
            journey = planned(
                [login, *(replace(create, request=call) for call in calls)], filters=["api/v2"], **options
            )
            return [bool(step.danger) for step in journey.steps[1:]]

        assert asks("DELETE", "a.txt", "folder/", "_schema/t", "_table/t?filter=a%3D1") == [True] * 4
        assert asks("DELETE", "made.txt", "made.txt/", "other.txt") == [False, False, True]
        assert asks("POST", "password?reset=true") == [True]
        path = "role/5?fields=id"
        request = replace(create.request, method="DELETE", url=create.request.url.replace("role", path), body=ABSENT)
        literal = planned([login, replace(create, request=request)], literal=True)
        assert literal.steps[-1].danger == "it deletes whatever has the recorded id or name there"


def test_files_that_an_upload_or_a_folder_made_need_no_consent_to_delete() -> None:
    with console() as s:
        boundary = '--b\r\nContent-Disposition: form-data; name="files"; filename="{}"\r\n\r\nx\r\n--b--\r\n'
        s.upload("files/new/", "multipart/form-data; boundary=b", boundary.format("a.txt").encode())
        s.call("POST", "files", {"resource": [{"name": "folder", "type": "folder"}]})
        s.call("DELETE", "files/new/a.txt")
        s.call("DELETE", "files/folder/")
        s.upload("files/other.txt", "text/plain", b"x")
        s.exchanges.pop()
        s.call("DELETE", "files/other.txt")
    steps = planned(s.exchanges, filters=["api/v2"]).steps
    assert [bool(step.danger) for step in steps if step.request.method == "DELETE"] == [False, False, True]


@pytest.mark.parametrize(
    ("method", "path", "body", "why"),
    [
        ("POST", "user/register", {"email": "a@example.com", "new_password": "Another!pass-word-16"}, "e-mail"),
        ("POST", "mail", {"to": [{"name": "A", "email": "a@example.com"}], "body_text": "Hello"}, "sends an e-mail"),
        ("POST", "mail?template=Invite", {}, "sends an e-mail"),
        ("POST", "db/_proc/tidy", {"params": []}, "stored procedure"),
        ("GET", "DB/_func/tidy", None, "stored function"),
        ("GET", "db/_proc", None, ""),
        ("POST", "files", {"resource": []}, ""),
        ("POST", "db/_table/mail", {"to": "x"}, ""),
    ],
)
def test_calls_that_send_mail_or_may_do_anything_need_consent(method: str, path: str, body: Any, why: str) -> None:
    with console() as s:
        create_at = len(s.exchanges)
        s.create("role", {"name": "a"})
        login, create = s.exchanges[create_at - 1 :]
        url = f"{create.request.url.partition('/api/v2/')[0]}/api/v2/{path}"
        content = ABSENT if body is None else Body.recorded(json.dumps(body).encode())
        call = replace(create, request=replace(create.request, method=method, url=url, body=content))
        journey = planned([login, call], filters=["api/v2"], reads="all")
        assert why in journey.steps[-1].danger
        assert bool(why) == bool(journey.steps[-1].danger)


def test_records_that_an_import_may_make_are_looked_up_after_it() -> None:
    with console() as s:
        [role] = s.create("role", {"name": "from a package"})
        create = s.exchanges.pop()
        known = s.call("GET", "system/app")["resource"][0]["id"]
        s.call("GET", "system/role")
        s.call("PATCH", f"system/role/{role}", {"description": "changed"})
        s.call("PATCH", f"system/app/{known}", {"description": "changed"})
    url = create.request.url.replace("/role", "/package?import_url=https://h/p.zip")
    imported = replace(create, request=replace(create.request, url=url))
    login, apps, *rest = s.exchanges
    journey = planned([login, apps, imported, *rest])
    assert [item.name for item in journey.schedule()][1:4] == ["app_id", "call_package", "role_id"]


@pytest.mark.parametrize("name", ["yes", "teardown", "df"])
def test_a_parameter_cannot_take_a_name_that_the_scripts_use(name: str) -> None:
    with console() as s:
        s.create("role", {"name": "acme"})
    with pytest.raises(UsageError, match=f"--parameter {name}: "):
        planned(s.exchanges, parameters={name: "acme"})


def test_headers_that_name_things_follow_a_parameter() -> None:
    with console() as s:
        s.create("role", {"name": "acme"})
    login, create = s.exchanges
    headers = Headers((*create.request.headers, ("X-Folder-Name", "Acme docs")))
    journey = planned(
        [login, replace(create, request=replace(create.request, headers=headers))], parameters={"tenant": "acme"}
    )
    [value] = [
        value for step in account(journey)["steps"] for name, value in step["headers"] if name == "X-Folder-Name"
    ]
    assert value == "{tenant_capitalized} docs"


def many(s: RecordedSession, count: int) -> list[Exchange]:
    """A role read and changed so many times, and as many others created and used."""
    login, create, read, update = s.exchanges

    def with_ids(exchange: Exchange, number: int) -> Exchange:
        answer = exchange.response.body.content.replace(b'"id":1}', b'"id":%d}' % (number + 10))
        body = replace(exchange.response.body, content=answer)
        return replace(exchange, response=replace(exchange.response, body=body))

    return [login, *(e for n in range(count) for e in (with_ids(create, n), read, update))]


def test_time_to_plan_grows_with_the_recording_and_not_with_its_square() -> None:
    with console() as s:
        [role] = s.create("role", {"name": "r"})
        read = s.call("GET", f"system/role/{role}")
        s.call("PATCH", f"system/role/{role}", {**read, "description": "x"})

    def seconds(work: Callable[[], object]) -> float:
        start = time.process_time()
        work()
        return time.process_time() - start

    small, large = (seconds(lambda n=n: list(planned(many(s, n)).schedule())) for n in (150, 1200))  # type: ignore[misc]
    assert large / small < 20  # eight times the steps; 64 when each step looked at all the others


def test_a_login_whose_answer_was_not_recorded_still_gives_the_token(tmp_path: Path) -> None:
    with DreamFactoryDouble() as df:
        session = RecordedSession(df)
        [role] = session.create("role", {"name": "r", "is_active": True})
        session.create("app", {"name": "a", "role_id": role, "type": "0", "is_active": True})
    login, *rest = session.exchanges
    login = replace(login, response=replace(login.response, body=Body.recorded(b"")))
    journey = dfrecord.plan(Recording("omitted.har", (login, *rest)))
    with DreamFactoryDouble(id_offset=50) as df:
        given = {"DF_EMAIL": df.email, "DF_PASSWORD": df.password}
        assert dfrecord.replay(journey, df.url, given, created_file=tmp_path / "created.jsonl").ok


def test_related_records_that_the_catalog_does_not_know_disturb_nothing() -> None:
    with DreamFactoryDouble() as df:
        session = RecordedSession(df)
        [role] = session.create("role", {"name": "r", "is_active": True})
        session.call("GET", f"system/role/{role}?related=role_adldap_by_role_id")
    *rest, read = session.exchanges
    shown = (
        b'{"id": 1, "name": "r", "role_adldap_by_role_id": [{"id": 4, "dn": "cn=r", "bind_password": "Hidden-16-x"}]}'
    )
    read = replace(read, response=replace(read.response, body=Body.recorded(shown)))
    journey = dfrecord.plan(Recording("ldap.har", (*rest, read)), reads="all")
    assert "Hidden-16-x" not in str(account(journey))


def test_ids_in_the_fields_and_files_of_a_multipart_form_are_linked_or_asked_for() -> None:
    with console() as s:
        services = {row["name"]: row["id"] for row in s.call("GET", "system/service")["resource"]}
        [role] = s.create("role", {"name": "made", "is_active": True})
        manifest = json.dumps({"resource": [{"id": 9, "name": "x", "role_id": role, "storage_service_id": 77}]})
        body = (
            f'--B\r\nContent-Disposition: form-data; name="role_id"\r\n\r\n{role}\r\n'
            '--B\r\nContent-Disposition: form-data; name="files"; filename="logo.png"\r\n\r\n\xff7\r\n'
            '--B\r\nContent-Disposition: form-data; name="files"; filename="a.csv"\r\nContent-Type: text/x\r\n\r\n'
            f"name,id,storage_service_id,type\r\na,4,{services['db']},{services['db']}\r\n\r\n"
            f'--B\r\nContent-Disposition: form-data; name="files"; filename="a.json"\r\n\r\n{manifest}\r\n--B--\r\n'
        )
        s.upload("system/app", "multipart/form-data; boundary=B", body.encode("latin-1"))
        ok = replace(s.exchanges[0].response, status=201, body=Body.recorded(b"{}"))
        exchanges = [*s.exchanges[:-1], replace(s.exchanges[-1], response=ok)]
    journey = planned(exchanges)
    sent = journey.steps[-1].request.body
    assert isinstance(sent, RawBody)
    text = b"".join(f"{{{p.name}}}".encode() if isinstance(p, Var) else p for p in sent.parts).decode("latin-1")
    fields = [part.partition("\r\n\r\n")[2].rstrip() for part in text.split("--B")[1:-1]]
    assert fields == [
        "{role_id}",
        "\xff7",
        f"name,storage_service_id,type\r\na,{{service_id}},{services['db']}",
        '{"resource":[{"name":"x","role_id":{role_id},"storage_service_id":{other_service_id}}]}',
    ]
    assert journey.variable("service_id").lookup
    assert journey.variable("other_service_id").required


def test_passwords_of_users_in_a_file_of_a_form_are_secrets() -> None:
    with console() as s:
        body = (
            '--B\r\nContent-Disposition: form-data; name="files"; filename="users.csv"\r\n\r\n'
            'email,name,password\r\na@example.com,A,"correct horse, battery"\r\n--B--\r\n'
        )
        s.upload("system/user", "multipart/form-data; boundary=B", body.encode())
        ok = replace(s.exchanges[0].response, status=201, body=Body.recorded(b"{}"))
        exchanges = [*s.exchanges[:-1], replace(s.exchanges[-1], response=ok)]
    journey = planned(exchanges)
    sent = journey.steps[-1].request.body
    assert isinstance(sent, RawBody)
    assert [part for part in sent.parts if isinstance(part, Var)] == [Var("user_password", Encoding.CSV_INSIDE)]


def test_a_chosen_stem_follows_in_values_of_text_bodies_and_not_in_their_names() -> None:
    with console() as s:
        s.create("role", {"name": "email-role"})
        s.upload("system/user", "text/csv", b"email,name\r\nemail@example.com,email\r\n")
        s.upload("system/user", "application/xml", b"<user><email>email@b.c</email><name>x</name></user>")
        ok = replace(s.exchanges[0].response, status=201, body=Body.recorded(b'{"resource":[]}'))
        exchanges = [*s.exchanges[:-2], *(replace(exchange, response=ok) for exchange in s.exchanges[-2:])]
    journey = planned(exchanges, parameters={"tenant": "email"})
    bodies = [step.request.body.parts for step in journey.steps if isinstance(step.request.body, RawBody)]
    sent = ["".join(f"{{{p.name}}}" if isinstance(p, Var) else p.decode() for p in parts) for parts in bodies]
    assert sent == [
        'email,name\r\n"{tenant}@example.com",{tenant}\r\n',
        "<user><email>{tenant}@b.c</email><name>x</name></user>",
    ]


def chosen(s: RecordedSession, reads: str = "used", **stem: str) -> list[str]:
    """The targets and bodies of a session's steps after the login, with a chosen stem as a parameter."""
    told = account(planned(s.exchanges, parameters=stem, reads=reads))["steps"][1:]
    return [f"{step['target']} {json.dumps(step['body'], ensure_ascii=False)}" for step in told]


def test_a_chosen_stem_follows_in_what_a_query_compares_with_and_not_in_words_of_the_api() -> None:
    with console() as s:
        related = "fields=id,name&related=role_service_access_by_role_id&sort=name"
        s.call("POST", f"system/role?{related}", {"resource": [{"name": "name-role"}]})
        s.call("GET", "system/role?filter=(name%3D%22name-role%22)%20and%20(name%20like%20%22%25role%25%22)")
    create, read = chosen(s, "all", t="role")
    assert create == f'/api/v2/system/role?{related} {{"resource": [{{"name": "name-{{t}}"}}]}}'
    filters = "/api/v2/system/role?filter=(name%3D%22{}%22)%20and%20(name%20like%20%22%25{}%25%22) null"
    assert read == filters.format("name-{t}", "{t}")
    assert chosen(s, "all", t="name")[1] == filters.format("{t}-role", "role")
    assert chosen(s, "all", t="e")[1] == filters.format("nam{t}-rol{t}", "rol{t}")


def test_a_chosen_stem_is_not_found_in_an_escape_of_an_address() -> None:
    with console() as s:
        s.create("role", {"name": "a3d-5c"})
        s.call("GET", "system/role?filter=name%3d%22a3d-5c%22%20or%20name%3d%22%5c%22")
    for stem, value in (("3d", "a{t}-5c"), ("5c", "a3d-{t}"), ("D", "a3{t_lower}-5c")):
        read = chosen(s, "all", t=stem)[1]
        assert read == f"/api/v2/system/role?filter=name%3D%22{value}%22%20or%20name%3D%22%5C%22 null"


def test_a_chosen_number_follows_in_texts_unless_it_stands_alone_as_a_number() -> None:
    with console() as s:
        s.create("role", {"name": "cust-12345", "description": "12345, 912345, 12345.5, x12345y"})
        s.create("limit", {"name": "l3", "type": "instance", "rate": 3, "period": "minute"})
    role, limit = chosen(s, t="12345")
    assert '"name": "cust-{t}", "description": "{t}, 912345, 12345.5, x{t}y"' in role
    role, limit = chosen(s, t="3")
    assert '"name": "{limit_name}"' in limit
    assert '"rate": "{t}"' in limit


@pytest.mark.parametrize("word", ["Müller", "aCmE", "acme"])
def test_the_offered_stem_can_be_chosen(word: str) -> None:
    with console() as s:
        s.create("role", {"name": f"{word}-role"})
        s.create("app", {"name": f"app of {word}"})
    offered = planned(s.exchanges).offered_stem
    assert offered.lower() == word.lower()
    role, app = chosen(s, t=offered)
    assert word not in role
    assert word not in app


def test_a_stem_that_another_parameter_holds_is_told_so() -> None:
    with console() as s:
        s.create("role", {"name": "acme"})
    with pytest.raises(UsageError, match="--parameter b=ACME: whatever holds 'ACME' follows the parameter a already"):
        chosen(s, a="acme", b="ACME")


def test_a_lone_surrogate_among_ids_is_text_like_any_other() -> None:
    request = Request("GET", "http://h/api/v2/system/role?ids=1,\ud800", Headers(()), ABSENT)
    answer = Response(200, Headers(()), Body.recorded(b'{"resource":[]}'))
    journey = dfrecord.plan(Recording("x", (Exchange(0, request, answer),)), reads="all")
    assert journey.steps[-1].resource == "role"


def test_titles_speak_of_records_that_the_recording_never_shows() -> None:
    with console() as s:
        [role] = s.create("role", {"name": "shown", "is_active": True})
        cors = s.create("cors", *({"path": f"{name}/*", "origin": "*", "header": "*", "method": []} for name in "ab"))
        app = s.call("GET", "system/app")["resource"][0]["id"]
        del s.exchanges[2:]  # what was there before it began, and no read shows
        limit = {"name": "l", "type": "instance", "rate": "1", "period": "day", "is_active": True}
        s.call("PATCH", f"system/cors/{cors[0]}", {"description": "x"})
        s.call("PATCH", f"system/app/{app}", {"description": "x"})
        s.call("PATCH", "system/cors", {"resource": [{"id": own, "description": "y"} for own in cors]})
        s.call("DELETE", f"system/limit_cache/{s.create('limit', limit)[0]}")
        s.call("DELETE", f"system/role/{role}")
        del s.exchanges[-3]
        s.call("DELETE", f"system/cors?ids={cors[0]},{cors[1]}")
    titles = [step.title for step in planned(s.exchanges).steps]
    assert titles[2:] == [
        "Update a cors record (DF_CORS_ID)",
        "Update an app record (DF_APP_ID)",
        "Update 2 cors records (DF_CORS_ID, DF_OTHER_CORS_ID)",
        "Reset the counter of limit (DF_LIMIT_ID)",
        "Delete role shown",
        "Delete 2 cors records (DF_CORS_ID, DF_OTHER_CORS_ID)",
    ]


def test_a_created_name_that_holds_a_stem_in_another_spelling_is_told() -> None:
    with console() as s:
        for name in ("acme-corp-role", "Acme Corp", "ACME_CORP", "acmecorp", "acme", "Corp Acme"):
            s.create("role", {"name": name})
        s.create("app", {"name": "ACME-CORP app"})
    journey = planned(s.exchanges, parameters={"tenant": "acme-corp"})
    told = [(residue.step, residue.reason) for residue in journey.residue if "follow tenant" in residue.reason]
    names = {"create_role_2": "Acme Corp", "create_role_3": "ACME_CORP", "create_role_4": "acmecorp"}
    rest = "does not follow tenant: 'acme-corp' is written otherwise there; set its own variable, too"
    assert told == [(step, f"{name!r} {rest}") for step, name in names.items()]


def test_a_stem_does_not_follow_in_the_words_of_the_platform() -> None:
    with console() as s:
        row = {"service_id": None, "component": "local/get", "verb_mask": 1, "requestor_mask": 1, "filter_op": "local"}
        s.create("role", {"name": "local", "role_service_access_by_role_id": [row]})
        s.create("service", {"name": "local_data", "type": "local_file", "config": {"type": "local"}})
        s.create("cors", {"path": "get/local", "method": ["GET"], "origin": "*", "header": "*"})
    role, service, _ = chosen(s, t="local")
    assert '"component": "{t}/get"' in role
    assert '"filter_op": "local"' in role
    assert '"name": "{t}_data", "type": "local_file", "config": {"type": "{t}"}' in service
    assert '"path": "{t}/local", "method": ["GET"]' in chosen(s, t="get")[2]


def test_a_stem_does_not_follow_in_the_words_that_a_record_is_looked_up_by() -> None:
    with console() as s:
        s.create("limit", {"name": "role limit", "type": "instance.each_user", "rate": 3, "period": "day"})
        s.exchanges.pop()
        [limit] = s.call("GET", "system/limit")["resource"]
        s.call("PATCH", f"system/limit/{limit['id']}", {"rate": 4, "period": "hour", "name": "user role"})
    [found] = [v for v in planned(s.exchanges, parameters={"t": "user"}).variables if v.lookup]
    assert found.lookup
    assert dict(found.lookup.match)["type"] == "instance.each_user"
