"""Ctrl-C, SIGTERM and a closed terminal during a run: a request that may change something is finished first, so that
everybody knows what was done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from dfrecord.errors import ENDINGS, Stopped, leave_closed_terminal, terminated
from dfrecord.replaying.client import Client, Say

PATIENCE = 5.0
"""Seconds that an answer is waited for after the first signal; a second one, or their end, stops at once."""


@contextmanager
def stopping(client: Client, say: Say) -> Iterator[Callable[[], int]]:
    """What is given tells the signal that asks to stop before the next step, 0 for none; otherwise Ctrl-C is a
    KeyboardInterrupt as ever, and the others what the command line makes of them, Stopped.

    Leaves a signal alone outside the main thread, and where the program has a handler of its own.
    """
    asked = 0

    def stop(number: int) -> NoReturn:
        raise KeyboardInterrupt if number == signal.SIGINT else Stopped(number)

    def heard(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        leave_closed_terminal(number)
        if asked or not client.writing:
            stop(number)
        asked = number
        say("stopping once the instance has answered; Ctrl-C again stops at once")
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, PATIENCE)

    def too_long(number: int, frame: FrameType | None) -> None:
        if client.writing:
            stop(asked)

    known = {signal.SIGINT: signal.default_int_handler, **dict.fromkeys(ENDINGS, terminated)}
    is_main = threading.current_thread() is threading.main_thread()
    ours = [number for number, handler in known.items() if is_main and signal.getsignal(number) is handler]
    if not ours:
        yield lambda: 0
        return
    for number in ours:
        signal.signal(number, heard)
    alarm = signal.signal(signal.SIGALRM, too_long) if hasattr(signal, "SIGALRM") else None
    try:
        yield lambda: asked
    finally:
        for number in ours:
            signal.signal(number, known[number])
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, alarm)
