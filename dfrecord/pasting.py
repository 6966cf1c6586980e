"""Commands that a person is told to type next: words as an interactive shell takes them."""

from __future__ import annotations

import re
from collections.abc import Iterable

_PLAIN_WORD = re.compile(r"[\w./=,:+-]+", re.ASCII)


def argument(path: str) -> str:
    """A path as a command's argument: no program takes it for an option."""
    return f"./{path}" if path.startswith("-") and path != "-" else path


def pasted_line(words: Iterable[str]) -> str:
    """A command of these words, to paste into an interactive shell."""
    return " ".join(each if _PLAIN_WORD.fullmatch(each) else _quoted(each) for each in words)


def _quoted(word: str) -> str:
    from dfrecord.renderers.bash_encoder import pasted  # seldom needed, and much to load

    return pasted([word])
