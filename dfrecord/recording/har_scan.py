"""Broken HAR bytes → the members of every entry that is whole, found by structure alone.

In: a buffer that a JSON parser refuses (truncated, a trailing comma, garbage, invalid UTF-8, raw control characters,
nesting beyond any parser). Out: where the entries and the members of an entry are, and a `Lost` for each that is not
whole. Only brackets and strings are looked at, so a HAR inside a string (a script that holds one) is never mistaken for
the file's own entries, and memory stays bounded: nothing is decoded or copied here. One look at each byte, plus a
bounded number of restarts at damaged places.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import TypeVar

import msgspec

# A string; or a bracket; or a quote that no other quote closes (the file ends inside a string). Looking only for
# quotes and then at what stands before them is four times as fast as looking at every character for quotes and
# backslashes. One or three backslashes escape the quote after them; longer odd rows are left to `_STRING`, which is
# always right.
_TOKEN = re.compile(rb'"(?:[^"]*+"(?:(?<=[^\\]\\")|(?<=[^\\]\\\\\\")))*+[^"]*+"|["{}\[\]]')
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_SCALAR = re.compile(rb"[^,\]}\s]++")
_SCALARS = re.compile(rb'[^\[\]{}"]++')  # there may be millions, and none is an entry
_GAP = re.compile(rb"[ \t\r\n]*+")
_GAP_AND_COMMAS = re.compile(rb"[ \t\r\n,]*+")
_COLON = re.compile(rb"[ \t\r\n]*+:[ \t\r\n]*+")

# Where an entry may begin again after damage: inside a well-formed string these quotes would be escaped.
ENTRY_START = re.compile(
    rb'\{\s*+"(?:startedDateTime|pageref|connection|request|time|cache|_initiator|_priority|_resourceType|_connectionId'
    rb'|_fromCache)"\s*+:'
)
_RESTARTS = 100
_LOOKS = 10  # at the whole file, when the damage shows only at its end

Item = TypeVar("Item")
Members = dict[str, slice]
"""The members of an object by name: where in the buffer their values stand."""

_OBJECT, _ARRAY, _QUOTE, _BACKSLASH = b'{["\\'


class NotAHar(ValueError):
    """There is no `log` object with an `entries` array in the bytes; the message says what was found instead."""


class Broken(Exception):
    """A value that does not end, or a place where no value can begin."""


class Lost(msgspec.Struct, frozen=True):
    """`count` entries (none, when only a remark is due) that could not be read, and why."""

    reason: str
    count: int = 1


class Again(msgspec.Struct, frozen=True):
    """A later list of entries follows, and is the one that counts, as of all members that stand twice."""


def find_entries(buffer: memoryview) -> tuple[memoryview, memoryview | None]:
    """The buffer from the array `log.entries` on, and the raw `log.creator` if it came before; raises NotAHar."""
    try:
        root = _end(_GAP, buffer, 0)
        if root == len(buffer) or buffer[root] != _OBJECT:
            raise NotAHar("it is no JSON object")
        log = _find(buffer, root + 1, "log", _OBJECT, {})
        if log is None:
            raise NotAHar('it has no "log"')
        before: Members = {}
        entries = _find(buffer, log + 1, "entries", _ARRAY, before)
    except Broken:
        raise NotAHar("it ends before its first entry") from None
    if entries is None:
        raise NotAHar('its "log" holds no list of "entries"')
    return buffer[entries:], buffer[before["creator"]] if "creator" in before else None


def _find(buffer: memoryview, inside: int, name: str, kind: int, before: Members) -> int | None:
    """Where the value of the member `name` begins when it is of that kind; other members are put into `before`."""
    while True:
        key, position = _next_key(buffer, inside)
        if key is None:
            return None
        if key == name and buffer[position] == kind:
            return position
        inside = _value_end(buffer, position)
        before[key] = slice(position, inside)


def entries_of(
    buffer: memoryview, entry_at: Callable[[int], tuple[Item, int]], position: int = 1
) -> Iterator[tuple[Item | Lost | Again, int]]:
    """What `entry_at` reads at each entry of the array that `buffer` begins with, and the position after it.

    It begins at `position`. Where `entry_at` raises Broken, it goes on at the next place that looks like an entry.
    """
    restarts, looked_through = 0, 0
    while True:
        position = _end(_GAP_AND_COMMAS, buffer, position)
        if position >= len(buffer):
            yield Lost("the file ends before its list of entries does", 0), len(buffer)
            return
        if buffer[position] == ord("]"):
            later, lost = _ending(buffer, position + 1)
            if later is None:
                yield from ((remark, len(buffer)) for remark in lost)
                return
            yield Again(), later
            position = later + 1
            continue
        try:
            entry, position = entry_at(position)
        except Broken as broken:
            again = ENTRY_START.search(buffer, position + 1)
            restarts += 1
            looked_through += len(buffer) - position
            yield Lost(str(broken)), position
            if again is None:
                return
            if restarts > _RESTARTS or looked_through > _LOOKS * len(buffer):
                yield Lost("the file is damaged in too many places; the rest was not read", 0), position
                return
            position = again.start()
        else:
            yield entry, position


def members_of(buffer: memoryview, start: int) -> tuple[Members | Lost, int]:
    """The members of the object at `start`, and the position after it; raises Broken when it has no end."""
    if buffer[start] != _OBJECT:
        scalars = _SCALARS.match(buffer, start)
        end = scalars.end() if scalars else _value_end(buffer, start)
        count = sum(1 for _ in _SCALAR.finditer(buffer, start, end)) if scalars else 1
        return Lost("it is no JSON object", count), end
    return members_after(buffer, start + 1)


def members_after(buffer: memoryview, position: int) -> tuple[Members, int]:
    """The members of the object that `position` is inside of, and the position after it; raises Broken."""
    members: Members = {}
    while True:
        key, position = _next_key(buffer, position)
        if key is None:
            return members, position
        end = _value_end(buffer, position)
        members[key] = slice(position, end)
        position = end


def _ending(buffer: memoryview, position: int) -> tuple[int | None, list[Lost]]:
    """Where a later list of entries begins, if there is one, behind a list that ends at the position. Else a remark
    when what follows is not the rest of one JSON object; the array may stand alone.
    """
    if position == len(buffer):
        return None, []
    try:
        log, position = members_after(buffer, position)
        root, position = members_after(buffer, position)
        if "log" in root and isinstance(later := members_of(buffer, root["log"].start)[0], dict):
            log = later
    except Broken:
        return None, [Lost("the file is damaged after its last entry", 0)]
    if "entries" in log and buffer[log["entries"].start] == _ARRAY:
        return log["entries"].start, []
    if _end(_GAP, buffer, position) != len(buffer):
        return None, [Lost("something follows the end of the HAR; it was ignored", 0)]
    return None, []


def _next_key(buffer: memoryview, position: int) -> tuple[str | None, int]:
    """The next key of an object and where its value begins; None and the position after the object at its end."""
    position = _end(_GAP_AND_COMMAS, buffer, position)
    if position >= len(buffer):
        raise Broken("the file ends inside it")
    if buffer[position] == ord("}"):
        return None, position + 1
    key = _STRING.match(buffer, position)
    colon = _COLON.match(buffer, key.end()) if key else None
    if key is None or colon is None or colon.end() >= len(buffer):
        raise Broken("the file ends inside it" if buffer[position] == _QUOTE else "its JSON is broken")
    return _key(key.group()), colon.end()


def _key(quoted: bytes) -> str:
    if b"\\" in quoted:
        try:
            return str(json.loads(quoted.decode("utf-8", "replace"), strict=False))
        except ValueError:
            pass
    return quoted[1:-1].decode("utf-8", "replace")


def _value_end(buffer: memoryview, start: int) -> int:
    """The position after the JSON value that begins at `start`; raises Broken when it has no end."""
    first = buffer[start]
    if first in b"{[":
        return _bracket_end(buffer, start)
    match = (_STRING if first == _QUOTE else _SCALAR).match(buffer, start)
    if match is None:
        raise Broken("the file ends inside it" if first == _QUOTE else "its JSON is broken")
    return match.end()


def _bracket_end(buffer: memoryview, position: int) -> int:
    """The position after the bracket that closes the one at `position`."""
    depth = 0
    while True:
        for token in _TOKEN.finditer(buffer, position):
            opening, end = token.span()
            byte = buffer[opening]
            if byte == _QUOTE:
                if end - opening == 1:
                    raise Broken("the file ends inside it")
                if buffer[end - 2] == _BACKSLASH and _odd_backslashes(buffer, end - 2):
                    position = _value_end(buffer, opening)
                    break
            elif byte in b"{[":
                depth += 1
            else:
                depth -= 1
                if depth == 0:
                    return end
        else:
            raise Broken("the file ends inside it")


def _odd_backslashes(buffer: memoryview, last: int) -> bool:
    first = last
    while buffer[first] == _BACKSLASH:
        first -= 1
    return (last - first) % 2 == 1


def _end(pattern: re.Pattern[bytes], buffer: memoryview, position: int) -> int:
    match = pattern.match(buffer, position)
    return match.end() if match else position
