"""JSON values with variables in them: what requests, answers and records are made of.

Frozen, exact and in order: a number stays as written, and a key may stand twice. Each language has one encoder that
turns them into source. All are structs of msgspec, see `recording.exchange`: an answer may hold a million nodes.
"""

from __future__ import annotations

from enum import Enum

import msgspec


class Encoding(Enum):
    """How the value of a variable is escaped where it stands inside a text."""

    PLAIN = "plain"
    URI = "uri"  # percent-encoded, everything but A-Z a-z 0-9 - . _ ~ (RFC 3986, 2.3)
    JSON = "json"  # as the inside of a JSON string
    BASE64 = "base64"  # of its UTF-8 bytes
    CSV = "csv"  # a whole cell: in quotes when it holds a comma, a quote or a line end (RFC 4180)
    CSV_INSIDE = "csv_inside"  # as the inside of a cell that stands in quotes
    XML = "xml"  # as text of an element or in an attribute; control characters have no place there


class Var(msgspec.Struct, frozen=True):
    """The value of a variable.

    As a leaf of a JSON tree it keeps the variable's own JSON type; inside a `Text` or `RawBody` it is text, escaped by
    `encoding`.
    """

    name: str
    encoding: Encoding = Encoding.PLAIN


class Text(msgspec.Struct, frozen=True):
    """A string joined from literal parts and variables."""

    parts: tuple[str | Var, ...]

    @property
    def literal(self) -> str | None:
        """The string itself when no variable is in it, else None."""
        return None if self.variables else "".join(part for part in self.parts if isinstance(part, str))

    @property
    def variables(self) -> tuple[Var, ...]:
        """The variables in it, in order, with repeats."""
        return tuple(part for part in self.parts if isinstance(part, Var))


class Number(msgspec.Struct, frozen=True, gc=False):
    """A JSON number exactly as written: `1.0`, `12345678901234567890` and `1e400` stay as they are."""

    text: str


class Array(msgspec.Struct, frozen=True, gc=False):
    """A JSON array."""

    items: tuple[Tree, ...]


class Object(msgspec.Struct, frozen=True, gc=False):
    """A JSON object with its members in order; a key may stand twice."""

    members: tuple[tuple[str | Text, Tree], ...]

    def get(self, key: str) -> Tree | None:
        """The last value of the key (as JSON decoders read it), or None when there is none."""
        return next((value for name, value in reversed(self.members) if name == key), None)

    def updated(self, other: Object) -> Object:
        """The object with the members of another one, which count where both have them."""
        return Object(tuple((dict(self.members) | dict(other.members)).items()))


Tree = None | bool | str | Number | Var | Text | Array | Object
"""A JSON value with variables as leaves."""
