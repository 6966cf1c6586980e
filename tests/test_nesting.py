"""Lists and objects in one another, as deep as somebody likes: taken or refused the same, whoever calls."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

import dfrecord as api
from dfrecord.system_api.catalog_file import read_catalog
from tests.doubles.echo import EchoServer
from tests.test_hostile_server import GIVEN, LOGIN, found
from tests.tools import FIXTURES

Result = TypeVar("Result")
TENANT = FIXTURES / "02-provision-tenant" / "recording.har"
DEEPEST, TOO_DEEP, FAR_TOO_DEEP = 60, 70, 20_000


def nested(depth: int) -> str:
    return '[{"a":' * (depth // 2) + "1" + "}]" * (depth // 2)


def after(calls: int, work: Callable[[], Result]) -> Result:
    """What the work gives when so many calls already wait for it."""
    return work() if not calls else after(calls - 1, work)


def everywhere(work: Callable[[], Result]) -> Result:
    """What the work gives: the same with hardly any calls before it and with two thirds of all that there may be."""
    shallow = work()
    assert after(sys.getrecursionlimit() * 2 // 3, work) == shallow
    return shallow


@pytest.mark.parametrize("depth", [DEEPEST, TOO_DEEP, FAR_TOO_DEEP])
def test_an_answer(depth: int, tmp_path: Path) -> None:
    journey = api.plan(api.read(TENANT), upsert=True)
    answer = found(f',"id":7,"description":{nested(depth)},"config":{nested(depth)}')
    with EchoServer(LOGIN, default=(200, answer)) as df:

        def told() -> list[str]:
            replayed = api.replay(journey, df.url, GIVEN, created_file=tmp_path / "notes")
            return [result.message for result in replayed.results]

        messages = everywhere(told)
    assert ("the answer is no list of records" in messages[-1]) == (depth > DEEPEST), messages


@pytest.mark.parametrize("depth", [DEEPEST, TOO_DEEP, FAR_TOO_DEEP])
@pytest.mark.parametrize("place", ["body", "entry", "beside"])
def test_a_recording(depth: int, place: str, tmp_path: Path) -> None:
    har = json.loads(TENANT.read_bytes())
    for entry in har["log"]["entries"]:
        if entry["request"]["method"] == "POST" and "system/app" in entry["request"]["url"]:
            sent = json.loads(entry["request"]["postData"]["text"])
            sent["resource"][0]["url"] = "@" if place == "body" else None
            entry["request"]["postData"]["text"] = json.dumps(sent).replace('"@"', nested(depth))
            entry["request"]["headers"] += ["@"] if place == "entry" else []
            entry["deep"] = "@" if place == "beside" else None
    (tmp_path / "deep.har").write_text(json.dumps(har).replace('"@"', nested(depth)))

    def scripts() -> list[bytes]:
        recording = api.read(tmp_path / "deep.har")
        journey = api.plan(recording)
        return [
            *(api.render(journey, format)[0].content for format in ("curl", "postman", "ansible")),
            "\n".join(recording.notes).encode(),
        ]

    everywhere(scripts)


@pytest.mark.parametrize("depth", [DEEPEST, TOO_DEEP, FAR_TOO_DEEP])
def test_a_catalog(depth: int, tmp_path: Path) -> None:
    path = tmp_path / "catalog.json"
    path.write_text(f'{{"extends":"dreamfactory","resources":{{"x":{nested(depth)}}}}}')

    def refusal() -> str:
        with pytest.raises(api.UnreadableInput) as refused:
            read_catalog(path)
        return str(refused.value)

    assert "\n" not in everywhere(refusal)
