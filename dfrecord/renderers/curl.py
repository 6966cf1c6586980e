"""The `curl` format: one bash script that needs curl and jq, a function a step.

In comes a journey, out goes the script. This module decides what stands where and hands the templates in
`templates/curl/` source fragments that `bash_encoder` and `jq_encoder` made. No secret reaches a process's arguments:
URLs, headers and bodies go to curl through file descriptors, secrets to jq through its environment.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from dfrecord.journey.model import (
    Journey,
    JsonBody,
    Object,
    RawBody,
    Step,
    StepKind,
    Text,
    Tree,
    Variable,
    VariableKind,
    variables_of_lookup,
    variables_of_step,
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
class Function:
    """One function of the script, as source fragments. `body` are the commands that write the request's body."""

    name: str
    title: str
    arguments: tuple[str, ...]
    guarded: bool = False
    notes: tuple[str, ...] = ()
    encoded: tuple[Encoded, ...] = ()
    body: tuple[str, ...] | None = None
    captures: tuple[tuple[str, str, bool, bool], ...] = ()
    match: tuple[str, ...] = ()
    result: str = ""


def render(journey: Journey, options: RenderOptions) -> tuple[OutputFile, ...]:
    """The script, executable, as UTF-8."""
    script = _Script(journey)
    env = environment(options.template_dir, {"comment": comment, "quote": quote, "shown": shown})
    functions = [script.step(item) if isinstance(item, Step) else script.lookup(item) for item in journey.schedule()]
    source = env.get_template("curl/script.sh.j2").render(
        journey=journey,
        functions=functions,
        session=script.session,
        logs_in=any(function.guarded for function in functions),
        environment=[variable for variable in journey.variables if variable.env],
        required=script.required(given_token=False),
        required_with_token=script.required(given_token=True),
        integers=[v.env for v in journey.variables if v.env and v.type == "integer"],
        dangers=[quote(shown(f"{step.title}: {step.danger}")) for step in journey.steps if step.danger],
        residue=residue_lines(journey.residue),
        made=[shell for function in functions for shell, _, _, secret in function.captures if not secret],
        has_lookups=any(function.result for function in functions),
        has_captures=any(function.captures for function in functions),
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
        target = self._target(request.target)
        headers = self._headers(request.headers)
        body = self._body(request.body)
        return Function(
            name=safe_name(step.name),
            title=step.title,
            arguments=(quote(request.method), target, *headers),
            guarded=self._is_skipped(step),
            notes=tuple(notes),
            encoded=self._scope.take_encoded(),
            body=body,
            captures=tuple(self._capture(c.variable, c.pointer) for c in step.captures),
        )

    def lookup(self, variable: Variable) -> Function:
        """The function of a lookup."""
        lookup = variable.lookup
        assert lookup is not None
        arguments = (
            quote(lookup.resource),
            self._target(lookup.path),
            quote(jq_path(lookup.rows)),
            quote(lookup.pick),
            *self._headers(lookup.headers),
        )
        match = self._json(Object(lookup.match))
        return Function(
            name=f"find_{variable.name}",
            title=lookup.title,
            arguments=arguments,
            encoded=self._scope.take_encoded(),
            match=match,
            result=shell_name(variable),
        )

    def _capture(self, name: str, pointer: tuple[str | int, ...]) -> tuple[str, str, bool, bool]:
        """Shell variable, place in the answer, whether it may be given instead, whether it is secret."""
        variable = self._scope.variables[name]
        return shell_name(variable), quote(jq_path(pointer)), bool(variable.env), variable.secret

    def _target(self, target: Text) -> str:
        """The target with what HTTP forbids in it percent-encoded."""
        parts = [
            _FORBIDDEN_IN_TARGET.sub(_percent, part).replace("#", "%23") if isinstance(part, str) else part
            for part in target.parts
        ]
        return word(parts, self._scope)

    def _headers(self, headers: tuple[tuple[str, Text], ...]) -> list[str]:
        words = []
        for name, value in headers:
            if _HEADER_NAME.fullmatch(name):
                parts = [re.sub("[\r\n\0]", " ", p) if isinstance(p, str) else p for p in value.parts]
                empty = all(part == "" for part in parts)
                words.append(word([f"{name};" if empty else f"{name}: ", *parts], self._scope))
        return words

    def _body(self, body: JsonBody | RawBody | None) -> tuple[str, ...] | None:
        if body is None:
            return None
        if isinstance(body, JsonBody):
            return self._json(body.tree)
        if not body.parts:
            return (":",)
        return (
            printf_call(
                part if isinstance(part, bytes) else self._scope.reference(part.name, part.encoding)
                for part in body.parts
            ),
        )

    def _json(self, tree: Tree) -> tuple[str, ...]:
        program = jq_program(tree, self._scope, "    ")
        if program is None:
            return (printf_call(_merged(json_parts(tree, self._scope))),)
        arguments = "".join(f' {option} {name} "${shell}"' for option, name, shell in program.arguments)
        return (f"jq --null-input --compact-output --join-output{arguments} {program.source}",)


def _merged(parts: Iterable[bytes | str]) -> list[bytes | str]:
    merged: list[bytes | str] = []
    for part in parts:
        if isinstance(part, bytes) and merged and isinstance(merged[-1], bytes):
            merged[-1] += part
        else:
            merged.append(part)
    return merged


def _percent(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match.group().encode("utf-8", "surrogatepass"))
