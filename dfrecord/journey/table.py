"""The body of a CSV import: its cells by column, variables (passwords) as they are (system-api.md section 4.1)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from dfrecord.journey.model import RawBody, Var

_CELL = re.compile(r'("(?:[^"]|"")*"|[^,\r\n]*)(,|\r\n|\n|\r|$)')
_HOLDER = re.compile("\ue000(\\d+)\ue000")


def with_columns(body: RawBody, keep: Callable[[str], bool], cell: Callable[[str, str], Var | None]) -> RawBody:
    """The table without the columns that `keep` refuses, and with the variables that `cell` gives for column and value.

    A body that is not a table of text stays as it is.
    """
    holders: list[Var] = []

    def held(var: Var) -> str:
        holders.append(var)
        return f"\ue000{len(holders) - 1}\ue000"

    try:
        text = "".join(held(part) if isinstance(part, Var) else part.decode("utf-8") for part in body.parts)
    except UnicodeDecodeError:
        return body
    lines = list(_lines(text.removeprefix("\ufeff")))
    names = [_plain(written).strip() for written in lines[0][0]] if lines else []
    result = ["\ufeff"] if text.startswith("\ufeff") else []
    for number, (cells, end) in enumerate(lines):
        written = []
        for name, value in zip([*names, *[""] * len(cells)], cells, strict=False):
            if name and not keep(name):
                continue
            var = cell(name, _plain(value)) if number else None
            written.append(held(var) if var else value)
        result.append(",".join(written) + end)
    parts = _HOLDER.split("".join(result))
    return RawBody(tuple(holders[int(part)] if n % 2 else part.encode() for n, part in enumerate(parts) if part))


def _lines(text: str) -> Iterator[tuple[list[str], str]]:
    """The cells of each line as written, and its end."""
    cells: list[str] = []
    for match in _CELL.finditer(text):
        cells.append(match[1])
        if match[2] != ",":
            if cells != [""] or match[2]:
                yield cells, match[2]
            cells = []


def _plain(written: str) -> str:
    return written[1:-1].replace('""', '"') if written[:1] == '"' else written
