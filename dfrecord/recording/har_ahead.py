"""Large HARs are skipped through on several cores: forked children read ahead of the process that reads.

In: the array of entries, cut into parts at what looks like the end of an entry, and what reads the entries at a place.
Out: the same, only quicker. Children take parts from the end of the file, the reader from its beginning, until they
meet, so that none waits for another for long. A child tells what it found: from where to where, the wanted entries, and
the URLs of the others. What stands at a place is the same whoever looks. So the reader goes from entry to entry as it
would alone, takes what was told of the place that it has come to, and looks itself where nothing was told. Where parts
begin, who took them and whether there was a child at all changes nothing but the time.
"""

from __future__ import annotations

import contextlib
import mmap
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import BinaryIO

import msgspec

from dfrecord.forks import Child, fork, gone_at_the_end, may_fork, processes
from dfrecord.recording.har_raw import Run
from dfrecord.recording.har_scan import ENTRY_START, entries_of

_WORTH_IT = 16 * 1024 * 1024
_PARTS = 8  # for each process, or more so that none is larger than this:
_LARGEST_PART = 16 * 1024 * 1024
_NEAR = 16 * 1024 * 1024  # how far the end of an entry is looked for from where a part should begin
_AT_A_TIME = 64 * 1024  # bytes that a child tells
_MOST_TOLD = 32 * 1024 * 1024  # bytes that a child holds until it is listened to

_READER = 255  # who takes a part; children have numbers from 1 on
_OPENING = re.compile(rb'\[\s*+(\{\s*+"[^"\\]++"\s*+:)')

ItemAt = Callable[[int], tuple[object, int]]
"""Reads what is at a place: gives a Run or anything else, and the place after it."""


class _Told(msgspec.Struct, array_like=True):
    """Where a run begins and ends."""

    begin: int
    end: int
    run: Run


_NOTHING_MORE = _Told(sys.maxsize, 0, Run([], []))
_TELLING, _TOLD = msgspec.json.Encoder(), msgspec.json.Decoder(_Told)


def separator_of(array: memoryview) -> re.Pattern[bytes] | None:
    """What stands between two entries that open as the first or as usual, from the comma on; None without a first.

    A string cannot hold such an opening, as its quotes are escaped. An entry can: there only looks like one.
    """
    first = _OPENING.match(array)
    return re.compile(rb",\s*+(?:%s|%s)" % (re.escape(first[1]), ENTRY_START.pattern)) if first else None


def parts_of(array: memoryview, separator: re.Pattern[bytes] | None) -> list[int]:
    """Where parts but the first begin, about equal ones; none where children would not help or could harm."""
    if separator is None or len(array) < _WORTH_IT or not may_fork():
        return []
    count = max(_PARTS * processes(), len(array) // _LARGEST_PART)
    places = set[int]()
    for share in (len(array) * part // count for part in range(1, count)):
        match = separator.search(array, share, share + _NEAR)
        if match is None:
            break
        places.add(match.start())
    return sorted(places)


@contextlib.contextmanager
def read_ahead(
    array: memoryview, item_at: ItemAt, parts: Sequence[int]
) -> Iterator[Callable[[int], tuple[Run, int] | None]]:
    """What children know of a place, asked for one place after the other: what `item_at` gives there, or None.

    At the end no child is left.
    """
    if not parts:
        yield lambda start: None
        return
    children: list[Child] = []
    with mmap.mmap(-1, len(parts)) as taken, gone_at_the_end(children):
        with contextlib.suppress(OSError):
            for number in range(1, processes()):
                fork(children, partial(_tell, partial(_found, array, item_at, parts, taken, number)))
        yield _asked([_Telling(child.tells) for child in children], parts, taken)


def _found(array: memoryview, item_at: ItemAt, parts: Sequence[int], taken: mmap.mmap, number: int) -> Iterator[bytes]:
    """What a child tells of all parts that it takes, in the order of the file."""
    found: list[list[bytes]] = []
    size = 0
    bounds = list(pairwise([*parts, len(array)]))
    for part in reversed(range(len(parts))):
        if taken[part] == _READER or size > _MOST_TOLD:
            break
        if not taken[part]:
            taken[part] = number
            found.append(list(_found_in(array, item_at, *bounds[part])))
            size += sum(map(len, found[-1]))
    for blocks in reversed(found):
        yield from blocks


def _found_in(array: memoryview, item_at: ItemAt, begin: int, end: int) -> Iterator[bytes]:
    """What is to be told of the entries from one place to another, many runs at a time."""
    block = bytearray()

    def noted(start: int) -> tuple[object, int]:
        item, after = item_at(start)
        if isinstance(item, Run):
            _TELLING.encode_into(_Told(start, after, item), block, -1)
            block.extend(b"\n")
        return item, after

    for _, position in entries_of(array, noted, begin):
        if len(block) > _AT_A_TIME:
            yield bytes(block)
            block.clear()
        if position >= end:
            break
    yield bytes(block)


def _asked(
    children: Sequence[_Telling], parts: Sequence[int], taken: mmap.mmap
) -> Callable[[int], tuple[Run, int] | None]:
    child: _Telling | None = None
    part = 0

    def known(start: int) -> tuple[Run, int] | None:
        nonlocal child, part
        while part < len(parts) and parts[part] < start:
            child = children[taken[part] - 1] if 0 < taken[part] <= len(children) else None
            if child is None:
                taken[part] = _READER
            part += 1
        return child.at(start) if child else None

    return known


class _Telling:
    """What one child tells, and the next of it."""

    def __init__(self, pipe: BinaryIO) -> None:
        self._pipe, self._told = pipe, self._listen()
        self._next = _Told(-1, 0, Run([], []))

    def at(self, start: int) -> tuple[Run, int] | None:
        """What it tells of a place, asked for one place after the other."""
        while self._next.begin < start:
            self._next = next(self._told, _NOTHING_MORE)
        return (self._next.run, self._next.end) if self._next.begin == start else None

    def _listen(self) -> Iterator[_Told]:
        """All that it tells, as far as it came; waits for it."""
        while len(size := self._pipe.read(8)) == 8:
            block = self._pipe.read(int.from_bytes(size))
            if len(block) < int.from_bytes(size):
                return
            yield from _TOLD.decode_lines(block)


def _tell(work: Callable[[], Iterator[bytes]], _: BinaryIO, telling: BinaryIO) -> None:
    """What a child does. It keeps what it found until it has all: a pipe holds little, and the reader comes late."""
    for block in list(work()):
        telling.write(len(block).to_bytes(8) + block)
    telling.flush()
