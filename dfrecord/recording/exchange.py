"""Traffic as it was seen: one exchange is one request with its response, as on the wire.

Every reader (HAR, mitmproxy flows) produces these values and everything after the readers consumes only these.
Nothing is interpreted here: the query stays in the URL, duplicates and order stay, bytes stay bytes.

These are data classes as msgspec makes them, as are all that every command loads: Python needs half a millisecond for
such a class, at every start, and several times as long for each value.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from itertools import accumulate, islice
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

import msgspec

# What a HAR says where the start is not known: the field is required (HAR 1.2, entries).
UNKNOWN_START = "1970-01-01T00:00:00.000Z"


class Headers(msgspec.Struct, frozen=True):
    """Header fields in wire order with duplicates; names compare without regard to case (RFC 9110, 5.1)."""

    fields: tuple[tuple[str, str], ...] = ()

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self.fields)

    def get_all(self, name: str) -> list[str]:
        """Every value of the header, in order; empty when it is absent."""
        wanted = name.lower()
        return [value for key, value in self.fields if key.lower() == wanted]

    def get(self, name: str) -> str | None:
        """The first value of the header, or None when it is absent."""
        wanted, length = name.lower(), len(name)
        for key, value in self.fields:
            if len(key) == length and key.lower() == wanted:
                return value
        return None


class BodyState(Enum):
    """What is known about a body. An empty body is RECORDED with no bytes."""

    ABSENT = "absent"
    RECORDED = "recorded"
    NOT_RECORDED = "not recorded"


class Body(msgspec.Struct, frozen=True):
    """A message body after transfer and content decoding; `content` is empty unless `state` is RECORDED."""

    state: BodyState = BodyState.ABSENT
    content: bytes = b""

    @classmethod
    def recorded(cls, content: bytes) -> Body:
        """A body whose bytes are known, possibly none."""
        return cls(BodyState.RECORDED, content)


ABSENT = Body()
NOT_RECORDED = Body(BodyState.NOT_RECORDED)


class Request(msgspec.Struct, frozen=True):
    """A request. `url` is absolute and exactly as sent (percent-encoding, case and order of the query untouched)."""

    method: str
    url: str
    headers: Headers = Headers()
    body: Body = ABSENT
    http_version: str = "HTTP/1.1"

    @property
    def origin(self) -> str:
        """Scheme, host and port, e.g. `http://127.0.0.1:8093`; not what stands before an `@`, which may be a secret."""
        parts = split_before_query(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"

    @property
    def path(self) -> str:
        """The path as sent, still percent-encoded, without the query."""
        return split_before_query(self.url).path

    @property
    def decoded_path(self) -> str:
        """The path percent-decoded, for matching; never for sending."""
        return unquote(self.path)

    @property
    def query(self) -> str:
        """The query as sent, without the question mark; empty when there is none."""
        return self.url.partition("#")[0].partition("?")[2]  # urlsplit would take tabs and line ends out of it


def split_before_query(url: str) -> SplitResult:
    """The parts of a URL before its query. Of those, urlsplit remembers the last ones; most calls go to few paths."""
    return urlsplit(url.partition("?")[0])


class Response(msgspec.Struct, frozen=True):
    """A response. `status` is 0 or negative when none came (refused, cancelled, blocked)."""

    status: int
    headers: Headers = Headers()
    body: Body = ABSENT
    reason: str = ""
    http_version: str = "HTTP/1.1"


class Exchange(msgspec.Struct, frozen=True):
    """One request with its response.

    `number` is the position in the input, counted from 0, over all entries of the input, kept or not.
    `started` is ISO 8601 with zone, empty when the input does not say; `milliseconds` is the whole duration, -1 when
    unknown.
    `error` is the recording program's own text for an exchange that failed, empty otherwise.
    """

    number: int
    request: Request
    response: Response
    started: str = ""
    milliseconds: float = -1.0
    error: str = ""


class PassedOver(msgspec.Struct, frozen=True):
    """An entry that the reader did not decode because its URL was not asked for."""

    number: int
    url: str


class AllPassedOver(Sequence[PassedOver]):
    """Entries that were passed over. There may be a million, so they are objects only when they are looked at."""

    def __init__(self, entries: Iterable[PassedOver] = ()) -> None:
        self._numbers, self._ends, self._urls = array("Q"), array("Q"), bytearray()
        for entry in entries:
            self.add(entry.number, entry.url)

    def add(self, number: int, url: str) -> None:
        """Adds one at the end."""
        self.add_all([number], [url])

    def add_all(self, numbers: Iterable[int], urls: Sequence[str]) -> None:
        """Adds several at the end, each with its number."""
        text = "".join(urls)
        sizes = map(len, urls if text.isascii() else map(_encoded, urls))
        self._numbers.extend(numbers)
        self._ends.extend(islice(accumulate(sizes, initial=len(self._urls)), 1, None))
        self._urls += _encoded(text)

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, position: Any) -> Any:
        if isinstance(position, slice):
            return [self[place] for place in range(*position.indices(len(self)))]
        place = range(len(self))[position]
        url = self._urls[self._ends[place - 1] if place else 0 : self._ends[place]]
        return PassedOver(self._numbers[place], url.decode("utf-8", "surrogatepass"))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # it grows


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


class Recording(msgspec.Struct, frozen=True):
    """An ordered list of exchanges from one input.

    `lost` counts the entries of a broken or truncated input that could not be read (at least that many);
    `notes` are sentences for the person about what the reader had to repair or leave out.
    """

    source: str
    exchanges: tuple[Exchange, ...]
    passed_over: Sequence[PassedOver] = ()
    lost: int = 0
    notes: tuple[str, ...] = ()

    @property
    def told_losses(self) -> str:
        """What was lost, for the person; empty when nothing was."""
        if self.lost == 1:
            return "1 broken or cut-off entry was lost"
        return f"{self.lost} broken or cut-off entries were lost" if self.lost else ""

    @property
    def entry_count(self) -> int:
        """How many entries the input held, decoded or not, lost ones left out."""
        return len(self.exchanges) + len(self.passed_over)
