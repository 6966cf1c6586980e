"""The values of a run's variables, and typed values with them filled in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from dfrecord.errors import UsageError
from dfrecord.journey.model import Journey, JsonBody, RequestBody, Step, Variable, VariableKind, variables_of_step
from dfrecord.journey.text_escapes import no_xml
from dfrecord.journey.undo_session import UndoSession
from dfrecord.journey.values import as_text, encoded, in_letters
from dfrecord.normalise.body import json_text, parse_json
from dfrecord.replaying import hiding
from dfrecord.tree import Array, Encoding, Number, Object, Text, Tree, Var

Values = dict[str, Tree]
"""By variable name: a value without variables in it."""


NOT_IN_XML = "holds a control character, which XML cannot hold; nothing was sent"


class Unknown(str):
    """Stands in a plan for a value that the run will give, in the words of the Python scripts' plans."""

    __slots__ = ()


AFTER_THE_RUN = Unknown("(known after the run)")
NEW = Unknown("(new)")
"""The id of what a call makes, which the plan cannot foresee."""


def id_of_new(number: int) -> Unknown:
    """Stands in a plan for the id of the nth record that the run would create: two records are told apart by it."""
    return Unknown(f"(new {number})")


def starting_values(journey: Journey, base_url: str, given: Mapping[str, str]) -> Values:
    """The values known before a run: `given` is an environment (names as in `Variable.env`), defaults fill the rest.

    Raises UsageError that names what is missing or of the wrong type.
    """
    values: Values = {}
    problems = []
    for variable in journey.variables:
        text = base_url if variable.env == "DF_BASE_URL" else given.get(variable.env, "") if variable.env else ""
        if text:
            value = _typed(text, variable)
            problems += [f"{variable.env} must be a JSON {variable.type}"] if value is None else []
            values[variable.name] = value
        elif variable.kind in (VariableKind.PARAMETER, VariableKind.SECRET) and not variable.follows:
            values[variable.name] = variable.default
    for variable in journey.variables:
        if variable.letters is not None:
            values[variable.name] = in_letters(as_text(values[variable.follows]), variable.letters)
    problems += [f"{env} {NOT_IN_XML}" for env in journey.in_xml if no_xml(given.get(env, ""))]
    if problems:
        raise UsageError("; ".join(problems))
    return values


def renamings(journey: Journey, values: Mapping[str, Tree]) -> list[tuple[str, str]]:
    """The recorded value of each text parameter that has another value in this run, and that value; long ones first."""
    recorded = {v.name: v.default for v in journey.variables if isinstance(v.default, str) and v.default}
    for variable in journey.variables:
        if variable.letters is not None and variable.follows in recorded:
            recorded[variable.name] = in_letters(recorded[variable.follows], variable.letters)
    pairs = [(old, new) for name, old in recorded.items() if isinstance(new := values.get(name), str) and new != old]
    return sorted(pairs, key=lambda pair: -len(pair[0]))


def given_otherwise(journey: Journey, values: Mapping[str, Tree]) -> dict[str, str]:
    """The parameters, by `env` and as text, that have another value in this run than the recorded one."""
    return {
        v.env: text
        for v in journey.variables
        if v.names_a_run and (text := as_text(values[v.name])) != as_text(v.default)
    }


def is_signed_on(journey: Journey, values: Mapping[str, Tree]) -> bool:
    """Whether the session token is given, so that nobody logs in."""
    session = journey.session
    return session is not None and bool(values.get(session.name))


def check_given(journey: Journey, values: Mapping[str, Tree], undo: UndoSession | None = None) -> None:
    """Raises UsageError that names what is missing for a run, or for a teardown in that session."""
    signed_on = is_signed_on(journey, values)
    signs = [step for step in journey.steps if journey.is_sign_on(step)]
    others = [step for step in journey.steps if not journey.is_sign_on(step)]
    to_sign_on = {name for step in signs for name in variables_of_step(step)}
    only_to_sign_on = to_sign_on - {name for step in others for name in variables_of_step(step)}
    required = {variable.name for variable in journey.variables if variable.required}
    if undo is not None:
        needed = required & (undo.needed_signed_on if signed_on else undo.needed)
    else:
        needed = required - only_to_sign_on if signed_on else required
    missing = [v.env for v in journey.variables if v.name in needed and values.get(v.name) in (None, "")]
    captured = {capture.variable for step in journey.steps for capture in step.captures}
    if (session := journey.session) and session.name not in captured and not signed_on:
        missing.append(session.env)
    if missing:
        raise UsageError(f"set {', '.join(missing)} first; nothing was sent")


def hidden(text: str, journey: Journey, values: Mapping[str, Tree]) -> str:
    """A text without the secrets of a run, however they are written in it."""
    given = [values.get(variable.name) for variable in journey.variables if variable.secret]
    secrets = [as_text(value) for value in given if value not in (None, "") and not isinstance(value, Unknown)]
    return hiding.hidden(text, dict.fromkeys(secrets, "***"))


def _typed(text: str, variable: Variable) -> Tree:
    """The value that a person typed, None when it is not of the variable's type."""
    if variable.type == "string":
        return text
    try:
        value = parse_json(text)
    except ValueError:
        return None
    fits = isinstance(value, bool) if variable.type == "boolean" else isinstance(value, Number)
    return value if fits and (variable.type != "integer" or text.lstrip("-").isdigit()) else None


def filled_text(text: Text, values: Mapping[str, Tree]) -> str:
    """The text with its variables' values, each in its encoding."""
    return "".join(part if isinstance(part, str) else encoded(values[part.name], part.encoding) for part in text.parts)


def filled(tree: Tree, values: Mapping[str, Tree]) -> Tree:
    """The JSON value with its variables' values."""
    match tree:
        case Var(name=name, encoding=Encoding.PLAIN):
            return values[name]
        case Var(name=name, encoding=encoding):
            return encoded(values[name], encoding)
        case Text():
            return filled_text(tree, values)
        case Array(items=items):
            return Array(tuple(filled(item, values) for item in items))
        case Object(members=members):
            return Object(
                tuple(
                    (key if isinstance(key, str) else filled_text(key, values), filled(value, values))
                    for key, value in members
                )
            )
    return tree


def filled_body(body: RequestBody, values: Mapping[str, Tree]) -> bytes | None:
    """The bytes of a body, None for no body."""
    if body is None:
        return None
    if isinstance(body, JsonBody):
        return json_text(filled(body.tree, values)).encode("utf-8", "backslashreplace")
    return b"".join(
        part if isinstance(part, bytes) else encoded(values[part.name], part.encoding).encode() for part in body.parts
    )


def as_json(tree: Tree) -> Any:
    """A tree without variables as Python's own JSON values. A number of more digits than Python converts stays text."""
    return json.loads(json_text(tree), parse_int=lambda text: int(text) if len(text) < 4300 else text)


def json_bytes(value: Any) -> bytes:
    """Python's own JSON values as compact JSON in UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")


def as_tree(record: Any) -> Tree:
    """Plain JSON as a tree."""
    return parse_json(json_bytes(record))


def title_of(step: Step, values: Values) -> str:
    """What a step does, with the values of the parameters in it."""
    return filled_text(step.heading, values) if step.heading else step.title
