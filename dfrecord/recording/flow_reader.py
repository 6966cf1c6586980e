"""mitmproxy flow files (`mitmdump -w`) → exchanges.

In: a buffer with flows, each a length-prefixed tnetstring. Out: a Recording. One flow is decoded at a time, and the
length before each tells where the next one begins, so a flow that cannot be read costs no other. Bodies are content-
decoded; a body that was streamed or dropped, or unpacks to too much, is not recorded, which is not the same as empty.
The same conversion serves live recording. Facts: mitmproxy 11 `mitmproxy/io/tnetstring.py`, `mitmproxy/http.py`;
dialects/mitm.flow. mitmproxy is imported here and only when a flow file is read.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from dfrecord.errors import UnreadableInput
from dfrecord.recording.coding import decoded
from dfrecord.recording.exchange import (
    ABSENT,
    NOT_RECORDED,
    AllPassedOver,
    Body,
    Exchange,
    Headers,
    Recording,
    Request,
    Response,
)
from dfrecord.recording.notes import Notes

if TYPE_CHECKING:
    from mitmproxy.flow import Flow
    from mitmproxy.http import HTTPFlow, Message

_LENGTH = re.compile(rb"([0-9]{1,12}):")
_ESCAPED_BYTE = re.compile("[\udc80-\udcff]")
# In these modes the client named the server by address only; the name is in the Host header.
_ADDRESSED_BY_IP = {"transparent", "local", "wireguard"}


def read_flows(
    buffer: memoryview,
    source: str,
    wanted: Callable[[str], bool],
    progress: Callable[[int, int], None] | None = None,
) -> Recording:
    """The HTTP exchanges of a flow file whose URL is `wanted`; raises UnreadableInput when not one flow can be read."""
    from mitmproxy.http import HTTPFlow

    exchanges: list[Exchange] = []
    passed_over = AllPassedOver()
    notes = Notes()
    position = number = lost = 0
    while position < len(buffer):
        start, position = _next_flow(buffer, position)
        if position > len(buffer):
            lost += 1
            notes.add(
                "the file ends inside it" if start >= 0 else "it is no mitmproxy flow; the rest was not read", number
            )
            break
        try:
            flow = _flow(bytes(buffer[start:position]))
            if not isinstance(flow, HTTPFlow):
                notes.add("it is not HTTP and was left out", number)
            elif wanted(url := url_of(flow)):
                exchanges.append(exchange_of(number, url, flow))
            else:
                passed_over.add(number, url)
        except Exception as error:  # a hostile state dict makes mitmproxy raise nearly anything
            lost += 1
            notes.add(f"it could not be read: {error or type(error).__name__}", number)
        number += 1
        if progress:
            progress(position, len(buffer))
    if number == lost and lost and position <= len(buffer):
        raise UnreadableInput(
            f"{source}: is not a flow file of mitmproxy: {notes.sentences()[0]}; save it again as HAR"
        )
    return Recording(source, tuple(exchanges), passed_over, lost, notes.sentences())


def _next_flow(buffer: memoryview, position: int) -> tuple[int, int]:
    """Where the flow at `position` begins and ends; begins at -1 and ends beyond the buffer when there is none."""
    length = _LENGTH.match(buffer, position, position + 13)
    if length is None:
        return -1, len(buffer) + 1
    return position, length.end() + int(length[1]) + 1


def _flow(raw: bytes) -> Flow:
    from mitmproxy.io import FlowReader

    for flow in FlowReader(io.BytesIO(raw)).stream():
        return flow
    raise ValueError("it is empty")


def url_of(flow: HTTPFlow) -> str:
    """The URL as the server saw it: through a reverse proxy the upstream server, not the proxy's own address."""
    if flow.request.method.upper() == "CONNECT":
        url = f"https://{flow.request.pretty_url}/"
    elif flow.client_conn.proxy_mode.type_name in _ADDRESSED_BY_IP:
        url = flow.request.pretty_url
    else:
        url = flow.request.url
    for host in {flow.request.host, flow.request.pretty_host}:
        if ":" in host:  # mitmproxy writes IPv6 addresses without their brackets
            url = url.replace(f"://{host}", f"://[{host}]", 1)
    return _ESCAPED_BYTE.sub(lambda byte: f"%{ord(byte[0]) - 0xDC00:02X}", url)


def exchange_of(number: int, url: str, flow: HTTPFlow) -> Exchange:
    """The flow, ended or failed, as an exchange; `url` is that of `url_of`. Raises ValueError when that is no URL."""
    urlsplit(url)  # raises ValueError: a URL that makes no sense costs this flow, not a later stage
    request, response = flow.request, flow.response
    headers = _headers(request)
    method = request.method.upper()
    read_request = Request(method, url, headers, _request_body(request, headers), _version(request.http_version))
    ended = flow.error.timestamp if flow.error else request.timestamp_end
    if response is None:
        read_response = Response(0, http_version=read_request.http_version)
    else:
        ended = response.timestamp_end or response.timestamp_start
        body = _response_body(response, method, response.status_code)
        version = _version(response.http_version)
        read_response = Response(response.status_code, _headers(response), body, response.reason or "", version)
    milliseconds = round((ended - request.timestamp_start) * 1000, 3) if ended else -1.0
    started = datetime.fromtimestamp(request.timestamp_start, UTC).isoformat(timespec="milliseconds")
    error = (flow.error.msg or "failed") if flow.error else ""
    return Exchange(number, read_request, read_response, started, max(milliseconds, -1.0), error)


def _headers(message: Message) -> Headers:
    return Headers(tuple((_text(name), _text(value)) for name, value in message.headers.fields if name[:1] != b":"))


def _text(field: bytes) -> str:
    # Header bytes are UTF-8 where a modern program made them, else ISO 8859-1 (RFC 9110, 5.5).
    try:
        return field.decode("utf-8")
    except UnicodeDecodeError:
        return field.decode("latin-1")


def _request_body(message: Message, headers: Headers) -> Body:
    content = decoded(message)
    length = (headers.get("content-length") or "").strip()
    if content is None or (not content and length.strip("0")):
        return NOT_RECORDED
    if not content and not length and not headers.get("transfer-encoding"):
        return ABSENT
    return Body.recorded(content)


def _response_body(message: Message, method: str, status: int) -> Body:
    if status in (204, 304) or status < 200 or method == "HEAD":
        return ABSENT
    content = decoded(message)
    length = (message.headers.get("content-length") or "").strip()
    return NOT_RECORDED if content is None or (not content and length.strip("0")) else Body.recorded(content)


def _version(version: str) -> str:
    return {"HTTP/2.0": "HTTP/2", "HTTP/3.0": "HTTP/3"}.get(version, version)
