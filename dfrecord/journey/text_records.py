"""The records in a body that is not one JSON value: in a table, in XML, in a flat form, or in the file of a form.

An upsert needs them one by one. What cannot be told apart for certain (XML with attributes, a form with several files)
gives none, and is then sent as it was recorded.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass, field
from html import unescape
from urllib.parse import parse_qsl

from dfrecord.journey.held_text import HeldText, held_text
from dfrecord.journey.model import RawBody
from dfrecord.journey.rewrite import as_value
from dfrecord.journey.text_body import JSON_STRING, TextKind, XmlEvent, text_kind, xml_events
from dfrecord.normalise.body import parse_json, records_of
from dfrecord.normalise.multipart import parts_of
from dfrecord.tree import Array, Object, Text, Tree, Var


def records_in(body: RawBody, content_type: str, wrapper: str) -> list[Object]:
    """The records of the body, with their variables; none when it holds anything else."""
    held = held_text(body, binary=text_kind(content_type) is TextKind.PARTS)
    return _records(held.text.removeprefix("\ufeff"), content_type, wrapper, held) if held else []


def _records(text: str, content_type: str, wrapper: str, held: HeldText) -> list[Object]:
    match text_kind(content_type):
        case TextKind.TABLE:
            return _of_table(text, held)
        case TextKind.XML:
            return list(_of_xml(text, held))
        case TextKind.FORM:
            return _of_form(parse_qsl(text, keep_blank_values=True), wrapper, held)
        case TextKind.JSON:
            return _of_json(text, wrapper, held)
        case TextKind.PARTS:
            parts = list(parts_of(text, content_type))
            if len(parts) == 1 and parts[0].media_type:
                content = text[parts[0].start : parts[0].end].removeprefix("\ufeff")
                is_text = not re.search(r"[\udc80-\udcff]", content)
                return _records(content, parts[0].media_type, wrapper, held) if is_text else []
            if not any(part.media_type for part in parts):
                return _of_form([(part.name, text[part.start : part.end]) for part in parts], wrapper, held)
    return []


def _of_table(text: str, held: HeldText) -> list[Object]:
    rows = csv.DictReader(io.StringIO(text))
    return [
        Object(tuple((name, _value(value, held)) for name, value in row.items() if name and isinstance(value, str)))
        for row in rows
    ]


def _of_form(pairs: list[tuple[str, str]], wrapper: str, held: HeldText) -> list[Object]:
    """The one record of a flat form, or those of a list (`resource[0][name]=…`); none when it holds more than that."""
    in_list = re.compile(rf"(?:{re.escape(wrapper)})?\[([0-9]+)\]\[([^\[\]]+)\]")
    listed = [in_list.fullmatch(name) for name, _ in pairs]
    if not pairs or (any("[" in name for name, _ in pairs) and not all(listed)):
        return []
    records: dict[str, list[tuple[str | Text, Tree]]] = {}
    for found, (name, value) in zip(listed, pairs, strict=True):
        place, field = found.groups() if found else ("", name)
        records.setdefault(place, []).append((field, _value(value, held)))
    return [Object(tuple(members)) for members in records.values()]


def _of_xml(text: str, held: HeldText) -> list[Object]:
    """The elements whose elements hold text only; none where one has attributes, or holds records and more."""
    records: list[Object] = []
    above: list[_Element] = [_Element()]
    for event, found in xml_events(text):
        inner = above[-1]
        if event is XmlEvent.TEXT:
            inner.text += found["raw"] or unescape(found["text"])
        elif found["rest"].strip(" \t\r\n/"):
            return []
        elif event is XmlEvent.OPENS:
            above.append(_Element())
        elif len(above) > 1:
            outer = above[-2]
            if inner.has_records + bool(inner.members) + bool(inner.text.strip()) > 1:
                return []
            if inner.members:
                records.append(Object(tuple((name, _value(value, held)) for name, value in inner.members)))
            elif not inner.has_records:
                outer.members.append((found["name"], inner.text))
            outer.has_records |= bool(inner.members) or inner.has_records
            above.pop()
    return records if len(above) == 1 else []


@dataclass
class _Element:
    """What an XML element holds so far: elements of text, text, elements that are records."""

    members: list[tuple[str, str]] = field(default_factory=list)
    text: str = ""
    has_records: bool = False


def _of_json(text: str, wrapper: str, held: HeldText) -> list[Object]:
    """A variable outside of the strings is the value itself: it is parsed as an object of its own."""
    bare = re.compile(f"{JSON_STRING.pattern}|(?P<bare>{held.mark}[0-9]+{held.mark})", re.DOTALL)
    quoted = bare.sub(lambda found: f'{{"{found[0]}":0}}' if found["bare"] else found[0], text)
    try:
        return records_of(_with_variables(parse_json(quoted), held), wrapper)
    except ValueError:
        return []


def _with_variables(tree: Tree, held: HeldText) -> Tree:
    match tree:
        case str() if held.mark in tree:
            return Text(tuple(Var(part.name) if isinstance(part, Var) else part for part in held.parts(tree)))
        case Array(items=items):
            return Array(tuple(_with_variables(item, held) for item in items))
        case Object(members=((str(key), _),)) if held.place.fullmatch(key):
            return _value(key, held)
        case Object(members=members):
            return Object(tuple((key, _with_variables(value, held)) for key, value in members))
    return tree


def _value(text: str, held: HeldText) -> Tree:
    """A value of the text; a variable of it is no longer encoded as it was there, nor are there spaces around an id."""
    text = text.strip() if held.place.fullmatch(text.strip()) else text
    whole = [Var(part.name) if isinstance(part, Var) else part for part in held.parts(text)]
    return whole[0] if len(whole) == 1 and isinstance(whole[0], Var) else as_value(tuple(whole))
