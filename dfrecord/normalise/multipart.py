"""The parts of a multipart body (RFC 7578): where each stands, and what kind of content it says it has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

import msgspec

_BY_NAME = {"csv": "text/csv", "json": "application/json", "xml": "application/xml"}


class Part(msgspec.Struct, frozen=True):
    """A field of a form, or a file in it. Its content is `text[start:end]` of the body; a field has no `media_type`."""

    name: str
    media_type: str
    start: int
    end: int


def parts_of(text: str, content_type: str) -> Iterator[Part]:
    """The parts of a body with this `Content-Type`; none when it names no boundary.

    What a file is its name says first: browsers call a CSV file what the operating system does.
    """
    boundary = re.search(r'boundary="?([^";\r\n]+)', content_type, re.IGNORECASE)
    if boundary is None:
        return
    marks = list(re.finditer(rf"(?:\A|\r?\n)--{re.escape(boundary[1].strip())}(?=--|[ \t]*\r?\n)", text))
    for mark, after in pairwise(marks):
        head = re.compile(r".*?(?:\r\n\r\n|\n\n)", re.DOTALL).match(text, mark.end(), after.start())
        if head is None:
            continue
        name = re.search(r'[;\s]name="?((?<=")[^"]*+|[^\s;"]++)', head[0])
        file = re.search(r'[;\s]filename\*?="?[^"\r\n]*?(?:\.(\w+))?"?(?:;|\r?\n)', head[0])
        given = re.search(r"(?im)^content-type:[ \t]*([^\r\n]*)", head[0])
        kind = _BY_NAME.get((file[1] or "").lower()) if file else None
        yield Part(name[1] if name else "", kind or (given[1] if given else ""), head.end(), after.start())
