"""Any input → the plain bytes of a HAR or a flow file: what is wrapped around them is told by content and taken off.

In: a path, "-" or a stream. Out: `Peeled`, a buffer (a memory map where the file is plain, so that its size does not
matter) and where its attached bodies are. Known wrappings: gzip, zlib (mitmproxy's `.zhar`), zip (Playwright attach,
or a HAR just zipped), a folder, a byte order mark, UTF-16 and UTF-32.
"""

from __future__ import annotations

import codecs
import mmap
import os
import re
import stat
import sys
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import msgspec
from msgspec.structs import replace

from dfrecord.errors import UnreadableInput
from dfrecord.recording.attachments import (
    Attachments,
    folder_attachments,
    no_attachments,
    sibling_attachments,
)
from dfrecord.recording.changing import watched
from dfrecord.recording.unpack import CHUNK, inflated, limit_of, recoded, stored

_MOST_WRAPPINGS = 4

_HEAD = 4096  # bytes that tell what it is
_BLANK = b" \t\r\n"
_BLANKS = re.compile(rb"[ \t\r\n]*+")

READ_AT_ONCE = 8 * 1024 * 1024
"""Files up to this size are read, larger ones mapped."""

_FLOW = re.compile(rb"[0-9]{1,12}:[0-9]{1,12}:")
_UTF8_BOM = codecs.BOM_UTF8
# UTF-32 before UTF-16: the little-endian mark of one begins with that of the other.
_WIDE = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (b"{\0\0\0", "utf-32-le"),
    (b"\0\0\0{", "utf-32-be"),
    (b"{\0", "utf-16-le"),
    (b"\0{", "utf-16-be"),
)


class Peeled(msgspec.Struct, frozen=True):
    """`buffer` holds a HAR (`kind` "har") or a flow file ("flow"); `notes` say what was found broken on the way.

    `has_changed` tells, once all is read, whether the file was written to meanwhile.
    """

    kind: str
    buffer: memoryview
    attachments: Attachments
    notes: tuple[str, ...] = ()
    has_changed: Callable[[], bool] = lambda: False


class _Layer(msgspec.Struct, frozen=True):
    buffer: memoryview
    attachments: Attachments
    notes: tuple[str, ...] = ()
    has_changed: Callable[[], bool] = lambda: False


def name_of(source: str | os.PathLike[str] | BinaryIO) -> str:
    """How messages call the input."""
    if isinstance(source, str | os.PathLike):
        name = "standard input" if source == "-" else os.fspath(source)
    else:
        given = getattr(source, "name", None)
        name = given if isinstance(given, str) else "the stream"
    return name if name.isprintable() else ascii(name)  # a message is one line


def peel(source: str | os.PathLike[str] | BinaryIO) -> Peeled:
    """Opens the input and takes off what is wrapped around it; raises UnreadableInput."""
    name = name_of(source)
    try:
        layer = _open(source, name)
        for _ in range(_MOST_WRAPPINGS):
            kind = _kind(layer.buffer, name)
            if kind in ("har", "flow"):
                return Peeled(kind, layer.buffer, layer.attachments, layer.notes, layer.has_changed)
            layer = _unwrapped(kind, layer, name)
    except OSError as error:
        raise UnreadableInput(f"{name}: cannot be read: {error.strerror or error}") from None
    raise UnreadableInput(f"{name}: is wrapped more than {_MOST_WRAPPINGS} times; unpack it first")


def _open(source: str | os.PathLike[str] | BinaryIO, name: str) -> _Layer:
    if not isinstance(source, str | os.PathLike):
        return _Layer(_stream(source, name), no_attachments)
    if source == "-":
        if sys.stdin is None:
            raise UnreadableInput(f"{name}: is closed; name a file instead")
        return _Layer(_stream(sys.stdin.buffer, name), no_attachments)
    if not os.fspath(source) or "\0" in os.fspath(source):
        raise UnreadableInput(f"{name or 'the empty name'}: is not a usable file name; name a recording")
    path = Path(source)
    if path.is_dir():
        har = _har_of_folder(path, name)
        return _file(har, name, folder_attachments(path, limit_of(0)))
    return _file(path, name, sibling_attachments(path.parent, limit_of(0)))


def _har_of_folder(folder: Path, name: str) -> Path:
    if (folder / "har.har").is_file():
        return folder / "har.har"
    hars = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".har" and path.is_file())
    if len(hars) != 1:
        what = "holds no HAR file" if not hars else f"holds {len(hars)} HAR files and none is called har.har"
        raise UnreadableInput(f"{name}: the folder {what}; name the file itself")
    return hars[0]


def _file(path: Path, name: str, attachments: Attachments) -> _Layer:
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            return _Layer(_stream(file, name), attachments)
        if status.st_size == 0:
            raise UnreadableInput(f"{name}: is empty; there is nothing to read")
        if status.st_size <= READ_AT_ONCE:
            buffer = memoryview(file.read())
        else:
            buffer = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    return _Layer(buffer, attachments, has_changed=watched(path, status))


def _stream(stream: BinaryIO, name: str) -> memoryview:
    """A pipe, standard input or any stream: looked at before it is stored, since it may be endless."""
    head = b""
    while len(head) < _HEAD and (more := stream.read(_HEAD - len(head))):
        head += more
    if not head:
        raise UnreadableInput(f"{name}: is empty; there is nothing to read")
    _kind(memoryview(head), name)
    return stored(chain([head], iter(lambda: stream.read(CHUNK), b"")), sys.maxsize, name)


def _kind(buffer: memoryview, name: str) -> str:
    """What the bytes are: har, flow, or a wrapping; raises UnreadableInput when it is none of them."""
    head = bytes(buffer[:_HEAD])
    if not head.strip(_BLANK) and (blank := _BLANKS.match(buffer)):
        head = bytes(buffer[blank.end() : blank.end() + _HEAD])
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    if head.startswith(b"\x1f\x8b"):
        return "gzip"
    if len(head) > 1 and head[0] == 0x78 and int.from_bytes(head[:2]) % 31 == 0:
        return "zlib"
    if head.startswith(_UTF8_BOM):
        return "bom"
    for mark, encoding in _WIDE:
        if head.startswith(mark):
            return encoding
    if _FLOW.match(head):
        return "flow"
    if head.lstrip(_BLANK).startswith(b"{"):
        return "har"
    if not head.strip():
        raise UnreadableInput(f"{name}: holds only white space; there is nothing to read")
    raise UnreadableInput(
        f"{name}: is neither a HAR, a mitmproxy flow file, nor an archive of one; save the recording again as HAR"
    )


def _unwrapped(kind: str, layer: _Layer, name: str) -> _Layer:
    if kind == "zip":
        return _unzipped(layer, name)
    if kind == "bom":
        return replace(layer, buffer=layer.buffer[len(_UTF8_BOM) :])
    if kind in ("gzip", "zlib"):
        broken: list[str] = []
        chunks = inflated(layer.buffer, 31 if kind == "gzip" else 15, broken)
        unpacked = stored(_promising(chunks, name), limit_of(len(layer.buffer)), name)
        notes = (*layer.notes, *broken)
        return replace(layer, buffer=unpacked, attachments=no_attachments, notes=notes)
    # Four bytes of UTF-32 or two of UTF-16 become at most three of UTF-8 each.
    return replace(layer, buffer=stored(recoded(layer.buffer, kind), 2 * len(layer.buffer) + 16, name))


def _promising(chunks: Iterator[bytes], name: str) -> Iterator[bytes]:
    """The chunks, once their beginning can be that of a recording: most bombs are none."""
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= _HEAD:
            break
    if head:
        _kind(memoryview(head), name)
        yield head
    yield from chunks


def _unzipped(layer: _Layer, name: str) -> _Layer:
    from dfrecord.recording.archives import har_of_zip

    limit = limit_of(len(layer.buffer))
    pieces, attachments = har_of_zip(layer.buffer, name, limit)
    return replace(layer, buffer=stored(_promising(pieces, name), limit, name), attachments=attachments)
