"""What a run would change on an instance, found out by reading only.

The journey's writes are played through as wanted states over what the instance has now: a record that a step would
create is there for the steps after it, with what it would hold. Nothing but the login and reads is sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from dfrecord.errors import WorkFailed
from dfrecord.journey.model import (
    Array,
    Capture,
    Journey,
    Number,
    Step,
    StepKind,
    Tree,
    Var,
    Variable,
    Wanted,
    variables_of_tree,
)
from dfrecord.journey.upsert import upsert
from dfrecord.normalise.select import refusal
from dfrecord.replaying import predicted, reconcile
from dfrecord.replaying.client import Client
from dfrecord.replaying.run import ReplayOptions
from dfrecord.replaying.target import Target, document, member
from dfrecord.replaying.values import (
    UNKNOWN,
    Values,
    check_given,
    filled_body,
    filled_text,
    hidden,
    is_signed_on,
    starting_values,
)
from dfrecord.system_api.catalog import Catalog


class Action(StrEnum):
    """What would become of a record."""

    CREATE = "create"
    CHANGE = "change"
    DELETE = "delete"
    CALL = "call"  # a request that is no record's write and would be sent
    REFUSED = "refused"  # a create of what is there already, without an upsert
    NONE = "unchanged"


_KINDS = {StepKind.CREATE: Action.CREATE, StepKind.UPDATE: Action.CHANGE, StepKind.DELETE: Action.DELETE}
"""What a step does whose record cannot be read."""


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field with its value now and then, as JSON values; secrets are `***`."""

    name: str
    old: Any
    new: Any


@dataclass(frozen=True, slots=True)
class Planned:
    """What one step would do."""

    action: Action
    title: str
    fields: tuple[FieldChange, ...] = ()


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
        return any(step.action is not Action.NONE for step in self.steps)

    @property
    def summary(self) -> str:
        """`Plan: 3 to create, 1 to change, 0 to delete`, with calls and refusals when there are some."""
        counts = [f"{self.count(action)} to {action.value}" for action in (Action.CREATE, Action.CHANGE, Action.DELETE)]
        if calls := self.count(Action.CALL):
            counts.append(f"{calls} other call{'s' if calls > 1 else ''} to send")
        if refused := self.count(Action.REFUSED):
            counts.append(f"{refused} to be refused, being there already")
        return f"Plan: {', '.join(counts)}"


def plan(journey: Journey, options: ReplayOptions, catalog: Catalog) -> Plan:
    """The plan of a run with these options. Raises UsageError before anything is sent, WorkFailed."""
    return _Planner(journey, options, catalog).run()


class _Planner:
    def __init__(self, journey: Journey, options: ReplayOptions, catalog: Catalog) -> None:
        self._upserts = journey.upsert
        self._journey = journey if journey.upsert else upsert(journey, catalog, every_write=True)
        self._catalog = catalog
        self._client = Client(options.base_url, options.connection)
        self._values: Values = starting_values(self._journey, options.base_url, options.given)
        self._target = Target(self._client, self._values, journey.conventions)
        self._signed_on = is_signed_on(self._journey, self._values)
        check_given(self._journey, self._values, run=True)
        self._predicted: dict[str, dict[str, Any] | None] = {}  # by path, or what stands for it; None: deleted
        self._new: set[str] = set()
        self._planned: list[Planned] = []

    def run(self) -> Plan:
        try:
            return self._run()
        except WorkFailed as error:  # in the server's words, which may repeat a secret
            raise WorkFailed(hidden(str(error), self._journey, self._values)) from None

    def _run(self) -> Plan:
        for item in self._journey.schedule():
            if isinstance(item, Variable):
                self._look_up(item)
            elif item.kind in (StepKind.LOGIN, StepKind.LOGOUT):
                self._sign_on_or_off(item)
            elif item.wanted is not None:
                self._planned.append(self._state(item, item.wanted))
            elif item.request.method not in ("GET", "HEAD"):
                self._call(item)
        return Plan(self._client.base_url, tuple(self._planned))

    def _look_up(self, variable: Variable) -> None:
        lookup = variable.lookup
        assert lookup is not None
        needed = [value.name for _, value in lookup.match if isinstance(value, Var)]
        if any(self._values.get(name) == UNKNOWN for name in needed):
            self._values[variable.name] = UNKNOWN
            return
        self._values[variable.name] = self._target.look_up(variable)

    def _sign_on_or_off(self, step: Step) -> None:
        if self._signed_on and self._journey.is_sign_on(step):
            return
        headers = self._target.headers(step.request.headers)
        target = filled_text(step.request.target, self._values)
        answered = self._client.send(step.request.method, target, headers, filled_body(step.request.body, self._values))
        if not answered.succeeded:
            raise WorkFailed(f"{step.title}: {answered.status} {refusal(answered.tree, answered.reason)}")
        for capture in step.captures:
            self._values[capture.variable] = member(answered.tree, *capture.pointer)

    def _call(self, step: Step) -> None:
        for capture in step.captures:
            self._values.setdefault(capture.variable, self._kept_token(step, capture) or UNKNOWN)
        if step.only_after_changes and self._upserts and not self._would_write():
            self._planned.append(Planned(Action.NONE, self._title(step)))
        else:
            kind = Action.CALL if self._upserts else _KINDS.get(step.kind, Action.CALL)
            self._planned += [Planned(kind, self._title(step))] if not step.captures or step.kind in _KINDS else []

    def _kept_token(self, step: Step, capture: Capture) -> Tree:
        """Where the answer would give a new session token: the one in use, as a plan does not end its session."""
        if capture.pointer[-1] not in self._catalog.session.token_fields:
            return None
        name = self._catalog.session.token_header
        return next(
            (filled_text(value, self._values) for header, value in step.request.headers if header == name), None
        )

    def _would_write(self) -> bool:
        return any(step.action is not Action.NONE for step in self._planned)

    # ---------------------------------------------------------------- wanted states

    def _state(self, step: Step, wanted: Wanted) -> Planned:
        state = document(wanted, self._values)
        if not self._upserts:
            state = _with_all(state)
        title = self._title(step)
        own, record = self._record(step, wanted)
        if step.kind is StepKind.DELETE:
            self._predicted[own] = None
            return Planned(Action.DELETE if record is not None else Action.NONE, title)
        if record is None:
            whole = reconcile.whole(state)
            self._new.add(own)
            self._predicted[own] = predicted.created(whole, state["rows"])
            for capture in step.captures:
                self._values[capture.variable] = UNKNOWN
            return Planned(Action.CREATE, title, tuple(self._fields(step, [(n, None, v) for n, v in whole.items()])))
        for capture in step.captures:
            self._values[capture.variable] = _value(record.get(str(capture.pointer[0]), UNKNOWN))
        if step.kind is StepKind.CREATE and not self._upserts:
            return Planned(Action.REFUSED, title)
        if own in self._new:
            record = predicted.completed(record, state["record"])
        changed = reconcile.changes(state, record, fresh=own in self._new)
        told = reconcile.field_changes(changed, record, state["rows"])
        if not self._upserts:  # an upsert leaves alone what it cannot compare, a plain run sends it again
            places = {place for place, _, _ in told}
            told += [each for each in self._set_unseen(step, "", state["record"], record) if each[0] not in places]
        self._predicted[own] = predicted.written(record, changed, state["rows"])
        if not told:
            return Planned(Action.NONE, title)
        return Planned(Action.CHANGE, title, tuple(self._fields(step, told)))

    def _record(self, step: Step, wanted: Wanted) -> tuple[str, dict[str, Any] | None]:
        """The record that a step is about, as it would be by then, and what names it in the plan: its path once it is
        there, the variable of its id before that.
        """
        path = filled_text(step.request.target, self._values).partition("?")[0]
        creates = step.kind is StepKind.CREATE and wanted.document.get("keys") != Array(())
        if not creates:
            own = wanted.record if self._values.get(wanted.record) == UNKNOWN else path
            if own in self._predicted:
                return own, self._predicted[own]
            if wanted.record and self._values.get(wanted.record) is None:
                return own, None
        elif self._depends_on_new(wanted):
            return wanted.record or step.name, None
        found, record = self._target.existing(step, wanted)
        then = self._predicted.get(found, record)
        if creates and (then is None or not _has_key(then, document(wanted, self._values)["keys"])):
            return wanted.record or step.name, None  # there is none, or it is deleted or renamed by then
        return found, then

    def _depends_on_new(self, wanted: Wanted) -> bool:
        """Whether the keys hold the id of a record that does not exist yet."""
        keys = wanted.document.get("keys")
        return any(self._values.get(name) == UNKNOWN for name in variables_of_tree(keys))

    def _set_unseen(self, step: Step, above: str, sent: dict[str, Any], have: Any) -> Iterator[tuple[str, Any, Any]]:
        """The secrets that are sent where the instance does not show what it has: they are set, whatever it has."""
        for name, value in sent.items():
            place = f"{above}{name}"
            shown = have.get(name) if isinstance(have, dict) else None
            if isinstance(value, dict):
                yield from self._set_unseen(step, f"{place}.", value, shown)
            elif value is not None and shown in (None, self._catalog.mask) and self._is_secret(step, place):
                yield place, shown, value

    def _is_secret(self, step: Step, place: str) -> bool:
        return self._catalog.secret_rule(step.resource, re.sub(r"\[\w+\]", "[]", place)) is not None

    def _fields(self, step: Step, told: Iterable[tuple[str, Any, Any]]) -> Iterator[FieldChange]:
        for place, old, new in told:
            secret = self._is_secret(step, place)
            shown = ["***" if secret and given is not None else self._hidden(given) for given in (old, new)]
            yield FieldChange(place, *shown)

    def _hidden(self, value: Any) -> Any:
        match value:
            case str():
                return hidden(value, self._journey, self._values)
            case list():
                return [self._hidden(item) for item in value]
            case dict():
                return {self._hidden(key): self._hidden(item) for key, item in value.items()}
        return value

    def _title(self, step: Step) -> str:
        title = filled_text(step.heading, self._values) if step.heading else step.title
        return hidden(title, self._journey, self._values)


def _has_key(record: dict[str, Any], keys: list[dict[str, Any]]) -> bool:
    return any(not reconcile.differs(key, record) for key in keys)


def _with_all(state: dict[str, Any]) -> dict[str, Any]:
    """A wanted state with what an upsert leaves to later steps: a plain run sends that, too."""
    rows = {
        relation: {**given, "rows": [{**entry, "later": False} for entry in given["rows"]]}
        for relation, given in state["rows"].items()
    }
    return {**state, "later": [], "rows": rows}


def _value(value: Any) -> Tree:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return Number(str(value))
    return value if isinstance(value, (str, bool)) or value is None else str(value)
