"""Ctrl-C during a run: a request that may change something is finished first, so that everybody knows what was done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from dfrecord.replaying.client import Client, Say

PATIENCE = 5.0
"""Seconds that an answer is waited for after the first Ctrl-C; a second one, or their end, stops at once."""


@contextmanager
def stopping(client: Client, say: Say) -> Iterator[Callable[[], bool]]:
    """What is given tells whether to stop before the next step; otherwise Ctrl-C is a KeyboardInterrupt as ever.

    Leaves the signal alone outside the main thread, and where the program has a handler of its own.
    """
    asked = False

    def heard(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked or not client.writing:
            raise KeyboardInterrupt
        asked = True
        say("stopping once the instance has answered; Ctrl-C again stops at once")
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, PATIENCE)

    def too_long(number: int, frame: FrameType | None) -> None:
        if client.writing:
            raise KeyboardInterrupt

    is_ours = threading.current_thread() is threading.main_thread()
    if not is_ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield lambda: False
        return
    signal.signal(signal.SIGINT, heard)
    alarm = signal.signal(signal.SIGALRM, too_long) if hasattr(signal, "SIGALRM") else None
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, alarm)
