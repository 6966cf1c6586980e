"""Work that is shared with other cores: forked children do parts of it, and tell what came of them.

A child that the system has no room for, or that dies, is done without: whether there is one changes nothing but the
time. There are none where they would not help or could harm (`may_fork`).
"""

from __future__ import annotations

import contextlib
import gc
import marshal
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from typing import Any, BinaryIO, NoReturn

_MOST_PROCESSES = 4


def processes() -> int:
    """How many of ours may run at a time. Only Linux tells on how many cores a process may run."""
    return min(_MOST_PROCESSES, len(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else 1


def may_fork() -> bool:
    """A lock that another thread holds would stay locked in a child for ever, and a program that waits for children of
    its own could take ours for one of them.
    """
    return processes() > 1 and threading.active_count() == 1 and signal.getsignal(signal.SIGCHLD) is signal.SIG_DFL


# ---------------------------------------------------------------- children


class Child:
    """A process beside this one, what it tells, and what it is told."""

    def __init__(self, process: int, tells: BinaryIO, told: BinaryIO) -> None:
        self._process, self.tells, self.told = process, tells, told

    def end(self) -> None:
        """Whatever it does, it is gone after this."""
        os.kill(self._process, signal.SIGKILL)
        for pipe in (self.tells, self.told):
            with contextlib.suppress(OSError):  # what it did not hear has nowhere to go
                pipe.close()
        os.waitpid(self._process, 0)


@contextlib.contextmanager
def gone_at_the_end(children: Sequence[Child]) -> Iterator[None]:
    """No child is left after this."""
    try:
        yield
    finally:
        if children:
            with _undisturbed():
                for child in children:
                    child.end()


def fork(children: list[Child], work: Callable[[BinaryIO, BinaryIO], None]) -> None:
    """Adds a child that does the work: with what it hears, and what it tells.

    Raises OSError when the system has no process, file or memory left.
    """
    with _undisturbed(), contextlib.ExitStack() as theirs, contextlib.ExitStack() as ours:
        tells, telling = _pipe(ours, theirs)
        hearing, told = _pipe(theirs, ours)
        if not (process := os.fork()):
            ours.close()
            _do(partial(work, hearing, telling))
        children.append(Child(process, tells, told))
        ours.pop_all()


def _pipe(reader: contextlib.ExitStack, writer: contextlib.ExitStack) -> tuple[BinaryIO, BinaryIO]:
    """The two ends of a pipe, each closed with all that is on its side."""
    read, write = os.pipe()
    return reader.enter_context(os.fdopen(read, "rb")), writer.enter_context(os.fdopen(write, "wb"))


def _do(work: Callable[[], None]) -> NoReturn:
    gc.disable()  # it would touch, and so copy, all that the parent holds
    try:
        work()
    finally:
        os._exit(0)


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """No signal is heard meanwhile, and none ever by a child that is forked: the parent hears it and ends the child."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# ---------------------------------------------------------------- parts of one work


Part = Generator[Any, list[Any], Any]
"""Yields what all parts are to know, is sent what each of them yielded, in order, and returns what comes of it: all of
it what marshal takes, and each time the same.
"""


def together(parts: Sequence[Callable[[], Part]]) -> list[Any]:
    """What each of the parts returns, in order. The first is done here, each of the others by a child, if it can be."""
    children: list[Child] = []
    with gone_at_the_end(children):
        with contextlib.suppress(OSError):
            for part in parts[1:]:
                fork(children, partial(_do_part, part))
        by = [None, *children, *[None] * (len(parts) - 1 - len(children))]
        runs = [_Run(part, child) for part, child in zip(parts, by, strict=True)]
        known = [run.first() for run in runs]
        for run in runs:
            run.tell(known)
        return [run.last(known) for run in runs]


def _do_part(part: Callable[[], Part], hearing: BinaryIO, telling: BinaryIO) -> None:
    running = part()
    marshal.dump(next(running), telling)
    telling.flush()
    marshal.dump(_returned(running, marshal.load(hearing)), telling)
    telling.flush()


class _Run:
    """One of the parts, done by a child as long as there is one."""

    def __init__(self, part: Callable[[], Part], child: Child | None) -> None:
        self._part, self._child = part, child

    def first(self) -> Any:
        """What it yields."""
        if self._child:
            try:
                return marshal.load(self._child.tells)
            except (EOFError, OSError):
                self._child = None
        self._running = self._part()
        return next(self._running)

    def tell(self, known: list[Any]) -> None:
        """Lets a child go on."""
        if self._child:
            with contextlib.suppress(OSError):  # it is no more
                marshal.dump(known, self._child.told)
                self._child.told.flush()

    def last(self, known: list[Any]) -> Any:
        """What it returns."""
        if self._child:
            try:
                return marshal.load(self._child.tells)
            except (EOFError, OSError):
                self._child = None
                self.first()
        return _returned(self._running, known)


def _returned(running: Part, known: list[Any]) -> Any:
    try:
        running.send(known)
    except StopIteration as done:
        return done.value
    raise AssertionError("a part yields once")
