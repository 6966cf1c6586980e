"""One instance over HTTP, as users of `requests` expect it: proxies, certificates, timeouts, and careful retries."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Self
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import InvalidHeader
from urllib3.response import BaseHTTPResponse
from urllib3.util import Retry

from dfrecord.errors import Stopped, UsageError, WorkFailed
from dfrecord.normalise.body import parse_json
from dfrecord.outputs import plain
from dfrecord.replaying.as_given import AsGiven
from dfrecord.replaying.bounded import OutOfBounds, content_of, within
from dfrecord.system_api.conventions import Conventions
from dfrecord.tree import Array, Object, Tree

LONGEST_WAIT = 300.0
"""Seconds that a run waits at most when the instance asks for it (`Retry-After`)."""
LONGEST_TRANSFER = 300.0
"""Seconds from sending a request to the last byte of its answer, without those that the instance asks to wait."""
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Connection:
    """How to reach the instance. `timeout` in seconds for each request, `ca_file` a file of trusted certificates.

    Without `ca_file` and `proxy`, REQUESTS_CA_BUNDLE, HTTPS_PROXY and the like hold, as for all users of requests.
    Raises UsageError for a timeout that no request can have.
    """

    timeout: float = 30.0
    retries: int = 3
    insecure: bool = False
    ca_file: str = ""
    proxy: str = ""

    def __post_init__(self) -> None:
        if not 0 < self.timeout <= 86400:
            raise UsageError("--timeout: has to be more than 0, and at most a day (86400)")


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
    """Repeats safe requests when the instance is busy; others only when it says that it did not take them (429).

    Waits as long as the instance asks, a number of seconds or a date, and says so.
    """

    pause: Callable[[float, str], None]

    def new(self, **changed: Any) -> Self:
        fresh = super().new(**changed)
        fresh.pause = self.pause
        return fresh

    def is_retry(self, method: str, status_code: int, has_retry_after: bool = False) -> bool:
        if status_code == 429:
            return bool(self.total)
        return bool(super().is_retry(method, status_code, has_retry_after))

    def get_retry_after(self, response: BaseHTTPResponse) -> float | None:
        try:
            return super().get_retry_after(response)
        except InvalidHeader:
            return None  # neither seconds nor a date: wait as if it were not there

    def sleep(self, response: BaseHTTPResponse | None = None) -> None:
        asked = self.get_retry_after(response) if response is not None else None
        seconds = asked or self.get_backoff_time()
        if seconds > LONGEST_WAIT:
            raise WorkFailed(f"the instance is busy and asks to wait {seconds:.0f} seconds")
        if seconds > 0:
            why = f"the instance is busy ({response.status})" if response is not None else "no answer"
            self.pause(seconds, f"{why}: asking again in {seconds:.1f} s")


def address_of(base_url: str, conventions: Conventions) -> str:
    """The address that paths of the API are put behind. Raises UsageError when it is none."""
    address = base_url.rstrip("/")
    if not address.lower().startswith(("http://", "https://")):
        raise UsageError("--base-url: must begin with http:// or https://")
    try:
        urlsplit(address).port  # noqa: B018 - it is looked at here
    except ValueError:
        raise UsageError("--base-url: its host or port is none") from None
    if address.endswith(conventions.prefix) or not {*"?#@"}.isdisjoint(address):
        raise UsageError(f"--base-url: {conventions.address_rule}")  # not the address itself: it may hold a secret
    return address


class Client:
    """Sends requests to one instance. Raises WorkFailed when no answer comes. `say` hears why it waits.

    `wrapper` is the member under which a write's answer holds its records, also where the instance wraps none.
    """

    def __init__(
        self, base_url: str, connection: Connection, say: Say = lambda text: None, *, wrapper: str = ""
    ) -> None:
        self.base_url = base_url
        self._wrapper = wrapper
        self._say = say
        self.writing = False  # whether a request is under way that may change something
        self.cut_off = False  # whether a signal ended one, so that nobody knows what it did
        self._timeout = connection.timeout
        self._until = 0.0  # when the answer that is waited for has to be there, by the monotonic clock
        self._http = requests.Session()
        self._http.auth = lambda request: request  # or ~/.netrc would log in for us
        self._http.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self._http.headers["Accept-Encoding"] = "gzip, deflate"
        # given with each request: what a session has, requests overrides by the environment
        self._verify: bool | str = False if connection.insecure else connection.ca_file or True
        self._proxies = {"http": connection.proxy, "https": connection.proxy} if connection.proxy else None
        if connection.insecure:
            import urllib3

            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
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
        retry.pause = self._pause
        for scheme in ("http://", "https://"):
            self._http.mount(scheme, AsGiven(max_retries=retry))

    def _pause(self, seconds: float, why: str) -> None:
        writing, self.writing = self.writing, False  # the instance did not take it
        self._until += seconds
        self._say(why)
        time.sleep(seconds)
        self.writing = writing

    def send(
        self, method: str, target: str, headers: Sequence[tuple[str, str]] = (), body: bytes | None = None
    ) -> Answered:
        """Send to the base URL followed by `target`; a repeated header is joined (RFC 9110, 5.3)."""
        merged: dict[str, str] = {}
        for name, value in headers:
            merged[name] = f"{merged[name]}, {value}" if name in merged else value
        sent: dict[str, Any] = {name: value.encode("utf-8") for name, value in merged.items()}
        started = time.monotonic()
        self._until = started + LONGEST_TRANSFER

        def exchange() -> tuple[requests.Response, bytes]:
            response = self._http.request(
                method,
                f"{self.base_url}/{target.encode().hex()}",  # see `as_given`
                headers=sent,
                data=body,
                timeout=self._timeout,
                allow_redirects=False,
                stream=True,
                verify=self._verify,
                proxies=self._proxies,
            )
            return response, content_of(response)

        self.writing = method not in ("GET", "HEAD")
        try:
            response, content = within(lambda: self._until - time.monotonic(), exchange)
        except OutOfBounds as error:
            raise WorkFailed(f"no answer from {self.base_url}: {plain(str(error))}") from None
        except (requests.RequestException, OSError) as error:
            raise WorkFailed(f"no answer from {self.base_url}: {_cause(error)}") from None
        except (KeyboardInterrupt, Stopped):
            self.cut_off = self.writing
            raise
        finally:
            self.writing = False
        seconds = time.monotonic() - started
        try:
            tree = parse_json(content) if content.strip() else None
        except ValueError:
            tree = None
        if self._wrapper and method != "GET" and isinstance(tree, Array):  # some instances wrap no lists
            tree = Object(((self._wrapper, tree),))
        return Answered(response.status_code, _reason(response), content, tree, seconds)


def _reason(response: requests.Response) -> str:
    if response.is_redirect:
        return f"redirected to {plain(response.headers['Location'])}, which is not followed: check --base-url"
    return response.reason or ""


def _cause(error: Exception) -> str:
    """The innermost cause in words; what requests puts around it would show the whole URL."""
    cause: BaseException = error
    while cause.__context__ is not None and not isinstance(cause, OSError | TimeoutError):
        cause = cause.__context__
    if isinstance(cause, requests.RequestException):
        inner = cause.args[0] if cause.args else None
        reason = getattr(inner, "reason", None) or inner
        words = str(reason).split("(Caused by")[0].rpartition(": ")[2].strip("\"')").split()
        of_proxy = "the proxy: " if isinstance(cause, requests.exceptions.ProxyError) else ""
        return of_proxy + (" ".join(words) or type(cause).__name__)
    return " ".join(str(cause).split()) or type(cause).__name__
