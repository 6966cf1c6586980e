"""A small console in front of the double, over HTTP or HTTPS, and a page in it that works like an administrator.

The page names its own server by absolute URLs, is reached through a redirect that sets an awkward cookie, and its
script logs in (the refused attempt first), creates, updates and deletes records. At the end it reports to `/done`.
"""

from __future__ import annotations

import datetime
import http.client
import ipaddress
import json
import queue
import ssl
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.doubles.local_server import LocalServer
from tests.doubles.server import DreamFactoryDouble

PAGE = """<!doctype html><meta charset="utf-8"><title>console</title><script src="{origin}/dist/app.js"></script>"""
SCRIPT = """
const api = "{origin}/api/v2/";
let token = "";
async function call(method, path, body) {{
  const headers = {{"Content-Type": "application/json", "X-DreamFactory-Session-Token": token}};
  const got = await fetch(api + path, {{method, headers, body: body && JSON.stringify(body)}});
  return got.json();
}}
(async () => {{
  const who = {{email: "{email}", password: "{password}"}};
  await call("POST", "user/session", who);
  token = (await call("POST", "system/admin/session", who)).session_token;
  const row = async (resource, record) =>
    (await call("POST", "system/" + resource, {{resource: [record]}})).resource[0].id;
  const role = await row("role", {{name: "acme-role", description: "{origin}/about", is_active: true}});
  await row("app", {{name: "acme-app", type: "0", role_id: role, is_active: true}});
  const read = await call("GET", "system/role/" + role);
  await call("PATCH", "system/role/" + role, {{description: read.description + "?changed"}});
  const passing = await row("role", {{name: "passing-role"}});
  await call("DELETE", "system/role/" + passing);
  const bytes = (await (await fetch("{origin}/big")).arrayBuffer()).byteLength;
  const version = await (await fetch("/version.txt")).text();
  const report = {{bytes, version, cookie: document.cookie, at: location.origin, description: read.description}};
  await fetch("/done", {{method: "POST", body: JSON.stringify(report)}});
}})();
"""
Answered = tuple[int, dict[str, str], bytes]
BIG = b"\0" * 3_000_000
VERSION = b"7.5"


class Console(LocalServer):
    """The console of a double. `certificate` (a PEM file with its key) makes it an HTTPS one."""

    def __init__(self, double: DreamFactoryDouble, certificate: Path | None = None) -> None:
        self._double = double
        self._reports: queue.Queue[dict[str, Any]] = queue.Queue()
        self.heads: list[tuple[str, dict[str, str]]] = []
        super().__init__(ThreadingHTTPServer(("127.0.0.1", 0), _handler(self)))
        scheme = "http"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            scheme = "https"
        self.origin = f"{scheme}://127.0.0.1:{self._server.server_address[1]}"

    def report(self) -> dict[str, Any]:
        """What the page reported at its end."""
        return self._reports.get(timeout=90)

    def answer(
        self, method: str, target: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        """Pages, a download and the report are the console's own; the API is the double's."""
        self.heads.append((target, headers))
        target = target.removeprefix("/df")  # it lies there, too
        named = {"origin": self.origin, "email": self._double.email, "password": self._double.password}
        if target.startswith("/api/"):
            return self._forward(method, target, headers, body)
        if target == "/":
            cookie = "visit=1; Domain=df.example.com; Path=/; Secure; SameSite=None"
            return 302, {"Location": f"{self.origin}/dist/", "Set-Cookie": cookie}, b""
        if target == "/moved":
            return 301, {"Location": "https://df.example.com/dist/"}, b""
        if target == "/dist/":
            return 200, {"Content-Type": "text/html"}, PAGE.format(**named).encode()
        if target == "/dist/app.js":
            return 200, {"Content-Type": "text/javascript"}, SCRIPT.format(**named).encode()
        if target == "/big":
            return 200, {"Content-Type": "application/octet-stream"}, BIG
        if target == "/version.txt":
            return 200, {"Content-Type": "text/plain"}, VERSION
        if target == "/done":
            self._reports.put(json.loads(body))
        return 204, {}, b""

    def _forward(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Answered:
        connection = http.client.HTTPConnection(urlsplit(self._double.url).netloc, timeout=30)
        connection.request(method, target, body, headers)
        got = connection.getresponse()
        return got.status, {"Content-Type": got.headers["Content-Type"]}, got.read()


def _handler(console: Console) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, answered, content = console.answer(self.command, self.path, headers, body)
            self.send_response(status)
            for name, value in answered.items():
                self.send_header(name, value)
            if status != 204:
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = handle_any  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:
            return

    return Handler


def self_signed(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that nobody trusts: the file with its key, and the file to trust it by."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "dfrecord tests")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    trusted = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "server.pem").write_bytes(trusted + private)
    (folder / "ca.pem").write_bytes(trusted)
    return folder / "server.pem", folder / "ca.pem"
