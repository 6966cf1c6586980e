"""Who a teardown acts as: the session that it opens, and what its requests carry besides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator
from dataclasses import dataclass

from dfrecord.journey.model import Journey, Step, StepKind, variables_of_step
from dfrecord.tree import Text, Var

Headers = tuple[tuple[str, Text], ...]


@dataclass(frozen=True, slots=True)
class UndoSession:
    """The steps that open and close the session, and the headers of what is sent in it.

    `needed` are the variables that this takes, `needed_signed_on` those where the session token is given.
    """

    logins: tuple[Step, ...] = ()
    logouts: tuple[Step, ...] = ()
    headers: Headers = ()
    needed: frozenset[str] = frozenset()
    needed_signed_on: frozenset[str] = frozenset()

    @property
    def signs(self) -> frozenset[str]:
        """The names of the steps that open and close it."""
        return frozenset(step.name for step in self.logins + self.logouts)


def undo_session(journey: Journey) -> UndoSession:
    """An administrator's session, where the journey has one, as it may undo everything; else the first, else none.

    What is no administrator's carries the API key that chooses the role, too, as most of the journey's requests do
    (system-api.md section 2.2); one that is given, since at that time nothing is captured or looked up.
    """
    admin = next((step for step in journey.steps if _is_admin_login(step, journey)), None)
    token = admin.captures[0].variable if admin else journey.session.name if journey.session else ""
    if not token:
        return _without_session(journey)
    api = journey.conventions
    carried = (api.token_header, Text((api.token_prefix, Var(token)) if api.token_prefix else (Var(token),)))
    headers = (("Accept", Text(("application/json",))), carried, *(() if admin else _key(journey, token)))
    logins = tuple(
        step
        for step in journey.steps
        if step.kind is StepKind.LOGIN and any(capture.variable == token for capture in step.captures)
    )
    logouts = tuple(s for s in journey.steps if s.kind is StepKind.LOGOUT and token in variables_of_step(s))
    sent = {var.name for _, value in headers for var in value.variables}
    anyway = [name for step in logins + logouts if not journey.is_sign_on(step) for name in variables_of_step(step)]
    to_sign_on = [name for step in logins + logouts for name in variables_of_step(step)]
    return UndoSession(logins, logouts, headers, frozenset({*sent, *to_sign_on}), frozenset({*sent, *anyway}))


def _without_session(journey: Journey) -> UndoSession:
    """What carries, instead of a token, the credentials that most of the journey's requests do (HTTP Basic, a key)."""
    names = {"authorization", journey.conventions.key_header.lower()}
    requests = (tuple(_given(step.request.headers, names, journey)) for step in journey.steps)
    [(carried, _)] = Counter(filter(None, requests)).most_common(1) or [((), 0)]
    sent = frozenset(var.name for _, value in carried for var in value.variables)
    return UndoSession(headers=(("Accept", Text(("application/json",))), *carried), needed=sent, needed_signed_on=sent)


def _is_admin_login(step: Step, journey: Journey) -> bool:
    path = (step.request.target.literal or "").partition("?")[0]
    return step.kind is StepKind.LOGIN and bool(step.captures) and path == journey.conventions.admin_path


def _key(journey: Journey, token: str) -> Headers:
    """The API key that most requests of the session carry, or if it sends none itself most of the journey's."""
    requests = [step.request.headers for step in journey.steps if step.kind not in (StepKind.LOGIN, StepKind.LOGOUT)]
    own = [headers for headers in requests if any(Var(token) in value.variables for _, value in headers)]
    found = Counter(
        header
        for headers in own or requests
        for header in _given(headers, {journey.conventions.key_header.lower()}, journey)
    )
    return tuple(header for header, _ in found.most_common(1))


def _given(headers: Headers, names: Container[str], journey: Journey) -> Iterator[tuple[str, Text]]:
    """Those of the headers with one of the names whose values a person gives."""
    for name, value in headers:
        given = [journey.variable(var.name).env for var in value.variables]
        if name.lower() in names and given and all(given):
            yield name, value
