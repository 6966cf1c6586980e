"""Runs a journey against an instance, step by step, and compares what comes back with what was recorded.

In: a journey and the values for its variables. Out: a result a step, as it happens and in all. A run stops at the first
step that fails; differences are told and the run goes on. When every step has run, each record that the journey wrote
is read once more and compared with what was wanted: a server may answer 200 and still keep something else.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

from dfrecord.errors import UsageError, WorkFailed
from dfrecord.journey.model import (
    Journey,
    JsonBody,
    Step,
    StepKind,
    Tree,
    Variable,
    Wanted,
    variables_of_lookup,
    variables_of_step,
)
from dfrecord.journey.teardown import teardown
from dfrecord.journey.upsert import upsert
from dfrecord.journey.values import as_text
from dfrecord.normalise.body import json_text, parse_json, records_of
from dfrecord.normalise.select import refusal
from dfrecord.replaying import reconcile, undoing
from dfrecord.replaying.client import Answered, Client, Connection
from dfrecord.replaying.compare import Comparison, Difference, shortened
from dfrecord.replaying.created import CreatedFile
from dfrecord.replaying.results import Outcome, Replayed, StepResult
from dfrecord.replaying.stopping import stopping
from dfrecord.replaying.target import Target, document, member
from dfrecord.replaying.undo import Undo
from dfrecord.replaying.values import (
    Values,
    check_given,
    filled,
    filled_body,
    filled_text,
    given_otherwise,
    hidden,
    is_signed_on,
    json_bytes,
    renamings,
    starting_values,
)
from dfrecord.system_api.catalog import Catalog


class _Refused(WorkFailed):
    """The server refused a step, or its answer is not what the next ones need."""

    def __init__(self, answered: Answered, message: str) -> None:
        super().__init__(message)
        self.answered = answered


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """How to replay. `given` is an environment: the values of variables by their `env`. `first_step` counts from 1.

    `begin` hears the number and title of each step as it starts, `say` why the run waits or stops.
    """

    base_url: str
    given: Mapping[str, str]
    connection: Connection = field(default_factory=Connection)
    yes: bool = False
    first_step: int = 1
    created_file: Path | None = None
    begin: Callable[[int, str], None] = lambda number, title: None
    say: Callable[[str], None] = lambda text: None


def replay(
    journey: Journey, options: ReplayOptions, catalog: Catalog, tell: Callable[[StepResult], None] = lambda result: None
) -> Replayed:
    """Run the journey. `tell` hears each result as it comes. Raises UsageError before anything is sent."""
    return _Run(journey, options, catalog, tell).run()


def tear_down(
    journey: Journey, options: ReplayOptions, catalog: Catalog, tell: Callable[[StepResult], None] = lambda result: None
) -> Replayed:
    """Delete what earlier runs noted as created on the instance, the newest first. Raises UsageError."""
    return _Run(journey, options, catalog, tell).tear_down()


def left_to_undo(journey: Journey, options: ReplayOptions, catalog: Catalog) -> list[tuple[str, str]]:
    """What a teardown would do now, in its order: create, change or delete, and the title; only reads.

    Raises UsageError, WorkFailed.
    """
    return _Run(journey, options, catalog, lambda result: None).left_to_undo()


def check_first_step(journey: Journey, options: ReplayOptions) -> None:
    """Raises UsageError when the journey has no such step."""
    if not 1 <= options.first_step <= max(len(journey.steps), 1):
        raise UsageError(f"--from {options.first_step}: the journey has steps 1 to {len(journey.steps)}")


@dataclass
class _Run:
    journey: Journey
    options: ReplayOptions
    catalog: Catalog
    tell: Callable[[StepResult], None]
    results: list[StepResult] = field(default_factory=list)
    wrote: bool = False
    made: set[str] = field(default_factory=set)
    """The id variables, or else the paths, of what this run created."""

    def __post_init__(self) -> None:
        if self.journey.upsert and not self.journey.teardown:  # a later run may be asked to undo this one
            self.journey = teardown(self.journey, self.catalog)
        self.client = Client(self.options.base_url, self.options.connection, self.options.say)
        self.values: Values = starting_values(self.journey, self.options.base_url, self.options.given)
        self.target = Target(self.client, self.values, self.journey.conventions)
        self.renamings = renamings(self.journey, self.values)
        self.comparison = Comparison(self.catalog, self._renamed)
        self.numbers = {step.name: number for number, step in enumerate(self.journey.steps, 1)}
        file = self.options.created_file or Path(f"{self.journey.name}.created.jsonl")
        made_for = given_otherwise(self.journey, self.values)
        self.created = CreatedFile(file, self.client.base_url, self.journey.conventions, made_for)
        self.signed_on = is_signed_on(self.journey, self.values)
        steps, variables = self.journey.steps, self.journey.variables
        of_lookups = {name for variable in variables for name in variables_of_lookup(variable)}
        ahead = steps[max(self.options.first_step - 1, 0) :]
        self.ahead = of_lookups | {name for step in ahead for name in variables_of_step(step)}

    # ---------------------------------------------------------------- the whole

    def run(self) -> Replayed:
        check_given(self.journey, self.values, run=True)
        self._check()
        schedule = self.journey.schedule()
        writes = [place for place, item in enumerate(schedule) if not _logs_out(item)]
        last = writes[-1] if writes else -1
        number = 0
        with stopping(self.client, self.options.say) as stop_asked:
            try:
                for place, item in enumerate(schedule):
                    number = self._number(schedule[place:])
                    if stop_asked():
                        return self._ended(stopped_at=number, interrupted=True)
                    if not self._run_one(item):
                        return self._ended(stopped_at=number)
                    if place == last and not stop_asked():  # before a logout, while the session can still read
                        number = 0
                        self._read_again()
            except KeyboardInterrupt:
                return self._ended(stopped_at=number, interrupted=True)
            return self._ended(interrupted=stop_asked())

    def _number(self, ahead: Sequence[Step | Variable]) -> int:
        """The number of the next step, 0 when there is none."""
        return next((self.numbers[item.name] for item in ahead if isinstance(item, Step)), 0)

    def tear_down(self) -> Replayed:
        signs = [step for step in self.journey.steps if self.journey.is_sign_on(step)]
        check_given(self.journey, self.values, run=False)
        self.created.check()
        with stopping(self.client, self.options.say) as stop_asked:
            try:
                if not all(self._run_one(step) for step in signs if step.kind is StepKind.LOGIN):
                    return self._ended(stopped_at=1)
                undo = self._undo()
                for made in reversed(self.created.made()):
                    if stop_asked():
                        return self._ended(interrupted=True)
                    result = undo(made)
                    if result:
                        self._add(result)
                    if result and result.outcome is Outcome.FAILED:
                        return self._ended(stopped_at=1)
                for words, count in self.created.made_for_others().items():
                    message = f"{count} more made with {words}: give the same to delete them"
                    self._add(StepResult(0, "tear_down", "Left alone", Outcome.SKIPPED, message=message))
                for step in signs:
                    if step.kind is StepKind.LOGOUT:
                        self._run_one(step)
            except KeyboardInterrupt:
                return self._ended(interrupted=True)
        return self._ended()

    def _undo(self) -> Undo:
        return Undo(self.client, self.target, self.created, self._session_headers(), self.journey.conventions.wrapper)

    def left_to_undo(self) -> list[tuple[str, str]]:
        signs = [step for step in self.journey.steps if self.journey.is_sign_on(step)]
        check_given(self.journey, self.values, run=False)
        for step in signs:
            if step.kind is StepKind.LOGIN and not self._run_one(step):
                raise WorkFailed(f"{step.title}: {self.results[-1].message}")
        undo = self._undo()
        left = [told for made in reversed(self.created.made()) if (told := undo.would(made))]
        for step in signs:
            if step.kind is StepKind.LOGOUT:
                self._run_one(step)
        return left

    def _check(self) -> None:
        """Raises UsageError when a person has to agree or a number is wrong, before anything is sent."""
        dangers = [f"{step.title}: {step.danger}" for step in self.journey.steps if step.danger]
        if dangers and not self.options.yes:
            raise UsageError(f"nothing was sent; these steps need your consent (--yes): {'; '.join(dangers)}")
        check_first_step(self.journey, self.options)
        self.created.check()

    def _ended(self, stopped_at: int = 0, *, interrupted: bool = False) -> Replayed:
        results, unsure = tuple(self.results), self.client.cut_off
        return Replayed(self.journey.name, self.client.base_url, results, stopped_at, interrupted, unsure)

    # ---------------------------------------------------------------- one step

    def _run_one(self, item: Step | Variable) -> bool:
        """Run a step or a lookup and tell the result; False when the run has to stop."""
        started = time.monotonic()
        if isinstance(item, Step):
            self.options.begin(self.numbers[item.name], self._hidden(self._title(item)))
        try:
            result = self._lookup(item) if isinstance(item, Variable) else self._step(item)
        except WorkFailed as error:
            number = self.numbers[item.name] if isinstance(item, Step) else 0
            title = item.title if isinstance(item, Step) else item.description
            differences: list[Difference] = []
            if isinstance(error, _Refused) and isinstance(item, Step):
                differences = self.comparison.answers(item, error.answered)
            result = StepResult(number, item.name, title, Outcome.FAILED, 0.0, str(error), tuple(differences))
        self._add(replace(result, seconds=time.monotonic() - started))
        return result.outcome is not Outcome.FAILED

    def _add(self, result: StepResult) -> None:
        shown = replace(
            result,
            title=self._hidden(result.title),
            message=self._hidden(result.message),
            differences=tuple(
                Difference(self._hidden(d.place), *(shortened(self._hidden(v)) for v in (d.recorded, d.found)))
                for d in result.differences
            ),
        )
        self.results.append(shown)
        self.tell(shown)

    def _lookup(self, variable: Variable) -> StepResult:
        if self.options.first_step > 1:  # it may have been renamed or deleted by then
            variable = next((told for told in self._told.variables if told.name == variable.name), variable)
        self.values[variable.name] = self.target.look_up(variable)
        return StepResult(0, variable.name, variable.description, Outcome.DONE)

    def _step(self, step: Step) -> StepResult:
        result = StepResult(self.numbers[step.name], step.name, self._title(step), Outcome.SKIPPED)
        if self.signed_on and self.journey.is_sign_on(step):
            return replace(result, message="the session token is given")
        if result.number < self.options.first_step and step.kind not in (StepKind.LOGIN, StepKind.READ):
            self._find_captures(step)
            return replace(result, message=f"before --from {self.options.first_step}")
        if step.only_after_changes and not self.wrote:
            return replace(result, message="nothing has changed before it")
        return self._wanted(step, step.wanted, result) if step.wanted else self._plain(step, result)

    def _title(self, step: Step) -> str:
        return filled_text(step.heading, self.values) if step.heading else step.title

    def _plain(self, step: Step, result: StepResult) -> StepResult:
        answered = self._send(step, filled_body(step.request.body, self.values))
        try:
            self._capture(step, answered.tree)
        except WorkFailed as error:
            raise _Refused(answered, str(error)) from None
        differences = self.comparison.answers(step, answered)
        outcome = Outcome.DIFFERS if differences else Outcome.DONE
        return replace(result, outcome=outcome, differences=tuple(differences))

    def _send(
        self,
        step: Step,
        body: bytes | None,
        target: str = "",
        method: str = "",
        creating: tuple[str, dict[str, Any] | None] | None = None,
    ) -> Answered:
        """Send the step's request, or another one for it. Raises WorkFailed with the server's words.

        `creating` is what was noted before: settled by an answer, unless a gateway gave it.
        """
        target = target or filled_text(step.request.target, self.values)
        method = method or step.request.method
        headers = self.target.headers(step.request.headers)
        if step.wanted and body is not None:
            headers.append(("Content-Type", "application/json"))
        answered = self.client.send(method, target, headers, body)
        makes = step.makes or (self._list_path(step) if step.kind is StepKind.CREATE and method != "PATCH" else "")
        self.created.note_records(method, target, makes, answered)
        if creating and answered.status < 500:
            self._settle(*creating, answered)
        if not answered.succeeded:
            words = refusal(answered.tree, answered.reason, self._names_of(step))
            raise _Refused(answered, f"{answered.status} {words}")
        self.wrote = self.wrote or not (method in ("GET", "HEAD") or step.kind in (StepKind.LOGIN, StepKind.LOGOUT))
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

    def _capture(self, step: Step, answer: Tree) -> None:
        for capture in step.captures:
            value = member(answer, *capture.pointer)
            if value is None and capture.variable in self.ahead:
                place = "/".join(map(str, capture.pointer))
                raise WorkFailed(f"the answer has no {place}, which a later step needs")
            self.values[capture.variable] = value
            if capture.pointer[-1] in self.catalog.session.token_fields:  # it ends the one that the request used
                ended = [self.values.get(name) for name in self._tokens_of(step)]
                self.values |= {name: value for name, old in self.values.items() if old in ended}

    def _tokens_of(self, step: Step) -> Iterator[str]:
        """The variables that hold the session token of a step's request."""
        for header, value in step.request.headers:
            if header == self.catalog.session.token_header:
                yield from (var.name for var in value.variables)

    # ---------------------------------------------------------------- wanted states

    def _wanted(self, step: Step, wanted: Wanted, result: StepResult) -> StepResult:
        if step.kind is StepKind.DELETE:
            return self._remove(step, wanted, result)
        path, record = self.target.existing(step, wanted)
        state = document(wanted, self.values)
        if record is None:
            if step.kind is StepKind.UPDATE:
                raise WorkFailed(f"there is no {path}")
            whole = reconcile.whole(state)
            target = filled_text(step.request.target, self.values)
            place = path or target.partition("?")[0]
            key = state["keys"][-1] if state["keys"] else None
            wrapper = self.journey.conventions.wrapper if key or wanted.in_list else ""
            target = target if not wanted.in_list else target.replace(place, place.rpartition("/")[0], 1)
            creating = (place, key) if self._has_no_secret(key) else None
            if creating:
                self.created.note_creating(*creating)
            body = json_bytes({wrapper: [whole]} if wrapper else whole)
            answered = self._send(step, body, target, creating=creating)
            self._capture(step, member(answered.tree, wrapper, 0) if wrapper else answered.tree)
            self.made.add(wanted.record or path)
            return self._done(result, Outcome.CREATED, step, answered)
        self._capture(step, _tree(record))
        changed = reconcile.changes(state, record, fresh=(wanted.record or path) in self.made)
        if not changed:
            hidden = ", ".join(reconcile.unseen(state, record))
            return replace(result, outcome=Outcome.UNCHANGED, message=f"not compared: {hidden}" if hidden else "")
        if "undo" in state and (wanted.record or path) not in self.made:
            self._note_changing(path, undoing.remembered(changed, record, state))
        query = filled_text(step.request.target, self.values).partition("?")
        answered = self._send(step, json_bytes(changed), path + query[1] + query[2], "PATCH")
        result = replace(result, message=", ".join(changed))
        return self._done(result, Outcome.CHANGED, step if step.kind is StepKind.UPDATE else None, answered)

    def _note_changing(self, path: str, change: dict[str, Any]) -> None:
        if change and self._has_no_secret(change):
            self.created.note_changing(path, change)

    def _has_no_secret(self, noted: Any) -> bool:
        told = json.dumps(noted)
        return hidden(told, self.journey, self.values) == told

    def _remove(self, step: Step, wanted: Wanted, result: StepResult) -> StepResult:
        state = document(wanted, self.values)
        again = state.get("again") or {}
        known = not wanted.record or self.values.get(wanted.record) is not None
        path, record = self.target.existing(step, wanted, tuple(again.get("rows", ()))) if known else ("", None)
        if record is None:
            return replace(result, outcome=Outcome.UNCHANGED, message="already absent")
        removal = undoing.removed(record, again)
        if removal and self._has_no_secret(removal):
            self.created.note_removing(path.rpartition("/")[0], removal)
        return self._done(result, Outcome.DELETED, step, self._send(step, None))

    def _done(self, result: StepResult, outcome: Outcome, like: Step | None, answered: Answered) -> StepResult:
        """The result of what an upsert sent: `like` a recorded step, the status can be compared, no more."""
        recorded = like.answer.status if like and like.answer else answered.status
        if recorded == answered.status:
            return replace(result, outcome=outcome)
        difference = Difference("status", str(recorded), str(answered.status))
        return replace(result, outcome=Outcome.DIFFERS, differences=(difference,))

    # ---------------------------------------------------------------- the end

    @cached_property
    def _told(self) -> Journey:
        """The journey with its writes as wanted states, one a record."""
        return self.journey if self.journey.upsert else upsert(self.journey, self.catalog, every_write=True)

    def _states(self) -> list[Step]:
        return [step for step in self._told.steps if step.wanted]

    def _find_captures(self, step: Step) -> None:
        """What a step that is not run again captured, from the record that it made before, or the session that is."""
        for capture in step.captures:
            if capture.pointer[-1] in self.catalog.session.token_fields:
                token = [self.values[name] for name in self._tokens_of(step)]
                self.values |= {capture.variable: token[0]} if token else {}
        for state in self._states():
            if state.entry != step.entry or not state.captures or state.wanted is None:
                continue
            record = self.target.existing(state, state.wanted)[1]
            if record is None and any(capture.variable in self.ahead for capture in state.captures):
                raise WorkFailed("its record is not there: start from this step, or earlier")
            if record is not None:
                self._capture(state, _tree(record))

    def _read_again(self) -> None:
        try:
            self._verify()
        except WorkFailed as error:
            self._add(StepResult(0, "verify", "Read again what was written", Outcome.FAILED, message=str(error)))

    def _verify(self) -> None:
        """Compare the records that were written with what was wanted; a step that already differs is not told twice."""
        told = {result.number for result in self.results if result.outcome is Outcome.DIFFERS}
        by_entry = {step.entry: step for step in self.journey.steps}
        states = self._readable(self._states())
        last = {self._about(state): state for state in states}
        for state in states:
            step = by_entry.get(state.entry)
            number = self.numbers.get(state.name) or (self.numbers[step.name] if step else 0)
            end = last[self._about(state)]
            lives = state is end or StepKind.DELETE not in (state.kind, end.kind)
            if number in told or number < self.options.first_step or not state.wanted or not lives:
                continue
            differences = tuple(self._unlike(state, state.wanted))
            if differences:
                title = f"{self._title(state)}, read again"
                self._add(StepResult(number, state.name, title, Outcome.DIFFERS, differences=differences))

    def _readable(self, states: list[Step]) -> list[Step]:
        """The states, those of a session that was closed in between with the session of the last one."""
        logouts = [step for step in self.journey.steps if step.kind is StepKind.LOGOUT]
        closed = {token for step in logouts for token in self._sent_tokens(step)}
        now = self._sent_tokens(states[-1]) if states else set()
        headers = states[-1].request.headers if states else ()
        return [
            (
                replace(state, request=replace(state.request, headers=headers))
                if now and now.isdisjoint(self._sent_tokens(state)) and closed & self._sent_tokens(state)
                else state
            )
            for state in states
        ]

    def _sent_tokens(self, step: Step) -> set[Tree]:
        return {self.values.get(name) for name in self._tokens_of(step)}

    def _about(self, state: Step) -> str:
        """What names the record of a state: the variable of its id, or its path."""
        named = state.wanted.record if state.wanted else ""
        return named or filled_text(state.request.target, self.values).partition("?")[0]

    def _unlike(self, state: Step, wanted: Wanted) -> Iterator[Difference]:
        """Where the record on the instance is not as the step wanted it."""
        if state.kind is StepKind.DELETE:
            if self.values.get(wanted.record, "") is None:
                return
            if self.target.existing(state, wanted)[1] is not None:
                yield Difference("record", "deleted", "still there")
            return
        path, record = self.target.existing(state, wanted)
        if record is None:
            yield Difference("record", "there", "absent")
            return
        answered, own = self.values.get(wanted.record), path.rpartition("/")[2]
        if wanted.keyed and answered is not None and quote(as_text(answered), safe="") != own:
            yield Difference("id", f"{as_text(answered)}, as its create was answered", own)  # a batch out of order, say
        told = document(wanted, self.values)
        changed = reconcile.changes({**told, "needs": [], "secrets": []}, record)
        for place, have, want in reconcile.field_changes(changed, record, told["rows"]):
            secret = self.catalog.secret_rule(state.resource, re.sub(r"\[\w+\]", "[]", place)) is not None
            is_row = place.endswith("]")
            shown = ["absent" if is_row and value is None else _shown(value) for value in (want, have)]
            yield Difference(place, *(("***", "***") if secret else shown))

    # ---------------------------------------------------------------- texts

    def _session_headers(self) -> list[tuple[str, str]]:
        name, session = self.catalog.session.token_header, self.journey.session
        value = self.values.get(session.name) if session else None
        return [(name, value)] if isinstance(value, str) else []

    def _renamed(self, text: str) -> str:
        """A recorded text with the recorded values of parameters replaced by those of this run."""
        for recorded, value in self.renamings:
            text = text.replace(recorded, value)
        return text

    def _hidden(self, text: str) -> str:
        return hidden(text, self.journey, self.values)


def _logs_out(item: Step | Variable) -> bool:
    return isinstance(item, Step) and item.kind is StepKind.LOGOUT


def _tree(record: dict[str, Any]) -> Tree:
    return parse_json(json_bytes(record))


def _shown(value: Any) -> str:
    return json_text(_tree({"value": value}))[9:-1]
