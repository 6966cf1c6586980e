"""The text of a CSV import: its cells by column, variables in them (system-api.md section 4.1)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from dfrecord.journey.held_text import HeldText
from dfrecord.tree import Encoding, Var

_CELL = re.compile(r'("(?:[^"]|"")*"|[^,\r\n]*)(,|\r\n|\n|\r|$)')


def with_columns(text: str, held: HeldText, keep: Callable[[str], bool], cell: Callable[[str, str], Var | None]) -> str:
    """The table without the columns that `keep` refuses, with the variables that `cell` gives for column and value."""
    lines = list(_lines(text.removeprefix("\ufeff")))
    names = [_plain(written).strip() for written in lines[0][0]] if lines else []
    result = ["\ufeff"] if text.startswith("\ufeff") else []
    for number, (cells, end) in enumerate(lines):
        written = []
        for name, value in zip([*names, *[""] * len(cells)], cells, strict=False):
            if name and not keep(name):
                continue
            var = cell(name, _plain(value)) if number else None
            written.append(held.hold(var) if var else value)
        result.append(",".join(written) + end)
    return "".join(result)


def with_cells(text: str, change: Callable[[str], str]) -> str:
    """The table with what is written in its cells changed; the line of names stays."""
    in_names = True

    def cell(found: re.Match[str]) -> str:
        nonlocal in_names
        written = found[0] if in_names else change(found[1]) + found[2]
        in_names = in_names and found[2] == ","
        return written

    return _CELL.sub(cell, text)


def with_encodings(text: str, held: HeldText) -> str:
    """The table with its variables as cells, or inside them: a cell of text and variables stands in quotes."""
    return _CELL.sub(lambda found: _encoded(found[1], held) + found[2], text)


def _encoded(written: str, held: HeldText) -> str:
    if held.mark not in written:
        return written
    if held.place.fullmatch(written):
        held.encode(written, Encoding.CSV)
        return written
    held.encode(written, Encoding.CSV_INSIDE)
    return written if written.startswith('"') and len(written) > 1 else f'"{written.replace(chr(34), chr(34) * 2)}"'


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
