"""A server that writes these bytes as its answer, whatever they are, and keeps the heads of what it received."""

from __future__ import annotations

import contextlib
import socketserver
from collections.abc import Iterable

from tests.doubles.local_server import LocalServer


class RawServer(LocalServer):
    """Context manager. Each request gets the pieces of `answer`, then the connection is closed."""

    def __init__(self, answer: Iterable[bytes] = ()) -> None:
        self.received: list[bytes] = []
        self.answer = answer
        raw = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                head = b""
                while not head.endswith(b"\r\n\r\n") and (line := self.rfile.readline(65537)):
                    head += line
                if not head:
                    return
                raw.received.append(head)
                length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                self.rfile.read(int(length[0].split(b":")[1]) if length else 0)
                with contextlib.suppress(ConnectionError):
                    for piece in raw.answer:
                        self.wfile.write(piece)

        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        super().__init__(server)
