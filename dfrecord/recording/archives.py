"""Recordings in zip and tar archives, and the bodies that lie beside them there.

Loaded only for what may be an archive: what unpacks them takes a while.
"""

from __future__ import annotations

import contextlib
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, BinaryIO, cast

from dfrecord.errors import UnreadableInput
from dfrecord.recording.attachments import LARGEST_BODY, Attachments, Refused, check_name
from dfrecord.recording.inputs import COMPRESSED, TarMode, is_recording
from dfrecord.recording.unpack import CHUNK, BufferReader, limit_of, stored

_ERRORS = (
    zipfile.BadZipFile,
    tarfile.TarError,
    NotImplementedError,
    RuntimeError,
    EOFError,
    OSError,
    ValueError,
    OverflowError,
    struct.error,
    zlib.error,
    lzma.LZMAError,
)
"""What damaged and hostile archives raise."""


def recordings_of(path: Path) -> Sequence[str | BinaryIO]:
    """The recordings of an archive, each as a stream with a name; none when it is no archive, or one recording.

    Raises UnreadableInput.
    """
    if zipfile.is_zipfile(path):
        return _in_zip(path)
    mode = _tar_mode(path)
    return _in_tar(path, mode) if mode else []


def _tar_mode(path: Path) -> TarMode | None:
    """How to open a tar archive, None when it is none. tarfile would try each way, and LZMA takes any zeros for its
    own.
    """
    try:
        with path.open("rb") as file:
            head = file.read(6)
        mode: TarMode = next((mode for magic, mode in COMPRESSED.items() if head.startswith(magic)), "r:")
        tarfile.open(path, mode).close()
    except _ERRORS:
        return None
    return mode


def _in_zip(path: Path) -> Sequence[str | BinaryIO]:
    """The recordings of an archive with several, each as a stream with a name; none when it is one recording."""
    with _told(path), zipfile.ZipFile(path) as archive:
        members = [m for m in archive.infolist() if not m.is_dir() and is_recording(m.filename, (".gz",))]
        if any(m.filename.rpartition("/")[2] == "har.har" for m in members):
            return []
        hars = sum(m.filename.lower().endswith(".har") for m in members)
        budget = _Budget(path)
        return [] if hars == len(members) == 1 else [_unzipped(archive, m, budget) for m in members]


def _unzipped(archive: zipfile.ZipFile, member: zipfile.ZipInfo, budget: _Budget) -> BinaryIO:
    _check(member)
    with archive.open(member) as file:
        return budget.unpacked(file, member.filename)


def _in_tar(path: Path, mode: TarMode) -> Sequence[BinaryIO]:
    """The recordings of a tar archive, compressed or not, each as a stream with a name. Raises UnreadableInput."""
    with _told(path, "archive"), tarfile.open(path, mode) as archive:
        budget = _Budget(path)
        members = [m for m in archive if m.isfile() and is_recording(m.name, (".gz",))]
        if not members:
            raise UnreadableInput(f"{path}: the archive holds no HAR file; unpack it and give one recording")
        files = ((member, archive.extractfile(member)) for member in members)
        return [budget.unpacked(file, member.name) for member, file in files if file is not None]


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


def har_of_zip(buffer: memoryview, name: str, limit: int) -> tuple[Iterator[bytes], Attachments]:
    """The one HAR of the archive in the buffer, a piece at a time, and the bodies that lie beside it, at most `limit`
    bytes together. Raises UnreadableInput, for damage in the HAR when that is read.
    """
    with _told(name):
        archive = zipfile.ZipFile(cast(BinaryIO, BufferReader(buffer)))
        member = _har_of(archive, name)
        _check(member)
    folder = member.filename[: member.filename.rfind("/") + 1]
    return _pieces(archive, member, name), _attachments(archive, folder, limit)


def _har_of(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    hars = [
        info
        for info in archive.infolist()
        if info.filename.lower().endswith(".har") and not info.is_dir() and not info.filename.startswith("__MACOSX/")
    ]
    named = [info for info in hars if info.filename.rsplit("/", 1)[-1] == "har.har"]
    chosen = named or hars
    if len(chosen) != 1:
        what = "holds no HAR file" if not hars else f"holds {len(chosen)} HAR files"
        raise UnreadableInput(f"{name}: the zip archive {what}; unpack it and give one recording")
    return chosen[0]


def _pieces(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str) -> Iterator[bytes]:
    with _told(name), archive.open(member) as file:
        yield from iter(lambda: file.read(CHUNK), b"")


@contextlib.contextmanager
def _told(name: object, what: str = "zip archive") -> Iterator[None]:
    """Says in one line what is wrong with an archive."""
    try:
        yield
    except _ERRORS as error:
        raise UnreadableInput(f"{name}: the {what} cannot be read: {error}; unpack it first") from None


def _attachments(archive: zipfile.ZipFile, folder: str, budget: int) -> Attachments:
    """Members of `archive` under `folder` ("" or ending in a slash), at most `budget` bytes together."""
    left = budget

    def read(name: str) -> bytes:
        nonlocal left
        check_name(name)
        try:
            info = archive.getinfo(folder + name)
            _check(info)
            with archive.open(info) as member:
                content = member.read(min(left, LARGEST_BODY) + 1)
        except KeyError:
            raise Refused(f"the file {name!r} is not in the archive") from None
        except _ERRORS as error:
            raise Refused(f"the file {name!r} in the archive cannot be read ({error})") from None
        if len(content) > min(left, LARGEST_BODY):
            raise Refused(f"the file {name!r} in the archive is too large")
        left -= len(content)
        return content

    return read


def _check(info: zipfile.ZipInfo) -> None:
    """Raises NotImplementedError for what no recorder makes; LZMA would also choose how much memory it takes."""
    if info.flag_bits & 1:
        raise NotImplementedError("it is encrypted")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise NotImplementedError("it is compressed in an unusual way")
