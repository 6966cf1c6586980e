"""One fault in the instance, and exactly that is told: each kind of step, fields, rows, lists, types, statuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import dfrecord
from dfrecord.recording.exchange import Recording
from tests.doubles.server import DreamFactoryDouble
from tests.doubles.wire import Answer
from tests.recorder import RecordedSession
from tests.replaying.test_plan import given, recorded, role_made_and_edited_as_the_console_does
from tests.test_end_to_end import CASES
from tests.test_end_to_end import prepare as prepare_case
from tests.test_journeys import PASSWORD, prepare
from tests.tools import FIXTURES

TENANT, EDIT, MESSY = "02-provision-tenant", "03-edit-role", "06-messy"
Told = tuple[str, str, str, str]
"""The step's title, the place, what was recorded and what was found."""


def cors_and_lookups(s: RecordedSession) -> None:
    cors = {"path": "api/*", "origin": "*", "header": "*", "method": ["GET", "POST"], "max_age": 0, "enabled": True}
    s.call("POST", "system/cors?fields=*", {"resource": [cors]})
    s.call("POST", "system/lookup", {"resource": [{"name": "a", "value": "1"}, {"name": "b", "value": "2"}]})


def reads_only(s: RecordedSession) -> None:
    s.call("GET", "system/role")


def app_of_the_first_of_two_roles(s: RecordedSession) -> None:
    first, _ = s.create("role", {"name": "one", "is_active": True}, {"name": "two", "is_active": True})
    s.create("app", {"name": "of-one", "type": "0", "role_id": first, "is_active": True})


def cors_with_credentials(s: RecordedSession) -> None:
    cors = {"path": "api/*", "origin": "*", "header": "*", "method": ["GET"], "max_age": 0, "enabled": True}
    s.create("cors", {**cors, "supports_credentials": True})


RECORDED: dict[str, Callable[[RecordedSession], None]] = {
    "role": role_made_and_edited_as_the_console_does,
    "cors": cors_and_lookups,
    "credentials": cors_with_credentials,
    "reads": reads_only,
    "roles": app_of_the_first_of_two_roles,
}


@dataclass
class Fault:
    """`sent` changes what requests like this one send, `answered` what they are answered; `ignored` are not done."""

    method: str
    path: str
    sent: Callable[[bytes], bytes] | None = None
    answered: Callable[[Answer], Answer] | None = None
    ignored: bool = False


class Faulty(DreamFactoryDouble):
    fault: Fault

    def answer(self, method: str, target: str, headers: Any, raw: bytes, caller: Any = None) -> tuple[Answer, str]:
        if caller or (method, self.fault.path in target) != (self.fault.method, True):
            return super().answer(method, target, headers, raw, caller)
        if self.fault.ignored:
            return Answer(200, {"id": int(target.partition("?")[0].rpartition("/")[2])}), method
        raw = self.fault.sent(raw) if self.fault.sent else raw
        answer, verb = super().answer(method, target, headers, raw, caller)
        return (self.fault.answered(answer) if self.fault.answered else answer), verb


def stripped(value: Any, lost: Callable[[str, Any], bool]) -> Any:
    if isinstance(value, dict):
        return {name: stripped(item, lost) for name, item in value.items() if not lost(name, item)}
    return [stripped(item, lost) for item in value] if isinstance(value, list) else value


def without(field: str) -> Callable[[bytes], bytes]:
    return lambda raw: json.dumps(stripped(json.loads(raw), lambda name, item: name == field)).encode()


def without_removals(raw: bytes) -> bytes:
    body = json.loads(raw)
    relation = "role_service_access_by_role_id"
    return json.dumps({**body, relation: [row for row in body[relation] if row.get("role_id", 0) is not None]}).encode()


def record(**changed: Any) -> Callable[[Answer], Answer]:
    """An answer in which the record has other values; None takes a field away."""

    def change(answer: Answer) -> Answer:
        [old] = answer.body["resource"]
        new = {name: value for name, value in {**old, **changed}.items() if value is not None or name not in changed}
        return Answer(answer.status, {"resource": [new]})

    return change


def rows(answer: Answer, change: Callable[[list[Any]], list[Any]]) -> Answer:
    return Answer(answer.status, {"resource": change(answer.body["resource"])})


def status(number: int) -> Callable[[Answer], Answer]:
    return lambda answer: Answer(number, answer.body)


POST_ROLE, POST_APP = ("POST", "system/role"), ("POST", "system/app")
ROLE, APP = "Create role acme-role", "Create app acme-app"
FAULTS: dict[str, tuple[str, Fault, list[Told]]] = {
    "field ignored": (
        TENANT,
        Fault(*POST_ROLE, sent=without("description")),
        [(ROLE, "resource[0].description", '"Role of tenant ACME"', "null")],
    ),
    "field of the config ignored": (
        TENANT,
        Fault("POST", "system/service", sent=without("container")),
        [("Create service tenant_acme_files, read again", "config.container", '"uploads/"', "null")],
    ),
    "field of a row ignored": (
        TENANT,
        Fault(*POST_ROLE, sent=without("verb_mask")),
        [(ROLE, "resource[0].role_service_access_by_role_id[0].verb_mask", "3", "0")],
    ),
    "row ignored": (
        TENANT,
        Fault(*POST_ROLE, sent=without("role_service_access_by_role_id")),
        [(ROLE, "resource[0].role_service_access_by_role_id[0]", "{", "absent")],
    ),
    "reference ignored": (
        TENANT,
        Fault(*POST_APP, sent=without("role_id")),
        [(APP, "resource[0].role_id", "1, which is 2004 here", "null")],
    ),
    "reference to another": (
        TENANT,
        Fault(*POST_APP, answered=record(role_id=7)),
        [(APP, "resource[0].role_id", "1, which is 2004 here", "7")],
    ),
    "field more": (
        TENANT,
        Fault(*POST_ROLE, answered=record(extra=1)),
        [(ROLE, "resource[0].extra", "absent", "1")],
    ),
    "field less": (
        TENANT,
        Fault(*POST_ROLE, answered=record(is_active=None)),
        [(ROLE, "resource[0].is_active", "true", "absent")],
    ),
    "number as text": (
        TENANT,
        Fault(*POST_APP, answered=record(type="0")),
        [(APP, "resource[0].type", "0", '"0"')],
    ),
    "number for a truth value": (
        TENANT,
        Fault(*POST_ROLE, answered=record(is_active=1)),
        [(ROLE, "resource[0].is_active", "true", "1")],
    ),
    "another status": (TENANT, Fault(*POST_ROLE, answered=status(200)), [(ROLE, "status", "201", "200")]),
    "refused": (TENANT, Fault(*POST_APP, answered=status(409)), [(APP, "status", "201", "409")]),
    "status of an update": (
        EDIT,
        Fault("PUT", "system/role", answered=status(202)),
        [("Update role warehouse-reader", "status", "200", "202")],
    ),
    "rows of an update ignored": (
        EDIT,
        Fault("PUT", "system/role", sent=without("role_service_access_by_role_id")),
        [("Update role warehouse-reader, read again", "role_service_access_by_role_id[new]", "{", "absent")],
    ),
    "update ignored": (
        MESSY,
        Fault("PUT", "system/service", ignored=True),
        [("Update service legacy_rws, read again", "is_active", "false", "true")],
    ),
    "delete ignored": (
        MESSY,
        Fault("DELETE", "system/app", ignored=True),
        [("Delete app old-app, read again", "record", "deleted", "still there")],
    ),
    "removal of a row ignored": (
        "role",
        Fault("PUT", "system/role", sent=without_removals),
        [("Update role made, read again", "role_service_access_by_role_id[0]", "absent", "{")],
    ),
    "list in another order": (
        "cors",
        Fault("POST", "system/cors", answered=record(method=["POST", "GET"])),
        [("Create cors api/*", "resource[0].method", '["GET","POST"]', '["POST","GET"]')],
    ),
    "truth value whose name tells of credentials ignored": (
        "credentials",
        Fault("POST", "system/cors", sent=without("supports_credentials")),
        [("Create cors api/*, read again", "supports_credentials", "true", "false")],
    ),
    "one record of several missing": (
        "cors",
        Fault("POST", "system/lookup", answered=lambda answer: rows(answer, lambda all: all[:1])),
        [("Create 2 lookup records: a, b", "resource[1]", "{", "no such record")],
    ),
    "ids of a batch in another order": (
        "roles",
        Fault("POST", "system/role", answered=lambda answer: rows(answer, lambda all: all[::-1])),
        [
            ("Create role one, read again", "id", "2009, as its create was answered", "2008"),
            ("Create role two, read again", "id", "2008, as its create was answered", "2009"),
        ],
    ),
    "record missing in a list": (
        "reads",
        Fault("GET", "system/role", answered=lambda a: rows(a, lambda all: [r for r in all if r["name"] != 'ta"le'])),
        [("Read the list of role records", "resource[0]", "{", "no such record")],
    ),
}


def recording_of(name: str) -> Recording:
    return dfrecord.read(FIXTURES / name / "recording.har") if name in CASES else recorded(RECORDED[name])


@pytest.mark.parametrize(("case", "fault", "expected"), FAULTS.values(), ids=FAULTS)
def test_exactly_the_fault_is_told(case: str, fault: Fault, expected: list[Told], tmp_path: Path) -> None:
    journey = dfrecord.plan(recording_of(case))
    with Faulty(1000) as df:
        if case in CASES:
            prepare_case(df, case)
        else:
            prepare(df, "bystander")
        df.fault = fault
        replayed = dfrecord.replay(journey, df.url, given(df, journey), yes=True, created_file=tmp_path / "c.jsonl")
    told = [
        (result.title, d.place, *("{" if text.startswith("{") else text for text in (d.recorded, d.found)))
        for result in replayed.results
        for d in result.differences
    ]
    assert told == expected
    assert not replayed.ok


def test_rows_in_another_order_and_another_person_are_no_difference(tmp_path: Path) -> None:
    def turned(answer: Answer) -> Answer:
        text = json.loads(json.dumps(answer.body))
        text["role_service_access_by_role_id"].reverse()
        return Answer(answer.status, text)

    journey = dfrecord.plan(recorded(role_made_and_edited_as_the_console_does))
    with Faulty(1000, email="other@example.com", password=PASSWORD) as df:
        prepare(df, "bystander")
        df.fault = Fault("PUT", "fields=*", answered=turned)
        replayed = dfrecord.replay(journey, df.url, given(df, journey), created_file=tmp_path / "c.jsonl")
        assert any(call.verb == "PUT" and "fields=*" in call.query for call in df.log)
    assert replayed.ok, replayed.results
