"""What a plan says: what would become of each record, field by field, and the sum."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Action(StrEnum):
    """What would become of a record."""

    CREATE = "create"
    CHANGE = "change"
    DELETE = "delete"
    CALL = "call"  # a request that is no record's write and would be sent
    RESEND = "resend"  # a write that a run without an upsert sends, though the record is like that already
    REFUSED = "refused"  # a create of what is there already, or a write of what is not
    UNREACHED = "not reached"  # after what is refused: a run stops there
    NONE = "unchanged"  # nothing is sent


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field with its value now and then, as JSON values; secrets are `***`."""

    name: str
    old: Any
    new: Any


@dataclass(frozen=True, slots=True)
class Planned:
    """What one step would do with one record. `step` is its number (from 1, as `dfrecord show` counts; 0 in a
    teardown); the records of a batch have the same one. `reason` says why it is refused.
    """

    step: int
    action: Action
    title: str
    fields: tuple[FieldChange, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a whole run would do, in order."""

    base_url: str
    steps: tuple[Planned, ...]

    def count(self, action: Action) -> int:
        """How many steps would do this."""
        return sum(step.action is action for step in self.steps)

    @property
    def changes(self) -> bool:
        """Whether the run would change anything (or fail)."""
        return any(step.action not in (Action.NONE, Action.RESEND) for step in self.steps)

    @property
    def writes(self) -> int:
        """How many requests other than reads and the session's own the run would send; a batch is one, and in a
        teardown each is one of its own.
        """
        sent = [step.step for step in self.steps if step.action not in (Action.NONE, Action.UNREACHED)]
        return len(set(sent) - {0}) + sent.count(0)

    @property
    def summary(self) -> str:
        """`Plan: 3 to create, 1 to change, 0 to delete`, with calls and refusals when there are some."""
        counts = [f"{self.count(action)} to {action.value}" for action in (Action.CREATE, Action.CHANGE, Action.DELETE)]
        if calls := self.count(Action.CALL):
            counts.append(f"{calls} other call{'s' if calls > 1 else ''} to send")
        if refused := self.count(Action.REFUSED):
            counts.append(f"{refused} to be refused")
        return f"Plan: {', '.join(counts)}"
