"""A memory map is given back while it is read, so that little of it is resident.

At the end the system would need as long for all of it at once, and a parent would wait for its children's part, too.
"""

from __future__ import annotations

import contextlib
import mmap

_AT_A_TIME = 16 * 1024 * 1024


class Pages:
    """The pages of a buffer, if it is a read-only map of a file, to its end. Where one is given back and needed after
    all, the system takes it from the file again: nothing but memory and time depends on this.
    """

    def __init__(self, buffer: memoryview) -> None:
        is_mapped = isinstance(buffer.obj, mmap.mmap) and buffer.readonly and hasattr(mmap, "MADV_DONTNEED")
        self._map: mmap.mmap | None = buffer.obj if is_mapped else None  # type: ignore[assignment]
        self._offset = len(self._map) - len(buffer) if self._map else 0
        self._begin = self._end = 0

    def read(self, begin: int, end: int) -> None:
        """What is from one place to another has been read."""
        if not self._begin <= begin <= self._end + _AT_A_TIME:  # it goes on elsewhere
            self._give_back()
            self._begin = begin
        self._end = end
        if end - self._begin > _AT_A_TIME:
            self._give_back()
            self._begin = end

    def _give_back(self) -> None:
        if self._map:
            begin = (self._offset + self._begin) // mmap.PAGESIZE * mmap.PAGESIZE
            with contextlib.suppress(OSError, ValueError):
                self._map.madvise(mmap.MADV_DONTNEED, begin, self._offset + self._end - begin)
