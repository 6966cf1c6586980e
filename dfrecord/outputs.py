"""Writing what was made: files that are whole or not there, and recorded text on a terminal."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from dfrecord.errors import DfrecordError, UsageError, WorkFailed

if TYPE_CHECKING:
    from dfrecord.renderers import OutputFile

DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
"""What keeps a writable file from being written to its end."""

A_BLOCK = 4096
"""Bytes: a full disk may take a file, but nothing into it."""

_PIECE = 1 << 20  # of a file that is there, at a time: it may be large

INVISIBLE = re.compile(
    "[\x00-\x1f\x7f-\xa0\xad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u2000-\u200f\u2028-\u202f"
    "\u205f-\u206f\u3000\u3164\ud800-\udfff\ue000-\uf8ff\ufeff\uffa0\ufff0-\uffff\U0001d173-\U0001d17a"
    "\U000e0000-\U0010ffff]"
)
"""Characters that cannot be seen, that move others, or that are none. A table of our own: Python's changes."""


class Written(NamedTuple):
    """A file to write: `private` makes it readable by its owner only (0600)."""

    path: Path
    content: bytes | bytearray
    executable: bool = False
    private: bool = False


def write_file(file: Written, may_replace: Callable[[Path], bool] = lambda path: True) -> None:
    """Write one file; see `write_files`."""
    write_files([file], may_replace)


def write_files(files: Sequence[Written], may_replace: Callable[[Path], bool] = lambda path: True) -> None:
    """Write the files, all of them or none: each is written beside its place, then all are renamed.

    `may_replace` is asked about a file that is there already and holds something else. Links are followed; what is no
    file (a device, a pipe) is written into. Raises UsageError when one must not or cannot be written there, WorkFailed
    when the disk is full or fails.
    """
    for file in files:
        if file.path.is_file() and _holds_other(file) and not may_replace(file.path):
            raise UsageError(f"{file.path}: exists already; choose another -o, or replace it with --force")
    special = [file for file in files if file.path.exists() and not file.path.is_file()]
    beside: list[tuple[Path, Written]] = []
    try:
        for file in files:
            if file not in special:
                with _told(file.path):
                    beside.append((_place_beside(file.path), file))
                    _fill(*beside[-1])
        for file in special:
            with _told(file.path), file.path.open("wb") as stream:
                stream.write(file.content)
        for place, file in beside:
            with _told(file.path):
                place.replace(behind_links(file.path))
    finally:
        for place, _ in beside:
            with contextlib.suppress(OSError):  # it was never made, or has its place
                place.unlink()


def check_place(path: Path) -> None:
    """Raises UsageError when no file can be written there, WorkFailed when the disk is full."""
    with _told(path):
        if path.is_file() or not path.exists():
            place = _place_beside(path)
            try:
                place.touch(0o600, exist_ok=False)
                place.write_bytes(bytes(A_BLOCK))
            finally:
                place.unlink(missing_ok=True)


def _holds_other(file: Written) -> bool:
    """Whether the file that is there holds something that would be lost."""
    try:
        if (size := file.path.stat().st_size) != len(file.content):
            return size > 0
        with file.path.open("rb") as stream:
            for place in range(0, size, _PIECE):
                # Bytes with bytes: a memory view would compare one after the other.
                if stream.read(_PIECE) != file.content[place : place + _PIECE]:
                    return True
    except OSError:
        return True
    return False


def _place_beside(path: Path) -> Path:
    place = behind_links(path)
    return place.with_name(f".{place.name}.{os.urandom(8).hex()}")


def behind_links(path: Path) -> Path:
    """Where a file of that name is written. Raises OSError when links lead in a circle."""
    try:
        return path.resolve()
    except RuntimeError:  # until Python 3.13
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP)) from None


def _fill(place: Path, file: Written) -> None:
    place.touch(0o600, exist_ok=False)
    with place.open("wb") as stream:
        stream.write(file.content)
        stream.flush()
        os.fsync(stream.fileno())
    umask = os.umask(0)
    os.umask(umask)
    place.chmod(0o600 if file.private else (0o777 if file.executable else 0o666) & ~umask)


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """Says in one line what the system has against the path."""
    try:
        yield
    except OSError as error:
        if error.errno in DISK_ERRORS:
            raise WorkFailed(f"{path}: {error.strerror}; nothing was written") from None
        raise UsageError(f"{path}: cannot be written: {error.strerror}; choose another place") from None


def write_out(content: bytes | bytearray) -> None:
    """Write to standard output, before anything more is told."""
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()


def stem_of(path: Path) -> str:
    """The name that the files of a script share: the output's name without its ending."""
    collection = ".postman_collection.json"
    return path.name.removesuffix(collection) if path.name.endswith(collection) else path.stem


def write_script(
    files: Sequence[OutputFile], output: Path, may_replace: Callable[[Path], bool] = lambda path: True
) -> list[Path]:
    """Writes a rendered script to `output` and its companions beside it; gives their paths. Raises as `write_files`."""
    if not output.name:
        raise UsageError(f"{output}: cannot be written: Is a directory; choose another place with -o")
    paths = [_place(file, output) for file in files]
    placed = list(zip(paths, files, strict=True))
    made = [path.parent for path, file in placed if file.beside and _make_folder(path.parent)]
    try:
        write_files([Written(path, file.content, executable=file.executable) for path, file in placed], may_replace)
    except DfrecordError:
        for folder in made:
            with contextlib.suppress(OSError):  # somebody uses it already
                folder.rmdir()
        raise
    return paths


def _place(file: OutputFile, output: Path) -> Path:
    if file.beside:
        return output.parent / file.beside
    return output.with_name(stem_of(output) + file.suffix) if file.suffix else output


def _make_folder(folder: Path) -> bool:
    """Whether the folder had to be made."""
    try:
        folder.mkdir()
    except FileExistsError:
        return False
    except OSError as error:
        raise UsageError(f"{folder}: cannot be made: {error.strerror}; choose another place with -o") from None
    return True


def plain(text: str) -> str:
    """Recorded text on one line, without characters that could steer a terminal or turn the reading direction."""
    return INVISIBLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
