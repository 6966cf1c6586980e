"""Bodies that are text but not JSON: a table, XML, a form, or the fields and files of one.

`linked` puts variables in the place of ids, `with_values` in that of other text; the rest stays as it was recorded.
`settled` gives each variable the encoding of the place where it stands. What a text of a kind is made of is known here,
and nowhere else.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial
from urllib.parse import quote, quote_plus, unquote_plus

from dfrecord.journey.held_text import HeldText, held_text
from dfrecord.journey.model import RawBody
from dfrecord.journey.rewrite import Parts
from dfrecord.journey.table import with_cells, with_columns, with_encodings
from dfrecord.journey.text_escapes import csv_inside, xml_text
from dfrecord.normalise.body import json_text, parse_json
from dfrecord.normalise.multipart import Part, parts_of
from dfrecord.tree import Array, Encoding, Number, Object, Text, Tree, Var

JSON_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_JSON_VALUE = re.compile(r'"(?:[^"\\]|\\.)*+"(?!\s*:)', re.DOTALL)
_XML_PIECE = re.compile(
    r"<!--.*?-->|<!\[CDATA\[(?P<raw>.*?)\]\]>|<(?P<end>/?)(?P<name>[^\s<>/!?]++)(?P<rest>[^<>]*+)>|(?P<text>[^<]++)",
    re.DOTALL,
)
_XML_ATTRIBUTE = re.compile(r"""(?P<name>[^\s=/"'<>]++)\s*=\s*(?:"(?P<double>[^"]*+)"|'(?P<single>[^']*+)')""")
_XML_PLACE = re.compile(r"<!--(?P<comment>.*?)-->|<!\[CDATA\[(?P<raw>.*?)\]\]>|(?P<other>[^<]++|<)", re.DOTALL)


class XmlEvent(Enum):
    """What an XML text goes on with."""

    OPENS = "an element opens"
    TEXT = "text, or a CDATA section"
    CLOSES = "an element closes"


def xml_events(text: str) -> Iterator[tuple[XmlEvent, re.Match[str]]]:
    """What stands in the XML, one after the other; an empty element opens and closes. Comments are passed over.

    The match has the groups `name` and `rest` of an element, `text` or `raw` (of a CDATA section) of text.
    """
    for found in _XML_PIECE.finditer(text):
        if found["text"] or found["raw"]:
            yield XmlEvent.TEXT, found
        elif found["name"] and not found["end"]:
            yield XmlEvent.OPENS, found
        if found["end"] or (found["rest"] or "").endswith("/"):
            yield XmlEvent.CLOSES, found


class TextKind(Enum):
    """What a text is."""

    TABLE = "csv"
    XML = "xml"
    FORM = "form"
    PARTS = "multipart"
    JSON = "json"


def text_kind(content_type: str) -> TextKind | None:
    """What a body with this Content-Type is, None when that is not known."""
    words = content_type.lower()
    if words.startswith("text/csv"):
        return TextKind.TABLE
    if words.startswith("multipart/"):
        return TextKind.PARTS
    named = ((TextKind.FORM, "urlencoded"), (TextKind.XML, "xml"), (TextKind.JSON, "json"))
    return next((kind for kind, word in named if word in words), None)


def _quoted(text: str) -> str:
    return quote(text, safe="")


def _json_inside(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


WRITTEN: dict[TextKind | None, tuple[Callable[[str], str], ...]] = {
    TextKind.FORM: (quote_plus, _quoted),
    TextKind.TABLE: (csv_inside, str),
    TextKind.XML: (xml_text, partial(html.escape, quote=False), str),
    TextKind.JSON: (_json_inside, str),
}
"""How a text may be written in the values of a body of that kind."""


@dataclass(frozen=True)
class Sites:
    """Which values of a text are ids.

    `named` gives the variable of a value whose field is told by its names, from the outside in; `keeps` tells whether
    the field is sent; `tree` is a JSON value with its variables, of which `is_text` tells those that are strings.
    """

    named: Callable[[Sequence[str], str], Var | None]
    keeps: Callable[[Sequence[str]], bool]
    tree: Callable[[Tree], Tree]
    is_text: Callable[[Var], bool]


def linked(body: RawBody, content_type: str, sites: Sites) -> RawBody:
    """The body with variables in the place of its ids. One that is no text stays as it is."""
    held = held_text(body, binary=text_kind(content_type) is TextKind.PARTS)
    return held.body(_linked(held.text, content_type, held, sites)) if held else body


def settled(body: RawBody, content_type: str) -> RawBody:
    """The body with each variable in the encoding of the place where it stands."""
    held = held_text(body, binary=True) if any(isinstance(part, Var) for part in body.parts) else None
    return held.body(_settled(held.text, content_type, held)) if held else body


def with_values(body: RawBody, content_type: str, rewriter: Callable[[str, TextKind | None], Parts]) -> RawBody:
    """The body with each of its values rewritten, as it is written there; names of fields stay."""
    held = held_text(body, binary=text_kind(content_type) is TextKind.PARTS)
    if held is None:
        return body

    def rewrite(text: str, kind: TextKind | None) -> str:
        pieces = held.parts(text)
        return "".join(
            held.hold(new) if isinstance(new, Var) else new
            for piece in pieces
            for new in (rewriter(piece, kind) if isinstance(piece, str) else (piece,))
        )

    return held.body(_with_values(held.text, content_type, rewrite))


# ---------------------------------------------------------------- ids


def _linked(text: str, content_type: str, held: HeldText, sites: Sites) -> str:
    match text_kind(content_type):
        case TextKind.TABLE:
            keeps: Callable[[str], bool] = lambda column: sites.keeps([column])  # noqa: E731
            return with_columns(text, held, keeps, lambda column, value: sites.named([column], value))
        case TextKind.XML:
            return _with_xml_ids(text, held, sites)
        case TextKind.FORM:
            return _with_form_ids(text, held, sites)
        case TextKind.JSON:
            return _with_json_ids(text, held, sites)
        case TextKind.PARTS:
            return _each_part(text, content_type, lambda part, inner: _with_ids_in_part(part, inner, held, sites))
    return text


def _with_form_ids(text: str, held: HeldText, sites: Sites) -> str:
    result = []
    for pair in text.split("&"):
        name, equals, value = pair.partition("=")
        names = _names(unquote_plus(name))
        if not names or sites.keeps(names):
            var = sites.named(names, unquote_plus(value)) if equals and names else None
            result.append(f"{name}={held.hold(var)}" if var else pair)
    return "&".join(result)


def _names(field: str) -> list[str]:
    """The names in a field of a form (`resource[0][role_id]`), without places in lists."""
    return [part for part in re.split(r"[\[\]]+", field) if part and not part.isdigit()]


def _with_xml_ids(text: str, held: HeldText, sites: Sites) -> str:
    """An id is the text of an element, or the value of an attribute; what is not sent goes with all that is in it."""
    names: list[str] = []
    opened: list[int] = []  # how many parts there were before each of them
    parts: list[str] = []
    at = 0
    for event, found in xml_events(text):
        if event is XmlEvent.TEXT:
            value = (found["text"] or found["raw"]).strip()
            if names and value and (var := sites.named(names, value)):
                start = text.index(value, found.start("text" if found["text"] else "raw"))
                parts += [text[at:start], held.hold(var)]
                at = start + len(value)
        elif event is XmlEvent.OPENS:
            names.append(found["name"])
            parts.append(text[at : found.start()])
            at = found.start()
            opened.append(len(parts))
            for attribute in _XML_ATTRIBUTE.finditer(text, found.start("rest"), found.end("rest")):
                quotes = "double" if attribute["double"] is not None else "single"
                if var := sites.named([*names, attribute["name"]], attribute[quotes]):
                    parts += [text[at : attribute.start(quotes)], held.hold(var)]
                    at = attribute.end(quotes)
        elif names:
            before = opened.pop()
            if not sites.keeps(names):
                del parts[before:]
                at = found.end()
            del names[-1:]
    return "".join((*parts, text[at:]))


def _with_json_ids(text: str, held: HeldText, sites: Sites) -> str:
    try:
        recorded = parse_json(text.removeprefix("\ufeff"))
    except ValueError:
        return text
    tree = sites.tree(recorded)
    return text if tree == recorded else json_text(_holding(tree, held, sites))


def _holding(tree: Tree, held: HeldText, sites: Sites) -> Tree:
    """The JSON value with what holds the place of a variable where it stood."""
    match tree:
        case Var():
            return held.hold(tree) if sites.is_text(tree) else Number(held.hold(tree))
        case Text(parts=parts):
            return "".join(held.hold(part) if isinstance(part, Var) else part for part in parts)
        case Array(items=items):
            return Array(tuple(_holding(item, held, sites) for item in items))
        case Object(members=members):
            return Object(tuple((key, _holding(value, held, sites)) for key, value in members))
    return tree


def _with_ids_in_part(part: Part, content: str, held: HeldText, sites: Sites) -> str:
    names = _names(part.name)
    var = sites.named(names, content) if names and not part.media_type else None
    return held.hold(var) if var else _linked(content, part.media_type, held, sites)


def _each_part(text: str, content_type: str, change: Callable[[Part, str], str]) -> str:
    result, at = [], 0
    for part in parts_of(text, content_type):
        result += [text[at : part.start], change(part, text[part.start : part.end])]
        at = part.end
    return "".join((*result, text[at:]))


# ---------------------------------------------------------------- values


def _with_values(text: str, content_type: str, rewrite: Callable[[str, TextKind | None], str]) -> str:
    kind = text_kind(content_type)
    match kind:
        case TextKind.TABLE:
            return with_cells(text, lambda cell: rewrite(cell, kind))
        case TextKind.XML:
            return _XML_PIECE.sub(lambda found: _with_xml_value(found, lambda value: rewrite(value, kind)), text)
        case TextKind.FORM:
            pairs = (pair.partition("=") for pair in text.split("&"))
            return "&".join(f"{name}{equals}{rewrite(value, kind)}" for name, equals, value in pairs)
        case TextKind.JSON:
            return _JSON_VALUE.sub(lambda found: rewrite(found[0], kind), text)
        case TextKind.PARTS:
            return _each_part(text, content_type, lambda part, inner: _with_values(inner, part.media_type, rewrite))
    return rewrite(text, None)


def _with_xml_value(found: re.Match[str], rewrite: Callable[[str], str]) -> str:
    if found["raw"]:
        return f"<![CDATA[{rewrite(found['raw'])}]]>"
    return rewrite(found["text"]) if found["text"] else found[0]


# ---------------------------------------------------------------- encodings


def _settled(text: str, content_type: str, held: HeldText) -> str:
    if held.mark not in text:
        return text
    match text_kind(content_type):
        case TextKind.TABLE:
            return with_encodings(text, held)
        case TextKind.XML:
            return _XML_PLACE.sub(lambda found: _in_xml(found, held), text)
        case TextKind.FORM:
            held.encode(text, Encoding.URI)
        case TextKind.JSON:
            for string in JSON_STRING.finditer(text):
                held.encode(string[0], Encoding.JSON)
        case TextKind.PARTS:
            return _each_part(text, content_type, lambda part, inner: _settled(inner, part.media_type, held))
    return text


def _in_xml(found: re.Match[str], held: HeldText) -> str:
    """A piece of XML: no value can end a comment or a CDATA section, as none stands in one."""
    held.encode(found[0], Encoding.XML)
    if found["comment"] is not None:
        return held.place.sub("", found[0])
    return held.place.sub(r"]]>\g<0><![CDATA[", found[0]) if found["raw"] is not None else found[0]
