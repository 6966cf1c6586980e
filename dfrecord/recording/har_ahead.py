"""Large HARs are skipped through on several cores: forked children read ahead of the process that reads.

In: the array of entries, and what reads the entry at a place. Out: the same, only quicker. A child begins at a place
that looks like an entry and tells which entries from there on are not wanted: from where to where, and their URL. What
stands at a place is the same whoever looks. So the reader goes from entry to entry as it would alone, takes what was
told of the place that it has come to, and looks itself where nothing was told. Where a child began, how far it came and
whether there was one at all changes nothing but the time.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import BinaryIO, NoReturn

import msgspec

from dfrecord.recording.har_scan import entries_of

_WORTH_IT = 128 * 1024 * 1024
_MOST_PROCESSES = 4
_NEAR = 16 * 1024 * 1024  # how far an entry is looked for from where a child should begin
_AT_A_TIME = 1000

_OPENING = re.compile(rb'\[\s*+(\{\s*+"[^"\\]++"\s*+:)')

EntryAt = Callable[[int], tuple[object, int]]
"""Reads the entry at a place: gives it, or its URL when it is not wanted, and the place after it."""
PassedOver = tuple[int, int, str]
"""Where an entry that is not wanted begins and ends, and its URL."""

_NOTHING_MORE: PassedOver = (sys.maxsize, 0, "")
_TOLD = msgspec.msgpack.Decoder(list[PassedOver])


@contextlib.contextmanager
def read_ahead(array: memoryview, entry_at: EntryAt) -> Iterator[Callable[[int], tuple[str, int] | None]]:
    """What children know of a place, asked for one place after the other: what `entry_at` gives there, or None.

    At the end no child is left.
    """
    places = _places(array) if len(array) >= _WORTH_IT and _may_fork() else []
    if not places:
        yield lambda start: None
        return
    children: list[_Child] = []
    try:
        for begin, end in pairwise([*places, len(array)]):
            _fork(children, begin, partial(_passed_over, array, entry_at, begin, end))
        yield _asked(list(children))
    finally:
        with _undisturbed():
            for child in children:
                child.end()


def _may_fork() -> bool:
    """Only Linux tells on how many cores a process may run. A lock that another thread holds would stay locked in a
    child for ever, and a program that waits for children of its own could take ours for one of them.
    """
    return (
        hasattr(os, "sched_getaffinity")
        and threading.active_count() == 1
        and signal.getsignal(signal.SIGCHLD) is signal.SIG_DFL
    )


def _places(array: memoryview) -> list[int]:
    """Where children begin, so that all parts are about equal: at objects that open with the bytes of the first entry.

    A string cannot hold these bytes, as its quotes are escaped. An entry can, in which case the child works in vain.
    """
    first = _OPENING.match(array)
    if first is None:
        return []
    opening = re.compile(re.escape(first[1]))
    parts = min(_MOST_PROCESSES, len(os.sched_getaffinity(0)))
    shares = (len(array) * part // parts for part in range(1, parts))
    found = (opening.search(array, share, share + _NEAR) for share in shares)
    return sorted({match.start() for match in found if match})


def _passed_over(array: memoryview, entry_at: EntryAt, begin: int, end: int) -> Iterator[bytes]:
    """What a child tells of the entries from one place to another, so many at a time."""
    found: list[PassedOver] = []

    def noted(start: int) -> tuple[object, int]:
        item, after = entry_at(start)
        if isinstance(item, str):
            found.append((start, after, item))
        return item, after

    for _, position in entries_of(array, noted, begin):
        if position >= end:
            break
        if len(found) == _AT_A_TIME:
            yield msgspec.msgpack.encode(found)
            found.clear()
    yield msgspec.msgpack.encode(found)


def _asked(children: list[_Child]) -> Callable[[int], tuple[str, int] | None]:
    """A child is listened to from the place on where it began, and not at all when that is never asked for."""
    told: Iterator[PassedOver] = iter(())
    begin, end, url = _NOTHING_MORE

    def known(start: int) -> tuple[str, int] | None:
        nonlocal told, begin, end, url
        while children and children[0].begin <= start:
            child = children.pop(0)
            if child.begin == start:
                told, begin = child.told(), -1
        while begin < start:
            begin, end, url = next(told, _NOTHING_MORE)
        return (url, end) if begin == start else None

    return known


@dataclass(frozen=True, slots=True)
class _Child:
    """A process that reads from `begin` on."""

    process: int
    begin: int
    pipe: BinaryIO

    def told(self) -> Iterator[PassedOver]:
        """What it found, as far as it came; waits for it."""
        while len(size := self.pipe.read(8)) == 8:
            block = self.pipe.read(int.from_bytes(size))
            if len(block) < int.from_bytes(size):
                return
            yield from _TOLD.decode(block)

    def end(self) -> None:
        """Whatever it does, it is gone after this."""
        self.pipe.close()
        os.kill(self.process, signal.SIGKILL)
        os.waitpid(self.process, 0)


def _fork(children: list[_Child], begin: int, work: Callable[[], Iterator[bytes]]) -> None:
    """Adds a child that does the work and then tells it, unless the system has no process, file or memory left."""
    with contextlib.suppress(OSError), _undisturbed():
        ours, theirs = os.pipe()
        try:
            if not (process := os.fork()):
                os.close(ours)
                _tell(theirs, work)
            children.append(_Child(process, begin, os.fdopen(ours, "rb")))
        except OSError:
            os.close(ours)
            raise
        finally:
            os.close(theirs)


def _tell(pipe: int, work: Callable[[], Iterator[bytes]]) -> NoReturn:
    """What a child does. It keeps what it found until it has all: a pipe holds little, and the reader comes late."""
    try:
        blocks = list(work())
        with os.fdopen(pipe, "wb") as file:
            for block in blocks:
                file.write(len(block).to_bytes(8) + block)
    finally:
        os._exit(0)


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """No signal is heard meanwhile, and none ever by a child that is forked: the reader hears it and ends the child."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
