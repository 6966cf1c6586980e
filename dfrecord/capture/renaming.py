"""One origin's name put in the place of another's, in text of any kind: headers, pages, scripts, JSON.

In: bytes, whole or chunk by chunk. Out: the same bytes with every `https://df.example.com` (and `http://`, `wss://`,
`//`, JSON-escaped `https:\\/\\/` or percent-encoded `https%3A%2F%2F`) replaced. A longer host or another port that only
begins the same way stays.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_DEFAULT_PORTS = {"http": "80", "https": "443"}
_AFTER = rb"(?![\w-]|\.\w|:\d|%3A\d)"
_LONGEST_AFTER = 4


@dataclass(frozen=True)
class Renaming:
    """From one origin to another, both like `https://df.example.com` or `http://127.0.0.1:8080`."""

    pattern: re.Pattern[bytes]
    secure: bool
    netloc: bytes
    longest: int

    @classmethod
    def between(cls, old: str, new: str) -> Renaming:
        """The renaming of `old` to `new`."""
        scheme, _, netloc = old.partition("://")
        names = {netloc}
        if not re.search(r":\d+$", netloc):
            names |= {f"{netloc}:{_DEFAULT_PORTS[scheme]}"}
        forms = sorted({form for name in names for form in (name, name.replace(":", "%3A"))}, key=len, reverse=True)
        written = "|".join(map(re.escape, forms)).encode()
        pattern = rb"(?:\b(http|ws)s?(:|%3A)|(?<![\w:]))(//|\\/\\/|%2F%2F)(?:" + written + rb")" + _AFTER
        to_scheme, _, to_netloc = new.partition("://")
        longest = len("https%3A%2F%2F") + max(map(len, forms)) + _LONGEST_AFTER
        return cls(re.compile(pattern, re.IGNORECASE), to_scheme == "https", to_netloc.encode(), longest)

    def text(self, value: str) -> str:
        """A header's value or a request's target, renamed."""
        return self.apply(value.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")

    def apply(self, content: bytes) -> bytes:
        """The whole content, renamed."""
        return self.pattern.sub(self.replacement, content)

    def replacement(self, match: re.Match[bytes]) -> bytes:
        """What stands in the place of a match of the pattern."""
        scheme, colon, slashes = match.groups()
        netloc = self.netloc.replace(b":", b"%3A") if slashes.startswith(b"%") else self.netloc
        if scheme is None:
            return bytes(slashes + netloc)
        return bytes(scheme + (b"s" if self.secure else b"") + colon + slashes + netloc)


class StreamRenaming:
    """A renaming of content that comes in chunks; keeps back only what may go on in the next one."""

    def __init__(self, renaming: Renaming) -> None:
        self._renaming = renaming
        self._before = b""  # the byte before what was kept back: where a name begins depends on it
        self._kept = b""

    def __call__(self, chunk: bytes) -> bytes:
        """The next renamed bytes; an empty chunk is the end and gives the rest."""
        at = len(self._before)
        content = self._before + self._kept + chunk
        cut = max(len(content) - self._renaming.longest, at) if chunk else len(content)
        pieces = []
        for match in self._renaming.pattern.finditer(content, at):
            if match.start() >= cut:
                break
            pieces += [content[at : match.start()], self._renaming.replacement(match)]
            at = match.end()
        cut = max(cut, at)
        self._before, self._kept = content[max(cut - 1, 0) : cut], content[cut:]
        return b"".join([*pieces, content[at:cut]])
