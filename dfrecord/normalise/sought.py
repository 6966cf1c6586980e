"""Many texts, found in bytes by one look through them: in time that grows neither with how many they are nor how long.

The texts become one regular expression in which what they begin with alike stands once. It takes only the beginning of
long texts, and of those that branch too often; where such a beginning stands, the whole is looked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import groupby

import msgspec

_LONGEST = 1000  # bytes in the expression
_LAST = 16  # bytes in it that only one text goes on with: the more, the longer the expression takes to build
_DEEPEST = 40  # groups inside each other; `re` gives up at some hundreds


class Place(msgspec.Struct, frozen=True):
    """Texts that count only behind and before what these two patterns match; `after` must not take anything."""

    texts: frozenset[bytes]
    before: bytes = b""
    after: bytes = b""


class Sought:
    """The texts of one or more kinds of places; of several that stand at one place the longest is found.

    Of texts that count everywhere the expression may take the beginning only, when they are the first kind of place:
    where that is a wrong one, the other places are asked for.
    """

    def __init__(self, places: Iterable[Place]) -> None:
        self._goes_on: dict[tuple[int, bytes], list[bytes]] = {}  # by place and beginning, the longest first
        self._after: list[re.Pattern[bytes]] = []
        self._patterns: list[bytes] = []
        for place in (place for place in places if place.texts):
            self._last = _LONGEST if place.before or self._patterns else _LAST
            self._after.append(re.compile(place.after))
            pattern = self._pattern_of(sorted(place.texts), 0, [], place.after)
            self._patterns.append(place.before + b"(" + pattern + b")")
        self._pattern = re.compile(b"|".join(self._patterns)) if self._patterns else None

    @cached_property
    def _others(self) -> re.Pattern[bytes]:
        """All places but the first."""
        return re.compile(b"|".join([b"(?!)()", *self._patterns[1:]]))

    def in_content(self, content: bytes) -> Iterator[tuple[int, bytes]]:
        """Where a text stands, and which, from left to right without overlaps."""
        at, ahead = 0, dict[bytes, int]()
        while self._pattern and (match := self._pattern.search(content, at)):
            found = self._found(match, ahead)
            if found is None and (other := self._others.match(content, match.start())):
                found = self._found(other, ahead)
            if found is None:
                at = match.start() + 1
            else:
                yield found
                at = found[0] + len(found[1])

    def _found(self, match: re.Match[bytes], ahead: dict[bytes, int]) -> tuple[int, bytes] | None:
        """What stands there; None when it only begins so."""
        place, content = match.lastindex or 0, match.string
        start, text = match.start(place), match[place]
        if (place, text) not in self._goes_on:
            return start, text
        for longer in self._goes_on[place, text]:
            after = start + len(longer)
            if self._stands(longer, content, start, ahead) and self._after[place - 1].match(content, after):
                return start, longer
        return None

    @staticmethod
    def _stands(text: bytes, content: bytes, start: int, ahead: dict[bytes, int]) -> bool:
        """`ahead` knows where a long text stands next, so that the content is looked through for it only once."""
        if len(text) <= _LONGEST:
            return content.startswith(text, start)
        if ahead.get(text, -1) < start:
            found = content.find(text, start)
            ahead[text] = len(content) if found < 0 else found
        return ahead[text] == start

    def _pattern_of(self, texts: list[bytes], known: int, shorter: list[bytes], after: bytes, depth: int = 0) -> bytes:
        """Of sorted texts whose first bytes are `known` to be the same; `shorter` ones end on the way to there."""
        first, last = texts[0], texts[-1]
        most = min(_LONGEST, known + self._last) if len(texts) == 1 else _LONGEST
        end = min(len(first), most)
        common = end if len(texts) == 1 else next((n for n in range(known, end) if first[n] != last[n]), end)
        literal = re.escape(first[known:common])
        if common == most or (depth == _DEEPEST and len(texts) > 1):
            self._goes_on[len(self._after), first[:common]] = sorted(texts, key=len, reverse=True) + shorter[::-1]
            return literal
        if len(first) == common:
            texts, shorter = texts[1:], [*shorter, first]
        if not texts:
            return literal + after
        groups = [list(group) for _, group in groupby(texts, key=lambda text: text[common])]
        branches = [self._pattern_of(group, common, shorter, after, depth + 1) for group in groups]
        if len(first) == common:
            branches.append(after)
        return literal + b"(?:" + b"|".join(branches) + b")"
