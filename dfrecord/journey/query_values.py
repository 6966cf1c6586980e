"""What of a query the recording's person typed: the values, and of a filter what it compares with.

The names of parameters and the values of those that the catalog calls `api_words` (`fields`, `related`) are the API's.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

_BLANK = r"(?:\s|\+|%20)"
_OPERATOR = rf"{_BLANK}*(?:[=<>!]|%3D|%3C|%3E|%21)+|{_BLANK}+(?:like|in|not|is|contains|starts|ends|eq|ne|gte?|lte?)\b"
_JOINED = rf"{_BLANK}(?:and|or)(?={_BLANK}|\(|%28)"
_FILTER = re.compile(
    rf"%22.*?%22|%27.*?%27|\"[^\"]*\"|'[^']*'|(?P<words>\b\w+(?:{_OPERATOR})|{_JOINED})", re.IGNORECASE
)
"""Quoted text, passed over, or a field with its operator, or what joins two; in a value of a percent-encoded query."""


def pieces(query: str, api_words: Collection[str]) -> Iterator[tuple[str, bool]]:
    """The percent-encoded query, from its `?`, an `&` or the middle of a value on, in pieces; True for typed ones."""
    for piece in re.split(r"(?=[?&])", query):
        name = re.match(r"[?&][^=]*=?", piece)
        value = piece[name.end() :] if name else piece
        if name:
            yield name.group(), False
        if name and name.group()[1:].rstrip("=").lower() in api_words:
            yield value, False
            continue
        at = 0
        for found in _FILTER.finditer(value):
            if found["words"]:
                yield value[at : found.start()], True
                yield found["words"], False
                at = found.end()
        yield value[at:], True
