"""What became of the steps of a run, and of the whole."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from dfrecord.replaying.compare import Difference


class Outcome(StrEnum):
    """What became of a step."""

    DONE = "done"
    CREATED = "created"
    CHANGED = "changed"
    DELETED = "deleted"
    UNCHANGED = "unchanged"
    SKIPPED = "skipped"
    DIFFERS = "differs"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class StepResult:
    """One step (`number` counts from 1 as `dfrecord show` does) or one lookup (`number` 0) of a run."""

    number: int
    name: str
    title: str
    outcome: Outcome
    seconds: float = 0.0
    message: str = ""
    differences: tuple[Difference, ...] = ()


@dataclass(frozen=True, slots=True)
class Replayed:
    """A whole run. `stopped_at` is the step to go on with after a failure or an interruption, 0 when all ran;
    `signal` the one that interrupted it, 0 for none; `unsure` that its request was sent and no answer came, so that it
    may have been done.
    """

    journey: str
    base_url: str
    results: tuple[StepResult, ...]
    stopped_at: int = 0
    signal: int = 0
    unsure: bool = False

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C or SIGTERM ended it."""
        return self.signal != 0

    @property
    def ok(self) -> bool:
        """Whether every step ran and nothing differs."""
        finished = not self.stopped_at and not self.interrupted
        return finished and all(r.outcome not in (Outcome.DIFFERS, Outcome.FAILED) for r in self.results)
