"""Records that come in a file: a table, XML or JSON, as the body or in the file of a form; every format, and replay."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

import dfrecord
from dfrecord.journey.account import account
from dfrecord.journey.calls import SENT_ONCE
from dfrecord.recording.exchange import Body, Recording
from dfrecord.recording.har_writer import har_chunks
from tests.doubles.server import DreamFactoryDouble
from tests.recorder import RecordedSession
from tests.states import portable
from tests.test_end_to_end import environment
from tests.test_journeys import ACCESS, PASSWORD
from tests.test_settled import WAYS, WAYS_TO_UNDO, by_name, runner
from tests.test_upsert import made_records, without_dates
from tests.tools import FORMATS, rendered, run

NAMES = ['a "q"', "b <&> c, d", "é漢 $(x) {{y}}"]
ROWS = "role_service_access_by_role_id"


def in_form(s: RecordedSession, resource: str, name: str, kind: str, content: str) -> None:
    """What a browser sends when a file is chosen."""
    head = f'--B\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\nContent-Type: {kind}\r\n\r\n'
    s.upload(f"system/{resource}", "multipart/form-data; boundary=B", f"{head}{content}\r\n--B--\r\n".encode())


def xml(*records: dict[str, Any]) -> str:
    def escaped(value: Any) -> str:
        return str(value).replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")

    rows = ("".join(f"<{name}>{escaped(value)}</{name}>" for name, value in record.items()) for record in records)
    return '<?xml version="1.0"?>\n<resource>' + "\n ".join(f"<user>{row}</user>" for row in rows) + "</resource>\n"


def imported(s: RecordedSession) -> None:
    roles, apps, services = by_name(s, "role"), by_name(s, "app"), by_name(s, "service")
    [made] = s.create("app", {"name": "made", "type": "0", "is_active": True, "role_id": roles[NAMES[0]]})
    ids = [apps[NAMES[1]], made]

    def user(name: str, app: int) -> dict[str, Any]:
        return {"id": 41, "email": f"{name}@example.com", "name": NAMES[1], "default_app_id": app, "password": PASSWORD}

    cells = [[str(value) for value in user(f"csv{n}", app).values()] for n, app in enumerate(ids)]
    rows = [list(user("", 0)), *cells]
    table = "\r\n".join(",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows)
    in_form(s, "user", "users.csv", "application/vnd.ms-excel", table)
    in_form(s, "user", "users.xml", "text/xml", xml(*(user(f"xml{n}", app) for n, app in enumerate(ids))))
    record = {**user("json", made), "user_to_app_to_role_by_user_id": [{"app_id": made, "role_id": roles[NAMES[2]]}]}
    in_form(s, "user", "users.json", "application/json", json.dumps({"resource": [record]}))
    s.upload("system/user", "application/xml", xml(user("body", ids[0])).encode())
    access = [{**ACCESS, "id": 41, "service_id": services["db"]}]
    in_form(s, "role", "r.json", "", json.dumps([{"name": "made", "description": NAMES[0], ROWS: access}]))
    users = {row["email"]: row["id"] for row in s.call("GET", "system/user")["resource"]}
    s.call("PATCH", f"system/user/{users['xml1@example.com']}", {"phone": "1"})
    changed = f"<user><id>{users['csv1@example.com']}</id><default_app_id>{ids[0]}</default_app_id></user>"
    s.upload(f"system/user/{users['csv1@example.com']}", "application/xml", changed.encode(), "PATCH")


def prepared(df: DreamFactoryDouble, *, turned: bool) -> RecordedSession:
    s = RecordedSession(df)
    order = -1 if turned else 1
    s.create("role", *({"name": name, "is_active": True} for name in NAMES[::order]))
    s.create("app", *({"name": name, "type": "0", "is_active": True} for name in NAMES[::order]))
    df.reset_log()
    return RecordedSession(df)


@pytest.mark.parametrize("format", [format for format in FORMATS if format != "http"])  # refuses secrets in such bodies
def test_imports_end_in_the_recorded_state(format: str, tmp_path: Path) -> None:
    with DreamFactoryDouble(47110) as recorded, DreamFactoryDouble(700) as target:
        session = prepared(recorded, turned=False)
        prepared(target, turned=True)
        imported(session)
        recording = tmp_path / "session.har"
        recording.write_bytes(b"".join(har_chunks(session.exchanges)))
        script = rendered(recording, format, tmp_path)
        done = run(script, format, environment(target))
        assert done.returncode == 0, done.stdout + done.stderr
        assert portable(target.state()) == portable(recorded.state())
        assert not any(b">41<" in call.body or b'"41"' in call.body for call in target.writes)


@pytest.mark.parametrize("way", WAYS)
def test_imported_records_are_upserted_one_by_one_and_undone(way: str, tmp_path: Path) -> None:
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        session = prepared(recorded, turned=False)
        there = prepared(target, turned=True)
        imported(session)
        there.create("user", {"email": "xml0@example.com", "name": "Before", "password": PASSWORD})
        script = runner(way, session, tmp_path)
        before = target.state()
        script.run(target)
        assert portable(target.state()) == portable(recorded.state())
        target.reset_log()
        assert "unchanged" in script.run(target)
        assert target.writes == []
        script.run(target, teardown=True)
        if way in WAYS_TO_UNDO:
            assert without_dates(target.state()) == without_dates(before)
        else:
            assert made_records(target.state(), before) == []


@pytest.mark.parametrize(
    "body",
    [
        '<u><user kind="x"><email>a@b.c</email></user></u>',
        "<u><user><email>a@b.c</email><rows><row><email>x@y.z</email></row></rows></user></u>",
        "<u><user>text<email>a@b.c</email></user></u>",
        "<u><user><name>no key</name></user></u>",
        "<u><user><email>a@b.c</email></user>",
    ],
)
def test_xml_that_is_no_list_of_records_is_sent_once_and_told(body: str) -> None:
    with DreamFactoryDouble() as df:
        s = RecordedSession(df)
        s.upload("system/user", "application/xml", body.encode())
        ok = replace(s.exchanges[0].response, status=201, body=Body.recorded(b"{}"))
        exchanges = (s.exchanges[0], replace(s.exchanges[1], response=ok))
    journey = dfrecord.plan(Recording("x.har", exchanges), upsert=True)
    assert journey.steps[-1].wanted is None
    assert SENT_ONCE in [line["reason"] for line in account(journey)["residue"]]
