"""What one input of `dfrecord import` stands for: itself, or every recording in a folder or an archive.

A folder or archive that is one recording with attached bodies (Playwright's `har.har`) stays one.
"""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, BinaryIO, Literal

from dfrecord.errors import UnreadableInput
from dfrecord.recording.attachments import ARCHIVE_ERRORS, check_member
from dfrecord.recording.unpack import CHUNK, BufferReader, limit_of, stored

_ENDINGS = (".har", ".zhar", ".flow", ".flows", ".mitm")
_WRAPPINGS = (".gz", ".zip", ".tar", ".tgz", ".xz", ".bz2")

_TarMode = Literal["r:", "r:gz", "r:bz2", "r:xz"]
_COMPRESSED: dict[bytes, _TarMode] = {b"\x1f\x8b": "r:gz", b"BZh": "r:bz2", b"\xfd7zXZ\0": "r:xz"}
_TAR_HEADER = 512  # bytes, of which those that are not needed are zero


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
    elif path.is_file() and zipfile.is_zipfile(path):
        yield from _in_zip(path) or [source]
    elif path.is_file() and (mode := _tar_mode(path)):
        yield from _in_tar(path, mode)
    else:
        yield source


def _tar_mode(path: Path) -> _TarMode | None:
    """How to open a tar archive, None when it is none. tarfile would try each way, and LZMA takes any zeros for its
    own. Raises UnreadableInput.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_TAR_HEADER)
    except OSError as error:
        raise UnreadableInput(f"{path}: cannot be read: {error.strerror}") from None
    uncompressed: _TarMode | None = "r:" if b"\0" in head else None
    mode = next((mode for magic, mode in _COMPRESSED.items() if head.startswith(magic)), uncompressed)
    if mode is None:
        return None
    import tarfile

    try:
        tarfile.open(path, mode).close()
    except (*ARCHIVE_ERRORS, tarfile.TarError):
        return None
    return mode


def _in_folder(folder: Path) -> list[str]:
    """The recordings in a folder and those in it; a folder with `har.har` is one recording with its bodies."""
    found: list[str] = []
    for place, folders, names in os.walk(folder):
        if "har.har" in names:
            found.append(place)
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        files = (Path(place, name) for name in sorted(names) if _is_recording(name, _WRAPPINGS))
        found += [str(file) for file in files if file.is_file()]
    return found


def is_in_folder(file: Path, folder: Path) -> bool:
    """Whether the file is one of the recordings that lie in the folder."""
    return _is_recording(file.name, _WRAPPINGS) and file.resolve().is_relative_to(folder.resolve())


def _is_recording(name: str, wrappings: tuple[str, ...]) -> bool:
    """Whether a file of that name is one. macOS puts `._` files beside others, and `__MACOSX` into its archives."""
    hidden = name.startswith("__MACOSX/") or name.rpartition("/")[2].startswith(".")
    return not hidden and name.lower().endswith((*_ENDINGS, *wrappings))


def _in_zip(path: Path) -> Sequence[str | BinaryIO]:
    """The recordings of an archive with several, each as a stream with a name; none when it is one recording."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = [m for m in archive.infolist() if not m.is_dir() and _is_recording(m.filename, (".gz",))]
            if any(m.filename.rpartition("/")[2] == "har.har" for m in members):
                return []
            hars = sum(m.filename.lower().endswith(".har") for m in members)
            budget = _Budget(path)
            return [] if hars == len(members) == 1 else [_unzipped(archive, m, budget) for m in members]
    except ARCHIVE_ERRORS as error:
        raise UnreadableInput(f"{path}: the zip archive cannot be read: {error}; unpack it first") from None


def _unzipped(archive: zipfile.ZipFile, member: zipfile.ZipInfo, budget: _Budget) -> BinaryIO:
    check_member(member)
    with archive.open(member) as file:
        return budget.unpacked(file, member.filename)


def _in_tar(path: Path, mode: _TarMode) -> Sequence[BinaryIO]:
    """The recordings of a tar archive, compressed or not, each as a stream with a name. Raises UnreadableInput."""
    import tarfile

    try:
        with tarfile.open(path, mode) as archive:
            budget = _Budget(path)
            members = [m for m in archive if m.isfile() and _is_recording(m.name, (".gz",))]
            if not members:
                raise UnreadableInput(f"{path}: the archive holds no HAR file; unpack it and give one recording")
            files = ((member, archive.extractfile(member)) for member in members)
            return [budget.unpacked(file, member.name) for member, file in files if file is not None]
    except (*ARCHIVE_ERRORS, tarfile.TarError) as error:
        raise UnreadableInput(f"{path}: the archive cannot be read: {error}; unpack it first") from None


class _Budget:
    """What the members of one archive may unpack to, all together."""

    def __init__(self, path: Path) -> None:
        self._path, self._left = path, limit_of(path.stat().st_size)

    def unpacked(self, file: IO[bytes], member: str) -> BinaryIO:
        """A member as a stream with a name. Raises UnreadableInput when that is too much."""
        name = f"{self._path}/{member}"
        buffer = stored(iter(lambda: file.read(CHUNK), b""), self._left, name)
        self._left -= len(buffer)
        raw = BufferReader(buffer)
        raw.name = name
        return io.BufferedReader(raw)
