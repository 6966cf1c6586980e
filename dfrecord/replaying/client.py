"""One instance over HTTP, as users of `requests` expect it: proxies, certificates, timeouts, and careful retries."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from dfrecord.errors import UsageError, WorkFailed
from dfrecord.journey.model import Tree
from dfrecord.normalise.body import parse_json


@dataclass(frozen=True, slots=True)
class Connection:
    """How to reach the instance. `timeout` in seconds for each request, `ca_file` a file of trusted certificates."""

    timeout: float = 30.0
    retries: int = 3
    insecure: bool = False
    ca_file: str = ""
    proxy: str = ""


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer; `tree` is its JSON, None when it is none. `seconds` from sending to the last byte."""

    status: int
    reason: str
    content: bytes
    tree: Tree
    seconds: float

    @property
    def succeeded(self) -> bool:
        return 200 <= self.status < 300


class _Retry(Retry):
    """Repeats safe requests when the instance is busy; others only when it says that it did not take them (429)."""

    def is_retry(self, method: str, status_code: int, has_retry_after: bool = False) -> bool:
        if status_code == 429:
            return bool(self.total)
        return bool(super().is_retry(method, status_code, has_retry_after))


class Client:
    """Sends requests to one instance. Raises WorkFailed when no answer comes."""

    def __init__(self, base_url: str, connection: Connection) -> None:
        if not base_url.lower().startswith(("http://", "https://")):
            raise UsageError(f"--base-url {base_url}: must begin with http:// or https://")
        self.base_url = base_url.rstrip("/")
        self._timeout = connection.timeout
        self._http = requests.Session()
        self._http.auth = lambda request: request  # or ~/.netrc would log in for us
        self._http.verify = False if connection.insecure else connection.ca_file or True
        if connection.insecure:
            import urllib3

            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        if connection.proxy:
            self._http.proxies = {"http": connection.proxy, "https": connection.proxy}
        retry = _Retry(
            total=connection.retries,
            connect=connection.retries,
            read=connection.retries,
            status=connection.retries,
            allowed_methods=("GET", "HEAD"),
            status_forcelist=(502, 503, 504),
            backoff_factor=0.5,
            raise_on_status=False,
        )
        for scheme in ("http://", "https://"):
            self._http.mount(scheme, HTTPAdapter(max_retries=retry))

    def send(
        self, method: str, target: str, headers: Sequence[tuple[str, str]] = (), body: bytes | None = None
    ) -> Answered:
        """Send to the base URL followed by `target`; a repeated header is joined (RFC 9110, 5.3)."""
        merged: dict[str, str] = {}
        for name, value in headers:
            merged[name] = f"{merged[name]}, {value}" if name in merged else value
        sent: dict[str, Any] = {name: value.encode("utf-8") for name, value in merged.items()}
        started = time.monotonic()
        try:
            response = self._http.request(
                method,
                self.base_url + target,
                headers=sent,
                data=body,
                timeout=self._timeout,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            raise WorkFailed(f"no answer from {self.base_url}: {_cause(error)}") from None
        seconds = time.monotonic() - started
        try:
            tree = parse_json(response.content) if response.content.strip() else None
        except ValueError:
            tree = None
        return Answered(response.status_code, response.reason or "", response.content, tree, seconds)


def _cause(error: Exception) -> str:
    """The innermost cause in words; what requests puts around it would show the whole URL."""
    cause: BaseException = error
    while cause.__context__ is not None and not isinstance(cause, OSError | TimeoutError):
        cause = cause.__context__
    if isinstance(cause, requests.RequestException):
        inner = cause.args[0] if cause.args else None
        reason = getattr(inner, "reason", None) or inner
        return " ".join(str(reason).split("(Caused by")[0].rpartition(": ")[2].split()) or type(cause).__name__
    return " ".join(str(cause).split()) or type(cause).__name__
