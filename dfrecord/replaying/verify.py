"""Reads the records that a run wrote once more: a server may answer 200 and still keep something else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from dfrecord.journey.model import Journey, Step, StepKind, Wanted
from dfrecord.journey.values import as_text
from dfrecord.normalise.body import json_text, path_in_rows
from dfrecord.replaying import reconcile
from dfrecord.replaying.compare import Difference
from dfrecord.replaying.results import Outcome, StepResult
from dfrecord.replaying.sending import Sender
from dfrecord.replaying.target import document
from dfrecord.replaying.values import as_tree, filled_text, title_of
from dfrecord.tree import Tree


@dataclass(frozen=True)
class Verification:
    """Compares what is there with what was wanted: `states` is the journey with its writes as wanted states, one a
    record, and `numbers` are those of its steps by name.
    """

    sender: Sender
    states: Journey
    numbers: Mapping[str, int]

    def unlike(self, told: Set[int], first_step: int) -> Iterator[StepResult]:
        """The records that differ from what was wanted, but for those of steps that are `told` to differ already."""
        by_entry = {step.entry: step for step in self.sender.journey.steps}
        states = self._readable([step for step in self.states.steps if step.wanted])
        last = {self._about(state): state for state in states}
        for state in states:
            step = by_entry.get(state.entry)
            number = self.numbers.get(state.name) or (self.numbers[step.name] if step else 0)
            end = last[self._about(state)]
            lives = state is end or StepKind.DELETE not in (state.kind, end.kind)
            if number in told or number < first_step or not state.wanted or not lives:
                continue
            differences = tuple(self._unlike(state, state.wanted))
            if differences:
                title = f"{title_of(state, self.sender.values)}, read again"
                yield StepResult(number, state.name, title, Outcome.DIFFERS, differences=differences)

    def _readable(self, states: list[Step]) -> list[Step]:
        """The states, those of a session that was closed in between with the session of the last one.

        Not those of something of the account's own, which another session does not show.
        """
        logouts = [step for step in self.sender.journey.steps if step.kind is StepKind.LOGOUT]
        closed = {token for step in logouts for token in self._sent_tokens(step)}
        now = self._sent_tokens(states[-1]) if states else set()
        headers = states[-1].request.headers if states else ()
        readable = []
        for state in states:
            sent = self._sent_tokens(state)
            if not (now and now.isdisjoint(sent) and closed & sent):
                readable.append(state)
            elif not self.sender.catalog.is_own_account(state.resource):
                readable.append(replace(state, request=replace(state.request, headers=headers)))
        return readable

    def _sent_tokens(self, step: Step) -> set[Tree]:
        return {self.sender.values.get(name) for name in self.sender.tokens_of(step)}

    def _about(self, state: Step) -> str:
        """What names the record of a state: the variable of its id, or its path."""
        named = state.wanted.record if state.wanted else ""
        return named or filled_text(state.request.target, self.sender.values).partition("?")[0]

    def _unlike(self, state: Step, wanted: Wanted) -> Iterator[Difference]:
        """Where the record on the instance is not as the step wanted it."""
        if state.kind is StepKind.DELETE:
            if self.sender.values.get(wanted.record, "") is None:
                return
            if self.sender.target.existing(state, wanted)[1] is not None:
                yield Difference("record", "deleted", "still there")
            return
        path, record = self.sender.target.existing(state, wanted)
        if record is None:
            yield Difference("record", "there", "absent")
            return
        answered, own = self.sender.values.get(wanted.record), path.rpartition("/")[2]
        if wanted.keyed and answered is not None and quote(as_text(answered), safe="") != own:
            yield Difference("id", f"{as_text(answered)}, as its create was answered", own)  # a batch out of order, say
        told = document(wanted, self.sender.values)
        changed = reconcile.changes({**told, "needs": [], "secrets": []}, record)
        for place, have, want in reconcile.field_changes(changed, record, told["rows"]):
            yield Difference(place, *(self._shown(state, place, value) for value in (want, have)))

    def _shown(self, state: Step, place: str, value: Any) -> str:
        if value is None and place.endswith("]"):
            return "absent"
        if self.sender.catalog.is_secret(state.resource, path_in_rows(place), value):
            return "***"
        return json_text(as_tree({"value": value}))[9:-1]
