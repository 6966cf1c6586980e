"""Sends the requests of a run's steps, and keeps what comes back: captures, and notes of what was created."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dfrecord.errors import WorkFailed
from dfrecord.journey.model import Journey, JsonBody, Step, StepKind
from dfrecord.journey.values import as_text
from dfrecord.normalise.body import records_of
from dfrecord.normalise.select import refusal
from dfrecord.replaying.client import Answered, Client
from dfrecord.replaying.created import CreatedFile
from dfrecord.replaying.target import Target, member
from dfrecord.replaying.values import Values, filled, filled_text
from dfrecord.system_api.catalog import Catalog
from dfrecord.tree import Array, Object, Tree


class Refused(WorkFailed):
    """The server refused a step, or its answer is not what the next ones need."""

    def __init__(self, answered: Answered, message: str) -> None:
        super().__init__(message)
        self.answered = answered


@dataclass
class Sender:
    """What the steps of one run are sent with. `ahead` are the variables that steps to come need; `wrote` becomes true
    with the first request that may change something.
    """

    journey: Journey
    catalog: Catalog
    client: Client
    target: Target
    values: Values
    created: CreatedFile
    ahead: set[str]
    wrote: bool = False

    def send(
        self,
        step: Step,
        body: bytes | None,
        target: str = "",
        method: str = "",
        creating: tuple[str, dict[str, Any] | None] | None = None,
        *,
        answers_id: bool = True,
    ) -> Answered:
        """Send the step's request, or another one for it. Raises WorkFailed with the server's words.

        `creating` is what was noted before: settled by an answer, unless a gateway gave it. It stays where the answer
        does not tell the id of what was made: a teardown looks for that.
        """
        target = target or filled_text(step.request.target, self.values)
        method = method or step.request.method
        headers = self.target.headers(step.request.headers)
        if step.wanted and body is not None:
            headers.append(("Content-Type", "application/json"))
        may_change = not (method in ("GET", "HEAD") or step.kind in (StepKind.LOGIN, StepKind.LOGOUT))
        if may_change and not self.wrote:  # this run may be stopped before it sends what follows changes
            for due in self.journey.dues_after(step):
                self.created.note_due(due)
        answered = self.client.send(method, target, headers, body)
        makes = step.makes or (self._list_path(step) if step.kind is StepKind.CREATE and method != "PATCH" else "")
        self.created.note_records(method, target, makes, answered)
        if creating and answered.status < 500 and (answers_id or not answered.succeeded):
            self._settle(*creating, answered)
        if not answered.succeeded:
            words = refusal(answered.tree, answered.reason, self._names_of(step))
            raise Refused(answered, f"{answered.status} {words}")
        self.wrote = self.wrote or may_change
        return answered

    def _names_of(self, step: Step) -> list[str]:
        """The names of the records that a plain create sends."""
        body, facts = step.request.body, self.catalog.resources.get(step.resource or "")
        tree = filled(body.tree, self.values) if isinstance(body, JsonBody) else None
        return (
            [str(record.get(facts.natural_key[0])) for record in records_of(tree, self.catalog.wrapper)]
            if (facts and facts.natural_key)
            else []
        )

    def _settle(self, path: str, key: dict[str, Any] | None, answered: Answered) -> None:
        if key:
            self.created.note_settled(path, key)
        elif not answered.succeeded:
            self.created.note_deleted(path)

    def _list_path(self, step: Step) -> str:
        return (self.catalog.resources[step.resource].path or "") if step.resource else ""

    def capture(self, step: Step, answer: Tree) -> None:
        for capture in step.captures:
            value = member(answer, *capture.pointer)
            place = "/".join(map(str, capture.pointer))
            if isinstance(value, Object | Array) or (value is None and capture.variable in self.ahead):
                raise WorkFailed(f"the answer has no {place}, which a later step needs")
            is_number = self.journey.variable(capture.variable).type == "integer" and value is not None
            if is_number and not re.fullmatch("-?[0-9]+", as_text(value)):
                raise WorkFailed(f"{place} of the answer is no whole number")
            self.values[capture.variable] = value
            if capture.pointer[-1] in self.catalog.session.token_fields:  # it ends the one that the request used
                ended = [self.values.get(name) for name in self.tokens_of(step)]
                self.values |= {name: value for name, old in self.values.items() if old in ended}

    def tokens_of(self, step: Step) -> Iterator[str]:
        """The variables that hold the session token of a step's request."""
        for header, value in step.request.headers:
            if header == self.catalog.session.token_header:
                yield from (var.name for var in value.variables)
