"""Where the target has several access rows of a key and the recording one, the row that is like it is taken."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import dfrecord
from dfrecord.recording.exchange import Recording
from dfrecord.recording.har_writer import har_chunks
from tests.doubles.server import DreamFactoryDouble
from tests.recorder import RecordedSession
from tests.states import portable
from tests.test_settled import WAYS_TO_UNDO, runner
from tests.tools import rendered, run

ROW = {"component": "*", "verb_mask": 1, "requestor_mask": 1}
ROLES = ("changed", "lessened")


def tenant(value: str) -> list[dict[str, Any]]:
    return [{"name": "tenant", "operator": "=", "value": value}]


def services_of(s: RecordedSession) -> dict[str, int]:
    """The ids of the services by name, as the console reads them for its choices."""
    return {row["name"]: row["id"] for row in s.call("GET", "system/service?fields=id,name")["resource"]}


def with_rows(df: DreamFactoryDouble, *tenants: str) -> None:
    """Makes the roles on the server, with an access row for each tenant."""
    s = RecordedSession(df)
    service = services_of(s)["db"]
    rows = [{**ROW, "service_id": service, "filters": tenant(value)} for value in tenants]
    s.create("role", *({"name": name, "is_active": True, "role_service_access_by_role_id": rows} for name in ROLES))


def rows_of(df: DreamFactoryDouble) -> dict[str, list[dict[str, Any]]]:
    """The access rows of each role."""
    roles = RecordedSession(df).call("GET", "system/role?related=role_service_access_by_role_id")["resource"]
    return {role["name"]: role["role_service_access_by_role_id"] for role in roles if role["name"] in ROLES}


def tenants_of(df: DreamFactoryDouble) -> dict[str, list[str]]:
    """The tenants in the access rows of each role."""
    return {name: sorted(row["filters"][0]["value"] for row in rows) for name, rows in rows_of(df).items()}


def change_rows(s: RecordedSession, name: str, *changes: dict[str, Any], read: bool = True) -> None:
    """Changes the access rows of a role; without `read`, the recording does not show what it was before."""
    s.call("GET", "system/service?fields=id,name")
    found = {role["name"]: role["id"] for role in s.call("GET", "system/role?fields=id,name")["resource"]}
    path = f"system/role/{found[name]}"
    shown = s.call("GET", f"{path}?related=role_service_access_by_role_id")
    if not read:
        s.exchanges.pop()
    rows = shown["role_service_access_by_role_id"]
    sent = [{**row, **change} for row, change in zip(rows, changes, strict=True)]
    s.call("PUT", path, {**shown, "role_service_access_by_role_id": sent})


def verbs_changed(df: DreamFactoryDouble, masks: tuple[int, ...], whole: bool) -> RecordedSession:
    """A session that reads the rows of `changed` and gives them these verbs, in whole rows or by their ids alone."""
    s = RecordedSession(df)
    s.call("GET", "system/service?fields=id,name")
    found = {role["name"]: role["id"] for role in s.call("GET", "system/role?fields=id,name")["resource"]}
    path = f"system/role/{found['changed']}"
    shown = s.call("GET", f"{path}?related=role_service_access_by_role_id")["role_service_access_by_role_id"]
    own = [row if whole else {"id": row["id"]} for row in shown]
    sent = [{**row, "verb_mask": mask} for row, mask in zip(own, masks, strict=True)]
    s.call("PATCH", path, {"role_service_access_by_role_id": sent})
    return s


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


CASES = [(format, upsert) for format in ("curl", "python", "postman", "replay") for upsert in (False, True)]
CASES += [("ansible", True), ("locust", False)]


def went(
    session: RecordedSession, format: str, upsert: bool, target: DreamFactoryDouble, folder: Path, **more: str
) -> str:
    """Runs what was recorded, an upsert twice when it went well; gives what a run said that stopped, else nothing."""
    given = {"DF_EMAIL": target.email, "DF_PASSWORD": target.password, "DF_YES": "1", "DF_BASE_URL": target.url, **more}
    if format == "replay":
        journey = dfrecord.plan(Recording("rows.har", tuple(session.exchanges)), upsert=upsert)
        for _ in range(1 + upsert):
            done = dfrecord.replay(journey, target.url, given, yes=True, created_file=folder / "made")
            if not done.ok:
                return str(done)
            writes = target.writes
            target.reset_log()
    else:
        har = folder / "rows.har"
        har.write_bytes(b"".join(har_chunks(session.exchanges)))
        script = rendered(har, format, folder, *(["--upsert"] if upsert else []))
        for _ in range(1 + upsert):
            ran = run(script, format, given)
            if ran.returncode:
                return ran.stdout + ran.stderr
            writes = target.writes
            target.reset_log()
    assert not upsert or writes == []
    return ""


@pytest.mark.parametrize(("format", "upsert"), CASES)
def test_the_row_with_the_same_filters_is_taken(format: str, upsert: bool, tmp_path: Path) -> None:
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        session = recorded_session(recorded)
        with_rows(target, "b", "a")
        assert went(session, format, upsert, target, tmp_path) == ""
        assert tenants_of(target) == {"changed": ["b", "c"], "lessened": ["b"]}


@pytest.mark.parametrize(("format", "upsert"), CASES)
def test_a_run_stops_before_any_change_where_none_of_several_rows_has_the_filters(
    format: str, upsert: bool, tmp_path: Path
) -> None:
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        with_rows(recorded, "a")
        with_rows(target, "b", "d")
        s = RecordedSession(recorded)
        s.create("role", {"name": "another", "is_active": True})
        change_rows(s, "changed", {"verb_mask": 31})
        target.reset_log()
        told = went(s, format, upsert, target, tmp_path)
        assert target.writes == []
        assert "row of role changed, service db, component *" in told
        assert re.search("2 (role_service_access |matching )?(records|of) ", told), told


@pytest.mark.parametrize(("format", "upsert"), CASES)
@pytest.mark.parametrize("read", [True, False])
def test_the_only_row_of_a_key_is_changed_in_place(format: str, upsert: bool, read: bool, tmp_path: Path) -> None:
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        with_rows(recorded, "a")
        with_rows(target, "b")
        before = rows_of(target)
        s = RecordedSession(recorded)
        change_rows(s, "changed", {"verb_mask": 31}, read=read)
        assert went(s, format, upsert, target, tmp_path) == ""
        after = rows_of(target)
        assert after["lessened"] == before["lessened"]
        assert [(row["id"], row["verb_mask"]) for row in after["changed"]] == [(before["changed"][0]["id"], 31)]


@pytest.mark.parametrize(("format", "upsert"), CASES)
def test_a_row_that_was_never_read_is_not_taken_for_one_of_several(format: str, upsert: bool, tmp_path: Path) -> None:
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        with_rows(recorded, "a")
        with_rows(target, "b", "d")
        s = RecordedSession(recorded)
        change_rows(s, "changed", {"verb_mask": 31}, read=False)
        target.reset_log()
        assert "service db, component *" in went(s, format, upsert, target, tmp_path)
        assert target.writes == []


@pytest.mark.parametrize("format", ["curl", "python", "postman", "replay"])
def test_a_row_whose_id_is_given_is_the_one_that_is_changed(format: str, tmp_path: Path) -> None:
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        with_rows(recorded, "a")
        with_rows(target, "b", "d")
        s = RecordedSession(recorded)
        [row] = rows_of(recorded)["changed"]
        found = {role["name"]: role["id"] for role in s.call("GET", "system/role?fields=id,name")["resource"]}
        change = {"id": row["id"], "filters": tenant("c")}
        s.call("PUT", f"system/role/{found['changed']}", {"role_service_access_by_role_id": [change]})
        own = next(row["id"] for row in rows_of(target)["changed"] if row["filters"] == tenant("d"))
        assert went(s, format, True, target, tmp_path, DF_ROLE_SERVICE_ACCESS_ID=str(own)) == ""
        assert tenants_of(target) == {"changed": ["b", "c"], "lessened": ["b", "d"]}


@pytest.mark.parametrize("format", ["curl", "python", "postman", "replay"])
def test_removed_rows_give_their_place_to_one_that_gives_its_own_to_another(format: str, tmp_path: Path) -> None:
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        for df in (recorded, target):
            with_rows(df, "a", "a", "b")
        s = RecordedSession(recorded)
        change_rows(s, "changed", {"role_id": None}, {"filters": tenant("b")}, {"filters": tenant("a")})
        assert went(s, format, True, target, tmp_path) == ""
        assert tenants_of(target) == tenants_of(recorded) == {"changed": ["a", "b"], "lessened": ["a", "a", "b"]}


@pytest.mark.parametrize("format", ["curl", "python", "postman", "replay"])
@pytest.mark.parametrize("whole", [True, False])
def test_rows_that_trade_their_verbs_are_told_from_others_by_their_filters(
    whole: bool, format: str, tmp_path: Path
) -> None:
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        others = [(1, "x"), (3, "y")]
        for df, masks in ((recorded, [(1, "a"), (3, "b")]), (target, [*others, (3, "b"), (1, "a")])):
            s = RecordedSession(df)
            services = {row["name"]: row["id"] for row in s.call("GET", "system/service")["resource"]}
            rows = [{**ROW, "service_id": services["db"], "verb_mask": m, "filters": tenant(t)} for m, t in masks]
            s.create("role", {"name": "changed", "is_active": True, "role_service_access_by_role_id": rows})
        s = verbs_changed(recorded, (3, 1), whole)
        assert went(s, format, True, target, tmp_path) == ""
        masks = [(row["verb_mask"], row["filters"][0]["value"]) for row in rows_of(target)["changed"]]
        assert sorted(masks) == sorted([*others, (3, "a"), (1, "b")])


@pytest.mark.parametrize(("then", "others", "whole"), [((3, 1), (), True), ((3, 7, 1), (15, 31), False)])
@pytest.mark.parametrize(("format", "upsert"), CASES)
def test_rows_without_filters_trade_their_verbs(
    format: str, upsert: bool, then: tuple[int, ...], others: tuple[int, ...], whole: bool, tmp_path: Path
) -> None:
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        for df, masks in ((recorded, sorted(then)), (target, (*others, *then))):
            s = RecordedSession(df)
            services = {row["name"]: row["id"] for row in s.call("GET", "system/service")["resource"]}
            rows = [{**ROW, "service_id": services["db"], "verb_mask": mask, "filters": []} for mask in masks]
            s.create("role", {"name": "changed", "is_active": True, "role_service_access_by_role_id": rows})
        s = verbs_changed(recorded, then, whole)
        assert went(s, format, upsert, target, tmp_path) == ""
        assert sorted(row["verb_mask"] for row in rows_of(target)["changed"]) == sorted((*then, *others))


def patched(s: RecordedSession, role: int, change: dict[str, Any], *, whole: bool) -> None:
    """Reads the one row of tenant a or c that the role has, and changes it, sent as a whole or in part."""
    rows = s.call("GET", f"system/role/{role}?related=role_service_access_by_role_id")["role_service_access_by_role_id"]
    [row] = [row for row in rows if row["filters"] in (tenant("a"), tenant("c"))]
    sent = {**(row if whole else {"id": row["id"]}), **change}
    s.call("PATCH", f"system/role/{role}", {"role_service_access_by_role_id": [sent]})


def role_made_and_changed(s: RecordedSession, services: dict[str, int], whole: bool) -> None:
    row = {**ROW, "service_id": services["db"], "filters": tenant("a")}
    [role] = s.create("role", {"name": "changed", "is_active": True, "role_service_access_by_role_id": [row]})
    patched(s, role, {"verb_mask": 31}, whole=whole)
    patched(s, role, {"filters": tenant("c")}, whole=whole)


def row_added_and_changed(s: RecordedSession, services: dict[str, int], whole: bool) -> None:
    found = {role["name"]: role["id"] for role in s.call("GET", "system/role?fields=id,name")["resource"]}
    row = {**ROW, "service_id": services["db"], "filters": tenant("a")}
    s.call("PATCH", f"system/role/{found['changed']}", {"role_service_access_by_role_id": [row]})
    patched(s, found["changed"], {"verb_mask": 31}, whole=whole)
    patched(s, found["changed"], {"filters": tenant("c")}, whole=whole)


UPSERTS = ["curl", "python", "postman", "replay", "ansible"]


@pytest.mark.parametrize("work", [role_made_and_changed, row_added_and_changed])
@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("format", UPSERTS)
def test_a_row_that_the_journey_makes_and_changes_is_made_beside_several_of_its_key(
    format: str, whole: bool, work: Callable[..., None], tmp_path: Path
) -> None:
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        s = RecordedSession(recorded)
        if work is row_added_and_changed:
            s.create("role", {"name": "changed", "is_active": True})
            s.exchanges.pop()
        with_rows(target, "b", "d")
        services = services_of(s)
        work(s, services, whole)
        before = rows_of(target)["changed"]
        assert went(s, format, True, target, tmp_path) == ""
        after = rows_of(target)["changed"]
        assert after[:2] == before
        assert [(row["verb_mask"], row["filters"]) for row in after[2:]] == [(31, tenant("c"))]


@pytest.mark.parametrize("format", UPSERTS)
def test_the_only_row_of_a_created_record_becomes_what_all_writes_say(format: str, tmp_path: Path) -> None:
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        with_rows(target, "b")
        s = RecordedSession(recorded)
        services = services_of(s)
        role_made_and_changed(s, services, whole=False)
        before = rows_of(target)["changed"]
        assert went(s, format, True, target, tmp_path) == ""
        [row] = rows_of(target)["changed"]
        assert (row["id"], row["verb_mask"], row["filters"]) == (before[0]["id"], 31, tenant("c"))


@pytest.mark.parametrize("format", UPSERTS)
def test_a_found_row_that_is_changed_part_by_part_becomes_what_all_writes_say(format: str, tmp_path: Path) -> None:
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        for df in (recorded, target):
            with_rows(df, "a")
        s = RecordedSession(recorded)
        s.call("GET", "system/service?fields=id,name")
        [role] = [role["id"] for role in s.call("GET", "system/role")["resource"] if role["name"] == "changed"]
        patched(s, role, {"verb_mask": 31}, whole=False)
        patched(s, role, {"filters": tenant("c")}, whole=False)
        assert went(s, format, True, target, tmp_path) == ""
        assert [(row["verb_mask"], row["filters"]) for row in rows_of(target)["changed"]] == [(31, tenant("c"))]


@pytest.mark.parametrize("format", UPSERTS)
def test_a_row_that_another_write_wants_is_not_taken_for_the_only_one(format: str, tmp_path: Path) -> None:
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        with_rows(target, "b")
        s = RecordedSession(recorded)
        services = services_of(s)
        row = {**ROW, "service_id": services["db"]}
        made = [{**row, "filters": tenant("a")}]
        [role] = s.create("role", {"name": "changed", "is_active": True, "role_service_access_by_role_id": made})
        patched(s, role, {"filters": tenant("c")}, whole=True)
        added = [{**row, "filters": tenant("b")}]
        s.call("PATCH", f"system/role/{role}", {"role_service_access_by_role_id": added})
        assert went(s, format, True, target, tmp_path) == ""
        assert tenants_of(target)["changed"] == ["b", "c"]


@pytest.mark.parametrize("format", UPSERTS)
def test_a_row_that_is_added_is_not_taken_for_the_one_that_is_changed_then(format: str, tmp_path: Path) -> None:
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        s = RecordedSession(recorded)
        services = services_of(s)
        row = {**ROW, "service_id": services["db"]}
        made = [{**row, "filters": tenant("a")}]
        [role] = s.create("role", {"name": "changed", "is_active": True, "role_service_access_by_role_id": made})
        s.call("GET", f"system/role/{role}?related=role_service_access_by_role_id")
        added = [{**row, "filters": tenant("b")}]
        s.call("PATCH", f"system/role/{role}", {"role_service_access_by_role_id": added})
        patched(s, role, {"filters": tenant("c")}, whole=False)
        assert went(s, format, True, target, tmp_path) == ""
        assert tenants_of(target)["changed"] == tenants_of(recorded)["changed"] == ["b", "c"]


def saved(s: RecordedSession, role: int, *changes: dict[str, Any], new: int = 0) -> None:
    """As the console saves a role: all rows as they were read, some of them changed, and `new` ones, all alike."""
    path = f"system/role/{role}"
    shown = s.call("GET", f"{path}?related=role_service_access_by_role_id")
    rows = shown["role_service_access_by_role_id"]
    sent = [{**row, **(changes[place] if place < len(changes) else {})} for place, row in enumerate(rows)]
    row = {**ROW, "id": None, "service_id": services_of(s)["db"], "filters": []}
    s.call("PUT", path, {**shown, "role_service_access_by_role_id": [*sent, *[row] * new]})


GONE: dict[str, Any] = {"role_id": None}
STORIES: dict[str, tuple[list[dict[str, Any]], list[tuple[list[dict[str, Any]], int]]]] = {
    "added one by one": ([], [([], 1), ([], 1)]),
    "beside one that was there": ([{}], [([], 1), ([], 1)]),
    "one of several removed": ([{}, {}, {}], [([{}, GONE], 0)]),
    "made alike and apart again": (
        [{"filters": tenant("a")}, {}],
        [([{"filters": []}, GONE], 0), ([{"filters": tenant("a")}], 0)],
    ),
    "becomes what stays": ([{"verb_mask": 3}, {}], [([{"verb_mask": 1}], 0)]),
    "moved on, one after the other": (
        [{}, {"verb_mask": 3}, {}],
        [([{"verb_mask": 3}, {"verb_mask": 7}], 0), ([{"verb_mask": 7}, {"verb_mask": 1}], 1)],
    ),
}


@pytest.mark.parametrize("story", STORIES)
@pytest.mark.parametrize("way", [*WAYS_TO_UNDO, "ansible"])
def test_rows_that_are_alike_in_all_are_counted(way: str, story: str, tmp_path: Path) -> None:
    there, saves = STORIES[story]
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        for df in (recorded, target):
            s = RecordedSession(df)
            rows = [{**ROW, "service_id": services_of(s)["db"], **row} for row in there]
            s.create("role", {"name": "changed", "is_active": True, "role_service_access_by_role_id": rows})
        s = RecordedSession(recorded)
        [role] = [role["id"] for role in s.call("GET", "system/role")["resource"]]
        for changes, new in saves:
            saved(s, role, *changes, new=new)
        if way == "ansible":  # its teardown leaves what was found as it is then
            assert went(s, way, True, target, tmp_path) == ""
            assert portable(target.state()) == portable(recorded.state())
        else:
            runner(way, s, tmp_path).settles(recorded, target)


@pytest.mark.parametrize(("format", "upsert"), CASES)
def test_a_row_of_an_id_that_no_answer_shows_stops_a_run_before_it_adds_another(
    format: str, upsert: bool, tmp_path: Path
) -> None:
    with DreamFactoryDouble() as recorded, DreamFactoryDouble(700) as target:
        with_rows(recorded, "a")
        with_rows(target, "b", "d")
        s = RecordedSession(recorded)
        services = services_of(s)
        [role, _] = [role["id"] for role in s.call("GET", "system/role?fields=id,name")["resource"]]
        added = [{**ROW, "service_id": services["files"]}]
        s.call("PATCH", f"system/role/{role}", {"role_service_access_by_role_id": added})
        change_rows(s, "changed", {"verb_mask": 31}, {}, read=False)
        target.reset_log()
        told = went(s, format, upsert, target, tmp_path)
        assert target.writes == []
        assert "service db, component *" in told
