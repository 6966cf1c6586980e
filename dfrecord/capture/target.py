"""Where the console is and where the proxy listens: what the user typed, checked before anything starts."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from dfrecord.errors import UsageError

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Target:
    """A DreamFactory instance. `host` is in lower case, without brackets; `start` is the page to open."""

    scheme: str
    host: str
    port: int
    start: str = "/"

    @property
    def address(self) -> str:
        """Host and port, both always there."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def netloc(self) -> str:
        """Host and port as URLs and Host headers have them: a default port is left out."""
        return self.address.removesuffix(f":{_PORTS[self.scheme]}")

    @property
    def origin(self) -> str:
        """E.g. `https://df.example.com`."""
        return f"{self.scheme}://{self.netloc}"

    @property
    def folders(self) -> tuple[str, ...]:
        """The folders that `start` lies in, the innermost first, without their last slash: the API is under one."""
        names = self.start.partition("?")[0].partition("#")[0].split("/")[1:-1]
        return tuple("".join(f"/{name}" for name in names[:length]) for length in range(len(names), -1, -1))

    def is_api(self, path: str) -> bool:
        """Whether a path on the target is one of its API, not of its pages."""
        return any(path.lower().startswith(f"{folder}/api/".lower()) for folder in self.folders)


def target_of(url: str, what: str = "URL") -> Target:
    """The target that a URL names. Raises UsageError unless it is http or https with a host and without credentials."""
    if "@" in re.split("[/?#]", url.partition("://")[2] or url)[0]:
        raise UsageError(f"{what}: must not hold a user name or password; log in in the browser")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"{what} {url!r}: {error}; write it like https://df.example.com") from None
    if parts.scheme not in _PORTS or not parts.hostname:
        raise UsageError(f"{what} {url!r}: is not an http or https URL; write it like https://df.example.com")
    start = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    start += f"#{parts.fragment}" if parts.fragment else ""
    try:
        host = parts.hostname if parts.hostname.isascii() else parts.hostname.encode("idna").decode("ascii")
    except UnicodeError:
        raise UsageError(f"{what} {url!r}: its host is not a name; write it like https://df.example.com") from None
    return Target(parts.scheme, host, _PORTS[parts.scheme] if port is None else port, start)


def listen_address(text: str) -> tuple[str, int]:
    """Host and port of `--listen`: `HOST:PORT`, or only a port (on loopback). Raises UsageError."""
    host, _, port = text.rpartition(":")
    if not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise UsageError(f"--listen {text!r}: is not HOST:PORT; write it like 127.0.0.1:8080, port 0 for any free one")
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise UsageError(f"--listen {text!r}: write an IPv6 address in brackets, like [::1]:8080")
    return host.strip("[]") or "127.0.0.1", int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
