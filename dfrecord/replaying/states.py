"""Makes the wanted states of an upsert true: a record is created, changed, deleted, or left alone.

What is about to be done is noted first, so that a teardown can undo what a run did that was killed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

from dfrecord.errors import WorkFailed
from dfrecord.journey.model import Step, StepKind, Wanted
from dfrecord.replaying import reconcile, undoing
from dfrecord.replaying.client import Answered
from dfrecord.replaying.compare import Difference
from dfrecord.replaying.results import Outcome, StepResult
from dfrecord.replaying.sending import Sender
from dfrecord.replaying.target import document, member
from dfrecord.replaying.values import as_tree, filled_text, hidden, json_bytes


@dataclass
class WantedStates:
    """Calling it with a step makes its wanted state true. `made` are the id variables, or else the paths, of what was
    created.
    """

    sender: Sender
    made: set[str] = field(default_factory=set)

    def __call__(self, step: Step, wanted: Wanted, result: StepResult) -> StepResult:
        """Make it so, if it is not; `result` is what it is told as. Raises WorkFailed."""
        if step.kind is StepKind.DELETE:
            return self._remove(step, wanted, result)
        path, record = self.sender.target.existing(step, wanted)
        state = document(wanted, self.sender.values)
        if record is None:
            if step.kind is StepKind.UPDATE:
                raise WorkFailed(f"there is no {path}")
            return self._create(step, wanted, state, path, result)
        self.sender.capture(step, as_tree(record))
        changed = reconcile.changes(state, record, fresh=(wanted.record or path) in self.made)
        if not changed:
            unseen = ", ".join(reconcile.unseen(state, record))
            return replace(result, outcome=Outcome.UNCHANGED, message=f"not compared: {unseen}" if unseen else "")
        if "undo" in state and (wanted.record or path) not in self.made:
            self._note_changing(state["undo"].get("at", path), undoing.remembered(changed, record, state))
        query = filled_text(step.request.target, self.sender.values).partition("?")
        answered = self.sender.send(step, json_bytes(changed), path + query[1] + query[2], "PATCH")
        result = replace(result, message=", ".join(changed))
        return self._done(result, Outcome.CHANGED, step if step.kind is StepKind.UPDATE else None, answered)

    def _create(self, step: Step, wanted: Wanted, state: dict[str, Any], path: str, result: StepResult) -> StepResult:
        whole = reconcile.whole(state)
        target = filled_text(step.request.target, self.sender.values)
        place = path or target.partition("?")[0]
        key = state["keys"][-1] if state["keys"] else None
        elsewhere = wanted.sent_elsewhere
        wrapper = self.sender.journey.conventions.wrapper if (key or wanted.in_list) and not elsewhere else ""
        target = state["sent"]["to"] if elsewhere else target
        target = target if not wanted.in_list else target.replace(place, place.rpartition("/")[0], 1)
        creating = (place, key) if self._has_no_secret(key) else None
        if creating:
            self.sender.created.note_creating(*creating)
        body = json_bytes({wrapper: [whole]} if wrapper else whole)
        answered = self.sender.send(step, body, target, creating=creating, answers_id=not elsewhere)
        self.sender.capture(step, member(answered.tree, wrapper, 0) if wrapper else answered.tree)
        self.made.add(wanted.record or path)
        return self._done(result, Outcome.CREATED, step, answered)

    def _note_changing(self, path: str, change: dict[str, Any]) -> None:
        if change and self._has_no_secret(change):
            self.sender.created.note_changing(path, change)

    def _note_removing(self, step: Step, path: str, removal: dict[str, Any], again: dict[str, Any]) -> None:
        """Note what is deleted, and before it what points to it: a teardown goes backwards."""
        for refers in again["refers"]:
            records = self.sender.target.referring(refers, step.request.headers)
            for change in undoing.references(records, refers, path, removal["id"]):
                self._note_changing(change.pop("changed"), change)
        self.sender.created.note_removing(path, removal)

    def _has_no_secret(self, noted: Any) -> bool:
        told = json.dumps(noted)
        return hidden(told, self.sender.journey, self.sender.values) == told

    def _remove(self, step: Step, wanted: Wanted, result: StepResult) -> StepResult:
        state = document(wanted, self.sender.values)
        again = state.get("again") or {}
        known = not wanted.record or self.sender.values.get(wanted.record) is not None
        path, record = self.sender.target.existing(step, wanted, tuple(again.get("rows", ()))) if known else ("", None)
        if record is None:
            return replace(result, outcome=Outcome.UNCHANGED, message="already absent")
        removal = undoing.removed(record, again)
        if removal and self._has_no_secret(removal):
            self._note_removing(step, path.rpartition("/")[0], removal, again)
        return self._done(result, Outcome.DELETED, step, self.sender.send(step, None))

    def _done(self, result: StepResult, outcome: Outcome, like: Step | None, answered: Answered) -> StepResult:
        """The result of what an upsert sent: `like` a recorded step, the status can be compared, no more."""
        recorded = like.answer.status if like and like.answer else answered.status
        if recorded == answered.status:
            return replace(result, outcome=outcome)
        difference = Difference("status", str(recorded), str(answered.status))
        return replace(result, outcome=Outcome.DIFFERS, differences=(difference,))
