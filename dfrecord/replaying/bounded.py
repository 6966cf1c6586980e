"""Answers within bounds: of time, from sending to the last byte, and of memory, unpacked. Python scripts carry this
file's functions in them; Locust has a way of its own (`templates/locust/user.py.j2`).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from threading import Thread
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # `dfrecord formats` reads this file
    import requests


def within(left: Callable[[], float], send: Callable[[], Any]) -> Any:
    """What `send` gives or raises. Raises OutOfBounds when no seconds are left.

    A server that sends a byte now and then lets no socket time out.
    """
    given: list[Any] = []
    raised: list[BaseException | None] = []

    def keep(_: object, error: BaseException | None, __: object) -> bool:
        raised.append(error)
        return True

    def run() -> None:
        with ExitStack() as stack:
            stack.push(keep)
            given.append(send())

    thread = Thread(target=run, daemon=True)
    thread.start()
    while thread.is_alive():
        if (seconds := left()) <= 0:
            raise OutOfBounds("the answer takes too long")
        thread.join(min(seconds, 1))
    if raised[0] is not None:
        raise raised[0]
    return given[0]


def content_of(response: requests.Response, most: int = 64 * 1024 * 1024) -> bytes:
    """The body, unpacked. Raises OutOfBounds for more than so many bytes.

    Only gzip and deflate are asked for: of other ways, and of one inside
    another, a few bytes may unpack to gigabytes.
    """
    packed = response.headers.get("Content-Encoding", "identity")
    if packed.lower() not in ("identity", "gzip", "x-gzip", "deflate"):
        raise OutOfBounds(f"the answer is packed in a way that was not asked for: {packed}")
    content = bytearray()
    with response:
        for piece in response.iter_content(64 * 1024):
            content += piece
            if len(content) > most:
                raise OutOfBounds(f"the answer is longer than {most // 1024**2} MB")
    return bytes(content)


class OutOfBounds(Exception):
    """An answer is too long, takes too long, or could unpack to anything."""
