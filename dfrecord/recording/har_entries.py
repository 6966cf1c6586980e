"""HAR bytes → entries still undecoded, so that a file of any size is skipped through and only wanted parts are read.

In: a buffer (a memory map, or bytes) with UTF-8 JSON. Out: who wrote the HAR, and of each entry its undecoded members
when its URL is wanted, else only its URL. Three ways lead there, each for what the one before does not take:

1. msgspec skips through the whole file when it is small, which it must find well-formed;
2. it skips through one entry after the other, or many small ones at a time, so that memory is bounded and damage costs
   only the entry it is in; long texts are jumped over (`har_entry`), and children read from further on (`har_ahead`);
3. the members of a damaged entry are found by structure alone (`har_scan`).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Generator, Sequence

import msgspec

from dfrecord.recording.har_ahead import parts_of, read_ahead, separator_of
from dfrecord.recording.har_entry import REFUSALS, EntryReader
from dfrecord.recording.har_raw import MISSING, RawEntry, RawRequest, Run
from dfrecord.recording.har_scan import Again, Lost, Members, NotAHar, entries_of, find_entries, members_of
from dfrecord.recording.lenient import clean, decoded
from dfrecord.recording.pages import Pages
from dfrecord.recording.wanted import Wanted

_AT_ONCE = 16 * 1024 * 1024  # nothing is given back before the end of the file

# Many entries at a time are copied into a list of their own, and msgspec need not be asked for each where it ends.
_TOGETHER = 512 * 1024
_SMALL = 16 * 1024
_FEW = 8  # small ones are still taken one by one
_LARGE_TOGETHER = 4 * 1024 * 1024  # bytes of larger ones
_BETWEEN = re.compile(rb"[ \t\r\n]*+(,)[ \t\r\n]*+(?=\{)")
_NEAR = 1024 * 1024  # how far the first entry is looked for that is no longer one of them

Item = Run | RawEntry | Lost | Again
"""Entries that are well-formed, a wanted one that is not, what could not be read, or that all before does not count."""
Items = Generator[tuple[Item, int], None, None]


class RawHar(msgspec.Struct, frozen=True):
    """`creator` is the lower-cased name of the program that wrote the HAR ("" when it does not say).

    `items` may be walked once, and is to be closed; each comes with how many bytes of the buffer are done, and is good
    until the next is asked for.
    """

    creator: str
    items: Items


class _Har(msgspec.Struct):
    log: msgspec.Raw


class _Log(msgspec.Struct):
    entries: msgspec.Raw
    creator: msgspec.Raw = MISSING


class _ReadLog(msgspec.Struct):
    entries: list[RawEntry]
    creator: msgspec.Raw = MISSING


class _ReadHar(msgspec.Struct):
    log: _ReadLog


_HAR, _LOG = msgspec.json.Decoder(_Har), msgspec.json.Decoder(_Log)
_WHOLE, _LIST = msgspec.json.Decoder(_ReadHar), msgspec.json.Decoder(list[RawEntry])


def open_har(buffer: memoryview, wanted: Wanted) -> RawHar:
    """The entries of the HAR in `buffer`; raises NotAHar when there is no `log` with `entries` in it."""
    outer = None
    if len(buffer) <= _AT_ONCE:
        try:
            return _at_once(buffer, wanted)
        except msgspec.ValidationError:  # well-formed so far: an entry, or something beside the entries, is unusual
            outer = _outer(buffer)
        except REFUSALS:
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
    except REFUSALS:
        return None
    array = memoryview(log.entries)
    return (array, memoryview(log.creator)) if array[0] == ord("[") else None


def _at_once(buffer: memoryview, wanted: Wanted) -> RawHar:
    """Raises what msgspec raises."""
    log = _WHOLE.decode(buffer).log
    return RawHar(_name(log.creator), ((run, len(buffer)) for run in [_run(log.entries, wanted)]))


def _one_by_one(array: memoryview, wanted: Wanted) -> Items:
    separator = separator_of(array)
    parts = parts_of(array, separator)
    entries = _Entries(array, wanted, separator, parts)
    with read_ahead(array, entries.item_at, parts) as known:

        def known_or_read(start: int) -> tuple[Item, int]:
            return known(start) or entries.item_at(start)

        yield Run([], []), 0  # children are at work: this process may have other things to do
        yield from entries_of(array, known_or_read)


class _Entries:
    """The entries of an array, each by the place where it begins.

    Several are read at a time where they are small, but none beyond the beginning of one of the `parts`, where another
    process may take over. How many makes no difference: what msgspec takes as a list from one entry on is just these.
    """

    def __init__(
        self,
        array: memoryview,
        wanted: Wanted,
        separator: re.Pattern[bytes] | None,
        parts: Sequence[int],
    ) -> None:
        self._array, self._wanted, self._separator, self._parts = array, wanted, separator, parts
        self._reader, self._pages = EntryReader(array, wanted), Pages(array)
        self._small = 0  # how many before were
        self._one_by_one = range(0)
        self._list = memoryview(bytearray(_TOGETHER + _NEAR + 2))  # one after the other, in the same memory
        self._list[0] = ord("[")

    def item_at(self, start: int) -> tuple[Item, int]:
        """What begins there, and the place after it; raises Broken."""
        item, end = self._many(start) or self._some(start) or self._damaged(start)
        self._pages.read(start, end)
        return item, end

    def _many(self, start: int) -> tuple[Run, int] | None:
        if self._separator is None or self._small < _FEW or start in self._one_by_one:
            return None
        near = self._until(start, _TOGETHER)
        after = self._separator.search(self._array, near, near + _NEAR)
        if after is None:
            self._one_by_one = range(start, near + _NEAR)
            return None
        end = after.start()
        try:
            found = _LIST.decode(self._listed(start, end))
        except REFUSALS:
            self._one_by_one = range(start, end)
            return None
        self._small = _FEW if end - start < _SMALL * len(found) else 0
        return _run(found, self._wanted), end

    def _listed(self, start: int, end: int) -> memoryview:
        """What is from one place to another, in brackets."""
        size = end - start
        self._list[1 : size + 1] = self._array[start:end]
        self._list[size + 1] = ord("]")
        return self._list[: size + 2]

    def _some(self, start: int) -> tuple[Run, int] | None:
        """One, and more as long as they are not small."""
        until = self._until(start, _LARGE_TOGETHER)
        run, end = Run([], []), 0
        while found := self._reader.entry_at(start):
            entry, end = found
            if isinstance(entry, str):
                run.others.append(entry)
            else:
                run.wanted.append((len(run), entry))
            self._small = self._small + 1 if end - start < _SMALL else 0
            gap = _BETWEEN.match(self._array, end)
            if gap is None or gap.start(1) >= until or self._small >= _FEW:
                break
            start = gap.end()
        return (run, end) if end else None

    def _until(self, start: int, size: int) -> int:
        return min(start + size, next((part for part in self._parts if part > start), sys.maxsize))

    def _damaged(self, start: int) -> tuple[Item, int]:
        entry, end = _damaged_entry(self._array, start)
        if isinstance(entry, RawEntry) and not self._wanted(entry.request.url):
            return Run([], [entry.request.url]), end
        return entry, end


def _run(entries: Sequence[RawEntry], wanted: Wanted) -> Run:
    urls = [entry.request.url for entry in entries]
    places = wanted.places_in(urls)
    chosen = set(places)
    others = [url for place, url in enumerate(urls) if place not in chosen]
    return Run([(place, entries[place]) for place in places], others)


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
