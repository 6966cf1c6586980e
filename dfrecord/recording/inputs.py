"""What one input of `dfrecord import` stands for: itself, or every recording in a folder or an archive.

A folder or archive that is one recording with attached bodies (Playwright's `har.har`) stays one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal

from dfrecord.errors import UnreadableInput

_ENDINGS = (".har", ".zhar", ".flow", ".flows", ".mitm")
_WRAPPINGS = (".gz", ".zip", ".tar", ".tgz", ".xz", ".bz2")

TarMode = Literal["r:", "r:gz", "r:bz2", "r:xz"]
COMPRESSED: dict[bytes, TarMode] = {b"\x1f\x8b": "r:gz", b"BZh": "r:bz2", b"\xfd7zXZ\0": "r:xz"}
"""What compressed files begin with, and how to open one that is a tar archive."""

_TAR_HEADER = 512  # bytes, of which those that are not needed are zero
_ZIP_ENDING = 22 + 65535  # bytes: the end of the directory and a comment


def recordings_in(source: str) -> Iterator[str | BinaryIO]:
    """The recordings of an input, by name; the input itself when it is one. Raises UnreadableInput."""
    path = Path(source)
    if source == "-" or not path.exists():
        yield source
    elif path.is_dir():
        found = _in_folder(path)
        for part in found:
            if part != source:
                yield from recordings_in(part)
        if not found or source in found:
            yield source
    elif path.is_file() and _may_be_archive(path):
        from dfrecord.recording.archives import recordings_of

        yield from recordings_of(path) or [source]
    else:
        yield source


def _may_be_archive(path: Path) -> bool:
    """Whether to look closer. Raises UnreadableInput."""
    try:
        with path.open("rb") as file:
            head = file.read(_TAR_HEADER)
            file.seek(max(0, path.stat().st_size - _ZIP_ENDING))
            tail = file.read(_ZIP_ENDING)
    except OSError as error:
        raise UnreadableInput(f"{path}: cannot be read: {error.strerror}") from None
    return head.startswith(tuple(COMPRESSED)) or b"\0" in head or b"PK\x05\x06" in tail


def _in_folder(folder: Path) -> list[str]:
    """The recordings in a folder and those in it; a folder with `har.har` is one recording with its bodies."""
    found: list[str] = []
    for place, folders, names in os.walk(folder):
        if "har.har" in names:
            found.append(place)
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        files = (Path(place, name) for name in sorted(names) if is_recording(name, _WRAPPINGS))
        found += [str(file) for file in files if file.is_file()]
    return found


def is_in_folder(file: Path, folder: Path) -> bool:
    """Whether the file is one of the recordings that lie in the folder."""
    return is_recording(file.name, _WRAPPINGS) and file.resolve().is_relative_to(folder.resolve())


def is_recording(name: str, wrappings: tuple[str, ...]) -> bool:
    """Whether a file of that name is one. macOS puts `._` files beside others, and `__MACOSX` into its archives."""
    hidden = name.startswith("__MACOSX/") or name.rpartition("/")[2].startswith(".")
    return not hidden and name.lower().endswith((*_ENDINGS, *wrappings))
