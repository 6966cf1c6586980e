"""HAR bytes → entries still undecoded, so that a file of any size is skipped through and only wanted parts are read.

In: a buffer (a memory map, or bytes) with UTF-8 JSON. Out: who wrote the HAR, and one `RawEntry` an entry whose
members are views into that buffer. Two ways lead there: msgspec skips through well-formed files (nothing is copied or
checked twice), and when it refuses the file, the structural scan of `har_scan` goes over the bytes entry by entry and
says what was lost.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from dfrecord.recording.har_scan import Lost, NotAHar, scan
from dfrecord.recording.lenient import decoded

_MISSING = msgspec.Raw(b"null")


class RawEntry(msgspec.Struct, gc=False):
    """The members of an entry that matter, as undecoded JSON; everything else is skipped."""

    request: msgspec.Raw = _MISSING
    response: msgspec.Raw = _MISSING
    startedDateTime: msgspec.Raw = _MISSING  # noqa: N815 - the name in the file
    time: msgspec.Raw = _MISSING
    timings: msgspec.Raw = _MISSING


class _Log(msgspec.Struct):
    entries: list[RawEntry]
    creator: msgspec.Raw = _MISSING


class _Har(msgspec.Struct):
    log: _Log


_DECODER = msgspec.json.Decoder(_Har)


@dataclass(frozen=True)
class RawHar:
    """`creator` is the lower-cased name of the program that wrote the HAR ("" when it does not say).

    `entries` may be walked once; `count` is known only when the fast way worked. Where the scan lost something, a
    `Lost` stands in its place.
    """

    creator: str
    entries: Iterable[RawEntry | Lost]
    count: int | None


def open_har(buffer: memoryview) -> RawHar:
    """The entries of the HAR in `buffer`; raises NotAHar when there is no `log` with `entries` in it."""
    try:
        log = _DECODER.decode(buffer).log
    except (msgspec.MsgspecError, RecursionError, ValueError):
        creator, members = scan(buffer, RawEntry.__struct_fields__)
        return RawHar(_name(creator), map(_raw_entry, members), None)
    return RawHar(_name(log.creator), log.entries, len(log.entries))


def _raw_entry(members: dict[str, memoryview] | Lost) -> RawEntry | Lost:
    if isinstance(members, Lost):
        return members
    return RawEntry(**{name: msgspec.Raw(value) for name, value in members.items()})


def _name(creator: msgspec.Raw | memoryview | None) -> str:
    if creator is None:
        return ""
    try:
        value = decoded(creator)
    except ValueError:
        return ""
    name = value.get("name") if isinstance(value, dict) else None
    return name.lower() if isinstance(name, str) else ""


__all__ = ["Lost", "NotAHar", "RawEntry", "RawHar", "open_har"]
