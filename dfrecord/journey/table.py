"""The body of a CSV import: its cells by column, variables (passwords) as they are (system-api.md section 4.1)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from dfrecord.journey.model import RawBody, Var
from dfrecord.journey.text_body import Held, rewritten

_CELL = re.compile(r'("(?:[^"]|"")*"|[^,\r\n]*)(,|\r\n|\n|\r|$)')


def with_columns(body: RawBody, keep: Callable[[str], bool], cell: Callable[[str, str], Var | None]) -> RawBody:
    """The table without the columns that `keep` refuses, and with the variables that `cell` gives for column and value.

    A body that is not a table of text stays as it is.
    """

    def rewrite(text: str, held: Held) -> str:
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
        return "".join(result)

    return rewritten(body, rewrite)


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
