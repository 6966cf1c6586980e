"""Where the target has several access rows of a key and the recording one, the row that is like it is taken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import dfrecord
from dfrecord.recording.exchange import Recording
from dfrecord.recording.har_writer import har_chunks
from tests.doubles.server import DreamFactoryDouble
from tests.recorder import RecordedSession
from tests.tools import rendered, run, run_twice

ROW = {"component": "*", "verb_mask": 1, "requestor_mask": 1}
ROLES = ("changed", "lessened")


def tenant(value: str) -> list[dict[str, Any]]:
    return [{"name": "tenant", "operator": "=", "value": value}]


def with_rows(df: DreamFactoryDouble, *tenants: str) -> None:
    """Makes the roles on the server, with an access row for each tenant."""
    s = RecordedSession(df)
    [service] = [row["id"] for row in s.call("GET", "system/service?fields=id,name")["resource"] if row["name"] == "db"]
    rows = [{**ROW, "service_id": service, "filters": tenant(value)} for value in tenants]
    s.create("role", *({"name": name, "is_active": True, "role_service_access_by_role_id": rows} for name in ROLES))


def tenants_of(df: DreamFactoryDouble) -> dict[str, list[str]]:
    """The tenants in the access rows of each role."""
    s = RecordedSession(df)
    roles = s.call("GET", "system/role?related=role_service_access_by_role_id")["resource"]
    rows = {role["name"]: role["role_service_access_by_role_id"] for role in roles}
    return {name: sorted(row["filters"][0]["value"] for row in rows[name]) for name in ROLES}


def recorded_session(df: DreamFactoryDouble) -> RecordedSession:
    """One role's row gets another tenant, the other's is removed."""
    with_rows(df, "a")
    s = RecordedSession(df)
    s.call("GET", "system/service?fields=id,name")
    found = {role["name"]: role["id"] for role in s.call("GET", "system/role?fields=id,name")["resource"]}
    changes: list[dict[str, Any]] = [{"filters": tenant("c")}, {"role_id": None}]
    for name, change in zip(ROLES, changes, strict=True):
        read = s.call("GET", f"system/role/{found[name]}?related=role_service_access_by_role_id")
        [row] = read["role_service_access_by_role_id"]
        s.call("PUT", f"system/role/{found[name]}", {**read, "role_service_access_by_role_id": [{**row, **change}]})
    return s


def carry_out(
    session: RecordedSession, target: DreamFactoryDouble, format: str, tmp_path: Path, *, upsert: bool
) -> None:
    """Runs the session on the target, an upsert twice."""
    given = {"DF_EMAIL": target.email, "DF_PASSWORD": target.password, "DF_YES": "1", "DF_BASE_URL": target.url}
    if format == "replay":
        journey = dfrecord.plan(Recording("rows.har", tuple(session.exchanges)), upsert=upsert)
        for _ in range(1 + upsert):
            done = dfrecord.replay(journey, target.url, given, yes=True, created_file=tmp_path / "made")
            assert done.ok, done
    else:
        har = tmp_path / "rows.har"
        har.write_bytes(b"".join(har_chunks(session.exchanges)))
        script = rendered(har, format, tmp_path, *(["--upsert"] if upsert else []))
        if upsert:
            run_twice(script, format, given)
        else:
            told = run(script, format, given)
            assert told.returncode == 0, told.stdout + told.stderr


CASES = [(format, upsert) for format in ("curl", "python", "postman", "replay") for upsert in (False, True)]


@pytest.mark.parametrize(("format", "upsert"), [*CASES, ("ansible", True), ("locust", False)])
def test_the_row_with_the_same_filters_is_taken(format: str, upsert: bool, tmp_path: Path) -> None:
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        session = recorded_session(recorded)
        with_rows(target, "b", "a")
        carry_out(session, target, format, tmp_path, upsert=upsert)
        assert tenants_of(target) == {"changed": ["b", "c"], "lessened": ["b"]}


@pytest.mark.parametrize("format", ["curl", "python", "postman", "replay"])
def test_a_row_that_is_removed_gives_its_place_to_one_that_gives_its_own_to_another(
    format: str, tmp_path: Path
) -> None:
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        for df in (recorded, target):
            with_rows(df, "a", "a", "b")
        s = RecordedSession(recorded)
        s.call("GET", "system/service?fields=id,name")
        found = {role["name"]: role["id"] for role in s.call("GET", "system/role?fields=id,name")["resource"]}
        read = s.call("GET", f"system/role/{found['changed']}?related=role_service_access_by_role_id")
        rows = read["role_service_access_by_role_id"]
        changes: list[dict[str, Any]] = [{"role_id": None}, {"filters": tenant("b")}, {"filters": tenant("a")}]
        sent = [{**row, **change} for row, change in zip(rows, changes, strict=True)]
        s.call("PUT", f"system/role/{found['changed']}", {**read, "role_service_access_by_role_id": sent})
        carry_out(s, target, format, tmp_path, upsert=True)
        assert tenants_of(target) == tenants_of(recorded) == {"changed": ["a", "b"], "lessened": ["a", "a", "b"]}
