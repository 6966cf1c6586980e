"""Every dialect of HAR → exchanges as they were on the wire.

In: a buffer with UTF-8 HAR text (see `peel` for what is taken off before). Out: a Recording. Only entries whose URL
is wanted are decoded. What each program does to a HAR, and the fixture in `tests/fixtures/dialects` that proves it:

| fact | program | proof |
| --- | --- | --- |
| query and form `params` may be decoded: only `url` and `text` are believed | all | entries with `plus=x+y&empty` |
| JSON answers with non-ASCII text are base64, and say so in `encoding` | Chrome | chrome-devtools.har 3 |
| multipart text went through UTF-8: bytes are lost (U+FFFD, not Content-Length) | Chrome | chrome-devtools.har 12 |
| a 304 carries the cached body; 304 and 204 have none on the wire | Chrome, Firefox | chrome-devtools.har 20 |
| a 304 is shown as the cached 200 | Playwright | pw-embed.har 19 |
| failed: status 0 with `_error`, -1 with `_failureText`, or an empty `content` | all | entries with `refused` |
| 204 is base64 of nothing | Firefox, Playwright | firefox-netmonitor.har 8 |
| content left out, with a `comment`; empty only if Content-Length says 0 | Firefox | firefox-netmonitor.har 15 |
| request `bodySize` counts characters; `content.size` is the compressed size | Firefox | firefox-netmonitor.har 1, 4 |
| multipart text is a string of bytes (latin-1) | Firefox, mitmproxy | firefox-netmonitor.har 12 |
| no `postData` for multipart; Content-Length says that there was a body | Playwright | pw-embed.har 11 |
| bodies in `_file`, in `content` and in `postData` (whose `text` is "") | Playwright attach | pw-attach.zip |
| `content.size` of text is that of its UTF-8 whatever was sent | Playwright | pw-embed.har 20 |
| text without charset is latin-1; the decoded size is `size` + `compression` | mitmproxy | mitm-reverse.har 4, 23 |
| `postData` only for POST, PUT, PATCH: Content-Length tells of a DELETE body | mitmproxy | `savehar.py` 11.0.2 |
| duplicate headers joined by a line feed, `http/1.1`, JSON bodies only in `params` | chrome-har | tests/recording |
| bodies as they were packed on the wire, in base64 or `_file` | some | tests/recording/test_packed.py |
| `null` times, sizes -1, missing pageref, creator, cookies, queryString | all | tests/recording |
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from functools import lru_cache
from itertools import filterfalse

import msgspec

from dfrecord.recording.attachments import Attachments, no_attachments
from dfrecord.recording.exchange import (
    ABSENT,
    UNKNOWN_START,
    AllPassedOver,
    Exchange,
    Headers,
    Recording,
    Request,
    Response,
    split_before_query,
)
from dfrecord.recording.har_bodies import Facts, request_body, response_body
from dfrecord.recording.har_entries import open_har
from dfrecord.recording.har_raw import RawEntry, RawRequest, Run
from dfrecord.recording.har_scan import Again, Lost
from dfrecord.recording.lenient import clean, decoded
from dfrecord.recording.notes import Notes
from dfrecord.recording.wanted import Wanted

_VERSIONS = {
    "http/1.0": "HTTP/1.0",
    "http/1.1": "HTTP/1.1",
    "h2": "HTTP/2",
    "http/2": "HTTP/2",
    "http/2.0": "HTTP/2",
    "h3": "HTTP/3",
    "http/3": "HTTP/3",
    "http/3.0": "HTTP/3",
}

_METHODS = {"get", "head", "post", "put", "patch", "delete", "options"}

_OF_A_REQUEST = [name for name in RawRequest.__struct_fields__ if name not in ("url", "headers")]

_PROGRESS_EVERY = 1000


class Dialect(msgspec.Struct, frozen=True):
    """What is the same for all entries of one HAR: who wrote it, and where its attached bodies are."""

    creator: str
    attachments: Attachments


def read_har(
    buffer: memoryview,
    source: str,
    wanted: Wanted,
    attachments: Attachments = no_attachments,
    progress: Callable[[int, int], None] | None = None,
) -> Recording:
    """The exchanges of the HAR in `buffer` whose URL is `wanted`; `progress` gets bytes done and bytes in all, of large
    files first when none are done and children, if there are any, have begun.

    Raises NotAHar when there are no entries to look for. Entries that cannot be read are counted and noted.
    """
    har = open_har(buffer, wanted)
    dialect = Dialect(har.creator, attachments)
    found = _Found()
    told = 0
    with closing(har.items) as items:
        for item, done in items:
            if isinstance(item, Again):
                found = _Found()
            elif isinstance(item, Lost):
                found.add_lost(item)
            else:
                found.add(item if isinstance(item, Run) else Run([(0, item)], []), dialect)
            if progress and (not done or found.count >= told + _PROGRESS_EVERY):
                progress(done, len(buffer))
                told = found.count
    if progress:
        progress(len(buffer), len(buffer))
    return Recording(source, tuple(found.exchanges), found.passed_over, found.lost, found.notes.sentences())


class _Found:
    """What was read so far, in order; `count` is the number of the next entry."""

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []
        self.passed_over = AllPassedOver()
        self.notes = Notes()
        self.count = self.lost = 0

    def add(self, run: Run, dialect: Dialect) -> None:
        for place, entry in run.wanted:
            number = self.count + place
            try:
                self.exchanges.append(_exchange(number, entry, dialect, self.notes))
            except ValueError as error:
                self.lost += 1
                self.notes.add(f"it could not be read: {error}", number)
        wanted = {self.count + place for place, _ in run.wanted}
        others = filterfalse(wanted.__contains__, range(self.count, self.count + len(run)))
        self.passed_over.add_all(others, run.others)
        self.count += len(run)

    def add_lost(self, lost: Lost) -> None:
        self.lost += lost.count
        self.notes.add(lost.reason, self.count if lost.count else None, lost.count or 1)
        self.count += lost.count


def _exchange(number: int, raw: RawEntry, dialect: Dialect, notes: Notes) -> Exchange:
    """The exchange of one entry; raises ValueError when it makes no sense."""
    url = raw.request.url
    try:
        split_before_query(url)
    except ValueError as error:
        raise ValueError(f"its URL makes no sense ({error})") from None
    answer = decoded(raw.response)
    response = _object(answer, "response") if answer is not None else {}
    request = {name: decoded(getattr(raw.request, name)) for name in _OF_A_REQUEST}
    method = _text(request, "method") or "GET"
    method = method.upper() if method.lower() in _METHODS else method  # as servers and browsers understand it
    status = _status(response.get("status"))
    found_request, request_note = _request(method, url, _sent_headers(bytes(raw.request.headers)), request, dialect)
    found_response, response_note = _response(method, status, response, dialect)
    for note in (request_note, response_note):
        if note:
            notes.add(note, number)
    failure = _text(response, "_error") or _text(response, "_failureText")
    return Exchange(number, found_request, found_response, _started(raw), _milliseconds(raw), failure)


def _request(
    method: str, url: str, headers: Headers, request: dict[str, object], dialect: Dialect
) -> tuple[Request, str]:
    facts = Facts(method, headers, dialect.creator, _integer(request, "bodySize"), dialect.attachments)
    found = request_body(_body_of(request, "postData"), facts)
    return Request(method, url, headers, found.body, _version(request, dialect)), found.note


def _response(method: str, status: int, response: dict[str, object], dialect: Dialect) -> tuple[Response, str]:
    headers = _headers(response.get("headers"))
    content = _body_of(response, "content")
    size = _integer(content, "size") if content else -1
    facts = Facts(method, headers, dialect.creator, size, dialect.attachments, status)
    found = response_body(content, _integer(response, "bodySize"), facts)
    reason = _text(response, "statusText")
    if not response:
        return Response(status, Headers(), ABSENT), ""
    return Response(status, headers, found.body, reason, _version(response, dialect)), found.note


@lru_cache(maxsize=256)  # a browser sends the same ones with many calls
def _sent_headers(written: bytes) -> Headers:
    return _headers(decoded(memoryview(written)))


def _headers(fields: object) -> Headers:
    """Header fields in order; joined values are split, pseudo headers of HTTP/2 and HTTP/3 are dropped."""
    if not isinstance(fields, list):
        return Headers()
    found: list[tuple[str, str]] = []
    for item in fields:
        if isinstance(item, dict):
            name, value = item.get("name"), item.get("value")
            if not isinstance(name, str) or not isinstance(value, str):
                name, value = _text(item, "name"), _text(item, "value")
            found += _fields(name, value)
    return Headers(tuple(found))


@lru_cache(maxsize=1024)  # most headers of a recording are those of the call before
def _fields(name: str, value: str) -> tuple[tuple[str, str], ...]:
    name, value = clean(name).strip(), clean(value)
    if not name or name.startswith(":"):
        return ()
    return tuple((name, part.strip(" \t")) for part in value.replace("\r", "\n").split("\n"))


def _version(message: dict[str, object], dialect: Dialect) -> str:
    version = _text(message, "httpVersion")
    if dialect.creator == "dfrecord":
        return version
    return _VERSIONS.get(version.lower(), version) or "HTTP/1.1"


def _status(value: object) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 6:
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return 0
    return int(value)


def _started(raw: RawEntry) -> str:
    """The moment; empty when unknown, or when it is none."""
    value = decoded(raw.startedDateTime)
    if not isinstance(value, str) or value == UNKNOWN_START:
        return ""
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return ""
    return value


def _milliseconds(raw: RawEntry) -> float:
    """The duration; -1 when unknown, which the writer says by timings of -1 since `time` must not be negative."""
    value = decoded(raw.time)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        return -1.0
    if value == 0:
        timings = decoded(raw.timings)
        if isinstance(timings, dict) and timings.get("wait") == -1:
            return -1.0
    return float(value)


def _object(value: object, name: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise ValueError(f"its {name} is no JSON object")
    return value


def _body_of(message: dict[str, object], name: str) -> dict[str, object] | None:
    """What the message holds as its body; some programs write the text itself, without the object around it."""
    value = message.get(name)
    return value if value is None or isinstance(value, dict) else {"text": value}


def _text(holder: dict[str, object], name: str) -> str:
    value = holder.get(name)
    if isinstance(value, str):
        return clean(value)
    return "" if value is None or isinstance(value, dict | list) else str(value)


def _integer(holder: dict[str, object], name: str) -> int:
    value = holder.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else -1
