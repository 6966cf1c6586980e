"""The `.http` file for JetBrains' HTTP client (IntelliJ IDEA, PyCharm, …): the requests in its dialect.

It has no named answers: after each request a script takes what later ones need from the answer, and keeps it under the
variable's name. Given values come from an environment file, which goes before the file's own `@name =` lines; its
scripts see no such lines, so they know the defaults. Facts: JetBrains' help, "HTTP Client variables" and "reference".
"""

from __future__ import annotations

import json
from typing import Any

from dfrecord.journey.model import Journey, Step, Variable
from dfrecord.renderers.http_encoder import comment
from dfrecord.renderers.http_requests import Pointer, Request, Requests, given_text
from dfrecord.renderers.postman_encoder import clean, js
from dfrecord.renderers.registry import OutputFile, RenderOptions
from dfrecord.renderers.residue import residue_lines
from dfrecord.renderers.templates import environment
from dfrecord.system_api.conventions import Conventions
from dfrecord.tree import Array, Number, Object, Text, Tree, Var


def render(journey: Journey, options: RenderOptions) -> OutputFile:
    """The file, as UTF-8. Its bodies that are no JSON lie in the same files as those of the `http` format."""
    file = Requests(journey, options.stem, lambda variable, *_: variable)
    requests = file.requests()
    session = journey.session
    given = [v for v in journey.variables if v.env and (v is not session or v.required)]
    lines = [
        (name, file.line(name, *form))
        for name, form in sorted(file.encoder.forms.items())
        if name != form[0] or given_text(journey.variable(name), journey) is not None
    ]
    env = environment(options.template_dir, {"comment": comment, "js": _js})
    text = env.get_template("http/jetbrains.http.j2").render(
        journey=journey,
        settings=given,
        session=session,
        lines=lines,
        blocks=[(request, _keeps(request, journey)) for request in requests],
        residue=residue_lines(journey.residue),
    )
    return OutputFile(text.encode("utf-8"), suffix=".jetbrains.http")


def _keeps(request: Request, journey: Journey) -> list[dict[str, Any]]:
    """What the script after a request keeps of its answer: the name, and the places to go through to the value.

    `match` is what the one record of a list must have, as JavaScript; None for a value that stands at its place.
    """
    item = request.item
    api = journey.conventions
    if isinstance(item, Step):
        return [{"name": c.variable, **_answer(c.pointer, api), "match": None} for c in item.captures]
    lookup = item.lookup
    assert lookup is not None
    match = [_same(f"row{_place((key,))}", value, journey) for key, value in lookup.match]
    return [
        {
            "name": item.name,
            **_answer(lookup.rows, api),
            "match": " && ".join(match),
            "nth": "" if lookup.nth is None else f".slice({lookup.nth}, {lookup.nth + 1})",  # of rows that are alike
            "pick": _place((lookup.pick,)),
            "words": clean(lookup.resource),
        }
    ]


def _answer(pointer: Pointer, api: Conventions) -> dict[str, str]:
    """The place of a list's records, when it begins there, and what follows."""
    in_list = bool(api.wrapper) and pointer[:1] == api.rows
    return {"in_list": _place(api.rows) if in_list else "", "place": _place(pointer[1:] if in_list else pointer)}


def _place(pointer: Pointer) -> str:
    return "".join(f"[{_js(key)}]" for key in pointer)


def _same(found: str, value: Tree, journey: Journey) -> str:
    """Whether what was found is the value, which may be given as text; JavaScript of the client.

    The server shows an empty text as null (system-api.md section 10).
    """
    if value in (None, ""):
        return f"({found} == null || {found} === {_js('')})"
    form = "JSON.stringify" if isinstance(value, Array | Object) else "String"
    return f"{form}({found}) === {form}({_value(value, journey)})"


def _value(value: Tree, journey: Journey) -> str:
    match value:
        case Array(items=items):
            return f"[{', '.join(_value(item, journey) for item in items)}]"
        case Object(members=members):
            pairs = (f"[{_value(key, journey)}]: {_value(member, journey)}" for key, member in members)
            return f"{{{', '.join(pairs)}}}"
        case Var(name=name):
            return _read(journey.variable(name), journey)
        case Text(parts=parts):
            texts = (
                _js(part) if isinstance(part, str) else _read(journey.variable(part.name), journey) for part in parts
            )
            return f"[{', '.join(texts)}].join({_js('')})"
        case Number(text=text):
            return text
    return _js(value)


def _read(variable: Variable, journey: Journey) -> str:
    if not variable.env:
        return f"client.global.get({_js(variable.name)})"
    given = given_text(variable, journey)
    default = "" if given is None else f" || {_js(given)}"
    return f"(request.environment.get({_js(variable.name)}){default})"


def _js(value: Any) -> str:
    """A value as JavaScript without a brace, that could end the script or be taken for a variable."""
    return js(value).replace("{", "\\u007b").replace("}", "\\u007d") if isinstance(value, str) else json.dumps(value)
