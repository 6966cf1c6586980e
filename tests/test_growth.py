"""Work grows with the length of a recording and no faster: counted in calls of functions, not in time.

`benchmarks/run.py` measures the time and memory of up to 100,000 steps.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial

import pytest

import dfrecord
from benchmarks.journeys import made
from dfrecord.journey.account import account
from dfrecord.journey.model import Journey
from dfrecord.normalise.redact import redacted
from dfrecord.recording.exchange import Recording
from dfrecord.reporting.page import report
from dfrecord.system_api.catalog import load
from tests.tools import FORMATS


def _rendered(format: str, recording: Recording, journey: Journey) -> object:
    return dfrecord.render(journey, format)


WORKS: dict[str, Callable[[Recording, Journey], object]] = {
    "import": lambda recording, journey: redacted(recording, ("api",), load(), keep_secrets=False),
    "plan": lambda recording, journey: dfrecord.plan(recording),
    "upsert": lambda recording, journey: dfrecord.plan(recording, upsert=True),
    "literal": lambda recording, journey: dfrecord.plan(recording, reads="all", literal=True),
    **{format: partial(_rendered, format) for format in FORMATS},
    "report": lambda recording, journey: report(recording, journey),
    "show": lambda recording, journey: account(journey),
}


@pytest.mark.parametrize("work", WORKS.values(), ids=WORKS)
def test_a_step_of_a_long_journey_costs_no_more(work: Callable[[Recording, Journey], object]) -> None:
    """What is needed once for each journey is not counted: only what 300 more steps cost, early and late."""
    short, longer, long = (_calls(work, steps) for steps in (100, 400, 700))
    assert long - longer < 1.07 * (longer - short)


def _calls(work: Callable[[Recording, Journey], object], steps: int) -> int:
    recording = made(steps)
    journey = dfrecord.plan(recording)
    work(recording, journey)  # what is loaded and built only once is not counted
    count = 0

    def counted(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(counted)
    try:
        work(recording, journey)
    finally:
        sys.setprofile(None)
    return count
