"""Typed values as Python source: the one place where a recorded value becomes part of a Python program.

Strings are always double-quoted literals in which every character that could end the literal, start an escape, or hide
from the reader is escaped. The set of hidden characters is spelled out here rather than asked from `str.isprintable`,
whose answer changes with the Python version.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from dfrecord.journey.model import RawBody
from dfrecord.tree import Array, Encoding, Number, Object, Text, Tree, Var

# Controls, spaces other than U+0020, invisible and bidi characters, variation selectors, surrogates, private use,
# noncharacters and tags.
_HIDDEN = (
    "\x00-\x1f\x7f-\xa0\xad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u2000-\u200f\u2028-\u202f"
    "\u205f-\u206f\u2800\u3000\u3164\ud800-\uf8ff\ufdd0-\ufdef\ufe00-\ufe0f\ufeff\uffa0\ufff0-\uffff"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U0010ffff"
)
_ESCAPED = re.compile(f'[\\\\"{_HIDDEN}]')
_INVISIBLE = re.compile(f"[{_HIDDEN}]")
_SHORT = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}

# What tools obey inside a comment: after a `#`, and black's and isort's switches anywhere.
_PRAGMA = re.compile(r"(?i)(?:#\s*)+(?=(?:fmt|yapf|isort|noqa|type|ruff|mypy|flake8|pylint|pyright|nosec)\b)")
_SWITCH = re.compile(r"(?i)\b(fmt|yapf|isort)\s*:\s*")

_PLAIN_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,99}")
_PLAIN_FLOAT = re.compile(r"-?(0|[1-9][0-9]{0,15})\.[0-9]{1,17}")

_HELPERS = {
    Encoding.URI: "uri",
    Encoding.JSON: "json_inside",
    Encoding.BASE64: "base64_text",
    Encoding.CSV: "csv_cell",
    Encoding.CSV_INSIDE: "csv_inside",
    Encoding.XML: "xml_text",
}

LARGEST_LITERAL = 4000  # members; a larger JSON body is written as text
DEEPEST_LITERAL = 20
_LONGEST_ESCAPED_BINARY = 120
_MOST_LINES = 400  # of a text body that is shown line by line


def clean(text: str) -> str:
    """Recorded text for people: one line, nothing invisible, nothing that moves the cursor or the reading order."""
    return visible(" ".join(text.split()))


def visible(text: str) -> str:
    """Recorded text with nothing invisible in it."""
    return _INVISIBLE.sub("\ufffd", text)


def comment(text: str) -> str:
    """Recorded text as it may stand in a comment that has words of ours before it: no line end, no tool's switch."""
    return _SWITCH.sub(r"\1 ", _PRAGMA.sub("", clean(text)))


def docstring(text: str) -> str:
    """Recorded text as it may stand inside a triple-quoted docstring. Also kept free of argparse's `%(prog)`."""
    return comment(text).replace("\\", "\\\\").replace('"', "'").replace("%(", "% (")


def help_text(text: str) -> str:
    """Recorded text as an argparse help string, in which `%` starts a placeholder."""
    return string(clean(text).replace("%", "%%"))


def string(text: str) -> str:
    """A string literal."""
    return f'"{_inside(text)}"'


def title(text: str) -> str:
    """A string literal for people to read in a terminal."""
    return string(clean(text))


def _inside(text: str) -> str:
    return _ESCAPED.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    character = match.group()
    code = ord(character)
    if character in _SHORT:
        return _SHORT[character]
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _ascii_bytes(data: bytes) -> str:
    return f'b"{_inside(data.decode("latin-1"))}"' if data.isascii() else _escaped_bytes(data)


def _escaped_bytes(data: bytes) -> str:
    return 'b"' + "".join(_inside(chr(byte)) if byte < 0x80 else f"\\x{byte:02x}" for byte in data) + '"'


@dataclass(frozen=True)
class PythonEncoder:
    """Encodes values over variables. `names` gives the Python expression of each variable, `types` its JSON type.

    `helpers` collects the names of the functions and modules that the source made so far relies on.
    """

    names: Mapping[str, str]
    types: Mapping[str, str]
    helpers: set[str] = field(default_factory=set)

    def tree(self, tree: Tree) -> str:
        """A JSON value as a Python expression; for a repeated key the last value counts."""
        match tree:
            case None | bool():
                return repr(tree)
            case str():
                return string(tree)
            case Number(text=text):
                return self.number(text)
            case Var(name=name, encoding=Encoding.PLAIN):
                return self.names[name]
            case Var():
                return self.text(Text((tree,)))
            case Text():
                return self.text(tree)
            case Array(items=items):
                return f"[{', '.join(map(self.tree, items))}]"
            case Object(members=members):
                last = {self._key(key): value for key, value in members}
                return "{" + ", ".join(f"{key}: {self.tree(value)}" for key, value in last.items()) + "}"

    def _key(self, key: str | Text) -> str:
        return string(key) if isinstance(key, str) else self.text(key)

    def number(self, text: str) -> str:
        """A number literal when Python's JSON module writes it back the same, else the text as `Number("…")`."""
        if _PLAIN_INTEGER.fullmatch(text):
            return text
        if _PLAIN_FLOAT.fullmatch(text) and repr(float(text)) == text:
            return text
        self.helpers.add("Number")
        return f"Number({string(text)})"

    def text(self, text: Text) -> str:
        """A string: a plain literal, the variable itself, or an f-string."""
        if (literal := text.literal) is not None:
            return string(literal)
        if len(text.parts) == 1 and isinstance(var := text.parts[0], Var):
            expression = self._as_text(var)
            return expression if self._is_text(var) else f'f"{{{expression}}}"'
        parts = (
            (
                _inside(part).replace("{", "{{").replace("}", "}}")
                if isinstance(part, str)
                else "{" + self._as_text(part) + "}"
            )
            for part in text.parts
        )
        return f'f"{"".join(parts)}"'

    def _is_text(self, var: Var) -> bool:
        return var.encoding is not Encoding.PLAIN or self.types[var.name] in ("string", "boolean")

    def _as_text(self, var: Var) -> str:
        name = self.names[var.name]
        helper = _HELPERS.get(var.encoding)
        if helper is None and self.types[var.name] == "boolean":
            helper = "as_text"
        if helper is None:
            return name
        self.helpers.add(helper)
        return f"{helper}({name})"

    def raw(self, body: RawBody) -> str:
        """A bytes expression."""
        parts = [self._bytes(part) if isinstance(part, bytes) else self._encoded(part) for part in body.parts]
        return " + ".join(parts) or 'b""'

    def _encoded(self, var: Var) -> str:
        expression = self._as_text(var)
        return f"{expression}.encode()" if self._is_text(var) else f'f"{{{expression}}}".encode()'

    def _bytes(self, data: bytes) -> str:
        """Text as one literal a line, binary as escapes or, when it is long, as Base64."""
        lines = re.findall(rb"[^\n]*\n|[^\n]+", data)
        lines = lines if len(lines) <= _MOST_LINES else [data]
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            if len(data) <= _LONGEST_ESCAPED_BINARY:
                return _escaped_bytes(data)
            self.helpers.add("base64")
            return f"base64.b64decode({string(base64.b64encode(data).decode())})"
        if not text.isascii():
            joined = " ".join(string(line.decode("utf-8")) for line in lines)
            return f"({joined}).encode()" if len(lines) > 1 else f"{joined}.encode()"
        joined = " ".join(map(_ascii_bytes, lines)) or 'b""'
        return f"({joined})" if len(lines) > 1 else joined

    def json_text(self, tree: Tree) -> str:
        """A JSON value as a bytes expression: its compact text, for values too large or too deep for a literal."""
        parts: list[str] = []
        text = ""
        for piece in _json_pieces(tree):
            if isinstance(piece, str):
                text += piece
                continue
            parts += [self._bytes(_utf8(text)), self._json_piece(piece)]
            text = ""
        return " + ".join([*parts, self._bytes(_utf8(text))] if text else parts)

    def _json_piece(self, piece: Var | Text) -> str:
        expression = self.text(piece) if isinstance(piece, Text) else self.tree(piece)
        return f"to_json({expression})"


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")


def is_large(tree: Tree) -> bool:
    """Whether a JSON value is too deep or too large to be readable as a Python literal."""
    count = 0
    level: list[Tree] = [tree]
    for _ in range(DEEPEST_LITERAL):
        count += len(level)
        level = [child for node in level for child in _children(node)]
        if count > LARGEST_LITERAL:
            return True
    return bool(level)


def _children(tree: Tree) -> tuple[Tree, ...]:
    match tree:
        case Array(items=items):
            return items
        case Object(members=members):
            return tuple(value for _, value in members)
    return ()


def _json_pieces(tree: Tree) -> list[str | Var | Text]:
    """The compact JSON text of a value, with its variables standing alone. Not recursive: depth is the recording's."""
    pieces: list[str | Var | Text] = []
    todo: list[tuple[bool, Tree]] = [(True, tree)]  # (is a value, value) or (False, punctuation)
    while todo:
        is_value, node = todo.pop()
        match node:
            case str():
                pieces.append(json.dumps(node, ensure_ascii=False) if is_value else node)
            case None | bool():
                pieces.append(json.dumps(node))
            case Number(text=text):
                pieces.append(text)
            case Var() | Text():
                pieces.append(node)
            case Array(items=items):
                todo.append((False, "]"))
                for index, item in reversed(list(enumerate(items))):
                    todo += [(True, item), (False, "," if index else "[")]
                if not items:
                    todo.append((False, "["))
            case Object(members=members):
                todo.append((False, "}"))
                for index, (key, value) in reversed(list(enumerate(members))):
                    todo += [(True, value), (False, ":"), (True, key), (False, "," if index else "{")]
                if not members:
                    todo.append((False, "{"))
    return pieces
