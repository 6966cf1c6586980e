"""Each write of the recorded journeys with each fault: a field ignored, a status changed, a record missing; no more is
told than that.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import dfrecord
from dfrecord.journey.model import Journey
from dfrecord.replaying.results import Outcome, Replayed
from tests.doubles.server import DreamFactoryDouble
from tests.doubles.wire import Answer
from tests.replaying.test_plan import given
from tests.states import portable
from tests.test_end_to_end import prepare
from tests.tools import FIXTURES

WRITES = {"01-create-user": 1, "02-provision-tenant": 3, "03-edit-role": 1, "06-messy": 6}
RIDES_ALONG = {"type": {"config"}}
"""What a field's absence takes with it: a service without a type has no config."""


@dataclass
class Fault:
    """What goes wrong at one write: `sent` is changed before it, `answered` after it, the record is `lost` then."""

    write: int
    sent: Callable[[bytes], bytes] = bytes
    answered: Callable[[Answer], Answer] = lambda answer: answer
    lost: bool = False


class Faulty(DreamFactoryDouble):
    """A double with a fault at one write; `then` is the state right after it."""

    fault: Fault
    written = 0
    then: Any = None

    def answer(self, method: str, target: str, headers: Any, raw: bytes, caller: Any = None) -> tuple[Answer, str]:
        is_write = caller is None and method != "GET" and "session" not in target
        self.written += is_write
        if not is_write or self.written != self.fault.write:
            return super().answer(method, target, headers, raw, caller)
        if self.fault.lost and method == "DELETE":  # the delete is what is lost
            return Answer(200, {"id": int(target.rpartition("/")[2])}), method
        answer, verb = super().answer(method, target, headers, self.fault.sent(raw), caller)
        if self.fault.lost and answer.status < 300:
            own = f"/{answer.body['resource'][0]['id']}" if method == "POST" else ""
            self.call("DELETE", target.partition("?")[0] + own)
        self.then = portable(self.state())
        return self.fault.answered(answer), verb


@cache
def journey_of(case: str) -> Journey:
    return dfrecord.plan(dfrecord.read(FIXTURES / case / "recording.har"))


def replayed(case: str, fault: Fault, folder: Path) -> tuple[Replayed, Faulty]:
    journey = journey_of(case)
    with Faulty(1000) as df:
        df.fault = Fault(0)
        prepare(df, case)
        df.fault, df.written = fault, 0
        df.reset_log()
        return dfrecord.replay(journey, df.url, given(df, journey), yes=True, created_file=folder / "c.jsonl"), df


def told(result: Replayed) -> list[tuple[str, str, str]]:
    return [(d.place, d.recorded, d.found) for step in result.results for d in step.differences]


def fields_of(body: bytes) -> Iterator[tuple[str, Callable[[bytes], bytes]]]:
    """Each field of the record in a body, and how the body looks without it."""

    def record(body: bytes) -> tuple[Any, dict[str, Any]]:
        whole = json.loads(body)
        return whole, whole["resource"][0] if "resource" in whole else whole

    def without(field: str) -> Callable[[bytes], bytes]:
        def left(raw: bytes) -> bytes:
            whole, fields = record(raw)
            del fields[field]
            return json.dumps(whole).encode()

        return left

    yield from ((field, without(field)) for field in record(body)[1]) if body else ()


@pytest.mark.parametrize(("case", "write"), [(case, n + 1) for case, count in WRITES.items() for n in range(count)])
def test_exactly_the_fault_is_told(case: str, write: int, tmp_path: Path) -> None:
    faultless, df = replayed(case, Fault(write), tmp_path)
    assert faultless.ok, told(faultless)
    assert len(df.writes) == WRITES[case]
    call, right = df.writes[write - 1], df.then

    changed, _ = replayed(case, Fault(write, answered=lambda answer: Answer(answer.status + 5, answer.body)), tmp_path)
    assert told(changed) == [("status", str(call.status), str(call.status + 5))]

    missing, _ = replayed(case, Fault(write, lost=True), tmp_path)
    if case == "06-messy" and write == 2:  # a later step deletes it, and is refused
        assert [step.title for step in missing.results if step.outcome is Outcome.FAILED] == ["Delete role temp-role"]
    elif call.verb == "DELETE":
        assert told(missing) == [("record", "deleted", "still there")]
    else:
        assert told(missing) == [("record", "there", "absent")]

    noticed = 0
    for field, sent in fields_of(call.body):
        ignored, df = replayed(case, Fault(write, sent=sent), tmp_path)
        if field in ("name", "email") and call.verb == "POST" and ignored.stopped_at:
            assert told(ignored) == [("status", "201", "400")]
            continue
        places = [place.removeprefix("resource[0].") for place, _, _ in told(ignored)]
        names = {place.partition("[")[0].partition(".")[0] for place in places}
        is_as_ever = df.then == right
        assert names == (set() if is_as_ever else {field} | RIDES_ALONG.get(field, set())), field
        assert len(places) == len(names)
        noticed += not is_as_ever
    assert noticed or call.verb == "DELETE"
