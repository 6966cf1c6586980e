"""The one entry at a place in HAR bytes, and where it ends, without a look at every byte of the long texts in it.

In: a buffer and a place in it. Out: the entry with its members undecoded. Most of a HAR is the text of scripts and
images, in entries that nobody wants. msgspec reads what comes before such a text (closed by what is left open), and
what comes after it (opened as deep); `JsonStrings` finds its end. So nothing is passed over but the inside of one
string, and of a well-formed file the answer is the same as if all of it had been read.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from dfrecord.recording.har_raw import MISSING, RawEntry
from dfrecord.recording.json_strings import JsonStrings

REFUSALS = (msgspec.MsgspecError, RecursionError, ValueError)
"""What msgspec raises for what it does not take."""

_WINDOWS = (4 * 1024, 32 * 1024)
"""In how many bytes a long text is to begin, and what follows it is to end; else the entry is read as a whole."""

_OF_URL = 2  # it may be the string that goes on
_DEEPEST = 5
_CLOSING = b'"' + b"}" * (_DEEPEST + 1)
_TRAILING = re.compile(r"trailing characters \(byte (\d+)\)")


class EntryReader:
    """Reads the entry at a place; `wanted` tells by its URL whether all of it is needed."""

    def __init__(self, buffer: memoryview, wanted: Callable[[str], bool]) -> None:
        # msgspec refuses what follows the end of a value; by then it has made the value.
        entries: list[RawEntry] = []
        requests: list[Any] = []

        class Entry(RawEntry, gc=False):
            def __post_init__(self) -> None:
                entries.append(self)

        class RestOfRequest(msgspec.Struct, gc=False):
            url: msgspec.Raw = MISSING

            def __post_init__(self) -> None:
                requests.append(self)

        self._buffer, self._wanted, self._strings = buffer, wanted, JsonStrings(buffer)
        self._decoder, self._entries = msgspec.json.Decoder(Entry), entries
        members = [("request", RestOfRequest | msgspec.UnsetType, msgspec.UNSET)]
        rest = msgspec.defstruct("Rest", members, gc=False)
        self._rest_decoder, self._requests = msgspec.json.Decoder(rest), requests

    def entry_at(self, start: int) -> tuple[RawEntry | str, int] | None:
        """The entry that begins there, or the URL of one that is not wanted, and the place after it; None when msgspec
        refuses it.
        """
        for size in _WINDOWS:
            cut = self._strings.cut(start + size)
            if cut is None:
                break
            done = _skipped(self._decoder, b"".join((self._buffer[start:cut], _CLOSING)))
            if not self._entries:
                continue  # it goes on, but not in a string that is a member of members
            entry = self._entries.pop()
            url = entry.request.url
            more = done - (cut - start)
            if more > 0:
                depth = more - 1
                end = None if depth == _OF_URL or self._wanted(url) else self._end(cut, depth)
                if end is None:
                    break
                return url, end
            return entry if self._wanted(url) else url, start + done
        end = start + _skipped(self._decoder, self._buffer[start:])
        if not self._entries:
            return None
        entry = self._entries.pop()
        url = entry.request.url
        return entry if self._wanted(url) else url, end

    def _end(self, inside: int, depth: int) -> int | None:
        """The place after the entry that the string, which is inside of so many objects, is in; None where that is not
        found soon or where a request, or the URL of one, follows: it would be the one that counts.
        """
        quote = self._strings.end_of(inside)
        if quote is None:
            return None
        opening = b'{"":"' if depth == 1 else b'{"request":' + b'{"":' * (depth - 1) + b'"'
        for size in _WINDOWS:
            self._requests.clear()
            done = _skipped(self._rest_decoder, b"".join((opening, self._buffer[quote : quote + size])))
            if done:
                found = len(self._requests) == (depth > 1) and all(r.url is MISSING for r in self._requests)
                return quote + done - len(opening) if found else None
        return None


def _skipped(decoder: msgspec.json.Decoder[Any], buffer: bytes | memoryview) -> int:
    """The length of the one value that the decoder reads at the beginning of the buffer; 0 when it refuses it."""
    try:
        decoder.decode(buffer)
    except REFUSALS as error:
        trailing = _TRAILING.search(str(error))
        return int(trailing[1]) - 1 if trailing else 0  # it counts from 1
    return len(buffer)
