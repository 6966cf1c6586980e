"""Content codings (gzip, deflate, br, zstd) taken away, into so much memory and no more.

mitmproxy's own way unpacks whatever is there: of an answer of a few kilobytes, gigabytes.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from inspect import signature
from typing import TYPE_CHECKING

from dfrecord.recording.unpack import inflated
from dfrecord.replaying.bounded import content_of

if TYPE_CHECKING:
    from mitmproxy.http import Message

LONGEST_BODY: int = signature(content_of).parameters["most"].default
"""Bytes, unpacked, that a body may have to be kept; a replay takes no longer answer either."""


def decoded(message: Message) -> bytes | None:
    """The message's body, unpacked; as it is in a coding that is not known, or is not what it says.

    None when it was streamed or dropped, or would take more than LONGEST_BODY.
    """
    raw = message.raw_content
    try:
        return unpacked(raw, message.headers.get("content-encoding", "")) if raw else raw
    except ValueError:
        return raw


def unpacked(raw: bytes, coding: str) -> bytes | None:
    """What some bytes hold, a coding taken away as a Content-Encoding header names it; None beyond LONGEST_BODY.

    Raises ValueError when the coding is not known, or the bytes are not in it.
    """
    unpacking = _UNPACKING.get(coding.strip().lower())
    if unpacking is None:
        raise ValueError("the coding is not known")
    content = bytearray()
    for piece in unpacking(raw):
        content += piece
        if len(content) > LONGEST_BODY:
            return None
    return bytes(content)


def _gzip(raw: bytes) -> Iterator[bytes]:
    return _zlib(raw, 31)


def _deflate(raw: bytes) -> Iterator[bytes]:
    """With zlib's head, or without, as some servers send it."""
    return _zlib(raw, 15 if raw[0] & 15 == 8 else -15)


def _zlib(raw: bytes, bits: int) -> Iterator[bytes]:
    broken: list[str] = []
    yield from inflated(memoryview(raw), bits, broken)
    if broken:
        raise ValueError(broken[0])


def _brotli(raw: bytes) -> Iterator[bytes]:
    """Few bytes at a time: a dozen of them may hold 16 MB."""
    import brotli

    decompressor = brotli.Decompressor()
    for position in range(0, len(raw), 16):
        try:
            yield decompressor.process(raw[position : position + 16])
        except brotli.error as error:
            raise ValueError(str(error)) from None
    if not decompressor.is_finished():
        raise ValueError("the compressed data ends early")


def _zstd(raw: bytes) -> Iterator[bytes]:
    import zstandard

    reader = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(raw), read_across_frames=True)
    try:
        while piece := reader.read(1024 * 1024):
            yield piece
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from None


_UNPACKING: dict[str, Callable[[bytes], Iterator[bytes]]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
}
