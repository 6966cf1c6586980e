"""One request of a Postman collection: its URL, headers, body, scripts and saved example.

Facts about what arrives on the wire are from postman-runtime 7.39 (`runner/util.js` resolves variables and parses the
URL once more, `requester/core.js` sends) and postman-collection 4.4 (`url.js`, `query-param.js`).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from dfrecord.journey.model import (
    Answer,
    Journey,
    JsonBody,
    Lookup,
    RawBody,
    RequestBody,
    RequestTemplate,
    Step,
    StepKind,
    Variable,
    Wanted,
    variables_of_tree,
)
from dfrecord.journey.undo_session import UndoSession
from dfrecord.normalise.body import parse_json
from dfrecord.renderers.postman_encoder import (
    Names,
    clean,
    is_text,
    js_raw_part,
    js_text,
    js_tree,
    json_text,
    markdown,
    placeholders,
    raw_text,
)
from dfrecord.tree import Array, Encoding, Object, Text, Var

if TYPE_CHECKING:
    import jinja2

UNFILTERABLE = frozenset('"\\(){},')
"""Characters that the value of a server-side filter cannot hold (system-api.md section 10)."""
SKIPPED_IN_TEARDOWN = ['if (pm.variables.get("dfrecord_tearing_down")) pm.execution.skipRequest();']


@dataclass(frozen=True)
class Workshop:
    """What every request is made with. `token` is the variable that the collection's own authorization sends."""

    journey: Journey
    names: Names
    templates: jinja2.Environment
    token: str | None
    session: tuple[str, ...]
    undo: UndoSession

    def is_secret(self, variable: str) -> bool:
        """Whether a variable of the journey is secret."""
        return self.journey.variable(variable).secret

    def script(self, name: str, **context: Any) -> list[str]:
        """The lines of a script made from a template."""
        template = self.templates.get_template(f"postman/{name}.js.j2")
        return template.render(api=self.journey.conventions, **context).rstrip("\n").split("\n")


def event(listen: str, lines: list[str]) -> dict[str, Any]:
    """A script that Postman runs before (`prerequest`) or after (`test`) a request."""
    return {"listen": listen, "script": {"type": "text/javascript", "exec": lines}}


# ---------------------------------------------------------------- items


def step_item(step: Step, shop: Workshop) -> dict[str, Any]:
    """A step as a request of the collection."""
    before = []
    if shop.journey.is_sign_on(step):
        before += shop.script("session")
    if shop.journey.teardown and (step.name not in shop.undo.signs or _signs_off_midway(step, shop.journey)):
        before += SKIPPED_IN_TEARDOWN
    base = shop.names[_base(shop)]
    if step.due:
        before += shop.script("if_due", due=step.due, base=base)
    if step.once:
        before += shop.script("once", once=step.once, base=base, dues=shop.journey.dues, captures=_captures(step, shop))
    if step.may_be_gone:
        before += ['pm.variables.set("dfrecord_may_be_gone", pm.info.requestId);']
    body = step.request.body
    if isinstance(body, RawBody) and _is_scripted(body):
        before += shop.script("body", parts=[js_raw_part(part, shop.names) for part in body.parts])
    after = []
    if step.captures:
        after = shop.script("keep", captures=_captures(step, shop), row_of_answer=step.wanted is not None)
    if shop.journey.teardown and (step.makes or step.kind is StepKind.DELETE):
        registers = step.wanted is not None and step.wanted.sent_elsewhere
        own = shop.journey.own_field(step)
        after += shop.script("note", makes=step.makes, own=own, base=base, registers=registers)
    if step.once:
        gone = step.may_be_gone
        after += shop.script("sent", once=step.once, base=base, captures=_captures(step, shop), may_be_gone=gone)
    if step.due:
        after += shop.script("done", due=step.due, base=base)
    notes = [*([f"Needs DF_YES=1: {step.danger}"] if step.danger else []), *step.notes]
    request = step.request if step.wanted is None else replace(step.request, body=_wanted_body(step, step.wanted, shop))
    item = _request_item(step.title, request, before, after, shop)
    if step.answer is not None:
        item["response"] = [_example(step.answer, item["request"], shop.names)]
    if notes:
        item["request"] = item["request"] | {"description": "\n".join(f"- {markdown(note, 1000)}" for note in notes)}
    return item


def _signs_off_midway(step: Step, journey: Journey) -> bool:
    """Whether the journey goes on after this logout, with another login: a teardown still needs the session."""
    if step.kind is not StepKind.LOGOUT:
        return False
    last = next(
        (other for other in reversed(journey.steps) if other is step or other.kind is not StepKind.LOGOUT), step
    )
    return last is not step


def _captures(step: Step, shop: Workshop) -> list[dict[str, Any]]:
    return [
        {
            "name": shop.names[capture.variable],
            "path": list(capture.pointer),
            "type": shop.names.variable(capture.variable).type,
        }
        for capture in step.captures
    ]


def _wanted_body(step: Step, wanted: Wanted, shop: Workshop) -> JsonBody:
    """What shall be true, as the body that the collection's first script replaces by what has to be sent."""
    does = {StepKind.DELETE: "remove", StepKind.UPDATE: "change"}.get(step.kind, "ensure")
    captures = [
        Object((("name", capture["name"]), ("path", Array(tuple(map(str, capture["path"]))))))
        for capture in _captures(step, shop)
    ]
    record = shop.names[wanted.record] if wanted.record else ""
    how = Object((("does", does), ("record", record), ("captures", Array(tuple(captures)))))
    return JsonBody(Object((("dfrecord", how), *wanted.document.members)))


def teardown_item(shop: Workshop) -> dict[str, Any]:
    """The request that undoes, one after the other, what runs of the collection did."""
    base = shop.names[_base(shop)]
    request = RequestTemplate("DELETE", Text(("/",)), shop.undo.headers)
    item = _request_item(
        "Undo what earlier runs did",
        request,
        shop.script(
            "teardown",
            base=base,
            upsert=shop.journey.upsert,
            token=shop.names[shop.token] if shop.token else "",
            token_header=shop.journey.conventions.token_header,
            listed=shop.journey.listed,
            remakes_named=shop.journey.remakes_named,
            gives=shop.journey.gives,
        ),
        shop.script("torn", base=base),
        shop,
    )
    item["request"]["body"] = {"mode": "raw", "raw": ""}
    item["request"]["url"] = {
        "raw": f"{{{{{base}}}}}{{{{dfrecord_path}}}}",
        "host": [f"{{{{{base}}}}}{{{{dfrecord_path}}}}"],
    }
    return item


def lookup_item(variable: Variable, lookup: Lookup, shop: Workshop) -> dict[str, Any]:
    """A lookup as a request of the collection, filtered by the server where its filters can express the value."""
    names, target, api = shop.names, lookup.path, shop.journey.conventions
    is_list, filtered = lookup.lists(api), False
    if lookup.takes_filter(api) and not lookup.newer:
        field, value = lookup.match[0]
        fields = "fields=" + ",".join(quote(name) for name in dict.fromkeys((api.id, lookup.pick, field)))
        target = _with_query(lookup.path, fields)
        filtered = isinstance(value, str) and not UNFILTERABLE & set(value)
    whole_list = Text((Var(_base(shop)), *target.parts))
    if filtered:
        target = _with_query(lookup.path, "filter=" + quote(f'{field}="{value}"', safe="") + "&" + fields)
    elif is_list:
        target = _with_query(target, "include_count=true")
    request, keys = RequestTemplate("GET", target, lookup.headers), (*lookup.newer, lookup.match)
    after = shop.script(
        "lookup",
        variable=names[variable.name],
        resource=clean(lookup.resource),
        rows=list(lookup.rows),
        pick=lookup.pick,
        keys=[[(field, js_tree(value, names)) for field, value in key] for key in keys],
        secret=sorted(
            {field for key in keys for field, value in key if any(map(shop.is_secret, variables_of_tree(value)))}
        ),
        optional=lookup.optional,
        nth=lookup.nth,
        alike=lookup.alike,
        whole_list=js_text(whole_list, names) if is_list else None,
        filtered=filtered,
        headers=[(name, js_text(text, names)) for name, text in lookup.headers],
    )
    before = ['pm.variables.set("dfrecord_filtered", pm.info.requestId);'] if filtered else []
    before += SKIPPED_IN_TEARDOWN if shop.journey.teardown else []
    return _request_item(lookup.title, request, before, after, shop)


def _request_item(
    title: str, request: RequestTemplate, before: list[str], after: list[str], shop: Workshop
) -> dict[str, Any]:
    events = [event(listen, lines) for listen, lines in (("prerequest", before), ("test", after)) if lines]
    return {
        "name": clean(title),
        **({"event": events} if events else {}),
        "protocolProfileBehavior": _behaviour(request),
        "request": _request(request, shop),
        "response": [],
    }


def _with_query(path: Text, query: str) -> Text:
    joint = "&" if any("?" in part for part in path.parts if isinstance(part, str)) else "?"
    return Text((*path.parts, joint + query))


def _base(shop: Workshop) -> str:
    return base_variable(shop.journey).name


def base_variable(journey: Journey) -> Variable:
    """The variable that holds the target's base URL."""
    return next(variable for variable in journey.variables if variable.env == "DF_BASE_URL")


# ---------------------------------------------------------------- requests


def _request(template: RequestTemplate, shop: Workshop) -> dict[str, Any]:
    request: dict[str, Any] = {"method": template.method}
    headers = list(template.headers)
    tokens = [header for header in headers if header[0].lower() == shop.journey.conventions.token_header.lower()]
    if shop.token is not None:
        if len(tokens) == 1 and sent_token(tokens[0], shop.journey) == shop.token:
            headers.remove(tokens[0])  # the collection's authorization adds it
        else:
            request["auth"] = {"type": "noauth"}
    spelling: dict[str, str] = {}  # Postman sends a repeated header twice only when it is spelled alike
    request["header"] = [
        {"key": spelling.setdefault(name.lower(), name), "value": placeholders(value, shop.names)}
        for name, value in headers
    ]
    body = _body(template.body, shop.names)
    if body is not None:
        request["body"] = body
    return request | {"url": _url(template.target, shop)}


def sent_token(header: tuple[str, Text], journey: Journey) -> str | None:
    """The variable that a session token header sends and nothing else, None for other headers."""
    name, value = header
    match value.parts:
        case (*prefix, Var(name=variable)) if name.lower() == journey.conventions.token_header.lower():
            return variable if "".join(map(str, prefix)) == journey.conventions.token_prefix else None
    return None


def target_text(target: Text, names: Names) -> str:
    """A target as Postman keeps it on the wire, with placeholders.

    Postman sends everything unchanged but `#` (it ends the URL) and a backslash in the path (it becomes `/`).
    """
    path, mark, query = placeholders(target, names).partition("?")
    return re.sub(r"[^\x21-\x7e]|[#\\]", _percent, path) + mark + re.sub(r"[^\x21-\x7e]|#", _percent, query)


def _percent(found: re.Match[str]) -> str:
    return quote(found[0].encode("utf-8", "surrogatepass"), safe="")


def _url(target: Text, shop: Workshop) -> dict[str, Any]:
    text = target_text(target, shop.names)
    base = "{{" + shop.names[_base(shop)] + "}}"
    path, mark, query = text.partition("?")
    segments = path.removeprefix("/").split("/")
    url: dict[str, Any] = {"raw": base + text, "host": [base], "path": segments}
    if mark:
        url["query"] = list(_query_parameters(query))
    # A segment that begins with ":" is a path variable to Postman: it stands for itself.
    keys = dict.fromkeys(segment[1:].split(".")[0] for segment in segments if segment.startswith(":"))
    if any(keys):
        url["variable"] = [{"key": key, "value": f":{key}"} for key in keys if key]
    return url


def _query_parameters(query: str) -> Iterator[dict[str, str | None]]:
    """The parameters as postman-collection splits them, so that it joins them to the same text."""
    parameters = query.split("&")
    for number, parameter in enumerate(parameters):
        key, equals, value = parameter.partition("=")
        if not parameter and number < len(parameters) - 1:
            yield {"key": None, "value": None}
        else:
            yield {"key": key, "value": value if equals else None}


def _body(body: RequestBody, names: Names) -> dict[str, Any] | None:
    match body:
        case None:
            return None
        case JsonBody(tree=tree):
            return {"mode": "raw", "raw": json_text(tree, names), "options": {"raw": {"language": "json"}}}
    if _is_scripted(body):
        return {"mode": "file", "file": {}}
    if not is_text(body):
        content = b"".join(part for part in body.parts if isinstance(part, bytes))
        return {"mode": "file", "file": {"content": base64.b64encode(content).decode()}}
    text = raw_text(body, names)
    return {"mode": "raw", "raw": text, "options": {"raw": {"language": "json" if _plain_json(text) else "text"}}}


_WITHOUT_BRACES = (Encoding.JSON, Encoding.URI, Encoding.BASE64)
"""What leaves nothing in a value for Postman to replace."""


def _is_scripted(body: RawBody) -> bool:
    """Whether only a script can put the body together: a variable among bytes that are no text, or one unescaped."""
    variables = [part for part in body.parts if isinstance(part, Var)]
    braces = any(var.encoding not in _WITHOUT_BRACES for var in variables)
    return braces or (bool(variables) and not is_text(body))


def _plain_json(text: str) -> bool:
    """Whether Postman may know that the text is JSON: it then removes comments, so there must be nothing like one."""
    try:
        parse_json(text)
    except ValueError:
        return False
    return "//" not in text and "/*" not in text


def _behaviour(request: RequestTemplate) -> dict[str, Any]:
    """Postman's switches for sending a request as it is: no URL changes, no cookies, no redirects, bodies always."""
    behaviour: dict[str, Any] = {
        "disableBodyPruning": True,
        "disableCookies": True,
        "disableUrlEncoding": True,
        "followRedirects": False,
    }
    if not any(name.lower() == "content-type" for name, _ in request.headers):
        behaviour["disabledSystemHeaders"] = {"content-type": True}
    return behaviour


def _example(answer: Answer, request: dict[str, Any], names: Names) -> dict[str, Any]:
    """The recorded answer as a saved example; its secrets are placeholders already."""
    is_json = "json" in answer.media_type.lower()
    return {
        "name": clean(f"Recorded: {answer.status} {answer.reason}".rstrip()),
        "originalRequest": request,
        "status": clean(answer.reason),
        "code": answer.status,
        "_postman_previewlanguage": "json" if is_json else "text",
        "header": [{"key": "Content-Type", "value": clean(answer.media_type)}] if answer.media_type else [],
        "cookie": [],
        "body": answer.text if answer.tree is None else json_text(answer.tree, names),
    }
