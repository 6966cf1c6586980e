"""What one input of `dfrecord import` stands for: itself, or every recording in a folder or an archive.

A folder or archive that is one recording with attached bodies (Playwright's `har.har`) stays one.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from dfrecord.errors import UnreadableInput
from dfrecord.recording.attachments import ARCHIVE_ERRORS, check_member
from dfrecord.recording.unpack import CHUNK, BufferReader, limit_of, stored

_ENDINGS = (".har", ".zhar", ".flow", ".flows", ".mitm")
_WRAPPINGS = (".gz", ".zip")


def recordings_in(source: str) -> Iterator[str | BinaryIO]:
    """The recordings of an input, by name; the input itself when it is one. Raises UnreadableInput."""
    path = Path(source)
    if source != "-" and path.is_dir() and not (path / "har.har").is_file():
        found = sorted(str(file) for file in path.iterdir() if file.is_file() and _is_recording(file.name))
        yield from found or [source]
    elif source != "-" and path.is_file() and zipfile.is_zipfile(path):
        several = _in_archive(path)
        yield from several or [source]
    else:
        yield source


def _is_recording(name: str) -> bool:
    return name.lower().endswith((*_ENDINGS, *_WRAPPINGS)) and not name.startswith(".")


def _in_archive(path: Path) -> Sequence[str | BinaryIO]:
    """The recordings of an archive with several, each as a stream with a name; none when it is one recording."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = [m for m in archive.infolist() if _is_member(m)]
            if any(m.filename.rpartition("/")[2] == "har.har" for m in members):
                return []
            hars = sum(m.filename.lower().endswith(".har") for m in members)
            return [] if hars == len(members) == 1 else [_unpacked(archive, m, path) for m in members]
    except ARCHIVE_ERRORS as error:
        raise UnreadableInput(f"{path}: the zip archive cannot be read: {error}; unpack it first") from None


def _is_member(member: zipfile.ZipInfo) -> bool:
    name = member.filename
    hidden = name.startswith("__MACOSX/") or name.rpartition("/")[2].startswith(".")
    return not member.is_dir() and not hidden and name.lower().endswith((*_ENDINGS, ".gz"))


def _unpacked(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> BinaryIO:
    check_member(member)
    name = f"{path}/{member.filename}"
    with archive.open(member) as file:
        buffer = stored(iter(lambda: file.read(CHUNK), b""), limit_of(path.stat().st_size), name)
    raw = BufferReader(buffer)
    raw.name = name
    return io.BufferedReader(raw)
