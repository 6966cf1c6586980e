"""The one place where typed values become bash source: words, printf formats, names and comments.

Everything recorded is untrusted, so each function here takes a value and gives source that means exactly that value,
whatever characters it holds. Bash before 4.4 knows no `\\u`, so only raw UTF-8 and `\\x` escapes are used.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from dfrecord.journey.model import Variable
from dfrecord.outputs import INVISIBLE
from dfrecord.tree import Encoding, Var

# ---------------------------------------------------------------- names

_SHELL_WORDS = """
if then else elif fi for while until do done case esac in function select time coproc
alias bg bind break builtin caller cd command compgen complete compopt continue declare dirs disown echo enable eval
exec exit export false fc fg getopts hash help history jobs kill let local logout mapfile popd printf pushd pwd read
readarray readonly return set shift shopt source suspend test times trap true type typeset ulimit umask unalias unset
wait curl jq histchars auto_resume http_proxy https_proxy ftp_proxy all_proxy no_proxy
and or not def reduce foreach try catch label import include end as null
"""
_SCRIPT_WORDS = """
main note say die without_secrets usage check_environment fetch send curl_config quoted expect_success explain
exact_answer capture find_record fetch_list query matching is_digits is_integer is_number is_boolean is_string
uri_text json_text base64_text csv_text xml_text is_xml body json content
step status answer found wanted given_token within head wc fetch_once asked pause
argument name missing reply method target header text type value what path rows field fields hits line
search ensure change remove tell wrote summary tear_down note_records note_creating note_answered noted is_secret
document keys key query have related there makes
created changed deleted unchanged optional nth alike fresh id left names
delete_made delete_noted made_here make_anew note_changing note_found note_removing note_undone put_back with_new_ids
take_rows was_sent noted_answer note_answer is_noted is_due note_due dues note_once forget_sent sent
without_secret_names read_record readable record_of_answer
"""
_RESERVED = frozenset(f"{_SHELL_WORDS} {_SCRIPT_WORDS}".split())
_RESERVED_PREFIXES = ("find_", "is_", "uri_of_", "json_of_", "base64_of_", "csv_of_", "csv_inside_of_", "xml_of_")


def reserved_names() -> frozenset[str]:
    """The names that mean something else in bash, in jq or in the script's own functions."""
    return _RESERVED


def safe_name(name: str) -> str:
    """A name of the journey as a function, shell variable or jq variable of its own; different names stay different.

    Raises ValueError when it is not the identifier the model promises.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ValueError(f"not an identifier: {name!r}")
    taken = name in _RESERVED or name.startswith(_RESERVED_PREFIXES) or name.endswith("_")
    return f"{name}_" if taken else name


def shell_name(variable: Variable) -> str:
    """The shell variable that holds it: its environment variable when it has one."""
    if not variable.env:
        return safe_name(variable.name)
    if not re.fullmatch(r"[A-Z][A-Z0-9_]*", variable.env):
        raise ValueError(f"not an environment variable: {variable.env!r}")
    return variable.env


# ---------------------------------------------------------------- texts

TYPOGRAPHIC = re.compile("[\u00b4\u2010-\u201f\u2032\u2033]")  # shellcheck takes these quotes and dashes for errors
_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\", "'": "\\'"}


def quote(text: str) -> str:
    """One bash word with exactly this value: `'…'` where that is readable, `$'…'` otherwise. NUL cannot be in it."""
    text = text.replace("\0", "")
    if not (INVISIBLE.search(text) or TYPOGRAPHIC.search(text) or re.search(r"['\\$`]", text)):
        return f"'{text}'"
    return "$'" + "".join(map(_escaped, text)) + "'"


def _escaped(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    if INVISIBLE.match(char):
        return "".join(f"\\x{byte:02x}" for byte in char.encode("utf-8", "surrogatepass"))
    return char


def printf_format(content: bytes) -> str:
    """The inside of a single-quoted format with which printf writes exactly these bytes, NUL too."""
    return "".join(map(_formatted, content.decode("utf-8", "surrogateescape")))


def _formatted(char: str) -> str:
    if char == "%":
        return "%%"
    if char in "\n\r\t\\":
        return _ESCAPES[char]
    if char in "'$`" or INVISIBLE.match(char) or TYPOGRAPHIC.match(char):
        return "".join(f"\\{byte:03o}" for byte in char.encode("utf-8", "surrogateescape"))
    return char


# ---------------------------------------------------------------- variables inside texts


@dataclass(frozen=True, slots=True)
class Encoded:
    """A shell variable holding another one's value in some encoding, made by a `local` at the start of a step."""

    name: str
    helper: str
    source: str

    @property
    def value(self) -> str:
        """What is assigned to it; `$(…)` would take the line ends from the end of a cell's inside."""
        inside = self.helper == f"{Encoding.CSV_INSIDE.value}_text"
        return f'${{{self.source}//\\"/\\"\\"}}' if inside else f'$({self.helper} "${self.source}")'


_IN_TEXTS = {Encoding.PLAIN, Encoding.CSV, Encoding.CSV_INSIDE, Encoding.XML}
_UNCHANGED = {
    "string": {Encoding.PLAIN},
    "number": {*_IN_TEXTS, Encoding.JSON},  # 1e+5 has a plus
    "integer": {*_IN_TEXTS, Encoding.JSON, Encoding.URI},
    "boolean": {*_IN_TEXTS, Encoding.JSON, Encoding.URI},
}
"""The encodings that leave the text of a JSON type as it is; the script checks the types of what it is given."""


@dataclass
class Scope:
    """The variables of a journey, and the encoded forms that the function being written has asked for so far."""

    variables: Mapping[str, Variable]
    _encoded: dict[str, Encoded] = field(default_factory=dict)

    def reference(self, name: str, *encodings: Encoding) -> str:
        """The shell variable that holds the value of variable `name` in these encodings, the innermost first."""
        variable = self.variables[name]
        reference = shell_name(variable)
        unchanged = _UNCHANGED[variable.type]
        for encoding in encodings:
            if encoding not in unchanged:
                source, reference = reference, f"{encoding.value}_of_{reference}"
                self._encoded[reference] = Encoded(reference, f"{encoding.value}_text", source)
                unchanged = _UNCHANGED["string"]
        return reference

    def take_encoded(self) -> tuple[Encoded, ...]:
        """What was asked for, in the order in which it can be computed; the next function starts afresh."""
        encoded = tuple(self._encoded.values())
        self._encoded = {}
        return encoded


def word(parts: Iterable[str | Var], scope: Scope) -> str:
    """One bash word for literals and variables joined."""
    pieces: list[str] = []
    open_quotes = ""
    merged = list(_merged(parts))
    for part, following in zip(merged, [*merged, ""][1:], strict=True):
        if isinstance(part, Var):
            name = scope.reference(part.name, part.encoding)
            glued = name.isidentifier() and isinstance(following, str) and re.match(r"[A-Za-z0-9_\[]", following)
            open_quotes += f"${{{name}}}" if glued else f"${name}"
        elif quote(part).startswith("'") and '"' not in part:
            open_quotes += part
        else:
            pieces += [f'"{open_quotes}"'] * bool(open_quotes) + [quote(part)]
            open_quotes = ""
    pieces += [f'"{open_quotes}"'] * bool(open_quotes)
    literal = all(isinstance(part, str) for part in merged)
    return quote("".join(map(str, merged))) if literal else "".join(pieces)


_NOTHING = Scope({})


def pasted(parts: Iterable[str | Var], scope: Scope = _NOTHING) -> str:
    """One bash word in which an interactive shell finds no `!` to expand: each stands in single quotes."""
    parts = list(parts)
    source = word(parts, scope)
    if "!" not in source or (len(parts) == 1 and source.startswith("'")):
        return source
    pieces: list[str] = []
    group: list[str | Var] = []
    for part in parts:
        for text in re.split("(!+)", part) if isinstance(part, str) else (part,):
            if isinstance(text, Var) or not text.startswith("!"):
                group.append(text)
                continue
            pieces += [word(group, scope)] if any(group) else []
            pieces.append(f"'{text}'")
            group = []
    return "".join([*pieces, word(group, scope)] if any(group) else pieces)


def printf_call(parts: Iterable[bytes | str]) -> str:
    """A printf command that writes the bytes and, for each `str` among them, the shell variable of that name."""
    parts = list(parts)
    text = "".join(printf_format(part) if isinstance(part, bytes) else "%s" for part in parts)
    text = re.sub(r"\\\\\Z", r"\\134", text)  # shellcheck would take it for an escaped quote
    options = "-- " if text.startswith("-") else ""
    return " ".join([f"printf {options}'{text}'", *(f'"${part}"' for part in parts if isinstance(part, str))])


def _merged(parts: Iterable[str | Var]) -> Iterator[str | Var]:
    literal = ""
    for part in parts:
        if isinstance(part, str):
            literal += part
            continue
        if literal:
            yield literal
        yield part
        literal = ""
    if literal:
        yield literal


# ---------------------------------------------------------------- comments and titles

_ORDERS = re.compile(r"(?i)\b(shellcheck|vim?|ex|local variables)(?=[\s:<=>\d])")


def shown(text: str, limit: int = 160) -> str:
    """A recorded text for people, on one line: nothing in it moves the cursor, turns the writing or hides."""
    line = " ".join(text.split())
    line = INVISIBLE.sub(lambda found: f"\\u{{{ord(found[0]):x}}}" if found[0] != " " else " ", line)
    return line if len(line) <= limit else line[: limit - 1] + "…"


def comment(text: str) -> str:
    """The text of a comment line, to stand after `# `; programs that read comments find no orders for them in it."""
    return _ORDERS.sub(r"\1 ·", shown(text))
