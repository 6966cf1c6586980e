"""The one exception tree of dfrecord.

Every message is one line that says what is wrong, where (file, entry number, JSON pointer) and what to do about it.
The command line prints it after `dfrecord: ` and exits with 2, or with 1 for `WorkFailed`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import stat
from types import FrameType
from typing import NoReturn


class DfrecordError(Exception):
    """Anything dfrecord refuses or cannot do; the message is meant for the person at the terminal."""


class UnreadableInput(DfrecordError):
    """The input is missing, empty, of no known kind, or broken beyond what can be saved."""


class UsageError(DfrecordError):
    """The call itself is wrong: an unknown format, a value that does not fit, a parameter that does not exist."""


class SecretInOutput(DfrecordError):
    """A recorded secret still stands in what was about to be written; nothing was written."""


class WorkFailed(DfrecordError):
    """The command was right and the input readable, but the work itself failed (exit code 1)."""


class Stopped(SystemExit):
    """A signal ends the program: no error, and not the exit of a plug-in, which is one."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)


ENDINGS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
"""The signals that end a command as Ctrl-C does: somebody says so, or closes the terminal."""


def terminated(number: int, frame: FrameType | None) -> NoReturn:
    """What the command line does on one of ENDINGS: it ends, and takes away what it was writing."""
    leave_closed_terminal(number)
    raise Stopped(number)


def leave_closed_terminal(number: int) -> None:
    """After SIGHUP nobody reads what goes to the terminal, and writing there would fail in the middle of the work."""
    if number != getattr(signal, "SIGHUP", None):
        return
    for stream in (1, 2):
        with contextlib.suppress(OSError):  # it is closed
            if stat.S_ISCHR(os.fstat(stream).st_mode):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream)


def stop_code(error: BaseException | None) -> int:
    """The exit code when Ctrl-C or SIGTERM is behind what was raised, 0 when it is an error.

    Python 3.11 wraps what is raised while a class is being made.
    """
    for raised in (error, error.__cause__ if error else None):
        if isinstance(raised, KeyboardInterrupt):
            return 130
        if isinstance(raised, Stopped) and isinstance(raised.code, int):
            return raised.code
    return 0
