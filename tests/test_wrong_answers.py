"""An answer that is no list of records, or no record, never counts as "not there": nothing is created because of it.

So answers a proxy with a page of its own, or a server whose error comes with status 200.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.doubles.server import DreamFactoryDouble
from tests.doubles.wire import Answer
from tests.test_end_to_end import environment, prepare
from tests.tools import EVERY_OPTION, FAILED, FIXTURES, dfrecord, rendered, run

TENANT = FIXTURES / "02-provision-tenant" / "recording.har"
NOT_A_LIST = [
    Answer(200, b"<html><body>\n<h1>It works!</h1>\n</body></html>", "text/html"),
    Answer(200, {"error": {"code": 500, "message": "The database is away.", "context": None}}),
    Answer(200, b"null"),
    Answer(200, b""),
    Answer(200, {"resource": {"id": 1}}),
    Answer(200, b'"ok"'),
]
FEW = {"ansible": 1, "locust": 1, "http": 1, "postman": 2}
"""How many of them the formats get whose programs take long to start."""


class Wrong(DreamFactoryDouble):
    """A double that answers reads of this path so."""

    path: str
    wrong: Answer

    def answer(self, method: str, target: str, headers: Any, raw: bytes, caller: Any = None) -> tuple[Answer, str]:
        if method == "GET" and re.fullmatch(self.path, target.partition("?")[0]):
            return self.wrong, method
        return super().answer(method, target, headers, raw, caller)


def wrong_double(path: str, wrong: Answer) -> Wrong:
    df = Wrong(id_offset=300)
    df.path, df.wrong = path, wrong
    return df


@pytest.mark.parametrize("format", EVERY_OPTION)
def test_no_list_stops_an_upsert_before_it_creates(format: str, tmp_path: Path) -> None:
    script = rendered(TENANT, format, tmp_path, "--upsert")
    for wrong in NOT_A_LIST[: FEW.get(format)]:
        with wrong_double("/api/v2/system/service", wrong) as df:
            done = run(script, format, environment(df))
            said = done.stdout + done.stderr
            assert done.returncode == FAILED.get(format, 1), (wrong, said)
            assert "the answer is no list of records" in re.sub(r"\s+", " ", said), (wrong, said)
            assert df.writes == [], wrong
            assert re.search("Traceback|parse error|jq:", said) is None, said


@pytest.mark.parametrize("format", ["curl", "python", "postman", "ansible", "http"])  # locust has Python's client
def test_no_list_stops_a_lookup(format: str, tmp_path: Path) -> None:
    script = rendered(FIXTURES / "03-edit-role" / "recording.har", format, tmp_path)
    for wrong in NOT_A_LIST[: FEW.get(format)]:
        with wrong_double("/api/v2/system/role", wrong) as df:
            prepare(df, "03-edit-role")
            done = run(script, format, environment(df))
            said = done.stdout + done.stderr
            assert done.returncode == FAILED.get(format, 1), (wrong, said)
            assert "the answer is no list of records" in re.sub(r"\s+", " ", said), (wrong, said)
            assert df.writes == [], wrong


@pytest.mark.parametrize("wrong", NOT_A_LIST, ids=str)
def test_no_list_stops_replay_and_plan(wrong: Answer, tmp_path: Path) -> None:
    with wrong_double("/api/v2/system/service", wrong) as df:
        for more in ([], ["--plan"]):
            notes = ["--created-file", str(tmp_path / "notes.jsonl")]
            done = dfrecord(
                "replay", TENANT, "--base-url", df.url, "--upsert", *notes, *more, code=1, environment=environment(df)
            )
            assert b"the answer is no list of records" in done.stdout + done.stderr
        assert df.writes == []


@pytest.mark.parametrize("format", ["curl", "python", "postman", "ansible"])
def test_no_record_is_no_reason_to_create_one(format: str, tmp_path: Path) -> None:
    script = rendered(FIXTURES / "03-edit-role" / "recording.har", format, tmp_path, "--upsert")
    for wrong in [answer for answer in NOT_A_LIST if isinstance(answer.body, bytes)][: FEW.get(format)]:
        with wrong_double(r"/api/v2/system/role/\d+", wrong) as df:
            prepare(df, "03-edit-role")
            done = run(script, format, environment(df))
            said = done.stdout + done.stderr
            assert done.returncode == FAILED.get(format, 1), (wrong, said)
            assert re.search("the answer is no (record|list of records)", re.sub(r"\s+", " ", said)), (wrong, said)
            assert df.writes == [], wrong


NO_NUMBER = ["12; x", '12"', {"a": 1}, [7], True, 1.5, ""]
"""Ids that a later step must not be given."""


class Made(DreamFactoryDouble):
    """A double that answers each create of a service so."""

    id_told: object

    def answer(self, method: str, target: str, headers: Any, raw: bytes, caller: Any = None) -> tuple[Answer, str]:
        answered, told = super().answer(method, target, headers, raw, caller)
        if method == "POST" and target.startswith("/api/v2/system/service"):
            return Answer(201, {"resource": [{"id": self.id_told}]}), told
        return answered, told


@pytest.mark.parametrize("format", [*EVERY_OPTION, "http", "replay"])
def test_an_id_that_is_no_number_stops_the_run(format: str, tmp_path: Path) -> None:
    script = TENANT if format == "replay" else rendered(TENANT, format, tmp_path)
    for told in NO_NUMBER[: FEW.get(format)]:
        with Made(id_offset=300) as df:
            df.id_told = told
            if format == "replay":
                given = ["--base-url", df.url, "--created-file", str(tmp_path / "notes.jsonl")]
                ended = dfrecord("replay", TENANT, *given, code=1, environment=environment(df))
                said = (ended.stdout + ended.stderr).decode()
            else:
                done = run(script, format, environment(df))
                said = done.stdout + done.stderr
                assert done.returncode == FAILED.get(format, 1), (told, said)
            reasons = "whole number|integer|is missing|later step needs"
            assert re.search(rf"resource[/.[].*id.*({reasons})", said), (told, said)
            assert [write.path for write in df.writes] == ["/api/v2/system/service"], (told, said)
            assert re.search("Traceback|parse error|jq:", said) is None, said
