"""The requests of a `.http` file: the schedule of a journey, as text that may stand in it.

What differs between the clients is where a value of an earlier answer stands; the dialect says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

from dfrecord.errors import UsageError
from dfrecord.journey.model import Journey, JsonBody, Letters, RawBody, Step, Variable
from dfrecord.renderers.http_encoder import HttpEncoder, comment, default_line
from dfrecord.renderers.postman_encoder import clean, js
from dfrecord.renderers.registry import OutputFile
from dfrecord.tree import Number, Text, Tree

Pointer = tuple[str | int, ...]
_METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS")
_UNFILTERABLE = frozenset('"\\(){},<>=!')  # system-api.md section 10
_TAKEN = frozenset(
    {
        "dfrecord",
        "console",
        "context",
        "exports",
        "module",
        "process",
        "request",
        "require",
        "response",
        "sleep",
        "test",
    }
)


@dataclass(frozen=True, slots=True)
class Request:
    """One block of the file, as text that may stand in it. `lookup` is what its answer must hold exactly one of."""

    name: str
    item: Step | Variable  # what it comes from
    heading: str
    lines: tuple[str, ...]  # method and URL, then headers
    body: str = ""
    notes: tuple[str, ...] = ()
    signs_on: bool = False
    lookup: dict[str, str] | None = None
    hides: tuple[str, ...] = ()  # of these, what is secret
    captures: tuple[str, ...] = ()  # what its answer must hold: pointers in JSON
    numbers: tuple[str, ...] = ()  # of these, what must be a whole number


class Requests:
    """Turns the schedule of a journey into requests.

    `place` gives what stands between the braces for a variable that a request's answer gives: of its name, that of the
    request, and the pointer into the answer.
    """

    def __init__(self, journey: Journey, stem: str, place: Callable[[str, str, Pointer], str]) -> None:
        self._journey, self._stem, self._place = journey, stem, place
        self.encoder = HttpEncoder({variable.name: variable for variable in journey.variables}, {})
        self.bodies: list[OutputFile] = []
        self.session_names: list[tuple[str, tuple[str | int, ...]]] = []
        for variable in journey.variables:
            if variable.env:  # every given variable has its line, under its own name
                self.encoder.placeholder(variable.name, self.encoder.usual(variable))

    def requests(self) -> list[Request]:
        """What is sent, in order."""
        self._forget_session()
        return [self._step(i) if isinstance(i, Step) else self._lookup(i) for i in self._journey.schedule()]

    def _forget_session(self) -> None:
        """A captured session has no line of its own."""
        session = self._journey.session
        captured = {capture.variable for step in self._journey.steps for capture in step.captures}
        if session and session.name in captured:
            self.encoder.forms.pop(session.name, None)

    def line(self, name: str, variable: str, form: str) -> str:
        """What stands after `@name =` for editors."""
        facts = self.encoder.variables[variable]
        text = given_text(facts, self._journey)
        if text is None:
            return f"{{{{$processEnv {facts.env}}}}}" if name == variable else f"{{{{{variable}}}}}"
        return quote(text, safe="") if form == "uri" else default_line(text)

    def _step(self, step: Step) -> Request:
        request, name = step.request, _named(step.name)
        if request.method not in _METHODS:
            raise UsageError(f"format http: clients lack the method {clean(request.method)} of {comment(step.title)}")
        body = ""
        if isinstance(request.body, JsonBody):
            body = self.encoder.json(request.body.tree)
        elif isinstance(request.body, RawBody) and request.body.parts:
            body = self._included(step.title, name, request.body)
        made = Request(
            name=name,
            item=step,
            heading=comment(step.title),
            lines=self._lines(request.method, self.encoder.target(request.target), request.headers),
            body=body,
            notes=tuple(map(comment, (*([f"Dangerous: {step.danger}"] if step.danger else []), *step.notes))),
            signs_on=self._journey.is_sign_on(step),
            hides=tuple(
                "/".join(map(str, capture.pointer))
                for capture in step.captures
                if self._journey.variable(capture.variable).secret
            ),
            captures=tuple(js(list(capture.pointer)) for capture in step.captures),
            numbers=tuple(
                "/".join(map(str, capture.pointer))
                for capture in step.captures
                if self._journey.variable(capture.variable).type == "integer"
            ),
        )
        for capture in step.captures:
            self.encoder.made[capture.variable] = self._place(capture.variable, name, capture.pointer)
            if self._journey.session and capture.variable == self._journey.session.name:
                self.session_names.append((name, capture.pointer))
        return made

    def _included(self, title: str, name: str, body: RawBody) -> str:
        """A body that is sent byte for byte: in a file of its own, which no client looks into."""
        if any(not isinstance(part, bytes) for part in body.parts):
            raise UsageError(
                f"format http: the body of {comment(title)} is not JSON and holds a variable, which clients cannot "
                "escape; choose curl, python or postman"
            )
        file = f".{name}.body"
        self.bodies.append(OutputFile(b"".join(part for part in body.parts if isinstance(part, bytes)), suffix=file))
        return f"< ./{self._stem}{file}"

    def _lines(self, method: str, target: str, headers: tuple[tuple[str, Text], ...]) -> tuple[str, ...]:
        url = f"{method} {self.encoder.placeholder('base_url', 'text')}{target}"
        return (url, *(self.encoder.header(name, value) for name, value in headers))

    def _lookup(self, variable: Variable) -> Request:
        lookup = variable.lookup
        assert lookup is not None
        name = _named(f"find_{variable.name}")
        target, (field, value) = self.encoder.target(lookup.path), lookup.match[0]
        filtered = lookup.takes_filter(self._journey.conventions) and isinstance(value, str) and value != ""
        filtered = filtered and not _UNFILTERABLE & set(str(value))
        if filtered:
            wanted = f'{field}="{value}"'
            target += f"{'&' if '?' in target else '?'}filter={quote(wanted, safe='')}"
        elif lookup.lists(self._journey.conventions):
            target += f"{'&' if '?' in target else '?'}include_count=true"
        made = Request(
            name=name,
            item=variable,
            heading=comment(lookup.title),
            lines=self._lines("GET", target, lookup.headers),
            notes=() if filtered else ("VS Code REST Client cannot search the answer: put the id in where it is used",),
            lookup={
                "rows": js(list(lookup.rows)),
                "match": "[" + ", ".join(f"[{js(key)}, {self.encoder.js(item)}]" for key, item in lookup.match) + "]",
                "pick": js(lookup.pick),
                "resource": js(clean(lookup.resource)),
                "nth": js(lookup.nth),
            },
        )
        found: tuple[str | int, ...] = (*lookup.rows, 0, lookup.pick) if filtered else ("found", lookup.pick)
        self.encoder.made[variable.name] = self._place(variable.name, name, found)
        return made


def given_text(variable: Variable, journey: Journey) -> str | None:
    """The default of a variable, or of the one that it follows, as one would type it; None when there is none."""
    default = default_text(journey.variable(variable.follows or variable.name).default)
    return None if default is None else _in_letters(default, variable.letters)


def _in_letters(text: str, letters: Letters | None) -> str:
    match letters:
        case Letters.UPPER:
            return text.upper()
        case Letters.LOWER:
            return text.lower()
        case Letters.CAPITALIZED:
            return text[:1].upper() + text[1:]
    return text


def _named(name: str) -> str:
    return f"{name}_" if name in _TAKEN or not re.fullmatch(r"\w+", name, re.ASCII) else name


def default_text(default: Tree) -> str | None:
    """A recorded default as one would type it."""
    if isinstance(default, bool):
        return "true" if default else "false"
    return default if isinstance(default, str) else default.text if isinstance(default, Number) else None
