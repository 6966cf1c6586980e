"""The `curl` format: one bash script that needs curl and jq, a function a step.

In comes a journey, out goes the script. This module decides what stands where and hands the templates in
`templates/curl/` source fragments that `bash_encoder` and `jq_encoder` made. No secret reaches a process's arguments:
URLs, headers and bodies go to curl through file descriptors, secrets to jq through its environment.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from dfrecord.journey.model import (
    Journey,
    JsonBody,
    Letters,
    RequestBody,
    Step,
    StepKind,
    Variable,
    VariableKind,
    Wanted,
    variables_of_lookup,
    variables_of_step,
    variables_of_tree,
)
from dfrecord.journey.undo_session import undo_session
from dfrecord.normalise.body import json_text
from dfrecord.outputs import INVISIBLE
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
from dfrecord.renderers.jq_encoder import jq_path, jq_program, json_inside, json_parts
from dfrecord.renderers.registry import FunctionRenderer, OutputFile, RenderOptions
from dfrecord.renderers.residue import residue_lines
from dfrecord.renderers.templates import environment
from dfrecord.tree import Array, Number, Object, Text, Tree, Var

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
    with `bytes` as the command that writes the body; a lookup's find goes to the variable `result`. `document` makes
    the JSON that says what shall be true, `makes` is the path of what is created, `once` the name under which runs note
    that it was sent, and `told_plainly` its title then."""

    name: str
    title: str
    shown_title: str
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
    document: str = ""
    makes: str = ""
    due: str = ""
    once: str = ""
    may_be_gone: bool = False
    places: str = ""
    told_plainly: str = ""


def render(journey: Journey, options: RenderOptions) -> tuple[OutputFile, ...]:
    """The script, executable, as UTF-8."""
    script = _Script(journey)
    env = environment(options.template_dir, {"comment": comment, "quote": quote, "shown": shown})
    undo = undo_session(journey)
    functions = [script.step(item) if isinstance(item, Step) else script.lookup(item) for item in journey.schedule()]
    from_outside = [v for v in journey.variables if v.env and v.kind is not VariableKind.CAPTURE]
    typed = [(v.env, script.type(v)) for v in from_outside if v.type != "string"]
    captures = [capture for function in functions for capture in function.captures]
    looked_up = [script.type(v) for v in journey.variables if v.lookup is not None]
    source = env.get_template("curl/script.sh.j2").render(
        journey=journey,
        records=jq_path(journey.conventions.rows),
        id_path=jq_path((journey.conventions.id,)),
        own_path=_own_path(journey),
        functions=functions,
        session=script.session,
        environment=script.environment(),
        required=script.required(given_token=False),
        required_with_token=script.required(given_token=True),
        told=[(v.env, script.default(v)) for v in journey.variables if v.names_a_run],
        teardown_headers=script.headers(undo.headers),
        undo_logins=[script.step(step) for step in undo.logins],
        undo_logouts=[script.step(step) for step in undo.logouts],
        required_to_undo=script.given(undo.needed),
        required_to_undo_with_token=script.given(undo.needed_signed_on),
        followers=script.followers(),
        typed=typed,
        defaults=[(v.env, script.default(v)) for v in from_outside if not v.required],
        exported=[v.env for v in journey.variables if v.env and v.secret],
        secrets=[shell_name(v) for v in journey.variables if v.secret],
        dangers=[quote(shown(f"{step.title}: {step.danger}")) for step in journey.steps if step.danger],
        residue=residue_lines(journey.residue),
        made=list(dict.fromkeys(capture.shell for capture in captures if not capture.secret)),
        has_json=any(function.json for function in functions if not function.result),
        has_bytes=any(function.bytes for function in functions),
        has_lookups=bool(looked_up),
        has_captures=bool(captures),
        types={*(type for _, type in typed), *looked_up, *(capture.type for capture in captures)},
        in_xml=journey.in_xml,
        helpers={encoded.helper for function in functions for encoded in function.encoded},
    )
    return (OutputFile(source.encode("utf-8"), executable=True),)


def _own_path(journey: Journey) -> str:
    """The jq path to the field that a record is known by; `$list` is the path of its list."""
    if not journey.named:
        return jq_path((journey.conventions.id,))
    fields = ", ".join(
        f'"{json_inside(path, True)}": "{json_inside(name, True)}"' for path, name in journey.named.items()
    )
    return f'.[{{{fields}}}[$list] // "{json_inside(journey.conventions.id, True)}"]'


class _Script:
    """Turns steps and lookups into functions."""

    def __init__(self, journey: Journey) -> None:
        self._journey = journey
        self._scope = Scope({variable.name: variable for variable in journey.variables})
        self._session = journey.session
        self.session = shell_name(self._session) if self._session else ""
        trees = [step.request.body.tree for step in journey.steps if isinstance(step.request.body, JsonBody)]
        trees += [step.wanted.document for step in journey.steps if step.wanted is not None]
        lookups = [variable.lookup for variable in journey.variables if variable.lookup is not None]
        trees += [Object(match) for lookup in lookups for match in (*lookup.newer, lookup.match)]
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
        if self._journey.teardown:
            rows.append(("DF_TEARDOWN", "1: delete what earlier runs created instead (or --teardown)"))
        if self._journey.keeps_notes:
            rows.append(
                ("DF_CREATED", f"the file that notes what runs create (default: {self._journey.name}.created.jsonl)")
            )
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
        steps = [step for step in self._journey.steps if not (given_token and self._journey.is_sign_on(step))]
        used = {name for step in steps for name in variables_of_step(step)} | {"base_url"}
        used |= {name for variable in self._journey.variables for name in variables_of_lookup(variable)}
        needed = [v.env for v in self._journey.variables if v.required and v.name in used]
        captured = {capture.variable for step in self._journey.steps for capture in step.captures}
        if self._session and self._session.name in used and self._session.name not in captured:
            needed.append(self._session.env)
        return list(dict.fromkeys(needed))

    def step(self, step: Step) -> Function:
        """The function of a step."""
        request = step.request
        notes = list(step.notes)
        notes += [f"header {name} cannot be sent" for name, _ in request.headers if not _HEADER_NAME.fullmatch(name)]
        document = command = made = raw = ""
        if step.wanted is not None:
            document, command = self._document(step.wanted, notes), self._wanted_command(step, step.wanted)
        else:
            has_body = request.body is not None
            if has_body and request.method == "HEAD":  # curl waits for an answer's body to anything but a plain --head
                notes.append("the body of this HEAD request is not sent")
                has_body = False
            made, raw = self._body(request.body) if has_body else ("", "")
            content = "with_json" if made else "with_body" if raw else "without_body"
            sends = "fetch" if step.may_be_gone else "send"
            command = f"{sends} {content} {_method(request.method)} {self._target(request.target)}"
        heading = word(map(_visible, step.heading.parts), self._scope) if step.heading else quote(shown(step.title))
        return Function(
            name=safe_name(step.name),
            title=step.title,
            shown_title=heading,
            command=command,
            headers=self.headers(request.headers),
            guarded=self._journey.is_sign_on(step),
            notes=tuple(notes),
            encoded=self._scope.take_encoded(),
            json=made,
            bytes=raw,
            captures=tuple(self._capture(c.variable, c.pointer) for c in step.captures),
            document=document,
            makes=quote(step.makes) if step.makes else "",
            due=quote(step.due) if step.due else "",
            once=quote(step.once) if step.once else "",
            may_be_gone=step.may_be_gone,
            places=quote(json.dumps([capture.pointer for capture in step.captures])) if step.once else "",
            told_plainly=quote(shown(step.title)) if step.once else "",
        )

    def _wanted_command(self, step: Step, wanted: Wanted) -> str:
        target = self._target(step.request.target)
        if step.kind is StepKind.DELETE:
            there = f'"${shell_name(self._scope.variables[wanted.record])}"' if wanted.record else "yes"
            return f"remove {target} {there}"
        if step.kind is StepKind.UPDATE:
            return f"change {target}"
        return f"ensure {_method(step.request.method)} {target}"

    def _document(self, wanted: Wanted, notes: list[str]) -> str:
        made, raw = self._json(wanted.document)
        if raw:
            notes.append("jq before 1.7 rounds numbers of more than 15 digits: take a newer one for this step")
        return made or raw

    def followers(self) -> list[tuple[str, str, str]]:
        """Each variable that is another one in other letters: its name, the jq program, the other's name."""
        programs = {
            Letters.UPPER: "ascii_upcase",
            Letters.LOWER: "ascii_downcase",
            Letters.CAPITALIZED: "(.[:1] | ascii_upcase) + .[1:]",
        }
        return [
            (shell_name(v), programs[v.letters], shell_name(self._scope.variables[v.follows]))
            for v in self._journey.variables
            if v.letters
        ]

    def given(self, names: Collection[str]) -> list[str]:
        """The environment variables of those that a person has to give, after the instance."""
        return ["DF_BASE_URL", *(v.env for v in self._journey.variables if v.required and v.name in names)]

    def lookup(self, variable: Variable) -> Function:
        """The function of a lookup."""
        lookup = variable.lookup
        assert lookup is not None
        what = word((lookup.resource, " with ", *self._named(lookup.match)), self._scope)
        place = f"{self._target(lookup.path)} {quote(jq_path(lookup.rows))} {quote(lookup.pick)}"
        keys = [Object(match) for match in (*lookup.newer, lookup.match)]
        made, raw = self._json(Array(tuple(keys)) if lookup.newer else keys[0])
        choices = "optional=yes " if lookup.optional else ""
        choices += f"nth={lookup.nth} " if lookup.nth is not None else ""
        choices += f"alike={lookup.alike} " if lookup.alike else ""
        return Function(
            name=f"find_{variable.name}",
            title=lookup.title,
            shown_title=quote(shown(lookup.title)),
            command=f"{choices}find_record {self.type(variable)} {what} {place}",
            headers=self.headers(lookup.headers),
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
            elif isinstance(value, (Array, Object)):
                yield "(as recorded)" if [*variables_of_tree(value)] else shown(json_text(value))
            else:
                yield f'"{shown(value)}"' if isinstance(value, str) else _text(value)

    def _capture(self, name: str, pointer: tuple[str | int, ...]) -> Taken:
        variable = self._scope.variables[name]
        place = quote(jq_path(pointer))
        return Taken(shell_name(variable), self.type(variable), place, bool(variable.env), variable.secret)

    def _target(self, target: Text) -> str:
        return word(target_parts(target), self._scope)

    def headers(self, headers: tuple[tuple[str, Text], ...]) -> tuple[str, ...]:
        """Each header as one word of bash."""
        return tuple(word(parts, self._scope) for parts in header_parts(headers))

    def _body(self, body: RequestBody) -> tuple[str, str]:
        """The command whose output becomes the variable json, or else the one that writes the body."""
        if isinstance(body, JsonBody):
            return self._json(body.tree)
        parts = body.parts if body else ()
        if not parts:
            return "", ":"
        named = (p if isinstance(p, bytes) else self._scope.reference(p.name, p.encoding) for p in parts)
        return "", printf_call(merged(named))

    def _json(self, tree: Tree) -> tuple[str, str]:
        program = jq_program(tree, self._scope, "    ")
        if program is None:
            return "", printf_call(merged(json_parts(tree, self._scope)))
        if not program.arguments:
            return f"jq -nc {program.source}", ""
        arguments = "".join(f' \\\n    {option} {name} "${shell}"' for option, name, shell in program.arguments)
        return f"jq -nc{arguments} \\\n    {program.source}", ""


def _method(method: str) -> str:
    return method if re.fullmatch("[A-Z]+", method) else quote(method)


def _visible(part: str | Var) -> str | Var:
    """A part of a heading in which nothing hides; the blanks beside a variable stay."""
    return INVISIBLE.sub("?", part) if isinstance(part, str) else part


def target_parts(target: Text) -> list[str | Var]:
    """The target with what HTTP forbids in it percent-encoded."""
    return [
        _FORBIDDEN_IN_TARGET.sub(_percent, part).replace("#", "%23") if isinstance(part, str) else part
        for part in target.parts
    ]


def header_parts(headers: tuple[tuple[str, Text], ...]) -> Iterator[list[str | Var]]:
    """Each header that can be sent, as what curl's `--header` takes."""
    for name, value in headers:
        if _HEADER_NAME.fullmatch(name):
            parts = [re.sub("[\r\n\0]", " ", p) if isinstance(p, str) else p for p in value.parts]
            empty = all(isinstance(part, str) and not part.strip(" \t") for part in parts)
            yield [f"{name};"] if empty else [f"{name}: ", *parts]


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


def merged(parts: Iterable[bytes | str]) -> list[bytes | str]:
    """The parts with neighbouring bytes joined and none empty."""
    joined: list[bytes | str] = []
    literal = bytearray()
    for part in parts:
        if isinstance(part, bytes):
            literal += part
            continue
        joined += [bytes(literal), part]
        literal.clear()
    return [part for part in (*joined, bytes(literal)) if part]


def _percent(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match.group().encode("utf-8", "surrogatepass"))


RENDERER = FunctionRenderer(".sh", "bash, curl, jq", render)
