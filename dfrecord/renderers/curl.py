"""The `curl` format: one bash script that needs curl and jq, a function a step.

In comes a journey, out goes the script. This module decides what stands where and hands the templates in
`templates/curl/` source fragments that `bash_encoder` and `jq_encoder` made. No secret reaches a process's arguments:
URLs, headers and bodies go to curl through file descriptors, secrets to jq through its environment.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dfrecord.journey.model import (
    Journey,
    JsonBody,
    Number,
    Object,
    RequestBody,
    Step,
    StepKind,
    Text,
    Tree,
    Var,
    Variable,
    VariableKind,
    variables_of_lookup,
    variables_of_step,
    variables_of_tree,
)
from dfrecord.renderers import OutputFile, RenderOptions
from dfrecord.renderers.bash_encoder import (
    Encoded,
    Scope,
    comment,
    printf_call,
    quote,
    safe_name,
    shell_name,
    shown,
    word,
)
from dfrecord.renderers.jq_encoder import jq_path, jq_program, json_parts
from dfrecord.renderers.residue import residue_lines
from dfrecord.renderers.templates import environment

_FORBIDDEN_IN_TARGET = re.compile("[^\x21-\x7e]")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2


@dataclass(frozen=True, slots=True)
class Taken:
    """A capture: the shell variable, its type, its place in the answer."""

    shell: str
    type: str
    place: str
    may_be_given: bool
    secret: bool


@dataclass(frozen=True, slots=True)
class Function:
    """One function of the script, as source fragments: `command` sends with `headers`, after `json` was made by jq or
    with `bytes` as the command that writes the body; a lookup's find goes to the variable `result`."""

    name: str
    title: str
    command: str
    headers: tuple[str, ...]
    guarded: bool = False
    notes: tuple[str, ...] = ()
    encoded: tuple[Encoded, ...] = ()
    json: str = ""
    bytes: str = ""
    captures: tuple[Taken, ...] = ()
    result: str = ""
    exported: bool = False


def render(journey: Journey, options: RenderOptions) -> tuple[OutputFile, ...]:
    """The script, executable, as UTF-8."""
    script = _Script(journey)
    env = environment(options.template_dir, {"comment": comment, "quote": quote, "shown": shown})
    functions = [script.step(item) if isinstance(item, Step) else script.lookup(item) for item in journey.schedule()]
    from_outside = [v for v in journey.variables if v.env and v.kind is not VariableKind.CAPTURE]
    typed = [(v.env, script.type(v)) for v in from_outside if v.type != "string"]
    captures = [capture for function in functions for capture in function.captures]
    looked_up = [script.type(v) for v in journey.variables if v.lookup is not None]
    source = env.get_template("curl/script.sh.j2").render(
        journey=journey,
        functions=functions,
        session=script.session,
        environment=script.environment(),
        required=script.required(given_token=False),
        required_with_token=script.required(given_token=True),
        typed=typed,
        defaults=[(v.env, script.default(v)) for v in from_outside if not v.required],
        exported=[v.env for v in journey.variables if v.env and v.secret],
        dangers=[quote(shown(f"{step.title}: {step.danger}")) for step in journey.steps if step.danger],
        residue=residue_lines(journey.residue),
        made=list(dict.fromkeys(capture.shell for capture in captures if not capture.secret)),
        has_json=any(function.json for function in functions if not function.result),
        has_bytes=any(function.bytes for function in functions),
        has_lookups=bool(looked_up),
        has_captures=bool(captures),
        types={*(type for _, type in typed), *looked_up, *(capture.type for capture in captures)},
        helpers={encoded.helper for function in functions for encoded in function.encoded},
    )
    return (OutputFile(source.encode("utf-8"), executable=True),)


class _Script:
    """Turns steps and lookups into functions."""

    def __init__(self, journey: Journey) -> None:
        self._journey = journey
        self._scope = Scope({variable.name: variable for variable in journey.variables})
        given = (v for v in journey.variables if v.kind is VariableKind.CAPTURE and v.env)
        self._session = next(given, None)
        self.session = shell_name(self._session) if self._session else ""
        trees = [step.request.body.tree for step in journey.steps if isinstance(step.request.body, JsonBody)]
        trees += [Object(variable.lookup.match) for variable in journey.variables if variable.lookup is not None]
        self._in_json = {name for tree in trees for name in variables_of_tree(tree)}

    def environment(self) -> list[tuple[str, str]]:
        """The environment variables, all of one width, and what to say about each."""
        rows = []
        for v in self._journey.variables:
            if v.env:
                words = ["secret"] * v.secret
                if v.kind is VariableKind.CAPTURE:
                    words.append("optional")
                elif not v.required:
                    words.append("optional" if v.default is None else f"default: {_text(v.default)}")
                rows.append((v.env, v.description + (f" ({', '.join(words)})" if words else "")))
        if any(step.danger for step in self._journey.steps):
            rows.append(("DF_YES", "1: go ahead with the steps that need your consent (or --yes)"))
        width = max((len(name) for name, _ in rows), default=0)
        return [(name.ljust(width), about.strip()) for name, about in rows]

    def default(self, variable: Variable) -> str:
        """What an optional variable is when it is not given: its default, else nothing."""
        if variable.default is None:
            return "''" if variable.type == "string" else "null"
        return quote(_text(variable.default))

    def type(self, variable: Variable) -> str:
        """The check that its value has to pass: `is_…` of the script."""
        if variable.type == "integer" and variable.name not in self._in_json:
            return "digits"  # any number of them, since jq never rounds it
        return variable.type

    def required(self, *, given_token: bool) -> list[str]:
        """The environment variables a run needs, when the session token is given and when it is not."""
        steps = [step for step in self._journey.steps if not (given_token and self._is_skipped(step))]
        used = {name for step in steps for name in variables_of_step(step)} | {"base_url"}
        used |= {name for variable in self._journey.variables for name in variables_of_lookup(variable)}
        needed = [v.env for v in self._journey.variables if v.required and v.name in used]
        captured = {capture.variable for step in self._journey.steps for capture in step.captures}
        if self._session and self._session.name in used and self._session.name not in captured:
            needed.append(self._session.env)
        return needed

    def _is_skipped(self, step: Step) -> bool:
        if self._session is None:
            return False
        captured = {capture.variable for capture in step.captures}
        return step.kind is StepKind.LOGOUT or (step.kind is StepKind.LOGIN and captured == {self._session.name})

    def step(self, step: Step) -> Function:
        """The function of a step."""
        request = step.request
        notes = list(step.notes)
        notes += [f"header {name} cannot be sent" for name, _ in request.headers if not _HEADER_NAME.fullmatch(name)]
        has_body = request.body is not None
        if has_body and request.method == "HEAD":  # curl waits for an answer's body to anything but a plain --head
            notes.append("the body of this HEAD request is not sent")
            has_body = False
        made, raw = self._body(request.body) if has_body else ("", "")
        content = "with_json" if made else "with_body" if raw else "without_body"
        method = request.method if re.fullmatch("[A-Z]+", request.method) else quote(request.method)
        return Function(
            name=safe_name(step.name),
            title=step.title,
            command=f"send {content} {method} {self._target(request.target)}",
            headers=self._headers(request.headers),
            guarded=self._is_skipped(step),
            notes=tuple(notes),
            encoded=self._scope.take_encoded(),
            json=made,
            bytes=raw,
            captures=tuple(self._capture(c.variable, c.pointer) for c in step.captures),
        )

    def lookup(self, variable: Variable) -> Function:
        """The function of a lookup."""
        lookup = variable.lookup
        assert lookup is not None
        what = word((lookup.resource, " with ", *self._named(lookup.match)), self._scope)
        place = f"{self._target(lookup.path)} {quote(jq_path(lookup.rows))} {quote(lookup.pick)}"
        made, raw = self._json(Object(lookup.match))
        return Function(
            name=f"find_{variable.name}",
            title=lookup.title,
            command=f"find_record {self.type(variable)} {what} {place}",
            headers=self._headers(lookup.headers),
            encoded=self._scope.take_encoded(),
            json=made or raw,
            result=shell_name(variable),
            exported=variable.secret,
        )

    def _named(self, match: tuple[tuple[str, Tree], ...]) -> Iterator[str | Var]:
        """The looked-for values in words for a message, secrets only by name."""
        for number, (field, value) in enumerate(match):
            yield f"{', ' if number else ''}{shown(field)} "
            if any(self._scope.variables[name].secret for name in variables_of_tree(value)):
                yield "(a secret)"
            elif isinstance(value, Var):
                yield Var(value.name)
            elif isinstance(value, Text):
                yield from (part if isinstance(part, Var) else shown(part) for part in value.parts)
            else:
                yield f'"{shown(value)}"' if isinstance(value, str) else _text(value)

    def _capture(self, name: str, pointer: tuple[str | int, ...]) -> Taken:
        variable = self._scope.variables[name]
        place = quote(jq_path(pointer))
        return Taken(shell_name(variable), self.type(variable), place, bool(variable.env), variable.secret)

    def _target(self, target: Text) -> str:
        """The target with what HTTP forbids in it percent-encoded."""
        parts = [
            _FORBIDDEN_IN_TARGET.sub(_percent, part).replace("#", "%23") if isinstance(part, str) else part
            for part in target.parts
        ]
        return word(parts, self._scope)

    def _headers(self, headers: tuple[tuple[str, Text], ...]) -> tuple[str, ...]:
        words = []
        for name, value in headers:
            if _HEADER_NAME.fullmatch(name):
                parts = [re.sub("[\r\n\0]", " ", p) if isinstance(p, str) else p for p in value.parts]
                empty = all(isinstance(part, str) and not part.strip(" \t") for part in parts)
                words.append(word([f"{name};"] if empty else [f"{name}: ", *parts], self._scope))
        return tuple(words)

    def _body(self, body: RequestBody) -> tuple[str, str]:
        """The command whose output becomes the variable json, or else the one that writes the body."""
        if isinstance(body, JsonBody):
            return self._json(body.tree)
        parts = body.parts if body else ()
        if not parts:
            return "", ":"
        named = (p if isinstance(p, bytes) else self._scope.reference(p.name, p.encoding) for p in parts)
        return "", printf_call(_merged(named))

    def _json(self, tree: Tree) -> tuple[str, str]:
        program = jq_program(tree, self._scope, "    ")
        if program is None:
            return "", printf_call(_merged(json_parts(tree, self._scope)))
        if not program.arguments:
            return f"jq -nc {program.source}", ""
        arguments = "".join(f' \\\n    {option} {name} "${shell}"' for option, name, shell in program.arguments)
        return f"jq -nc{arguments} \\\n    {program.source}", ""


def _text(value: Tree) -> str:
    """A single value as the text that a shell variable holds."""
    match value:
        case str():
            return value
        case Number(text=text):
            return text
        case Text(literal=str(literal)):
            return literal
        case None | bool():
            return json.dumps(value)
    raise TypeError(f"not a single value: {value!r}")


def _merged(parts: Iterable[bytes | str]) -> list[bytes | str]:
    merged: list[bytes | str] = []
    literal = bytearray()
    for part in parts:
        if isinstance(part, bytes):
            literal += part
            continue
        merged += [bytes(literal), part]
        literal.clear()
    return [part for part in (*merged, bytes(literal)) if part]


def _percent(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match.group().encode("utf-8", "surrogatepass"))
