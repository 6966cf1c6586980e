"""One request of a Postman collection: its URL, headers, body, scripts and saved example.

Facts about what arrives on the wire are from postman-runtime 7.39 (`runner/util.js` resolves variables and parses the
URL once more, `requester/core.js` sends) and postman-collection 4.4 (`url.js`, `query-param.js`).
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jinja2

from dfrecord.journey.model import (
    Journey,
    JsonBody,
    Lookup,
    RawBody,
    RequestBody,
    RequestTemplate,
    Step,
    StepKind,
    Text,
    Var,
    Variable,
    VariableKind,
)
from dfrecord.render.postman_encoder import (
    Names,
    clean,
    js,
    js_text,
    js_tree,
    json_text,
    markdown,
    placeholders,
    raw_text,
)

TOKEN_HEADER = "X-DreamFactory-Session-Token"
UNFILTERABLE = frozenset('"\\(){},')
"""Characters that a filter's value cannot hold (system-api.md section 10)."""

_FORBIDDEN = re.compile(r"[^\x21-\x7e]|#|\\(?=[^?]*$|[^?]*\?)")


@dataclass(frozen=True)
class Workshop:
    """What every request is made with."""

    journey: Journey
    names: Names
    templates: jinja2.Environment
    token: str | None  # the variable that the collection's own authorization sends

    def script(self, name: str, **context: Any) -> list[str]:
        """The lines of a script made from a template."""
        return self.templates.get_template(f"postman/{name}.js.j2").render(context).rstrip("\n").split("\n")


def event(listen: str, lines: list[str]) -> dict[str, Any]:
    """A script that Postman runs before (`prerequest`) or after (`test`) a request."""
    return {"listen": listen, "script": {"type": "text/javascript", "exec": lines}}


# ---------------------------------------------------------------- items


def step_item(step: Step, shop: Workshop) -> dict[str, Any]:
    """A step as a request of the collection."""
    events = []
    if own_session(step, shop.journey):
        events.append(event("prerequest", shop.script("session")))
    if binary_with_variables(step.request.body):
        parts = [_js_bytes(part, shop.names) for part in step.request.body.parts]  # type: ignore[union-attr]
        events.append(event("prerequest", shop.script("body", parts=parts)))
    if step.captures:
        captures = [
            {
                "name": shop.names[capture.variable],
                "path": list(capture.pointer),
                "type": shop.journey.variable(capture.variable).type,
            }
            for capture in step.captures
        ]
        events.append(event("test", shop.script("keep", captures=captures)))
    request = request_json(step.request, shop)
    item: dict[str, Any] = {"name": clean(step.title)}
    if events:
        item["event"] = events
    item["protocolProfileBehavior"] = _behaviour(step.request)
    item["request"] = request | {"description": _description(step, shop.journey)}
    item["response"] = [] if step.answer is None else [_example(step, request, shop.names)]
    return item


def lookup_item(variable: Variable, lookup: Lookup, shop: Workshop) -> dict[str, Any]:
    """A lookup as a request of the collection: filtered by the server where its filters can say it."""
    names, field, value = shop.names, "", None
    listed = Text(lookup.path.parts)
    if len(lookup.match) == 1 and lookup.rows == ("resource",):
        field, value = lookup.match[0]
        fields = dict.fromkeys(("id", lookup.pick, field))
        listed = _with_query(lookup.path, "fields=" + ",".join(map(_percent, fields)))
    filtered = isinstance(value, str) and not UNFILTERABLE & set(value)
    target = _with_query(lookup.path, f"filter={_percent(f'{field}="{value}"')}&fields={_fields(lookup, field)}") if filtered else listed
    request = RequestTemplate("GET", target, lookup.headers)
    script = shop.script(
        "lookup",
        variable=names[variable.name],
        resource=lookup.resource,
        rows=list(lookup.rows),
        pick=lookup.pick,
        match=[(key, js_tree(tree, names)) for key, tree in lookup.match],
        list=_js_url(listed, names) if filtered else "",
        headers="{" + ", ".join(f"{js(name)}: {js_text(text, names)}" for name, text in lookup.headers) + "}",
    )
    events = [event("prerequest", ['pm.variables.set("dfrecord_filtered", true);'])] if filtered else []
    return {
        "name": clean(lookup.title),
        "event": [*events, event("test", script)],
        "protocolProfileBehavior": _behaviour(request),
        "request": request_json(request, shop),
        "response": [],
    }
