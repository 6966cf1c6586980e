"""The parts of a request as arguments of `ansible.builtin.uri` (facts from ansible-core 2.19, `modules/uri.py`).

uri takes headers as a mapping, so the values of a repeated one are joined; it encodes a body that is a mapping or list,
sends a text as it is, and needs a file for what is no text; it calls a body without a type a form.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from dfrecord.journey.model import JsonBody, RequestBody, RequestTemplate
from dfrecord.renderers.ansible_encoder import CannotStand, Encoder, Recorded, Template, as_parts
from dfrecord.renderers.curl import target_parts
from dfrecord.tree import Array, Object, Text, Tree, Var

Headers = tuple[tuple[str, Text], ...]
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2


def path_and_query(target: Text) -> tuple[Text, Text]:
    """The path of a target and its query with the question mark, what HTTP forbids in them percent-encoded."""
    target = Text(tuple(target_parts(target)))
    for number, part in enumerate(target.parts):
        if isinstance(part, str) and "?" in part:
            path, _, query = part.partition("?")
            return Text((*target.parts[:number], path)), Text((f"?{query}", *target.parts[number + 1 :]))
    return target, Text(())


def url(target: Text, encoder: Encoder) -> Recorded | Template:
    """The base URL and the target."""
    return encoder.text(Text((Var("base_url"), *target_parts(target))))


def headers(given: Headers, encoder: Encoder) -> dict[str, Any]:
    """The headers as a mapping; several of one name are joined (RFC 9110, 5.3)."""
    merged: dict[str, tuple[str, Text]] = {}
    for name, value in given:
        if _HEADER_NAME.fullmatch(name):
            known = merged.get(name.lower())
            merged[name.lower()] = (known[0], Text((*known[1].parts, ", ", *value.parts))) if known else (name, value)
    return {name: encoder.text(_sendable(value), in_header=True) for name, value in merged.values()}


def _sendable(value: Text) -> Text:
    """A header value without the line ends that HTTP forbids; its UTF-8 bytes are what uri sends, as Latin-1."""
    parts = (
        re.sub("[\r\n\0]", " ", part).encode("utf-8", "replace").decode("latin-1") if isinstance(part, str) else part
        for part in value.parts
    )
    return Text(tuple(parts))


def what_differs(request: RequestTemplate, *, adds_type: bool) -> Iterator[str]:
    """What a person should know of how uri sends this; `adds_type` when its body comes without a Content-Type."""
    yield from header_notes(request.headers)
    if adds_type:
        yield "sent with an empty Content-Type, or uri would call the body a form"
    if not re.fullmatch("[A-Za-z]+", request.method):
        yield f"method {request.method} cannot be sent by uri, which takes letters only"
    elif not request.method.isupper():
        yield f"method {request.method} is sent in upper case"


def header_notes(given: Headers) -> Iterator[str]:
    """What a person should know of how these headers are sent."""
    names = [name.lower() for name, _ in given]
    for number, (name, _) in enumerate(given):
        if not _HEADER_NAME.fullmatch(name):
            yield f"header {name} cannot be sent"
        elif names.count(name.lower()) > 1 and names.index(name.lower()) == number:
            yield f"the values of header {name} are sent joined in one: uri takes each name once"


def body(given: RequestBody, encoder: Encoder) -> tuple[dict[str, Any], Template | None]:
    """The arguments that give the body, or else what the file that has to hold it holds."""
    if given is None:
        return {}, None
    if isinstance(given, JsonBody):
        if isinstance(given.tree, Array | Object) and (tree := as_yaml(given.tree, encoder)) is not None:
            return {"body_format": "json", "body": tree}, None
        content = encoder.json_text(given.tree)
    else:
        content = [
            part if isinstance(part, bytes) else encoder.reference(part.name, part.encoding) for part in given.parts
        ]
    parts, binary = as_parts(content)
    if binary:
        return {}, encoder.joined(parts)
    if all(isinstance(part, Recorded) for part in parts):
        return {"body_format": "raw", "body": Recorded("".join(parts))}, None
    return {"body_format": "raw", "body": encoder.joined(parts)}, None


def document(tree: Tree, encoder: Encoder) -> Any:
    """A JSON value as a variable: as YAML, or as JSON text where YAML would alter it."""
    value = as_yaml(tree, encoder)
    if value is not None:
        return value
    parts, _ = as_parts(encoder.json_text(tree))
    return Template(encoder.joined(parts).replace("| join", "| join | from_json"))


def as_yaml(tree: Tree, encoder: Encoder) -> Any:
    """A JSON value as YAML; None when YAML or Ansible would alter it."""
    texts = dict(encoder.texts)
    try:
        return encoder.tree(tree)
    except CannotStand:
        encoder.texts = texts
        return None
