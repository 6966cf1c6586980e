"""Exchanges → a HAR 1.2 file: dfrecord's only format on disk, openable in any HAR viewer.

In: exchanges. Out: a file that `har_reader` turns into the same exchanges (numbers count from 0 in the file).
`HarWriter` keeps the file a valid HAR after every append, since a recording may end at any moment; `har_chunks` gives
the bytes of a whole recording. The same exchanges give the same bytes: nothing of the present
enters the file. Facts: HAR 1.2 (W3C web performance, draft of August 2012). Names that begin with an underscore are
ours, as it allows: `_encoding` (`postData` has no `encoding`) and `_body: "not recorded"`.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from urllib.parse import parse_qsl

import msgspec

from dfrecord import __version__
from dfrecord.outputs import behind_links
from dfrecord.recording.exchange import UNKNOWN_START, Body, BodyState, Exchange, Headers, Request, Response

_ENCODER = msgspec.json.Encoder()
_CLOSING = b"\n    ]\n  }\n}\n"


class HarWriter:
    """A HAR file that grows; at every moment, even when the process is killed, the file is a whole, valid HAR.

    A killed write may stop at any page, so nothing is written into the file that a reader sees: each entry goes into
    a second copy beside it, and the two change places by renaming. Where that cannot be (a device, a folder that
    takes no files, no hard links) the entry is written into the file itself, in one go.

    `private` makes the file readable by its owner only (0600), for recordings that hold secrets. An existing file is
    replaced, once what begins a recording could be written beside it. Raises OSError when it cannot be written; what
    was appended before stays readable.
    """

    def __init__(self, path: str | os.PathLike[str], *, private: bool = False) -> None:
        self._path = behind_links(Path(path))
        self._asides = [self._path.with_name(f".{self._path.name}.{os.getpid()}-{n}") for n in (0, 1)]
        is_file = self._path.is_file() or not self._path.exists()
        self._other = _second_copy(self._asides[0], private) if is_file else None
        self._owed = b""  # what the other copy lacks
        self._count = 0
        try:
            if self._other is not None:
                self._other.put(_opening())
            self._shown = _Copy(self._path, private)
        except BaseException:
            self._drop_other()
            raise
        try:
            self._shown.put(_opening())
        except BaseException:
            self.close()
            raise

    def append(self, exchange: Exchange) -> None:
        """Adds one exchange at the end."""
        addition = (b"," if self._count else b"") + entry_bytes(exchange)
        if self._other is None:
            self._shown.put(addition)
        else:
            self._other.put(self._owed + addition)
            self._owed = addition
            self._swap()
        self._count += 1

    def rewrite(self, exchanges: Iterable[Exchange]) -> None:
        """Puts these exchanges in the place of all that was appended before."""
        entries = [entry_bytes(exchange) for exchange in exchanges]
        whole = _opening() + b",".join(entries)
        if self._other is None:
            self._shown.clear()
            self._shown.put(whole)
        else:
            self._other.clear()
            try:
                self._other.put(whole)
            except OSError:
                self._drop_other()
                raise
            self._owed = whole
            self._swap()
            if self._other is not None:
                self._other.clear()
        self._count = len(entries)

    def content(self) -> bytes:
        """The whole file as it is now."""
        return self._shown.content() + _CLOSING

    def close(self) -> None:
        """Closes the file; it is complete already."""
        self._shown.file.close()
        self._drop_other()

    def __enter__(self) -> HarWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _swap(self) -> None:
        """The copy that is ahead becomes the file; the one that was the file keeps a name beside it."""
        assert self._other is not None
        ahead, aside = self._asides
        try:
            aside.hardlink_to(self._path)
            ahead.replace(self._path)
        except OSError:  # moved away, or no such renaming here: from now on in place
            self._shown.clear()
            self._shown.put(self._other.content())
            self._drop_other()
            return
        self._asides.reverse()
        self._shown, self._other = self._other, self._shown

    def _drop_other(self) -> None:
        if self._other is not None:
            self._other.file.close()
            self._other = None
        for aside in self._asides:
            with contextlib.suppress(OSError):  # a folder that takes no files has none of them
                aside.unlink(missing_ok=True)


class _Copy:
    """A file with HAR text in it: `end` is where the next entry goes, over the closing brackets."""

    def __init__(self, path: Path, private: bool) -> None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600 if private else 0o666)
        self.file = os.fdopen(descriptor, "w+b", buffering=0)
        self._end = 0
        if private and hasattr(os, "fchmod"):
            os.fchmod(descriptor, 0o600)

    def put(self, addition: bytes) -> None:
        """Writes over the closing brackets: the addition and new brackets, in one go, or takes all of it back."""
        block = addition + _CLOSING
        try:
            self._write(block)
        except OSError:
            if self._end:
                self._write(_CLOSING)
                self.file.truncate(self._end + len(_CLOSING))
            raise
        self._end += len(addition)

    def clear(self) -> None:
        """Takes everything out of the file."""
        self.file.truncate(0)
        self._end = 0

    def content(self) -> bytes:
        """Everything in the file but the closing brackets."""
        self.file.seek(0)
        return self.file.read(self._end)

    def _write(self, block: bytes) -> None:
        self.file.seek(self._end)
        view = memoryview(block)
        while view:  # one write, unless the system takes less than all of it
            view = view[self.file.write(view) :]


def _second_copy(path: Path, private: bool) -> _Copy | None:
    try:
        return _Copy(path, private)
    except OSError:  # the folder takes no new files
        return None


def har_chunks(exchanges: Iterable[Exchange]) -> Iterator[bytes]:
    """The bytes of a whole HAR file, an entry at a time."""
    return har_of(map(entry_bytes, exchanges))


def har_of(entries: Iterable[bytes]) -> Iterator[bytes]:
    """The same, of its entries as `entry_bytes` gives them."""
    yield _opening()
    for position, entry in enumerate(entries):
        yield (b"," if position else b"") + entry
    yield _CLOSING


def _opening() -> bytes:
    creator = json.dumps({"name": "dfrecord", "version": __version__})
    text = '{\n  "log": {\n    "version": "1.2",\n    "creator": ' + creator + ',\n    "pages": [],\n    "entries": ['
    return text.encode("ascii")


def entry_bytes(exchange: Exchange) -> bytes:
    """One exchange as it stands in a file."""
    entry = har_entry(exchange)
    compact = bytearray()
    try:
        _ENCODER.encode_into(entry, compact)  # encode() crashes when there is not enough memory (msgspec to 0.23)
        text = msgspec.json.format(compact, indent=2)
    except UnicodeEncodeError:  # a lone surrogate can only stand in JSON as an escape, which msgspec does not take
        text = json.dumps(entry, allow_nan=False, indent=2).encode("ascii")
    return b"\n      " + text.replace(b"\n", b"\n      ")


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


@lru_cache(maxsize=256)  # a browser sends the same ones with many calls
def _headers(headers: Headers) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in headers]


@lru_cache(maxsize=128)  # as many as urlsplit remembers
def _query(query: str) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in parse_qsl(query, keep_blank_values=True)]


def _size(body: Body) -> int:
    return -1 if body.state is BodyState.NOT_RECORDED else len(body.content)
