"""JSON trees as jq programs and as plain JSON text with holes: the two ways in which the bash script makes a body.

A jq program is what people want to read and change. jq 1.6 rounds long numbers and knows each key once, so a tree that
jq would alter is written as text instead, and only its variables go through jq.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from dfrecord.outputs import INVISIBLE
from dfrecord.renderers.bash_encoder import TYPOGRAPHIC, Scope, safe_name
from dfrecord.tree import Array, Encoding, Number, Object, Text, Tree, Var

WIDTH = 100
LONGEST_PROGRAM = 100_000
"""In bytes; Linux takes 131072 in one argument."""

_UNALTERED = re.compile(r"-?(0|[1-9][0-9]{0,14})|-?(0|[1-9][0-9]{0,8})\.[0-9]{0,2}[1-9]")


@dataclass(frozen=True, slots=True)
class JqProgram:
    """A program for `jq -n` in single quotes, and its arguments: option, jq variable, shell variable."""

    source: str
    arguments: tuple[tuple[str, str, str], ...]


class _Altered(Exception):
    """jq would not give this tree back as it is."""


@dataclass
class _Writer:
    scope: Scope
    arguments: dict[str, tuple[str, str, str]] = field(default_factory=dict)

    def lines(self, tree: Tree, indent: str, depth: int = 0) -> str:
        """The tree on one line where it fits, else a member a line."""
        if depth > 100:
            raise _Altered
        if isinstance(tree, Object):
            keys = [self.text(key) for key, _ in tree.members]
            if len(set(keys)) < len(keys):
                raise _Altered
            values = [self.lines(value, indent + "  ", depth + 1) for _, value in tree.members]
            return _layout("{", [f"{key}: {value}" for key, value in zip(keys, values, strict=True)], "}", indent)
        if isinstance(tree, Array):
            return _layout("[", [self.lines(item, indent + "  ", depth + 1) for item in tree.items], "]", indent)
        return self.leaf(tree)

    def leaf(self, tree: Tree) -> str:
        match tree:
            case None | bool():
                return json.dumps(tree)
            case Number(text=text):
                if not unaltered(text):
                    raise _Altered
                return text
            case Var(name=name):
                return self.variable(name, typed=True)
            case str() | Text():
                return self.text(tree)
        raise TypeError(f"not a JSON value: {tree!r}")

    def text(self, text: str | Text) -> str:
        parts = (text,) if isinstance(text, str) else text.parts
        return '"' + "".join(map(self.part, parts)) + '"'

    def part(self, part: str | Var) -> str:
        if isinstance(part, str):
            return json_inside(part, shell_quoted=True)
        if part.encoding is not Encoding.PLAIN:
            raise _Altered
        return f"\\({self.variable(part.name, typed=False)})"

    def variable(self, name: str, typed: bool) -> str:
        variable, shell = self.scope.variables[name], self.scope.reference(name)
        typed = typed and variable.type != "string"
        if typed and isinstance(variable.default, Number) and not unaltered(variable.default.text):
            raise _Altered
        if variable.secret:
            return f"($ENV.{shell} | fromjson)" if typed else f"$ENV.{shell}"
        argument = safe_name(name)
        if typed or argument not in self.arguments:
            self.arguments[argument] = ("--argjson" if typed else "--arg", argument, shell)
        return f"${argument}"


def _layout(start: str, members: list[str], end: str, indent: str) -> str:
    line = f"{start}{', '.join(members)}{end}"
    if len(line) + len(indent) <= WIDTH and "\n" not in line:
        return line
    inner = f",\n{indent}  ".join(members)
    return f"{start}\n{indent}  {inner}\n{indent}{end}"


def jq_program(tree: Tree, scope: Scope, indent: str = "") -> JqProgram | None:
    """The tree as a jq program that needs nothing but its arguments; None when jq would alter the tree."""
    writer = _Writer(scope)
    try:
        source = writer.lines(tree, indent)
    except _Altered:
        return None
    if len(source.encode()) > LONGEST_PROGRAM:
        return None
    return JqProgram(f"'{source}'", tuple(writer.arguments.values()))


def unaltered(number: str) -> bool:
    """Whether every jq from 1.6 on prints the number as it is written here."""
    return number != "-0" and _UNALTERED.fullmatch(number) is not None


def json_inside(text: str, shell_quoted: bool = False) -> str:
    """The inside of a JSON string; `shell_quoted` also escapes what must not or should not stand in `'…'`."""
    inside = json.dumps(text, ensure_ascii=False)[1:-1]
    inside = re.sub("[\ud800-\udfff]", _unicode_escape, inside)
    if not shell_quoted:
        return inside
    if re.search("[\ud800-\udfff]", text):
        raise _Altered  # jq replaces lone surrogates
    return re.sub("'", _unicode_escape, TYPOGRAPHIC.sub(_unicode_escape, INVISIBLE.sub(_unicode_escape, inside)))


def _unicode_escape(found: re.Match[str]) -> str:
    return json.dumps(found[0])[1:-1] if ord(found[0]) > 0x7F else f"\\u{ord(found[0]):04x}"


def json_parts(tree: Tree, scope: Scope) -> Iterator[bytes | str]:
    """The tree as compact JSON in UTF-8; a `str` among the parts names the shell variable whose value stands there."""
    match tree:
        case Var(name=name):
            if scope.variables[name].type != "string":
                yield scope.reference(name)
            else:
                yield from (b'"', scope.reference(name, Encoding.JSON), b'"')
        case str() | Text():
            yield b'"'
            for part in (tree,) if isinstance(tree, str) else tree.parts:
                if isinstance(part, str):
                    yield json_inside(part).encode()
                else:
                    yield scope.reference(part.name, part.encoding, Encoding.JSON)
            yield b'"'
        case Number(text=text):
            yield text.encode()
        case Array(items=items):
            yield from _joined(b"[", (json_parts(item, scope) for item in items), b"]")
        case Object(members=members):
            yield from _joined(b"{", (_member(key, value, scope) for key, value in members), b"}")
        case _:
            yield json.dumps(tree).encode()


def _member(key: str | Text, value: Tree, scope: Scope) -> Iterator[bytes | str]:
    yield from json_parts(key, scope)
    yield b":"
    yield from json_parts(value, scope)


def _joined(start: bytes, members: Iterable[Iterable[bytes | str]], end: bytes) -> Iterator[bytes | str]:
    yield start
    for number, member in enumerate(members):
        if number:
            yield b","
        yield from member
    yield end


def jq_path(pointer: Iterable[str | int]) -> str:
    """A pointer as a jq path: `.resource[0].id`."""
    path = ""
    for step in pointer:
        if isinstance(step, int):
            path += f"[{step}]"
        elif re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", step):
            path += f".{step}"
        else:
            path += f'["{json_inside(step)}"]'
    return path if path.startswith(".") else f".{path}"
