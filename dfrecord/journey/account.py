"""A journey told as plain data, for `dfrecord show --json` and other programs.

The form is versioned: `format` is `dfrecord-journey/1`, described by docs/journey.schema.json. Within version 1
members may be added, never changed or taken away.
"""

from __future__ import annotations

import math
from typing import Any

from dfrecord.journey.model import Journey, JsonBody, RawBody, Step, Variable, variables_of_lookup, variables_of_step
from dfrecord.tree import Array, Number, Object, Text, Tree, Var

FORMAT = "dfrecord-journey/1"


def account(journey: Journey) -> dict[str, Any]:
    """The journey as JSON-ready data. It holds no secret; recorded text in it is data, not markup."""
    used_by: dict[str, list[str]] = {}
    made_by = {capture.variable: step.name for step in journey.steps for capture in step.captures}
    for step in journey.steps:
        for name in dict.fromkeys(variables_of_step(step)):
            used_by.setdefault(name, []).append(step.name)
    for variable in journey.variables:
        for name in dict.fromkeys(variables_of_lookup(variable)):
            used_by.setdefault(name, []).append(variable.name)
    return {
        "format": FORMAT,
        "name": journey.name,
        "title": journey.title,
        "source": journey.source,
        "entries": journey.entry_count,
        "literal": journey.literal,
        "upsert": journey.upsert,
        "teardown": journey.teardown,
        "offered_stem": journey.offered_stem or None,
        "steps": [_step(number, step) for number, step in enumerate(journey.steps, 1)],
        "variables": [
            _variable(variable, used_by.get(variable.name, []), made_by.get(variable.name))
            for variable in journey.variables
        ],
        "residue": [
            {"kind": r.kind.value, "reason": r.reason, "entry": r.entry, "step": r.step, "subject": r.subject}
            for r in journey.residue
        ],
    }


def _step(number: int, step: Step) -> dict[str, Any]:
    return {
        "number": number,
        "name": step.name,
        "title": step.title,
        "kind": step.kind.value,
        "resource": step.resource,
        "method": step.request.method,
        "target": _text(step.request.target),
        "headers": [[name, _text(value)] for name, value in step.request.headers],
        "body": _body(step),
        "wanted": _tree(step.wanted.document) if step.wanted else None,
        "uses": list(dict.fromkeys(variables_of_step(step))),
        "captures": {capture.variable: list(capture.pointer) for capture in step.captures},
        "danger": step.danger,
        "notes": list(step.notes),
        "entry": step.entry,
        "status": step.answer.status if step.answer else None,
    }


def _variable(variable: Variable, used_by: list[str], made_by: str | None) -> dict[str, Any]:
    return {
        "name": variable.name,
        "env": variable.env or None,
        "kind": variable.kind.value,
        "secret": variable.secret,
        "required": variable.required,
        "default": _tree(variable.default),
        "type": variable.type,
        "used_by": used_by,
        "made_by": made_by,
        "follows": variable.follows or None,
        "letters": variable.letters.value if variable.letters else None,
        "description": variable.description,
        "lookup": _lookup(variable),
    }


def _lookup(variable: Variable) -> dict[str, Any] | None:
    lookup = variable.lookup
    if lookup is None:
        return None
    return {
        "resource": lookup.resource,
        "path": _text(lookup.path),
        "match": {field: _tree(value) for field, value in lookup.match},
        "optional": lookup.optional,
        "pick": lookup.pick,
    }


def _body(step: Step) -> Any:
    match step.request.body:
        case JsonBody(tree=tree):
            return _tree(tree)
        case RawBody(parts=parts):
            return "".join(_name(p) if isinstance(p, Var) else p.decode("utf-8", "backslashreplace") for p in parts)
        case None:
            return None


def _tree(tree: Tree) -> Any:
    match tree:
        case None | bool() | str():
            return tree
        case Number(text=text):
            return _number(text)
        case Var():
            return _name(tree)
        case Text():
            return _text(tree)
        case Array(items=items):
            return [_tree(item) for item in items]
        case Object(members=members):
            return {key if isinstance(key, str) else _text(key): _tree(value) for key, value in members}


def _number(text: str) -> int | float | str:
    """The number; what Python's numbers cannot hold (`1e400`, thousands of digits) as its text."""
    if len(text) > 400:
        return text
    number = int(text) if text.lstrip("-").isdigit() else float(text)
    return number if math.isfinite(number) else text


def _text(text: Text) -> str:
    return "".join(part if isinstance(part, str) else _name(part) for part in text.parts)


def _name(var: Var) -> str:
    return f"{{{var.name}}}"
