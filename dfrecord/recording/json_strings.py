"""Where the strings of well-formed JSON end, found by what may stand before a quote, quicker than a parser goes.

Inside a string every quote follows a backslash, and there is no tab and no line feed. The next string opens behind
white space, a comma or a bracket. So the string that a place is in ends with the last quote before the first of those.
StringZilla looks for each of them at tens of GB/s, first for what ended the string before.
"""

from __future__ import annotations

import re

import stringzilla

_AT_A_TIME = 256 * 1024  # stays in the processor's cache while it is looked through seven times
_OUTSIDE = (b"\n", b"\t", b"\r", b' "', b',"', b'{"', b'["')

_NEAR = 64
_BEFORE_CUT = re.compile(rb".*[^\\]{5}(?=[^\x80-\xbf])", re.DOTALL)
_QUOTE = ord('"')


class JsonStrings:
    """The strings in a buffer."""

    def __init__(self, buffer: memoryview) -> None:
        self._buffer, self._text = buffer, stringzilla.Str(buffer)
        self._outside = [*_OUTSIDE]

    def cut(self, place: int) -> int | None:
        """A place at most so far that is not within an escape or a character; None where none is near, or beyond the
        end of the buffer.
        """
        if place >= len(self._buffer):
            return None
        near = max(0, place - _NEAR)
        match = _BEFORE_CUT.match(self._buffer, near, place + 1)
        return match.end() if match else None

    def end_of(self, inside: int) -> int | None:
        """The place of the quote that closes the string which that place is in; None when none does.

        The string is the value of a member (else a colon, too, may stand before the next), and the place not within
        an escape.
        """
        quote: int = self._text.find(b'"', inside)
        if quote >= 0 and not self._is_escaped(quote, inside):  # as in base64
            return quote
        limit = len(self._buffer)
        for start in range(inside, len(self._buffer), _AT_A_TIME):
            if (structure := self._structure(start, start + _AT_A_TIME + 1)) is not None:
                limit = structure
                break
        quote = self._text.rfind(b'"', inside, limit)
        if quote >= 0 and not self._is_escaped(quote, inside):
            return quote
        return limit if limit < len(self._buffer) and self._buffer[limit] == _QUOTE else None

    def _structure(self, start: int, end: int) -> int | None:
        """The first place there that cannot be inside of a string, or is its end."""
        first = None
        for outside in self._outside:
            place = self._text.find(outside, start, end)
            if place >= 0:
                first, end = outside, place + len(outside) - 1
        if first is None:
            return None
        self._outside.remove(first)
        self._outside.insert(0, first)
        return end

    def _is_escaped(self, quote: int, first: int) -> bool:
        before: int = self._text.find_last_not_of(b"\\", first, quote)
        return (quote - max(before, first - 1)) % 2 == 0
