"""Reverse mode: the console of another origin works at http://127.0.0.1:PORT, and neither side sees the other's name.

Two mitmproxy addons, one before the recorder and one after it, so that the recording shows the target throughout:

| what | to the target (`Inward`) | to the browser (`Outward`) |
| --- | --- | --- |
| Host, Origin, Referer, request target | the target's | |
| Location, Link, CORS, CSP and like headers | | the proxy's |
| cookies | their own names again | host-only, no Secure, no SameSite=None |
| recorded bodies that are text | the target's | the proxy's |
| pages, scripts, styles, data outside /api/ | | the proxy's, streamed |
| API calls that are not recorded, downloads, all else | as it is | as it is |

An API body is renamed in both directions or not at all: a record that a page reads, changes and sends back must reach
the server as it was.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Sequence
from functools import lru_cache

from mitmproxy import http

from dfrecord.capture.renaming import Renaming, StreamRenaming
from dfrecord.capture.target import Target
from dfrecord.recording.coding import decoded

_BROWSER = "dfrecord_browser_origin"  # in a flow's metadata: the proxy's origin as this browser calls it
_TARGETS = "dfrecord_target_headers"  # and there: the answer's headers as the target sent them
_NAMING_HEADERS = (
    *("location", "content-location", "refresh", "link", "access-control-allow-origin"),
    *("content-security-policy", "content-security-policy-report-only"),
)
_TEXT = re.compile(r"json|javascript|ecmascript|xml|text/|x-www-form-urlencoded", re.IGNORECASE)
# Browsers take cookies of these names only over https (RFC 6265bis, 4.1.3).
_HTTPS_COOKIE = re.compile(r"^__(Host|Secure)-", re.IGNORECASE)
_RENAMED_COOKIE = "dfrecord-"


class Inward:
    """Makes requests look as if the browser were at the target. Stands before the recorder."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """Renames the request's head, and asks for answers in a coding that can be renamed while they stream."""
        request = flow.request
        browser = f"http://{request.host_header or self._target.netloc}"
        flow.metadata[_BROWSER] = browser
        renaming = _renaming(browser, self._target.origin)
        request.host_header = self._target.netloc
        request.path = renaming.text(request.path)
        for name in ("origin", "referer"):
            if name in request.headers:
                request.headers[name] = renaming.text(request.headers[name])
        if _RENAMED_COOKIE in request.headers.get("cookie", ""):
            request.headers["cookie"] = request.headers["cookie"].replace(f"{_RENAMED_COOKIE}__", "__")
        if not self._target.is_api(request.path):
            accepted = request.headers.get("accept-encoding", "")
            request.headers["accept-encoding"] = "gzip" if "gzip" in accepted else "identity"

    def request(self, flow: http.HTTPFlow) -> None:
        """Renames the body of a request that is recorded."""
        if not flow.request.stream:
            _rename_body(flow.request, _renaming(flow.metadata[_BROWSER], self._target.origin))

    def response(self, flow: http.HTTPFlow) -> None:
        """Gives the recorder the answer's head as it came."""
        if flow.response is not None and _TARGETS in flow.metadata:
            flow.response.headers = flow.metadata.pop(_TARGETS)

    def error(self, flow: http.HTTPFlow) -> None:
        """The same for an answer that was cut off."""
        self.response(flow)


class Outward:
    """Makes answers look as if the target were at the proxy. Stands after the recorder."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """Renames the head of an answer, and sets up the renaming of a body that is streamed.

        Whether one is too large to keep may show after this, when the head is sent without being asked about again.
        """
        response = flow.response
        assert response is not None
        if _BROWSER not in flow.metadata:
            return
        if not response.stream:
            flow.metadata[_TARGETS] = response.headers.copy()
            self._head(flow)
            return
        self._head(flow)
        renaming = _renaming(self._target.origin, flow.metadata[_BROWSER])
        decoding = _decoding(response)
        if decoding is None or self._target.is_api(flow.request.path) or not _is_text(response) or not _has_body(flow):
            return
        response.stream = _renamed_stream(decoding, StreamRenaming(renaming))
        for name in ("content-encoding", "content-length", "etag", "accept-ranges"):
            response.headers.pop(name, None)
        if not flow.request.is_http2:
            response.headers["transfer-encoding"] = "chunked"

    def response(self, flow: http.HTTPFlow) -> None:
        """Renames an answer that is recorded, once the recorder has seen it."""
        response = flow.response
        if response is None or response.stream or _BROWSER not in flow.metadata:
            return
        self._head(flow)
        _rename_body(response, _renaming(self._target.origin, flow.metadata[_BROWSER]))

    def _head(self, flow: http.HTTPFlow) -> None:
        assert flow.response is not None
        headers = flow.response.headers
        renaming = _renaming(self._target.origin, flow.metadata[_BROWSER])
        for name in _NAMING_HEADERS:
            if name in headers:
                headers.set_all(name, [renaming.text(value) for value in headers.get_all(name)])
        for name in ("content-security-policy", "content-security-policy-report-only"):
            if name in headers:
                kept = [re.sub(r"(?i)\bupgrade-insecure-requests\b;?", "", value) for value in headers.get_all(name)]
                headers.set_all(name, kept)
        headers.set_all("set-cookie", [_plain_cookie(value) for value in headers.get_all("set-cookie")])


@lru_cache(maxsize=64)
def _renaming(old: str, new: str) -> Renaming:
    return Renaming.between(old, new)


def _is_text(message: http.Message) -> bool:
    attached = message.headers.get("content-disposition", "").lower().startswith("attachment")
    return not attached and _TEXT.search(message.headers.get("content-type", "")) is not None


def _has_body(flow: http.HTTPFlow) -> bool:
    assert flow.response is not None
    length = flow.response.headers.get("content-length")
    return flow.request.method != "HEAD" and flow.response.status_code not in (204, 206, 304) and length != "0"


def _decoding(response: http.Response) -> Callable[[bytes], bytes] | None:
    """What undoes the content coding chunk by chunk (the end is an empty chunk), None for one that is not known."""
    coding = response.headers.get("content-encoding", "identity").strip().lower()
    if coding == "identity":
        return lambda chunk: chunk
    if coding != "gzip":
        return None
    inflater = zlib.decompressobj(31)
    return lambda chunk: inflater.decompress(chunk) if chunk else inflater.flush()


def _renamed_stream(decoding: Callable[[bytes], bytes], renaming: StreamRenaming) -> Callable[[bytes], Sequence[bytes]]:
    """What mitmproxy calls with each chunk, and with an empty one at the end.

    It never gives an empty chunk: that would be the end of the answer in HTTP/1.1's chunked coding.
    """

    def stream(chunk: bytes) -> Sequence[bytes]:
        decoded = decoding(chunk)
        renamed = (renaming(decoded) if decoded else b"") + (b"" if chunk else renaming(b""))
        return [renamed] if renamed else []

    return stream


def _rename_body(message: http.Message, renaming: Renaming) -> None:
    content = decoded(message)
    if content and _is_text(message) and (renamed := renaming.apply(content)) != content:
        message.content = renamed


def _plain_cookie(value: str) -> str:
    """A Set-Cookie value that a browser takes from an http origin of another name."""
    first, *attributes = value.split(";")
    kept = [a for a in attributes if not re.match(r"\s*(domain|secure|partitioned)\b|\s*samesite\s*=\s*none", a, re.I)]
    return ";".join([_HTTPS_COOKIE.sub(lambda name: _RENAMED_COOKIE + name[0], first.lstrip()), *kept])
