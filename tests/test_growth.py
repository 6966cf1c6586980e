"""Work grows with the length of a recording and no faster: counted in lines that run, not in time.

`benchmarks/run.py` measures the time and memory of up to 100,000 steps.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from types import FrameType
from typing import Any

import pytest

import dfrecord
from benchmarks.journeys import Call, made, recorded
from dfrecord.journey.account import account
from dfrecord.normalise.redact import redacted
from dfrecord.recording.exchange import Recording
from dfrecord.reporting.page import report
from dfrecord.system_api.catalog import load
from tests.tools import FORMATS

Work = Callable[[], object]
Prepare = Callable[[Recording], Work]
UPSERT = {"upsert": True, "teardown": True}


def _planned(**options: Any) -> Prepare:
    return lambda recording: lambda: dfrecord.plan(recording, **options)


def _rendered(format: str, **options: Any) -> Prepare:
    def prepare(recording: Recording) -> Work:
        journey = dfrecord.plan(recording, **options)
        return lambda: dfrecord.render(journey, format)

    return prepare


def _reported(recording: Recording) -> Work:
    journey = dfrecord.plan(recording)
    return lambda: report(recording, journey)


def _shown(recording: Recording) -> Work:
    journey = dfrecord.plan(recording)
    return lambda: account(journey)


READS: dict[str, Prepare] = {
    "import": lambda recording: lambda: redacted(recording, ("api",), load(), keep_secrets=False),
    "plan": _planned(),
    "plan upsert": _planned(**UPSERT),
    "literal": _planned(reads="all", literal=True),
}
WRITES: dict[str, Prepare] = {
    **{format: _rendered(format) for format in FORMATS},
    **{f"{format} upsert": _rendered(format, **UPSERT) for format in FORMATS if format != "http"},
    "report": _reported,
    "show": _shown,
}


@pytest.mark.parametrize(
    ("prepare", "early", "most"),
    [*((work, 1000, 1.05) for work in READS.values()), *((work, 100, 1.01) for work in WRITES.values())],
    ids=[*READS, *WRITES],
)
def test_a_step_of_a_long_journey_costs_no_more(prepare: Prepare, early: int, most: float) -> None:
    """What is needed once for each journey is not counted: only what 300 more steps cost, early and late.

    Where recordings are read, there are caches, and early is when there are more steps than those hold.
    """
    short, longer, long = (_lines(prepare(made(steps))) for steps in (early, early + 300, early + 600))
    assert long - longer < most * (longer - short)


ROWS = "role_service_access_by_role_id"


def _changed_again(changes: int) -> Iterator[Call]:
    yield _created("role", [{"name": "r"}])
    for number in range(changes):
        yield "PATCH", "role/1", {"description": f"d{number}"}, {"id": 1}


def _rows_changed(count: int) -> Iterator[Call]:
    rows = [{"service_id": 7, "component": f"c{number}/*", "verb_mask": 31} for number in range(count)]
    there = [{"id": number + 500, **row} for number, row in enumerate(rows)]
    yield "POST", f"role?related={ROWS}", {"resource": [{"name": "r", ROWS: rows}]}, {
        "resource": [{"id": 1, ROWS: there}]
    }
    changed = {"id": 1, ROWS: [{**row, "verb_mask": 1} for row in there]}
    yield "PUT", f"role/1?related={ROWS}", changed, changed


def _batch(count: int) -> Iterator[Call]:
    yield _created("role", [{"name": f"r{number}"} for number in range(count)])


def _created(resource: str, records: list[dict[str, object]]) -> Call:
    answered = [{"id": number, **record} for number, record in enumerate(records, 1)]
    return "POST", f"{resource}?fields=*", {"resource": records}, {"resource": answered}


MANY = {
    "changes of one record": (_changed_again, _planned(**UPSERT)),
    "rows of one record": (_rows_changed, _planned(**UPSERT)),
    "records of one call": (_batch, _planned(**UPSERT)),
    "records of one call, postman": (_batch, _rendered("postman", **UPSERT)),
}


@pytest.mark.parametrize(("calls", "prepare"), MANY.values(), ids=MANY)
def test_many_of_one_cost_no_more_each(calls: Callable[[int], Iterable[Call]], prepare: Prepare) -> None:
    """Twice as many cost twice as much, and not four times, as if each were held against each other one."""
    short, longer, long = (_lines(prepare(recorded(calls(count)))) for count in (100, 200, 400))
    assert long - longer < 1.25 * 2 * (longer - short)


def _lines(work: Work) -> int:
    """How many lines it runs; each round of a comprehension is one, too."""
    work()  # what is loaded and built only once is not counted
    count = 0

    def counted(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal count
        count += 1
        return counted

    sys.settrace(counted)
    try:
        work()
    finally:
        sys.settrace(None)
    return count
