"""A server that answers every request with success (or what it was told) and keeps the bytes it received."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.doubles.local_server import LocalServer


@dataclass(frozen=True)
class ReceivedRequest:
    """A request as it arrived: `target` is the middle of the request line, untouched."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


class EchoServer(LocalServer):
    """Context manager. `answers`: (method, target) to (status, JSON text); anything else gets `default`."""

    def __init__(
        self,
        answers: dict[tuple[str, str], tuple[int, str]] | None = None,
        *,
        default: tuple[int, str] = (200, '{"success":true}'),
        headers: Mapping[str, str] | None = None,  # of every answer
    ) -> None:
        self.received: list[ReceivedRequest] = []
        self._answers = answers or {}
        self.default = default
        echo = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                self.raw_requestline = self.rfile.readline(65537)
                if not self.raw_requestline or not self.parse_request():
                    self.close_connection = True
                    return
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length) if length else self._chunked()
                method, target = self.requestline.split(" ")[0], self.requestline.split(" ", 1)[1].rsplit(" ", 1)[0]
                echo.received.append(ReceivedRequest(method, target, tuple(self.headers.items()), body))
                status, text = echo._answers.get((method, target), echo.default)
                content = text.encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content if method != "HEAD" else b"")

            def _chunked(self) -> bytes:
                if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
                    return b""
                body = b""
                while size := int(self.rfile.readline().split(b";")[0], 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return body

            def log_message(self, format: str, *args: object) -> None:
                return

        super().__init__(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
