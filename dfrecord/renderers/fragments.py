"""Each step alone in each language, to be shown and copied: cheap enough for thousands of steps.

Python calls are laid out here rather than by black, which takes a hundred times as long.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dfrecord.journey.defaults import with_defaults
from dfrecord.journey.model import Journey
from dfrecord.renderers.curl_command import curl_commands
from dfrecord.renderers.postman import step_items
from dfrecord.renderers.python import Call, step_calls
from dfrecord.renderers.python_format import LINE_LENGTH

_TOKENS = re.compile(r'"(?:\\.|[^"\\])*"|[\[({]|[\])}]|,\s*|[^\[({\])},"]+')


@dataclass(frozen=True, slots=True)
class Fragments:
    """A step as a curl command, as a call in the script that `-f python` writes, and as a request of the collection."""

    curl: str
    python: str
    postman: dict[str, Any]


def fragments(journey: Journey) -> Iterator[Fragments]:
    """The fragments of each step, with recorded values in them. Raises UsageError for an upsert."""
    recorded = with_defaults(journey)
    commands, calls, items = curl_commands(journey), step_calls(recorded), step_items(recorded)
    for command, call, item in zip(commands, calls, items, strict=True):
        yield Fragments(command.text, python_call(call), item)


def python_call(call: Call) -> str:
    """The source of a call and of what it keeps of the answer."""
    source = laid_out(f"df.{call.method}({', '.join(call.arguments)})")
    if not call.captures:
        return source
    kept = [laid_out(f"{name} = {taken}") for name, taken in call.captures]
    return "\n".join([f"answer = {source}", *kept])


def laid_out(source: str) -> str:
    """An expression over several lines where it is too long for one, each bracket's items on lines of their own."""
    lines: list[str] = []
    _lay_out(_nested(iter(_TOKENS.findall(source))), "", "", lines)
    return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class _Bracket:
    opening: str
    items: list[list[str | _Bracket]]
    closing: str

    def __str__(self) -> str:
        return f"{self.opening}{', '.join(''.join(map(str, item)) for item in self.items)}{self.closing}"


def _nested(tokens: Iterator[str]) -> list[str | _Bracket]:
    """The tokens up to the end, with what stands in brackets as one part."""
    stack: list[_Bracket] = [_Bracket("", [[]], "")]
    for token in tokens:
        items = stack[-1].items
        if token in ("[", "(", "{"):
            stack.append(_Bracket(token, [[]], {"[": "]", "(": ")", "{": "}"}[token]))
        elif token in ("]", ")", "}"):
            done = stack.pop()
            stack[-1].items[-1].append(_Bracket(done.opening, [item for item in done.items if item], done.closing))
        elif token.startswith(","):
            items.append([])
        else:
            items[-1].append(token)
    return stack[0].items[0]


def _lay_out(parts: list[str | _Bracket], indent: str, end: str, lines: list[str]) -> None:
    """Add the lines of one expression, the last one with `end` after it."""
    line = f"{indent}{''.join(map(str, parts))}{end}"
    if len(line) <= LINE_LENGTH or not any(isinstance(part, _Bracket) and part.items for part in parts):
        lines.append(line)
        return
    start = indent
    for part in parts:
        if isinstance(part, str) or not part.items:
            start += str(part)
            continue
        lines.append(start + part.opening)
        for item in part.items:
            _lay_out(item, f"{indent}    ", ",", lines)
        start = indent + part.closing
    lines.append(start + end)
