"""Entries of a HAR whose members are still undecoded: between `har_entries`, which finds them, and `har_reader`."""

from __future__ import annotations

import msgspec

MISSING = msgspec.Raw(b"null")


class RawRequest(msgspec.Struct, gc=False):
    """The members of a request that matter; `url` is decoded, the others are not."""

    url: str
    method: msgspec.Raw = MISSING
    httpVersion: msgspec.Raw = MISSING  # noqa: N815 - the names in the file
    headers: msgspec.Raw = MISSING
    postData: msgspec.Raw = MISSING  # noqa: N815
    bodySize: msgspec.Raw = MISSING  # noqa: N815


class RawEntry(msgspec.Struct, gc=False):
    """The members of an entry that matter; everything else is skipped."""

    request: RawRequest
    response: msgspec.Raw = MISSING
    startedDateTime: msgspec.Raw = MISSING  # noqa: N815
    time: msgspec.Raw = MISSING
    timings: msgspec.Raw = MISSING


class Run(msgspec.Struct, gc=False):
    """Entries that stand one after the other: the wanted ones, each with its place among all of them, and the URLs of
    the others.
    """

    wanted: list[tuple[int, RawEntry]]
    others: list[str]

    def __len__(self) -> int:
        return len(self.wanted) + len(self.others)
