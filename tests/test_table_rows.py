"""Rows of database tables, which the catalog does not know: no id of one is sent to another instance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import dfrecord
from dfrecord.recording.exchange import Recording
from dfrecord.recording.har_writer import har_chunks
from tests.doubles.server import DreamFactoryDouble
from tests.recorder import RecordedSession
from tests.test_end_to_end import environment
from tests.tools import rendered, run

TODO = "db/_table/todo"


def prepared(df: DreamFactoryDouble, rows: int) -> None:
    df.content.tables["db", "todo"] = {own: {"id": own, "title": "old"} for own in range(1, rows + 1)}
    df.content.tables["db", "log"] = {}


def recorded(df: DreamFactoryDouble) -> RecordedSession:
    """Rows made, changed and deleted by their paths, in a list, by `ids`; and two that were there."""
    s = RecordedSession(df)

    def made(*titles: str) -> list[int]:
        answer = s.call("POST", TODO, {"resource": [{"title": title} for title in titles]})
        return [row["id"] for row in answer["resource"]]

    first, second = made("a", "b")
    s.call("PATCH", f"{TODO}/{first}", {"title": "changed"})
    s.call("PATCH", TODO, {"resource": [{"id": second, "title": "changed, too"}]})
    [third] = made("c")
    s.call("DELETE", f"{TODO}?ids={third}")
    s.call("POST", "db/_table/log", {"resource": [{"todo": 1}]})  # no step is about it
    s.call("PATCH", f"{TODO}/1", {"title": "was there"})
    s.call("DELETE", f"{TODO}/2")
    return s


@pytest.mark.parametrize("way", ["replay", "curl", "python", "postman"])
def test_rows_of_tables_are_found_by_the_ids_that_creates_answer_and_others_are_asked_for(
    way: str, tmp_path: Path
) -> None:
    with DreamFactoryDouble() as df, DreamFactoryDouble(700) as target:
        prepared(df, 2)
        prepared(target, 50)
        recording = Recording("rows.har", tuple(recorded(df).exchanges))
        journey = dfrecord.plan(recording, filters=["api/v2"])
        asked = [v.env for v in journey.variables if v.required and v.env not in environment(target)]
        assert len(asked) == 2
        assert [bool(step.danger) for step in journey.steps] == [False] * 8 + [True]
        given: dict[str, Any] = {**environment(target), **dict(zip(asked, ("7", "8"), strict=True)), "DF_YES": "1"}
        if way == "replay":
            assert dfrecord.replay(journey, target.url, given, yes=True, created_file=tmp_path / "made").ok
        else:
            (har := tmp_path / "rows.har").write_bytes(b"".join(har_chunks(recording.exchanges)))
            script = rendered(har, way, tmp_path, "--filter", "api/v2")
            without = run(script, way, {**given, asked[0]: ""})
            assert without.returncode != 0
            assert asked[0] in without.stdout + without.stderr
            assert target.writes == []
            done = run(script, way, given)
            assert done.returncode == 0, done.stdout + done.stderr
        rows = target.content.tables["db", "todo"]
        assert {own: row["title"] for own, row in rows.items() if row["title"] != "old"} == {
            7: "was there",
            51: "changed",
            52: "changed, too",
        }
        assert set(range(1, 53)) - rows.keys() == {8}


@pytest.mark.parametrize("way", ["replay", "curl", "python", "postman"])
def test_relations_of_tables_name_the_services_of_the_target(way: str, tmp_path: Path) -> None:
    """The console's schema manager gives a table a virtual relation to one of another service."""
    with DreamFactoryDouble() as df, DreamFactoryDouble(700) as target:
        for each in (df, target):
            prepared(each, 2)
        s = RecordedSession(df)
        seeded = {row["name"]: row["id"] for row in s.call("GET", "system/service")["resource"]}
        [own] = s.create("service", {"name": "crm", "label": "CRM", "type": "sqlite", "config": {"database": "crm"}})
        virtual = {"type": "belongs_to", "field": "owner", "ref_table": "user", "ref_field": "id", "is_virtual": True}
        relations = [
            {**virtual, "name": "to_seeded", "ref_service_id": seeded["db"]},
            {**virtual, "name": "to_made", "ref_service_id": own, "junction_service_id": str(seeded["db"])},
            {**virtual, "name": "to_own", "ref_service_id": None, "junction_service_id": 0},
        ]
        s.call("POST", "db/_schema/todo/_related", {"resource": relations})
        (har := tmp_path / "relations.har").write_bytes(b"".join(har_chunks(s.exchanges)))
        if way == "replay":
            journey = dfrecord.plan(dfrecord.read(har, filters=["api/v2"]), filters=["api/v2"])
            assert dfrecord.replay(journey, target.url, environment(target), created_file=tmp_path / "made").ok
        else:
            done = run(rendered(har, way, tmp_path, "--filter", "api/v2"), way, environment(target))
            assert done.returncode == 0, done.stdout + done.stderr
        there = {row["name"]: row["id"] for row in target.state()["service"]}
        linked = [
            (row["ref_service_id"], row.get("junction_service_id")) for row in target.content.relations["db", "todo"]
        ]
        assert linked == [(there["db"], None), (there["crm"], str(there["db"])), (None, 0)]
