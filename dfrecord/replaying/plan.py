"""What a run would change on an instance, found out by reading only.

The journey's writes are played through as wanted states over what the instance has now: a record that a step would
create is there for the steps after it, with what it would hold. Nothing but the login and reads is sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from dfrecord.errors import WorkFailed
from dfrecord.journey.model import Capture, Journey, JsonBody, Step, StepKind, Variable, Wanted, variables_of_tree
from dfrecord.journey.upsert import upsert
from dfrecord.normalise.body import field_path, path_in_rows
from dfrecord.normalise.select import refusal
from dfrecord.replaying import predicted, reconcile
from dfrecord.replaying.client import Client, address_of
from dfrecord.replaying.planned import Action, FieldChange, Plan, Planned
from dfrecord.replaying.run import ReplayOptions, check_first_step, left_to_undo, notes_of
from dfrecord.replaying.target import Target, document, member
from dfrecord.replaying.values import (
    AFTER_THE_RUN,
    NEW,
    Unknown,
    Values,
    as_tree,
    check_given,
    filled,
    filled_body,
    filled_text,
    hidden,
    id_of_new,
    is_signed_on,
    starting_values,
    title_of,
)
from dfrecord.system_api.catalog import Catalog
from dfrecord.tree import Array, Number, Object, Tree, Var

_KINDS = {StepKind.CREATE: Action.CREATE, StepKind.UPDATE: Action.CHANGE, StepKind.DELETE: Action.DELETE}
"""What a step does whose record cannot be read."""
IS_THERE = "it is there already, and a run stops here (use --upsert)"
IS_NOT_THERE = "it is not there, and a run stops here (use --upsert)"
NOTHING_TO_CHANGE = "it is not there, and a run stops here"


def plan(journey: Journey, options: ReplayOptions, catalog: Catalog) -> Plan:
    """The plan of a run with these options. Raises UsageError before anything is sent, WorkFailed."""
    return _Planner(journey, options, catalog).run()


def teardown_plan(journey: Journey, options: ReplayOptions, catalog: Catalog) -> Plan:
    """The plan of a teardown. Raises UsageError before anything is sent, WorkFailed."""
    left = left_to_undo(journey, options, catalog)
    return Plan(options.base_url.rstrip("/"), tuple(Planned(0, Action(action), title) for action, title in left))


class _Planner:
    def __init__(self, journey: Journey, options: ReplayOptions, catalog: Catalog) -> None:
        self._upserts = journey.upsert
        self._journey = journey if journey.upsert else upsert(journey, catalog, every_write=True)
        self._catalog = catalog
        conventions = journey.conventions
        address = address_of(options.base_url, conventions)
        self._client = Client(address, options.connection, wrapper=conventions.wrapper)
        self._values: Values = starting_values(self._journey, options.base_url, options.given)
        self._target = Target(self._client, self._values, conventions)
        self._signed_on = is_signed_on(self._journey, self._values)
        check_given(self._journey, self._values)
        check_first_step(journey, options)
        self._first_step = options.first_step
        notes = notes_of(self._journey, options, self._client, self._values)
        self._sent_before: dict[str, Any] = notes.sent() if self._journey.sends_once else {}
        self._due: set[str] = notes.due() if self._journey.dues else set()
        self._plain = {variable.name: variable for variable in journey.variables}
        numbers = {step.entry if not journey.upsert else step.name: n for n, step in enumerate(journey.steps, 1)}
        self._numbers = {s.name: numbers[s.name if journey.upsert else s.entry] for s in self._journey.steps}
        self._predicted: dict[str, dict[str, Any] | None] = {}  # by path, or what stands for it; None: deleted
        self._new: set[str] = set()
        self._sessions: dict[str, Tree] = {}  # by account, the answer to its login
        self._logouts: dict[Tree, Step] = {}  # by session token
        self._made_accounts: dict[str, str] = {}  # by the variable of a token, the record of an account not there yet
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
                self._add(self._state(item, item.wanted))
            elif item.request.method not in ("GET", "HEAD"):
                self._call(item)
        for logout in self._logouts.values():
            self._sent(logout)
        return Plan(self._client.base_url, tuple(self._planned))

    def _add(self, planned: Planned) -> None:
        """A run stops at what is refused; a plan tells what is left then. What is before `first_step` is done."""
        if planned.step < self._first_step:
            return
        if planned.action is not Action.NONE and any(step.action is Action.REFUSED for step in self._planned):
            planned = Planned(planned.step, Action.UNREACHED, planned.title)
        self._planned.append(planned)

    def _look_up(self, variable: Variable) -> None:
        variable = variable if self._upserts else self._plain.get(variable.name, variable)
        lookup = variable.lookup
        assert lookup is not None
        needed = [value.name for _, value in lookup.match if isinstance(value, Var)]
        needed += [var.name for var in lookup.path.variables]
        if any(map(self._is_unknown, needed)):
            self._values[variable.name] = AFTER_THE_RUN
            return
        if lookup.late:  # a step before it may make what it finds
            variable = replace(variable, lookup=replace(lookup, optional=True))
        found = self._target.look_up(variable)
        self._values[variable.name] = NEW if found is None and not lookup.optional and lookup.late else found

    def _sign_on_or_off(self, step: Step) -> None:
        """An account signs on once and off last: the password that a run changes in between is not changed here."""
        given = self._signed_on and self._journey.is_sign_on(step)
        if step.kind is StepKind.LOGOUT:
            if not given and not self._acts_as(step):
                self._logouts.setdefault(self._token(step), step)
            return
        account = self._account(step)
        made = "" if given else self._account_made(step)
        if account not in self._sessions:
            self._sessions[account] = self._kept_session(step) if given or made else self._sent(step)
        for capture in step.captures:
            self._values[capture.variable] = member(self._sessions[account], *capture.pointer)
            self._made_accounts |= {capture.variable: made} if made else {}

    def _acts_as(self, step: Step) -> str:
        """What names the record of the account that sends a step, where the run would make it; else nothing."""
        name = self._catalog.session.token_header
        tokens = [var.name for header, value in step.request.headers if header == name for var in value.variables]
        return next((self._made_accounts[token] for token in tokens if token in self._made_accounts), "")

    def _kept_session(self, step: Step) -> Tree:
        """As if it answered with the session that is in use: the one given, or that of who makes the account."""
        session = self._journey.session
        used = self._values.get(session.name) if session else None
        return Object(tuple((str(c.pointer[-1]), self._values.get(c.variable, used)) for c in step.captures))

    def _account_made(self, step: Step) -> str:
        """What names the record of a login's account that the run would make before it: nobody can log in as it yet."""
        body, fields = step.request.body, self._catalog.session.identity_fields
        login = filled(body.tree, self._values) if isinstance(body, JsonBody) else None
        names = [login.get(field) for field in fields] if isinstance(login, Object) else []
        made = [(own, self._predicted[own] or {}) for own in self._new]
        found = (own for own, record in made for field in fields if record.get(field) and record[field] in names)
        return next(found, "")

    def _account(self, step: Step) -> str:
        """What tells the account of a login from another."""
        body, session = step.request.body, self._catalog.session
        tree = filled(body.tree, self._values) if isinstance(body, JsonBody) else None
        if not isinstance(tree, Object):
            return step.name
        return f"{step.request.target.literal} {[tree.get(name) for name in session.identity_fields]}"

    def _sent(self, step: Step) -> Tree:
        """The answer to a step of the session."""
        headers = self._target.headers(step.request.headers)
        target = filled_text(step.request.target, self._values)
        answered = self._client.send(step.request.method, target, headers, filled_body(step.request.body, self._values))
        if not answered.succeeded:
            raise WorkFailed(f"{step.title}: {answered.status} {refusal(answered.tree, answered.reason)}")
        return answered.tree

    def _call(self, step: Step) -> None:
        for capture in step.captures if step.once in self._sent_before else ():
            self._values[capture.variable] = member(as_tree(self._sent_before[step.once]), *capture.pointer)
        for capture in step.captures:
            self._values.setdefault(capture.variable, self._kept_token(step, capture) or AFTER_THE_RUN)
            if (account := self._acts_as(step)) and capture.pointer[-1] in self._catalog.session.token_fields:
                self._made_accounts[capture.variable] = account
        if self._catalog.is_session(filled_text(step.request.target, self._values).partition("?")[0]):
            return
        number, title = self._numbers[step.name], self._title(step)
        follows_changes = step.only_after_changes and self._upserts and step.due not in self._due
        if step.once in self._sent_before or (follows_changes and not self._would_write()):
            self._add(Planned(number, Action.NONE, title))
        else:
            kind = Action.CALL if self._upserts else _KINDS.get(step.kind, Action.CALL)
            self._add(Planned(number, kind, title))

    def _kept_token(self, step: Step, capture: Capture) -> Tree:
        """Where the answer would give a new session token: the one in use, as a plan does not end its session."""
        return self._token(step) if capture.pointer[-1] in self._catalog.session.token_fields else None

    def _token(self, step: Step) -> Tree:
        """The session token that a step is sent with, as it stands in its header."""
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
        number, title = self._numbers[step.name], self._title(step)
        if self._is_unknown(wanted.record) and wanted.record not in self._predicted and not wanted.keyed:
            fields = self._fields(step, [(name, None, value) for name, value in reconcile.whole(state).items()])
            return Planned(number, _KINDS[step.kind], title, tuple(fields))  # a call before it makes the record
        own, record = self._record(step, wanted)
        if step.kind is StepKind.DELETE:
            self._predicted[own] = None
            if record is None and not self._upserts:
                return Planned(number, Action.REFUSED, title, reason=IS_NOT_THERE)
            return Planned(number, Action.DELETE if record is not None else Action.NONE, title)
        if record is None and step.kind is StepKind.UPDATE:
            return Planned(number, Action.REFUSED, title, reason=NOTHING_TO_CHANGE)
        if record is None:
            whole = reconcile.whole(state)
            self._new.add(own)
            new = id_of_new(len(self._new))
            drops_empty = wanted.resource_path in self._journey.drops_empty
            then = predicted.created(whole, state["rows"], drops_empty=drops_empty)
            self._predicted[own] = self._as_shown(step, then)
            for capture in step.captures:
                self._values[capture.variable] = new if capture.variable == wanted.record else AFTER_THE_RUN
            fields = self._fields(step, [(name, None, value) for name, value in whole.items()])
            return Planned(number, Action.CREATE, title, tuple(fields))
        for capture in step.captures:
            self._values[capture.variable] = _value(record.get(str(capture.pointer[0]), AFTER_THE_RUN))
        if step.kind is StepKind.CREATE and not self._upserts and (wanted.keyed or wanted.in_list):
            return Planned(number, Action.REFUSED, title, reason=IS_THERE)  # sent to its own name, it is an update
        if own in self._new:
            record = predicted.completed(record, state["record"])
        is_fresh = own in self._new and not self._is_profile(step)
        changed = reconcile.changes(state, record, fresh=is_fresh)
        told = reconcile.field_changes(changed, record, state["rows"])
        sent = changed if self._upserts else state["record"]  # an upsert leaves alone what it cannot compare
        places = {place for place, _, _ in told}
        told += [each for each in self._set_unseen(step, "", sent, record) if each[0] not in places]
        self._predicted[own] = self._as_shown(step, predicted.written(record, changed, state["rows"]))
        if not told:
            return Planned(number, Action.NONE if self._upserts else Action.RESEND, title)
        return Planned(number, Action.CHANGE, title, tuple(self._fields(step, told)))

    def _as_shown(self, step: Step, record: dict[str, Any]) -> dict[str, Any]:
        """A record as the instance would show it: secrets masked, but for those that it makes and shows itself."""
        facts = self._catalog.resources[step.resource or ""]

        def shown(place: str, value: Any, beside: dict[str, Any]) -> Any:
            if isinstance(value, dict):
                return {name: shown(field_path(place, name), item, value) for name, item in value.items()}
            is_secret = self._catalog.is_secret(facts.name, place, value, beside) and place not in facts.made_secrets
            return self._catalog.mask if is_secret else value

        masked: dict[str, Any] = shown("", record, {})
        return masked

    def _record(self, step: Step, wanted: Wanted) -> tuple[str, dict[str, Any] | None]:
        """The record that a step is about, as it would be by then, and what names it in the plan: its path once it is
        there, the variable of its id before that.
        """
        path = filled_text(step.request.target, self._values).partition("?")[0]
        creates = step.kind is StepKind.CREATE and wanted.document.get("keys") != Array(())
        if not creates:
            own = wanted.record if self._is_unknown(wanted.record) else path
            own = (self._is_profile(step) and self._acts_as(step)) or own
            if own in self._predicted:
                return own, self._then(own, step, wanted)
            if wanted.record and self._values.get(wanted.record) is None:
                return own, None
        elif self._depends_on_new(wanted):
            return wanted.record or step.name, None
        found, record = self._target.existing(step, wanted)
        then = self._then(found, step, wanted) if found in self._predicted else record
        if creates and (then is None or not _has_key(then, document(wanted, self._values)["keys"])):
            return wanted.record or step.name, None  # there is none, or it is deleted or renamed by then
        return found, then

    def _then(self, own: str, step: Step, wanted: Wanted) -> dict[str, Any] | None:
        """A record as steps before this one leave it; relations that none of them read are read now."""
        then = self._predicted[own]
        if then is None or own in self._new or all(name in then for name in wanted.relations):
            return then
        return {**(self._target.existing(step, wanted)[1] or {}), **then}

    def _depends_on_new(self, wanted: Wanted) -> bool:
        """Whether the keys hold the id of a record that does not exist yet."""
        keys = wanted.document.get("keys")
        return any(map(self._is_unknown, variables_of_tree(keys)))

    def _is_profile(self, step: Step) -> bool:
        """Whether a step is about the record of the account that sends it."""
        return step.request.target.literal in self._journey.conventions.profiles

    def _is_unknown(self, variable: str) -> bool:
        return isinstance(self._values.get(variable), Unknown)

    def _set_unseen(self, step: Step, above: str, sent: dict[str, Any], have: Any) -> Iterator[tuple[str, Any, Any]]:
        """The secrets that are sent where the instance does not show what it has: they are set, whatever it has."""
        for name, value in sent.items():
            place = f"{above}{name}"
            shown = have.get(name) if isinstance(have, dict) else None
            rule = self._catalog.secret_rule(step.resource, place)
            if isinstance(value, dict):
                yield from self._set_unseen(step, f"{place}.", value, shown)
            elif rule and value is not None and shown in (None, self._catalog.mask):
                yield place, shown, value

    def _fields(self, step: Step, told: Iterable[tuple[str, Any, Any]]) -> Iterator[FieldChange]:
        for place, old, new in told:
            yield FieldChange(place, *(self._shown(step, place, value) for value in (old, new)))

    def _shown(self, step: Step, place: str, value: Any) -> Any:
        is_secret = self._catalog.is_secret(step.resource, path_in_rows(place), value)
        return "***" if is_secret else self._hidden(value)

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
        return hidden(title_of(step, self._values), self._journey, self._values)


def _has_key(record: dict[str, Any], keys: list[dict[str, Any]]) -> bool:
    return any(not reconcile.differs(key, record) for key in keys)


def _with_all(state: dict[str, Any]) -> dict[str, Any]:
    """A wanted state with what an upsert leaves to later steps: a plain run sends that, too."""

    def sent(entry: dict[str, Any]) -> dict[str, Any]:
        return entry if entry["row"] is None else {**entry, "later": False}

    rows = {name: {**given, "rows": list(map(sent, given["rows"]))} for name, given in state["rows"].items()}
    return {**state, "later": [], "rows": rows}


def _value(value: Any) -> Tree:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return Number(str(value))
    return value if isinstance(value, (str, bool)) or value is None else str(value)
