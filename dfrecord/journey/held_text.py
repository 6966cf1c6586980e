"""A body that is text, as one string in which variables have their places: to be taken apart and put together again."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import unquote_plus

from msgspec import structs

from dfrecord.journey.model import RawBody
from dfrecord.tree import Encoding, Var

_MARKS = range(0xE000, 0xF900)
"""Characters that Unicode gives no meaning (the private use area)."""


@dataclass
class HeldText:
    """A body as one text: a number between two `mark`s, which are nowhere else in it, holds a variable's place."""

    mark: str
    text: str = ""
    variables: list[Var] = field(default_factory=list)

    def hold(self, var: Var) -> str:
        """What stands for one more variable."""
        self.variables.append(var)
        return f"{self.mark}{len(self.variables) - 1}{self.mark}"

    @property
    def place(self) -> re.Pattern[str]:
        """What stands for a variable, its number in group 1."""
        return re.compile(f"{self.mark}([0-9]+){self.mark}")

    def parts(self, text: str) -> list[str | Var]:
        """A piece of the text, which may have been decoded, with its variables again."""
        pieces = text.split(self.mark)
        return [self.variables[int(piece)] if n % 2 else piece for n, piece in enumerate(pieces) if piece]

    def encode(self, piece: str, encoding: Encoding) -> None:
        """Each variable in this piece of the text stands there in that encoding, unless it already has one."""
        for found in self.place.finditer(piece):
            number = int(found[1])
            if self.variables[number].encoding is Encoding.PLAIN:
                self.variables[number] = structs.replace(self.variables[number], encoding=encoding)

    def body(self, text: str) -> RawBody:
        """The text as a body."""
        parts = self.parts(text)
        return RawBody(tuple(p if isinstance(p, Var) else p.encode("utf-8", "surrogateescape") for p in parts))


def held_text(body: RawBody, *, binary: bool = False) -> HeldText | None:
    """The body as one text; None when it is no UTF-8.

    With `binary`, each byte that is none stands as half of a surrogate pair, and becomes that byte again.
    """
    errors = "surrogateescape" if binary else "strict"
    try:
        texts = [part if isinstance(part, Var) else part.decode("utf-8", errors) for part in body.parts]
    except UnicodeDecodeError:
        return None
    recorded = "".join(part for part in texts if isinstance(part, str))
    decoded = unquote_plus(recorded) if "%" in recorded else ""
    mark = next((mark for mark in map(chr, _MARKS) if mark not in recorded and mark not in decoded), None)
    if mark is None:
        return None
    held = HeldText(mark)
    held.text = "".join(held.hold(part) if isinstance(part, Var) else part for part in texts)
    return held
