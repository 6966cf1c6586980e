"""What an upsert does with calls that write no records: nothing on a target tells whether they are needed.

Reads do no harm, sessions need their steps, what clears a cache follows changes, a registration is known by the account
that it makes; any other call is sent by the first run only, which notes that it was.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from dfrecord.journey.model import (
    Capture,
    Journey,
    JsonBody,
    Residue,
    ResidueKind,
    Step,
    StepKind,
    Wanted,
    variables_of_lookup,
    variables_of_step,
)
from dfrecord.journey.writes import key_of, path_text, target_text
from dfrecord.system_api.catalog import Catalog
from dfrecord.tree import Array, Object, Text, Var

SENT_AFTER_CHANGES = "sent only by a run that changed something before it, or goes on after one that did and failed"
SENT_ONCE = "sent by the first run only, which notes that it was; without that note it is sent again"
SENT_ALWAYS = "sent by every run: a step needs an answer that holds a secret, which no run notes"


class Calls:
    """The calls of a journey, each to be told after those before it; what a person should know goes to `residue`."""

    def __init__(self, journey: Journey, catalog: Catalog, residue: list[Residue]) -> None:
        self._catalog, self._residue = catalog, residue
        self._secret = {variable.name for variable in journey.variables if variable.secret}
        self._needed = {name for step in journey.steps for name in variables_of_step(step)}
        self._needed |= {name for variable in journey.variables for name in variables_of_lookup(variable)}
        self._always: set[str] = set()  # secrets that calls answer, which every run sends

    def told(self, step: Step, before: list[Step]) -> Step:
        """The step as an upsert sends it. `before` are the journey's steps until then."""
        is_session = step.kind in (StepKind.LOGIN, StepKind.LOGOUT) or self._catalog.is_session(
            path_text(step.request.target)
        )
        if is_session or step.kind is StepKind.READ:
            return step
        needed = tuple(capture for capture in step.captures if capture.variable in self._needed)
        if not needed and (registration := self._registration(step, before)):
            return registration
        secret = any(capture.variable in self._secret for capture in needed)
        is_action = step.resource is not None and self._catalog.resources[step.resource].actions
        clears = is_action and step.request.method == "DELETE" and not needed
        if secret or self._always.intersection(variables_of_step(step)):
            reason = SENT_ALWAYS
            self._always |= {capture.variable for capture in needed}
        elif clears and any(other.wanted for other in before):
            reason = SENT_AFTER_CHANGES
            step = replace(step, captures=(), only_after_changes=True, due=_noted_name(step))
        else:
            reason, gone = SENT_ONCE, step.resource is None and self._deletes(step) and not needed
            step = replace(step, captures=needed, once=_noted_name(step, needed), may_be_gone=gone)
        self._residue.append(Residue(ResidueKind.RISKY, reason, step.entry, step.name))
        return step

    def _deletes(self, step: Step) -> bool:
        """Whether a call deletes something; the console's file manager says so in a header of a POST."""
        headers = {name.lower(): value.literal or "" for name, value in step.request.headers}
        query = target_text(step.request.target).partition("?")[2]
        tunnelled = self._catalog.method_override(headers, query) if step.request.method == "POST" else None
        return "DELETE" in (step.request.method, tunnelled)

    def _registration(self, step: Step, before: Iterable[Step]) -> Step | None:
        """A call that makes an account, where an administrator is signed on who can look for it; its id is not told."""
        called = self._catalog.resources.get(step.resource or "")
        facts = self._catalog.resources.get(called.registers) if called else None
        body = step.request.body.tree if isinstance(step.request.body, JsonBody) else None
        if facts is None or not isinstance(body, Object) or step.request.method != "POST":
            return None
        session, admin = self._catalog.session, ""
        for other in before:
            path = path_text(other.request.target)
            if other.kind is StepKind.LOGIN and path == session.admin_path:
                admin = next((c.variable for c in other.captures if c.pointer[-1] in session.token_fields), "")
            elif other.kind is StepKind.LOGOUT and admin in variables_of_step(other):
                admin = ""
        key = key_of(facts, body)
        if not admin or not key:
            return None
        prefix = (session.token_prefix,) if session.token_prefix else ()
        headers = (("Accept", Text(("application/json",))), (session.token_header, Text((*prefix, Var(admin)))))
        sent = Object((("to", step.request.target), ("body", body)))
        document = (("keys", Array((Object(key),))), ("record", Object(())), ("later", Array(())), ("rows", Object(())))
        request = replace(step.request, target=Text((facts.path or "",)), headers=headers, body=None)
        wanted = Wanted(Object((*document, ("sent", sent))), resource_path=facts.path or "")
        return replace(step, kind=StepKind.CREATE, resource=facts.name, request=request, captures=(), wanted=wanted)


def _noted_name(step: Step, needed: tuple[Capture, ...] = ()) -> str:
    """What names a call in the notes of runs, with other values another one, and with others needed of its answer."""
    import hashlib  # OpenSSL takes a while to load, and few journeys have such calls

    told = repr((step.request, [capture.pointer for capture in needed]))
    return f"{step.name} {hashlib.sha256(told.encode()).hexdigest()[:12]}"
