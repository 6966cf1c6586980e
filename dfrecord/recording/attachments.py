"""Bodies that a HAR keeps in files beside itself: Playwright's `_file` in `content` and `postData`.

In: a name from a recording, which is untrusted. Out: bytes, from inside the archive or folder of that recording only,
or a `Refused` that says why not. Facts: dialects/pw-attach.zip (names are `<sha1 of the bytes>.<ext>`), README.md
beside it.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import TypeAlias

# Gives the bytes of the file called so, or raises Refused.
Attachments: TypeAlias = Callable[[str], bytes]

# A body larger than this is no body of an admin session, and would have to fit into memory.
LARGEST_BODY = 64 * 1024 * 1024

_SHA1_NAME = re.compile(r"([0-9a-f]{40})\.\w+", re.ASCII)


class Refused(ValueError):
    """The file named in the recording is missing, unreadable, or outside of where bodies may be read from."""


def no_attachments(name: str) -> bytes:
    """For a recording that stands alone (standard input, one compressed file)."""
    raise Refused(f"the file {name!r} is not part of this input")


def folder_attachments(folder: Path, budget: int) -> Attachments:
    """Files of the folder that was named as the input, at most `budget` bytes together: entries may share one."""
    left = budget

    def read(name: str) -> bytes:
        nonlocal left
        content = _read_inside(folder, name, min(left, LARGEST_BODY))
        left -= len(content)
        return content

    return read


def sibling_attachments(folder: Path, budget: int) -> Attachments:
    """Files beside a plain HAR file, only those that Playwright wrote, at most `budget` bytes together.

    Nobody named the folder as the input, so a hostile HAR saved into a home folder could ask for any file there:
    Playwright's names are the SHA-1 of the content, and only a file that keeps this promise is given.
    """

    inside = folder_attachments(folder, budget)

    def read(name: str) -> bytes:
        digest = _SHA1_NAME.fullmatch(name)
        if digest is None:
            raise Refused(f"the file {name!r} does not have a name that Playwright gives")
        import hashlib  # OpenSSL takes a while to load, and few recordings have attachments

        content = inside(name)
        if hashlib.sha1(content, usedforsecurity=False).hexdigest() != digest[1]:
            raise Refused(f"the file {name!r} is not the one that was recorded")
        return content

    return read


def check_name(name: str) -> None:
    """Raises Refused when the name leads out of the recording."""
    parts = PurePosixPath(name).parts
    if not parts or "\\" in name or ":" in name or "\0" in name or name.startswith("/") or ".." in parts:
        raise Refused(f"the file name {name!r} leads out of the recording")


def _read_inside(folder: Path, name: str, largest: int) -> bytes:
    check_name(name)
    path = folder
    try:
        for part in PurePosixPath(name).parts:
            path = path / part
            if path.is_symlink():
                raise Refused(f"the file {name!r} is a symbolic link")
        # A named pipe would block and a device never ends: look before reading, without waiting.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise Refused(f"the file {name!r} is no ordinary file")
            if status.st_size > largest:
                raise Refused(f"the file {name!r} is too large, alone or with the bodies before it")
            return file.read(largest)  # also when it grows
    except OSError as error:
        raise Refused(f"the file {name!r} beside the recording cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise error if isinstance(error, Refused) else Refused(f"the file name {name!r} is not usable") from None
