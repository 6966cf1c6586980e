"""Files that change while they are read: told in one line, since what was read would be half old and half new.

A small file is read at once. A large one is a memory map: what another program writes into it shows up in the middle of
the reading, and touching a page that it cut off ends the process with SIGBUS.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path


def watched(path: Path, opened: os.stat_result) -> Callable[[], bool]:
    """Whether the file that was opened as `path` has been written to since; a file that took its place is another."""

    def has_changed() -> bool:
        try:
            now = path.stat()
        except OSError:
            return False
        return _identity(now) == _identity(opened) and _content(now) != _content(opened)

    return has_changed


def message(name: str) -> str:
    """What a person is told about the input called so."""
    return f"{name}: changed while it was read; try again when nothing writes to it any more"


@contextlib.contextmanager
def cut_off_is_told(path: Path) -> Iterator[None]:
    """Ends the process with the message and exit code 2 when a memory map of the file is touched beyond its end.

    Python's own signal handlers come too late: the faulting instruction would be tried again for ever.
    """
    if not hasattr(signal, "SIGBUS"):
        yield
        return
    import ctypes  # a hundredth of a second, which only large files pay

    def end(number: int) -> None:
        os.write(2, f"dfrecord: {message(os.fspath(path))}\n".encode(errors="replace"))
        os._exit(2)

    install = ctypes.CDLL(None).signal
    install.argtypes, install.restype = [ctypes.c_int, ctypes.c_void_p], ctypes.c_void_p
    handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(end)
    before = install(signal.SIGBUS, ctypes.cast(handler, ctypes.c_void_p))
    try:
        yield
    finally:
        install(signal.SIGBUS, before)


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _content(status: os.stat_result) -> tuple[int, int]:
    return status.st_size, status.st_mtime_ns
