"""The one entry at a place in HAR bytes, and where it ends, without a look at every byte of the long texts in it.

In: a buffer and a place in it. Out: the entry with its members undecoded. Most of a HAR is the text of scripts and
images, in entries that nobody wants. msgspec reads what comes before such a text (closed by what is left open), and
what comes after it (opened as deep); `JsonStrings` finds its end. So nothing is passed over but the inside of one
string, where damage stays unnoticed, and of a well-formed file the answer is the same as if all of it had been read.
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

_WINDOWS = (6 * 1024, 32 * 1024)
"""In how many bytes a long text is to begin, and what follows it is to end; else the entry is read as a whole."""

_CLOSING = b'"}}}'  # of a text and the content, response and entry that it is in, or of what is in fewer objects
_OPENINGS = {1: b'{"":"', 3: b'{"request":{"":{"":"'}
"""What the rest of a string is read behind, by how many objects that is in. In two it may be the URL that is cut."""

_TRAILING = re.compile(r"trailing characters \(byte (\d+)\)")


class EntryReader:
    """Reads the entry at a place; `wanted` tells by its URL whether all of it is needed."""

    def __init__(self, buffer: memoryview, wanted: Callable[[str], bool]) -> None:
        # msgspec refuses what follows the end of a value; by then, and not before, it has made the value.
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
        return self._from_its_beginning(start) or self._whole(start)

    def _from_its_beginning(self, start: int) -> tuple[RawEntry | str, int] | None:
        """The same, when the beginning is all of it, or enough to find its end; else None."""
        for size in _WINDOWS:
            cut = self._strings.cut(start + size)
            if cut is None:
                continue
            done = start + _skipped(self._decoder, b"".join((self._buffer[start:cut], _CLOSING)))
            if self._entries and done <= cut:
                return self._asked_for(self._entries.pop()), done
            if self._entries:
                depth, entry = done - cut - 1, self._asked_for(self._entries.pop())
                end = self._end(cut, depth) if isinstance(entry, str) and depth in _OPENINGS else None
                return None if end is None else (entry, end)
            # The cut is not in a string, or that is not a member of an object in objects.
        return None

    def _whole(self, start: int) -> tuple[RawEntry | str, int] | None:
        end = start + _skipped(self._decoder, self._buffer[start:])
        return (self._asked_for(self._entries.pop()), end) if self._entries else None

    def _asked_for(self, entry: RawEntry) -> RawEntry | str:
        return entry if self._wanted(entry.request.url) else entry.request.url

    def _end(self, inside: int, depth: int) -> int | None:
        """The place after the entry whose string goes on there, inside of so many objects. None where it does not end
        soon after the string, or where a request, or the URL of one, follows, which would be the one that counts.
        """
        quote = self._strings.end_of(inside)
        if quote is None:
            return None
        opening = _OPENINGS[depth]
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
