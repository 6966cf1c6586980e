"""A server that writes these bytes as its answer, whatever they are, and keeps the heads of what it received."""

from __future__ import annotations

import contextlib
import socketserver
import threading
from collections.abc import Iterable
from types import TracebackType


class RawServer:
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

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> RawServer:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
