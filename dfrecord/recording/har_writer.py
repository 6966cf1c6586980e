"""Exchanges → a HAR 1.2 file: dfrecord's only format on disk, openable in any HAR viewer.

In: exchanges. Out: a file that `har_reader` turns into the same exchanges (numbers count from 0 in the file).
`HarWriter` keeps the file a valid HAR after every append, since a recording may end at any moment; `har_chunks` gives
the bytes of a whole recording. The same exchanges give the same bytes: nothing of the present
enters the file. Facts: HAR 1.2 (W3C web performance, draft of August 2012). Names that begin with an underscore are
ours, as it allows: `_encoding` (`postData` has no `encoding`) and `_body: "not recorded"`.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from urllib.parse import parse_qsl

from dfrecord.recording.exchange import Body, BodyState, Exchange, Headers, Request, Response
from dfrecord.recording.har_reader import UNKNOWN_START

_CLOSING = b"\n    ]\n  }\n}\n"


class HarWriter:
    """A HAR file that grows; after each `append` it is a whole, valid HAR.

    `private` makes the file readable by its owner only (0600), for recordings that hold secrets. An existing file is
    replaced. Raises OSError when it cannot be written; what was appended before stays readable.
    """

    def __init__(self, path: str | os.PathLike[str], *, private: bool = False) -> None:
        mode = 0o600 if private else 0o666
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, mode)
        self._file = os.fdopen(descriptor, "w+b", buffering=0)
        self._end = 0
        self._count = 0
        try:
            if private:
                Path(path).chmod(0o600)
            self._put(_opening())
        except BaseException:
            self._file.close()
            raise

    def append(self, exchange: Exchange) -> None:
        """Adds one exchange at the end."""
        self._put((b"," if self._count else b"") + _entry_bytes(exchange))
        self._count += 1

    def close(self) -> None:
        """Closes the file; it is complete already."""
        self._file.close()

    def __enter__(self) -> HarWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _put(self, addition: bytes) -> None:
        """Writes over the closing brackets: the addition and new brackets, in one go, or takes all of it back."""
        block = addition + _CLOSING
        try:
            self._write(block)
        except OSError:
            self._file.truncate(self._end)
            if self._end:
                self._write(_CLOSING)
            raise
        self._end += len(addition)

    def _write(self, block: bytes) -> None:
        self._file.seek(self._end)
        view = memoryview(block)
        while view:  # one write, unless the system takes less than all of it
            view = view[self._file.write(view) :]


def har_chunks(exchanges: Iterable[Exchange]) -> Iterator[bytes]:
    """The bytes of a whole HAR file, an entry at a time."""
    yield _opening()
    for position, exchange in enumerate(exchanges):
        yield (b"," if position else b"") + _entry_bytes(exchange)
    yield _CLOSING


def _opening() -> bytes:
    try:
        ours = version("dfrecord")
    except PackageNotFoundError:
        ours = "0"
    creator = json.dumps({"name": "dfrecord", "version": ours})
    text = '{\n  "log": {\n    "version": "1.2",\n    "creator": ' + creator + ',\n    "pages": [],\n    "entries": ['
    return text.encode("ascii")


def _entry_bytes(exchange: Exchange) -> bytes:
    entry = har_entry(exchange)
    try:
        text = json.dumps(entry, ensure_ascii=False, indent=2, allow_nan=False)
        return b"\n      " + text.replace("\n", "\n      ").encode("utf-8")
    except UnicodeEncodeError:  # a lone surrogate can only stand in JSON as an escape
        text = json.dumps(entry, indent=2, allow_nan=False)
        return b"\n      " + text.replace("\n", "\n      ").encode("ascii")


def har_entry(exchange: Exchange) -> dict[str, object]:
    """One exchange as the entry of a HAR, with every field that HAR 1.2 requires."""
    known = exchange.milliseconds >= 0
    return {
        "startedDateTime": exchange.started or UNKNOWN_START,
        "time": exchange.milliseconds if known else 0,
        "request": _request(exchange.request),
        "response": _response(exchange.response, exchange.error),
        "cache": {},
        "timings": {
            "send": 0 if known else -1,
            "wait": exchange.milliseconds if known else -1,
            "receive": 0 if known else -1,
        },
    }


def _request(request: Request) -> dict[str, object]:
    written: dict[str, object] = {
        "method": request.method,
        "url": request.url,
        "httpVersion": request.http_version,
        "cookies": [],
        "headers": _headers(request.headers),
        "queryString": _query(request.query),
        "headersSize": -1,
        "bodySize": _size(request.body),
    }
    mime_type = request.headers.get("content-type") or ""
    if request.body.state is BodyState.RECORDED:
        written["postData"] = {"mimeType": mime_type, **_text(request.body.content, "_encoding")}
    elif request.body.state is BodyState.NOT_RECORDED:
        written["postData"] = {"mimeType": mime_type, "text": "", "_body": BodyState.NOT_RECORDED.value}
    return written


def _response(response: Response, error: str) -> dict[str, object]:
    content: dict[str, object] = {
        "size": max(_size(response.body), 0),
        "mimeType": response.headers.get("content-type") or "",
    }
    if response.body.state is BodyState.RECORDED:
        content |= _text(response.body.content, "encoding")
    elif response.body.state is BodyState.NOT_RECORDED:
        content["_body"] = BodyState.NOT_RECORDED.value
    written: dict[str, object] = {
        "status": response.status,
        "statusText": response.reason,
        "httpVersion": response.http_version,
        "cookies": [],
        "headers": _headers(response.headers),
        "content": content,
        "redirectURL": response.headers.get("location") or "",
        "headersSize": -1,
        "bodySize": _size(response.body),
    }
    return written | ({"_error": error} if error else {})


def _text(content: bytes, encoding: str) -> dict[str, object]:
    """Bytes as text when they are UTF-8, else as base64 with a member `encoding` that says so."""
    try:
        return {"text": content.decode("utf-8")}
    except UnicodeDecodeError:
        return {"text": base64.b64encode(content).decode("ascii"), encoding: "base64"}


def _headers(headers: Headers) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in headers]


def _query(query: str) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in parse_qsl(query, keep_blank_values=True)]


def _size(body: Body) -> int:
    return -1 if body.state is BodyState.NOT_RECORDED else len(body.content)
