"""Identifiers made from recorded text: lower-case ASCII words, unique, safe in every language dfrecord renders."""

from __future__ import annotations

import keyword
import re
import unicodedata
from collections.abc import Iterable

RESERVED = {
    *("df", "yes", "journey", "main", "base_url", "timeout", "verbose", "resource"),
    *("teardown", "created", "plan", "help"),
}


def identifier(text: str, fallback: str = "value") -> str:
    """The text as an identifier of at most 40 characters: `[a-z][a-z0-9_]*`, never a keyword of Python."""
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9]+", "_", ascii_text).strip("_")[:40].strip("_")
    name = re.sub(r"^[0-9_]+", "", name)
    return f"{name}_" if keyword.iskeyword(name) else name or fallback


class Namer:
    """Gives every name once, and none that is `taken`."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._given: set[str] = {*RESERVED, *taken}
        self._numbers: dict[str, int] = {}

    def give(self, *wishes: str) -> str:
        """The first wish that is free, else the last one with the lowest free number behind it."""
        for wish in wishes:
            if wish not in self._given:
                self._given.add(wish)
                return wish
        last = wishes[-1]
        number = self._numbers.get(last, 2)
        while f"{last}_{number}" in self._given:
            number += 1
        self._numbers[last] = number + 1
        self._given.add(f"{last}_{number}")
        return f"{last}_{number}"


def label(resource: str) -> str:
    """A resource's name for people."""
    return resource.replace("_", " ")
