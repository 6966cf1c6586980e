"""A value of a variable where it stands: as text, in an encoding, in other letters."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

from dfrecord.journey.model import Letters
from dfrecord.journey.text_escapes import csv_cell, csv_inside, xml_text
from dfrecord.normalise.body import json_text
from dfrecord.tree import Encoding, Number, Tree


def as_text(value: Tree) -> str:
    """A value as it stands inside a text; nothing for null."""
    match value:
        case None:
            return ""
        case str():
            return value
        case Number(text=text):
            return text
    return json.dumps(value) if isinstance(value, bool) else json_text(value)


def encoded(value: Tree, encoding: Encoding) -> str:
    """A value as it stands in a text of that encoding."""
    text = as_text(value)
    match encoding:
        case Encoding.URI:
            return quote(text, safe="", errors="surrogatepass")
        case Encoding.JSON:
            return json.dumps(text, ensure_ascii=False)[1:-1]
        case Encoding.BASE64:
            return base64.b64encode(text.encode("utf-8", "surrogatepass")).decode()
        case Encoding.CSV:
            return csv_cell(text)
        case Encoding.CSV_INSIDE:
            return csv_inside(text)
        case Encoding.XML:
            return xml_text(text)
    return text


def in_letters(text: str, letters: Letters) -> str:
    """The text with its ASCII letters written so."""
    if letters is Letters.CAPITALIZED:
        return in_letters(text[:1], Letters.UPPER) + text[1:]
    change = str.upper if letters is Letters.UPPER else str.lower
    return "".join(change(character) if character.isascii() else character for character in text)
