"""Runs a journey against an instance, step by step, and compares what comes back with what was recorded.

In: a journey and the values for its variables. Out: a result a step, as it happens and in all. A run stops at the first
step that fails; differences are told and the run goes on. When every step has run, each record that the journey wrote
is read once more and compared with what was wanted: a server may answer 200 and still keep something else.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from dfrecord.errors import Stopped, UsageError, WorkFailed, stop_code
from dfrecord.journey.model import Journey, Step, StepKind, Variable, variables_of_lookup, variables_of_step
from dfrecord.journey.teardown import given_to_others, teardown
from dfrecord.journey.undo_session import UndoSession, undo_session
from dfrecord.journey.upsert import upsert
from dfrecord.replaying.client import Answered, Client, Connection, address_of
from dfrecord.replaying.compare import Comparison, Difference, shortened
from dfrecord.replaying.created import CreatedFile
from dfrecord.replaying.kept import kept
from dfrecord.replaying.results import Outcome, Replayed, StepResult
from dfrecord.replaying.sending import Refused, Sender
from dfrecord.replaying.states import WantedStates
from dfrecord.replaying.stopping import stopping
from dfrecord.replaying.target import Target
from dfrecord.replaying.undo import Undo
from dfrecord.replaying.values import (
    Values,
    as_json,
    as_tree,
    check_given,
    filled_body,
    given_otherwise,
    hidden,
    is_signed_on,
    renamings,
    starting_values,
    title_of,
)
from dfrecord.replaying.verify import Verification
from dfrecord.system_api.catalog import Catalog


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


def notes_of(journey: Journey, options: ReplayOptions, client: Client, values: Values) -> CreatedFile:
    """The file that notes what runs with these values do on the instance."""
    file = options.created_file or Path(f"{journey.name}.created.jsonl")

    def holds_secret(name: str) -> bool:
        return hidden(name, journey, values) != name

    return CreatedFile(file, client.base_url, journey.conventions, given_otherwise(journey, values), holds_secret)


@dataclass
class _Run:
    journey: Journey
    options: ReplayOptions
    catalog: Catalog
    tell: Callable[[StepResult], None]
    results: list[StepResult] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.journey.upsert and not self.journey.teardown:  # a later run may be asked to undo this one
            self.journey = teardown(self.journey, self.catalog)
        address = address_of(self.options.base_url, self.journey.conventions)
        wrapper = self.journey.conventions.wrapper
        self.client = Client(address, self.options.connection, self.options.say, wrapper=wrapper)
        self.values: Values = starting_values(self.journey, self.options.base_url, self.options.given)
        self.target = Target(self.client, self.values, self.journey.conventions)
        self.renamings = renamings(self.journey, self.values)
        self.comparison = Comparison(self.catalog, self._renamed)
        self.numbers = {step.name: number for number, step in enumerate(self.journey.steps, 1)}
        self.created = notes_of(self.journey, self.options, self.client, self.values)
        self.signed_on = is_signed_on(self.journey, self.values)
        steps, variables = self.journey.steps, self.journey.variables
        of_lookups = {name for variable in variables for name in variables_of_lookup(variable)}
        ahead = steps[max(self.options.first_step - 1, 0) :]
        needed = of_lookups | {name for step in ahead for name in variables_of_step(step)}
        self.sender = Sender(self.journey, self.catalog, self.client, self.target, self.values, self.created, needed)
        self.make_true = WantedStates(self.sender)

    # ---------------------------------------------------------------- the whole

    def run(self) -> Replayed:
        check_given(self.journey, self.values)
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
                        return self._ended(stopped_at=number, signal=stop_asked())
                    if not self._run_one(item):
                        return self._ended(stopped_at=number)
                    if place == last and not stop_asked():  # before a logout, while the session can still read
                        number = 0
                        self._read_again()
            except (KeyboardInterrupt, Stopped) as stop:
                return self._ended(stopped_at=number, signal=stop_code(stop) - 128)
            return self._ended(signal=stop_asked())

    def _number(self, ahead: Sequence[Step | Variable]) -> int:
        """The number of the next step, 0 when there is none."""
        return next((self.numbers[item.name] for item in ahead if isinstance(item, Step)), 0)

    def tear_down(self) -> Replayed:
        session = undo_session(self.journey)
        check_given(self.journey, self.values, session)
        self.created.check()
        with stopping(self.client, self.options.say) as stop_asked:
            try:
                if not all(map(self._run_one, session.logins)):
                    return self._ended(stopped_at=1)
                undo = self._undo(session)
                for made in reversed(self.created.made()):
                    if stop_asked():
                        return self._ended(signal=stop_asked())
                    result = undo(made)
                    if result:
                        self._add(result)
                    if result and result.outcome is Outcome.FAILED:
                        return self._ended(stopped_at=1)
                for step in self.journey.steps:
                    if step.once and step.once in self._sent:
                        self.created.note_unsent(step.once)
                        again = "the next run sends it again"
                        self._add(StepResult(0, "tear_down", step.title, Outcome.SKIPPED, message=again))
                for words, count in self.created.made_for_others().items():
                    message = f"{count} more made with {words}: give the same to delete them"
                    self._add(StepResult(0, "tear_down", "Left alone", Outcome.SKIPPED, message=message))
                for step in session.logouts:
                    self._run_one(step)
            except (KeyboardInterrupt, Stopped) as stop:
                return self._ended(signal=stop_code(stop) - 128)
        return self._ended()

    def _undo(self, session: UndoSession) -> Undo:
        headers = self.target.headers(session.headers)
        wrapper = self.journey.conventions.wrapper
        gives = given_to_others(self.journey, self.catalog)
        return Undo(self.client, self.target, self.created, headers, wrapper, gives, self.created.anew())

    def left_to_undo(self) -> list[tuple[str, str]]:
        session = undo_session(self.journey)
        check_given(self.journey, self.values, session)
        for step in session.logins:
            if not self._run_one(step):
                raise WorkFailed(f"{step.title}: {self.results[-1].message}")
        undo = self._undo(session)
        left = [told for made in reversed(self.created.made()) for told in undo.would(made)]
        for step in session.logouts:
            self._run_one(step)
        return left

    def _check(self) -> None:
        """Raises UsageError when a person has to agree or a number is wrong, before anything is sent."""
        dangers = [f"{step.title}: {step.danger}" for step in self.journey.steps if step.danger]
        if dangers and not self.options.yes:
            raise UsageError(f"nothing was sent; these steps need your consent (--yes): {'; '.join(dangers)}")
        check_first_step(self.journey, self.options)
        self.created.check()

    def _ended(self, stopped_at: int = 0, *, signal: int = 0) -> Replayed:
        results, unsure = tuple(self.results), self.client.cut_off
        return Replayed(self.journey.name, self.client.base_url, results, stopped_at, signal, unsure)

    # ---------------------------------------------------------------- one step

    def _run_one(self, item: Step | Variable) -> bool:
        """Run a step or a lookup and tell the result; False when the run has to stop."""
        started = time.monotonic()
        if isinstance(item, Step):
            self.options.begin(self.numbers[item.name], self._hidden(title_of(item, self.values)))
        try:
            result = self._lookup(item) if isinstance(item, Variable) else self._step(item)
        except WorkFailed as error:
            number = self.numbers[item.name] if isinstance(item, Step) else 0
            title = title_of(item, self.values) if isinstance(item, Step) else item.description
            differences: list[Difference] = []
            if isinstance(error, Refused) and isinstance(item, Step):
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
        result = StepResult(self.numbers[step.name], step.name, title_of(step, self.values), Outcome.SKIPPED)
        if self.signed_on and self.journey.is_sign_on(step):
            return replace(result, message="the session token is given")
        if result.number < self.options.first_step and step.kind not in (StepKind.LOGIN, StepKind.READ):
            self._find_captures(step)
            return replace(result, message=f"before --from {self.options.first_step}")
        if step.only_after_changes and not self.sender.wrote and step.due not in self._due:
            return replace(result, message="nothing has changed before it")
        if step.once and step.once in self._sent:
            self.sender.capture(step, as_tree(self._sent[step.once]))
            return replace(result, message=f"sent before, as {self.created.path} notes")
        return self.make_true(step, step.wanted, result) if step.wanted else self._plain(step, result)

    def _plain(self, step: Step, result: StepResult) -> StepResult:
        try:
            answered = self.sender.send(step, filled_body(step.request.body, self.values))
        except Refused as error:
            if not step.may_be_gone or error.answered.status != 404:
                raise
            self._note_sent(step, error.answered)
            return replace(result, outcome=Outcome.UNCHANGED, message="already absent")
        try:
            self.sender.capture(step, answered.tree)
        except WorkFailed as error:
            raise Refused(answered, str(error)) from None
        if step.once:
            self._note_sent(step, answered)
        if step.due:
            self.created.note_done(step.due)
        differences = self.comparison.answers(step, answered)
        outcome = Outcome.DIFFERS if differences else Outcome.DONE
        return replace(result, outcome=outcome, differences=tuple(differences))

    # ---------------------------------------------------------------- the end

    def _note_sent(self, step: Step, answered: Answered) -> None:
        """Not where what later steps need of the answer holds a secret: then the next run has to ask again."""
        answer = kept(as_json(answered.tree), [capture.pointer for capture in step.captures]) if step.captures else None
        told = json.dumps(answer)
        if self._hidden(told) == told:
            self.created.note_sent(step.once, answer)

    @cached_property
    def _sent(self) -> dict[str, Any]:
        """What an earlier run noted as sent; read before this one notes anything."""
        return self.created.sent()

    @cached_property
    def _due(self) -> set[str]:
        """What is to be sent after the changes of earlier runs, which did not come so far."""
        return self.created.due()

    @cached_property
    def _told(self) -> Journey:
        """The journey with its writes as wanted states, one a record."""
        return self.journey if self.journey.upsert else upsert(self.journey, self.catalog, every_write=True)

    def _find_captures(self, step: Step) -> None:
        """What a step that is not run again captured, from the record that it made before, or the session that is."""
        if step.once and step.once in self._sent:
            self.sender.capture(step, as_tree(self._sent[step.once]))
        for capture in step.captures:
            if capture.pointer[-1] in self.catalog.session.token_fields:
                token = [self.values[name] for name in self.sender.tokens_of(step)]
                self.values |= {capture.variable: token[0]} if token else {}
        for state in self._told.steps:
            if state.entry != step.entry or not state.captures or state.wanted is None:
                continue
            record = self.target.existing(state, state.wanted)[1]
            if record is None and any(capture.variable in self.sender.ahead for capture in state.captures):
                raise WorkFailed("its record is not there: start from this step, or earlier")
            if record is not None:
                self.sender.capture(state, as_tree(record))

    def _read_again(self) -> None:
        try:
            told = {result.number for result in self.results if result.outcome is Outcome.DIFFERS}
            for result in Verification(self.sender, self._told, self.numbers).unlike(told, self.options.first_step):
                self._add(result)
        except WorkFailed as error:
            self._add(StepResult(0, "verify", "Read again what was written", Outcome.FAILED, message=str(error)))

    # ---------------------------------------------------------------- texts

    def _renamed(self, text: str) -> str:
        """A recorded text with the recorded values of parameters replaced by those of this run."""
        for recorded, value in self.renamings:
            text = text.replace(recorded, value)
        return text

    def _hidden(self, text: str) -> str:
        return hidden(text, self.journey, self.values)


def _logs_out(item: Step | Variable) -> bool:
    return isinstance(item, Step) and item.kind is StepKind.LOGOUT
