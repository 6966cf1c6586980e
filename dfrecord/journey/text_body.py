"""Bodies that are text but not JSON: ids in forms and XML become variables, the rest stays as it was recorded."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from urllib.parse import unquote_plus

from dfrecord.journey.model import RawBody, Var

Held = Callable[[Var], str]
"""Gives the text that stands for a variable while a body is rewritten."""
Site = Callable[[Sequence[str], str], Var | None]
"""Gives the variable of a value, if it is an id; the field is told by its names, from the outside in."""

_MARKS = range(0xE000, 0xF900)
"""Characters that Unicode gives no meaning (the private use area)."""
_XML = re.compile(r"<(?P<end>/?)(?P<name>[^\s<>/!?]++)(?P<rest>[^<>]*+)>|(?P<text>[^<]++)")


def rewritten(body: RawBody, rewrite: Callable[[str, Held], str]) -> RawBody:
    """The body with its text rewritten, variables kept. One that is no UTF-8 text stays as it is."""
    try:
        recorded = b"".join(part for part in body.parts if isinstance(part, bytes)).decode("utf-8")
        mark = next(mark for mark in map(chr, _MARKS) if mark not in recorded)
        texts = [part if isinstance(part, Var) else part.decode("utf-8") for part in body.parts]
    except (UnicodeDecodeError, StopIteration):
        return body
    holders: list[Var] = []

    def held(var: Var) -> str:
        holders.append(var)
        return f"{mark}{len(holders) - 1}{mark}"

    text = rewrite("".join(held(part) if isinstance(part, Var) else part for part in texts), held)
    parts = text.split(mark)
    return RawBody(tuple(holders[int(part)] if n % 2 else part.encode() for n, part in enumerate(parts) if part))


def with_form_ids(body: RawBody, site: Site) -> RawBody:
    """A form (`resource[0][role_id]=7`) with variables in the place of its ids."""

    def rewrite(text: str, held: Held) -> str:
        pairs = text.split("&")
        for place, pair in enumerate(pairs):
            name, equals, value = pair.partition("=")
            names = [part for part in re.split(r"[\[\]]+", unquote_plus(name)) if part and not part.isdigit()]
            if names and equals and (var := site(names, unquote_plus(value))):
                pairs[place] = f"{name}={held(var)}"
        return "&".join(pairs)

    return rewritten(body, rewrite)


def with_xml_ids(body: RawBody, site: Site) -> RawBody:
    """An XML document with variables in the place of its ids, which are the whole text of an element."""

    def rewrite(text: str, held: Held) -> str:
        names: list[str] = []
        parts, at = [], 0
        for found in _XML.finditer(text):
            if found["text"]:
                value = found["text"].strip()
                if names and value and (var := site(names, value)):
                    start = found.start() + found["text"].index(value)
                    parts += [text[at:start], held(var)]
                    at = start + len(value)
            elif found["end"]:
                del names[-1:]
            elif not found["rest"].endswith("/"):
                names.append(found["name"])
        return "".join((*parts, text[at:]))

    return rewritten(body, rewrite)
