"""The ids in a filter text: the numbers compared with `id` or with a foreign key (system-api.md section 4.3)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from dfrecord.tree import Var

_QUOTED = r"\"[^\"]*\"|'[^']*'"
_NUMBERS = r"(?:[\"']?\d+[\"']?(?:\s*,\s*)?)+"
_TERM = re.compile(
    rf"(?<!\w)(?P<field>\w+)\s*(?:<>|!=|=|\b(?:eq|ne)\s|(?:\bnot\s+)?\bin\s*\()\s*(?P<numbers>{_NUMBERS})(?![\w.])"
    rf"|{_QUOTED}",
    re.IGNORECASE,
)


def with_ids(
    text: str, targets_of: Callable[[str], Sequence[str]], reference: Callable[[str, Sequence[str]], Var]
) -> Iterator[str | Var]:
    """The text with a variable in the place of each id. `reference` gives that of a number of these resources.

    `targets_of` a field are the resources whose ids it holds, none of any other.
    """
    at = 0
    for term in _TERM.finditer(text):
        targets = targets_of(term["field"] or "")
        if not targets:
            continue
        yield text[at : term.start("numbers")]
        for piece in re.split(r"(\d+)", term["numbers"]):
            yield reference(piece, targets) if piece.isdigit() else piece
        at = term.end("numbers")
    yield text[at:]
