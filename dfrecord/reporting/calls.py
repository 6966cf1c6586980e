"""The calls of a recording in the order they ran, kept or not, for the page's timeline."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass

from dfrecord.journey.model import Journey, ResidueKind
from dfrecord.normalise.select import in_running_order
from dfrecord.recording.exchange import Recording

_LONGEST_URL = 300


@dataclass(frozen=True, slots=True)
class Dropped:
    """A call that is no step: what it was, and why. `method` and `status` are empty and 0 when they were not read."""

    number: int
    method: str
    url: str
    status: int
    reason: str


def dropped_before_each_step(recording: Recording, journey: Journey) -> list[list[Dropped]]:
    """The calls that were dropped before each step, and last those after the last step."""
    place = _places(recording)
    exchanges = {exchange.number: exchange for exchange in recording.exchanges}
    base = _common_origin(recording, journey)
    gaps: list[list[Dropped]] = [[] for _ in range(len(journey.steps) + 1)]
    starts = [place.get(step.entry, (-1, 0, 0)) if step.entry is not None else (-1, 0, 0) for step in journey.steps]
    reached = sorted(starts)  # a step that runs earlier than it was recorded does not pull the calls along
    for line in journey.residue:
        if line.kind is ResidueKind.DROPPED and line.entry in place:
            exchange = exchanges.get(line.entry)
            url = line.subject.removeprefix(base)
            shown = url if len(url) <= _LONGEST_URL else f"{url[: _LONGEST_URL - 1]}…"
            method, status = (exchange.request.method, exchange.response.status) if exchange else ("", 0)
            call = Dropped(line.entry, method, shown, status, line.reason)
            gaps[bisect_right(reached, place[line.entry])].append(call)
    for gap in gaps:
        gap.sort(key=lambda call: place[call.number])
    return gaps


def _places(recording: Recording) -> dict[int, tuple[int, int, int]]:
    """Where each entry stands in running order; those passed over stand after the one before them."""
    places = {exchange.number: (n, 0, 0) for n, exchange in enumerate(in_running_order(recording.exchanges))}
    numbers = sorted(places)
    for entry in recording.passed_over:
        before = bisect_right(numbers, entry.number)
        places[entry.number] = (places[numbers[before - 1]][0] if before else -1, 1, entry.number)
    return places


def _common_origin(recording: Recording, journey: Journey) -> str:
    """The origin of most steps, which goes without saying."""
    kept = {step.entry for step in journey.steps}
    origins = Counter(e.request.origin for e in recording.exchanges if e.number in kept)
    return origins.most_common(1)[0][0] if origins else "\0"
