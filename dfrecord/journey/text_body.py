"""Bodies that are text but not JSON: ids in forms and XML become variables, the rest stays as it was recorded."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote_plus

from dfrecord.journey.model import RawBody, Var

Held = Callable[[Var], str]
"""Gives the text that stands for a variable while a body is rewritten."""
Site = Callable[[Sequence[str], str], Var | None]
"""Gives the variable of a value, if it is an id; the field is told by its names, from the outside in."""

_MARKS = range(0xE000, 0xF900)
"""Characters that Unicode gives no meaning (the private use area)."""
_XML = re.compile(r"<(?P<end>/?)(?P<name>[^\s<>/!?]++)(?P<rest>[^<>]*+)>|(?P<text>[^<]++)")


@dataclass
class HeldText:
    """A body as one text: a number between two `mark`s, which are nowhere else in it, holds a variable's place."""

    mark: str
    text: str = ""
    variables: list[Var] = field(default_factory=list)

    def hold(self, var: Var) -> str:
        """What stands for one more variable."""
        self.variables.append(var)
        return f"{self.mark}{len(self.variables) - 1}{self.mark}"

    def parts(self, text: str) -> list[str | Var]:
        """A piece of the text, which may have been decoded, with its variables again."""
        pieces = text.split(self.mark)
        return [self.variables[int(piece)] if n % 2 else piece for n, piece in enumerate(pieces) if piece]


def held_text(body: RawBody) -> HeldText | None:
    """The body as one text; None when it is no UTF-8."""
    try:
        texts = [part if isinstance(part, Var) else part.decode("utf-8") for part in body.parts]
    except UnicodeDecodeError:
        return None
    recorded = "".join(part for part in texts if isinstance(part, str))
    known = {*recorded, *unquote_plus(recorded)}
    mark = next((mark for mark in map(chr, _MARKS) if mark not in known), None)
    if mark is None:
        return None
    held = HeldText(mark)
    held.text = "".join(held.hold(part) if isinstance(part, Var) else part for part in texts)
    return held


def rewritten(body: RawBody, rewrite: Callable[[str, Held], str]) -> RawBody:
    """The body with its text rewritten, variables kept. One that is no UTF-8 text stays as it is."""
    held = held_text(body)
    if held is None:
        return body
    parts = held.parts(rewrite(held.text, held.hold))
    return RawBody(tuple(part.encode() if isinstance(part, str) else part for part in parts))


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
