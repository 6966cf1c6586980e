"""The `filter` grammar of system resources, quirks included: text in, ids of the matching rows out.

The server splits the text with string searches (no tokenizer), pastes the parts into a WHERE clause and lets SQLite
decide; so does this module, which is why quotes cannot be escaped, `) and (` breaks a value and `=true` matches
nothing (system-api.md section 10). The splitting order is that of df-core `src/Components/DbRequestCriteria.php`
(`parseFilterString`) and its operator enums.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Iterable
from typing import Any

from tests.doubles.errors import HtmlError, RestError, SqlError
from tests.doubles.schema import Row, Table

LOGICAL = ("&&", "AND", "||", "OR", "NOR", "XOR", "NOT")
COMPARISON = (
    *(">=", "<=", "!=", "=", "<>", ">", "<"),
    *("GTE", "LTE", "NE", "EQ", "GT", "LT"),
    *("NOT IN", "IN", "ALL", "LIKE", "STARTS WITH", "ENDS WITH", "CONTAINS", "IS NULL", "IS NOT NULL"),
)
LISTS = ("IN", "NOT IN", "ALL")
WITHOUT_VALUE = ("IS NULL", "IS NOT NULL")
IN_SQL = {
    "&&": "AND",
    "||": "OR",
    "EQ": "=",
    "NE": "!=",
    "<>": "!=",
    "GT": ">",
    "GTE": ">=",
    "LT": "<",
    "LTE": "<=",
    "CONTAINS": "LIKE",
    "STARTS WITH": "LIKE",
    "ENDS WITH": "LIKE",
}
UNPARSABLE = "Invalid or unparsable filter request."


def matching(
    text: str, table: Table, rows: Iterable[Row], lookups: Callable[[str], str] = lambda text: text
) -> list[Row]:
    """The rows that the filter text selects, in their given order.

    `lookups` replaces `{name}` by the value of a global lookup. Raises RestError 400 for a text the server cannot
    split or a field the table does not have, SqlError where SQLite rejects the clause.
    """
    condition, values = where(lookups(text), table)
    kept = list(rows)
    if not condition:
        return kept
    chosen = _selected(condition, values, table, kept)
    return [row for index, row in enumerate(kept) if index in chosen]


def where(text: str, table: Table) -> tuple[str, list[Any]]:
    """The WHERE clause and its bound values."""
    values: list[Any] = []
    return _clause(text, table, values), values


def _clause(text: str, table: Table, values: list[Any]) -> str:
    text = text.strip()
    if not text:
        return ""
    for word in LOGICAL:
        if word == "NOT":
            if text.upper().startswith(("NOT (", "NOT(")):
                return "NOT" + _clause(text[3:].strip(), table, values)
            continue
        text = re.sub(re.escape(f"){word}("), f") {word} (", text, flags=re.IGNORECASE)
        joint = f") {word} ("
        at = text.upper().find(joint)
        if at >= 0:
            left = _clause(text[:at].strip() + ")", table, values)
            right = _clause("(" + text[at + len(joint) :].strip(), table, values)
            return f"{left} {IN_SQL.get(word, word)} {right}"
    return _comparison(text, table, values)


def _comparison(text: str, table: Table, values: list[Any]) -> str:
    wrapped = text.startswith("(") and text.endswith(")")
    if wrapped:
        text = text[1:-1]
    bare = text.strip("()")
    if not bare:
        raise RestError(400, UNPARSABLE)
    opening, _, closing = text.partition(bare)
    for word in COMPARISON:
        padded = word if not word.isalpha() else f" {word} "
        at = bare.upper().find(padded)
        if at < 0:
            continue
        column, negated = _column(bare[:at].strip(), table)
        value = bare[at + len(padded) :].strip()
        missing = value.count("(") - value.count(")")
        if not value.startswith("'") and "(" in value and missing < 0:
            raise HtmlError("str_repeat() of a negative number")
        if not value.startswith("'") and missing > 0:
            value += ")" * missing
            closing = closing.replace(")", "", missing)
        operand = _operand(word, value, column, table, values)
        sql = f'"{column}" {"NOT " if negated else ""}{IN_SQL.get(word, word)}{operand}'
        sql = f"{opening}{sql}{closing}"
        return f"({sql})" if wrapped else sql
    raise RestError(400, UNPARSABLE)


def _column(text: str, table: Table) -> tuple[str, bool]:
    words = text.split(" ")
    negated = len(words) > 1 and words[-1].upper() == "NOT"
    name = " ".join(words[:-1] if negated else words)
    if name.lower() not in table.columns:
        raise RestError(400, f"Invalid or unparsable field in filter request: '{name}'")
    return name.lower(), negated


def _operand(word: str, value: str, column: str, table: Table, values: list[Any]) -> str:
    if word in WITHOUT_VALUE:
        return ""
    if word in LISTS:
        if not (value.startswith("(") and value.endswith(")")):
            raise RestError(400, "Filter value lists must be wrapped in parentheses.")
        return " (" + ",".join(_bound(each.strip(), column, table, values) for each in value[1:-1].split(",")) + ")"
    if word in ("CONTAINS", "ENDS WITH"):
        value = "%" + value
    if word in ("CONTAINS", "STARTS WITH"):
        value = value + "%"
    return " " + _bound(value, column, table, values)


def _bound(value: str, column: str, table: Table, values: list[Any]) -> str:
    for quote in ("'", '"'):
        if f"{quote}{value.strip(quote)}{quote}" == value:
            value = value[1:-1]
            break
    else:
        if value.startswith("(") and value.endswith(")"):
            return value
    if column == "id" or column in table.integers:
        if not (value.isascii() and value.isdigit()):
            raise RestError(400, f"Field '{column}' must be a valid integer.")
        values.append(int(value))
    else:
        values.append(value)
    return "?"


def _selected(condition: str, values: list[Any], table: Table, rows: list[Row]) -> set[int]:
    def stored(row: Row, column: str) -> Any:
        value = row.get(column)
        if isinstance(value, str):
            return value.encode("utf-8", "replace").decode()  # a database holds no half of a pair of UTF-16
        return json.dumps(value) if isinstance(value, (dict, list)) else value

    connection = sqlite3.connect(":memory:")
    try:
        columns = ", ".join(f'"{name}" {_affinity(name, table)}' for name in table.columns)
        connection.execute(f'create table "{table.name}" (row_index integer, {columns})')
        marks = ", ".join("?" * (len(table.columns) + 1))
        connection.executemany(
            f'insert into "{table.name}" values ({marks})',
            ([index, *(stored(row, name) for name in table.columns)] for index, row in enumerate(rows)),
        )
        statement = f'select row_index from "{table.name}" where {condition}'
        try:
            return {index for (index,) in connection.execute(statement, values)}
        except sqlite3.Error as error:
            raise SqlError(str(error), f'select * from "{table.name}" where {condition}', "HY000") from error
    finally:
        connection.close()


def _affinity(column: str, table: Table) -> str:
    if column == "id" or column in table.integers:
        return "integer"
    return "tinyint(1)" if column in table.booleans else "varchar"
