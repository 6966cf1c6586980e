"""Compressed or wide text → plain bytes, a piece at a time, and never more of them than the input explains.

What a wrapping gives goes to a temporary file that has no name once it grows over `_IN_MEMORY`; it may grow to `_FLOOR`
bytes or `_RATIO` times the compressed size, whichever is more, so that a few kilobytes cannot fill a disk. Real HARs
compress 5 to 50 times.
"""

from __future__ import annotations

import codecs
import errno
import io
import mmap
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

from dfrecord.errors import UnreadableInput

CHUNK = 1024 * 1024
_PIECE = 16 * 1024  # of compressed bytes: what follows the end of a member is copied, and a bomb may have many members
_IN_MEMORY = 32 * 1024 * 1024
_FLOOR = 512 * 1024 * 1024
_RATIO = 200


def stored(chunks: Iterable[bytes], limit: int, name: str) -> memoryview:
    """The chunks as one buffer, in memory or in a file without a name; raises UnreadableInput beyond `limit` bytes."""
    import tempfile  # brings hashes and random numbers with it, which plain files need not wait for

    with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as spool:
        size = 0
        for chunk in chunks:
            size += len(chunk)
            if size > limit:
                megabytes = limit // 1_000_000
                raise UnreadableInput(
                    f"{name}: unpacks to more than {megabytes} MB, too much for its size; unpack it first"
                )
            spool.write(chunk)
        if size == 0:
            raise UnreadableInput(f"{name}: there is nothing inside")
        if size <= _IN_MEMORY:
            spool.seek(0)
            return memoryview(spool.read())
        spool.flush()
        return memoryview(mmap.mmap(spool.fileno(), 0, access=mmap.ACCESS_READ))


def limit_of(size: int) -> int:
    return max(_FLOOR, _RATIO * size)


def inflated(buffer: memoryview, bits: int, broken: list[str]) -> Iterator[bytes]:
    """What the compressed bytes hold, as far as they go; says in `broken` when they end early or are damaged."""
    decompressor = zlib.decompressobj(bits)
    position, given = 0, False
    pending = b""
    while pending or position < len(buffer):
        if decompressor.eof:
            following = pending[:2] + bytes(buffer[position : position + 2])
            if bits != 31 or not following.startswith(b"\x1f\x8b"):
                return  # padding or garbage after the end, as gunzip ignores it
            decompressor = zlib.decompressobj(bits)
        if not pending:
            pending = bytes(buffer[position : position + _PIECE])
            position += len(pending)
        try:
            chunk = decompressor.decompress(pending, CHUNK)
        except zlib.error as error:
            broken.append(f"the compressed data is damaged ({error}); read up to there")
            return
        pending = decompressor.unused_data if decompressor.eof else decompressor.unconsumed_tail
        if chunk:
            given = True
            yield chunk
    if not decompressor.eof:
        yield decompressor.flush()
        broken.append("the compressed data ends early; read up to there")
    elif not given:
        return


def recoded(buffer: memoryview, encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    for position in range(0, len(buffer), CHUNK):
        yield decoder.decode(bytes(buffer[position : position + CHUNK])).encode("utf-8", "replace")
    yield decoder.decode(b"", final=True).encode("utf-8", "replace")


class BufferReader(io.RawIOBase):
    """A file over a buffer, without copying it. `name` is how messages call it."""

    name = "the stream"

    def __init__(self, buffer: memoryview) -> None:
        self._buffer, self._position = buffer, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: len(self._buffer)}[whence]
        if base + offset < 0:
            raise OSError(errno.EINVAL, "negative position")  # as a file does, and zipfile expects
        self._position = base + offset
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        end = None if size is None or size < 0 else self._position + size
        found = bytes(self._buffer[self._position : end])
        self._position += len(found)
        return found

    def readinto(self, target: Any) -> int:
        found = self.read(len(target))
        target[: len(found)] = found
        return len(found)
