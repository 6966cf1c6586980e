"""HAR bytes → entries still undecoded, so that a file of any size is skipped through and only wanted parts are read.

In: a buffer (a memory map, or bytes) with UTF-8 JSON. Out: who wrote the HAR, and of each entry its undecoded members
when its URL is wanted, else only its URL. Three ways lead there, each for what the one before does not take:

1. msgspec skips through the whole file, which it must find well-formed (nothing is copied or looked at twice);
2. it skips through one entry after the other, so that memory is bounded and damage costs only the entry it is in;
   children do so from further on in large files (`har_ahead`);
3. the members of a damaged entry are found by structure alone (`har_scan`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from dfrecord.recording.har_ahead import read_ahead
from dfrecord.recording.har_scan import Lost, Members, NotAHar, entries_of, find_entries, members_of
from dfrecord.recording.lenient import clean, decoded

# The whole file at once is a fifth faster where entries are small, but nothing is given back before its end.
_AT_ONCE = 256 * 1024 * 1024

_MISSING = msgspec.Raw(b"null")
_REFUSALS = (msgspec.MsgspecError, RecursionError, ValueError)
_TRAILING = re.compile(r"trailing characters \(byte (\d+)\)")


class RawRequest(msgspec.Struct, gc=False):
    """The members of a request that matter; `url` is decoded, the others are not."""

    url: str
    method: msgspec.Raw = _MISSING
    httpVersion: msgspec.Raw = _MISSING  # noqa: N815 - the names in the file
    headers: msgspec.Raw = _MISSING
    postData: msgspec.Raw = _MISSING  # noqa: N815
    bodySize: msgspec.Raw = _MISSING  # noqa: N815


class RawEntry(msgspec.Struct, gc=False):
    """The members of an entry that matter; everything else is skipped."""

    request: RawRequest
    response: msgspec.Raw = _MISSING
    startedDateTime: msgspec.Raw = _MISSING  # noqa: N815
    time: msgspec.Raw = _MISSING
    timings: msgspec.Raw = _MISSING


_PASSED_OVER = RawRequest("")

Item = RawEntry | str | Lost
"""A wanted entry, the URL of another, or what could not be read in the place of one."""
Items = Generator[tuple[Item, int], None, None]


@dataclass(frozen=True)
class RawHar:
    """`creator` is the lower-cased name of the program that wrote the HAR ("" when it does not say).

    `items` may be walked once, and is to be closed; each comes with how many bytes of the buffer are done.
    """

    creator: str
    items: Items


class _Har(msgspec.Struct):
    log: msgspec.Raw


class _Log(msgspec.Struct):
    entries: msgspec.Raw
    creator: msgspec.Raw = _MISSING


_HAR, _LOG = msgspec.json.Decoder(_Har), msgspec.json.Decoder(_Log)


def open_har(buffer: memoryview, wanted: Callable[[str], bool]) -> RawHar:
    """The entries of the HAR in `buffer`; raises NotAHar when there is no `log` with `entries` in it."""
    outer = None
    if len(buffer) <= _AT_ONCE:
        try:
            return _at_once(buffer, wanted)
        except msgspec.ValidationError:  # well-formed so far: an entry, or something beside the entries, is unusual
            outer = _outer(buffer)
        except _REFUSALS:
            pass
    array, creator = outer or _outer_of_any(buffer)
    return RawHar(_name(creator), _one_by_one(array, wanted))


def _outer_of_any(buffer: memoryview) -> tuple[memoryview, memoryview | None]:
    """The array of entries and all after it, and the creator; what stands after the entries is looked for last."""
    try:
        array, creator = find_entries(buffer)
    except NotAHar:
        if outer := _outer(buffer):
            return outer
        raise
    return (None if creator else _outer(buffer)) or (array, creator)


def _outer(buffer: memoryview) -> tuple[memoryview, memoryview | None] | None:
    """The array of entries and the creator, wherever it stands; None when the file is not well-formed."""
    try:
        log = _LOG.decode(_HAR.decode(buffer).log)
    except _REFUSALS:
        return None
    array = memoryview(log.entries)
    return (array, memoryview(log.creator)) if array[0] == ord("[") else None


class _Skipping:
    """Decoders of entries that put each one, or its URL when it is not wanted, into `found` as soon as it is read.

    So nothing stays of entries that are not wanted, and an entry is known before msgspec refuses what follows it.
    """

    def __init__(self, wanted: Callable[[str], bool]) -> None:
        found: list[RawEntry | str] = []

        class Entry(RawEntry, gc=False):
            def __post_init__(self) -> None:
                url = self.request.url
                if wanted(url):
                    found.append(self)
                else:
                    found.append(url)
                    self.request = _PASSED_OVER
                    self.response = self.startedDateTime = self.time = self.timings = _MISSING

        log = msgspec.defstruct("Log", [("entries", list[Entry]), ("creator", msgspec.Raw, _MISSING)])
        self.found = found
        self.har: msgspec.json.Decoder[Any] = msgspec.json.Decoder(msgspec.defstruct("Har", [("log", log)]))
        self.entry = msgspec.json.Decoder(Entry)


def _at_once(buffer: memoryview, wanted: Callable[[str], bool]) -> RawHar:
    """Raises what msgspec raises."""
    skipping = _Skipping(wanted)
    log = skipping.har.decode(buffer).log
    found = skipping.found[len(skipping.found) - len(log.entries) :]  # of lists that stand twice the last one counts
    return RawHar(_name(log.creator), ((item, len(buffer)) for item in found))


def _one_by_one(array: memoryview, wanted: Callable[[str], bool]) -> Items:
    skipping = _Skipping(wanted)

    def entry_at(start: int) -> tuple[Item, int]:
        end = start + _skipped(skipping.entry, array[start:])
        if skipping.found:
            return skipping.found.pop(), end
        entry, end = _damaged_entry(array, start)
        return (entry if isinstance(entry, Lost) or wanted(entry.request.url) else entry.request.url), end

    with read_ahead(array, entry_at) as known:

        def known_or_read(start: int) -> tuple[Item, int]:
            return known(start) or entry_at(start)

        items: Iterator[tuple[Item, int]] = entries_of(array, known_or_read)
        yield from items


def _skipped(decoder: msgspec.json.Decoder[Any], buffer: memoryview) -> int:
    """The length of the one value that the decoder reads at the beginning of the buffer; 0 when it refuses it."""
    try:
        decoder.decode(buffer)
    except _REFUSALS as error:
        trailing = _TRAILING.search(str(error))
        return int(trailing[1]) - 1 if trailing else 0  # it counts from 1
    return len(buffer)


def _damaged_entry(buffer: memoryview, start: int) -> tuple[RawEntry | Lost, int]:
    """The entry at `start`, found by structure alone, and the position after it; raises Broken."""
    members, end = members_of(buffer, start)
    if isinstance(members, Lost):
        return members, end
    try:
        request = _request(buffer, members)
    except ValueError as error:
        return Lost(f"it could not be read: {error}"), end
    return RawEntry(request, **_raw(buffer, members, RawEntry.__struct_fields__[1:])), end


def _request(buffer: memoryview, entry: Members) -> RawRequest:
    found = members_of(buffer, entry["request"].start)[0] if "request" in entry else {}
    members = {} if isinstance(found, Lost) else found
    url = decoded(buffer[members["url"]]) if "url" in members else None
    if not isinstance(url, str):
        raise ValueError("it has no request with a URL")
    return RawRequest(clean(url), **_raw(buffer, members, RawRequest.__struct_fields__[1:]))


def _raw(buffer: memoryview, members: Members, names: Sequence[str]) -> dict[str, msgspec.Raw]:
    return {name: msgspec.Raw(buffer[members[name]]) for name in names if name in members}


def _name(creator: msgspec.Raw | memoryview | None) -> str:
    try:
        value = decoded(creator) if creator is not None else None
    except ValueError:
        return ""
    name = value.get("name") if isinstance(value, dict) else None
    return name.lower() if isinstance(name, str) else ""


__all__ = ["Item", "Lost", "NotAHar", "RawEntry", "RawHar", "RawRequest", "open_har"]
