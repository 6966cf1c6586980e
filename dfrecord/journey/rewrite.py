"""Putting variables in the place of text inside a journey's typed values, whatever holds them.

A rewriter maps a piece of recorded text to parts: text as it stays, and variables. What was a variable stays one.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from dataclasses import replace
from itertools import groupby

from dfrecord.journey.model import Lookup
from dfrecord.tree import Array, Object, Text, Tree, Var

Parts = tuple[str | Var, ...]
Rewriter = Callable[[str], Parts]


def joined(parts: Iterable[str | Var]) -> Parts:
    """The parts without empty text, neighbouring texts as one."""
    groups = groupby((part for part in parts if part != ""), key=lambda part: isinstance(part, str))
    return tuple(part for is_text, group in groups for part in (("".join(map(str, group)),) if is_text else group))


def in_text(text: Text, rewriter: Rewriter) -> Text:
    """The text with its literal parts rewritten."""
    return Text(joined(new for part in text.parts for new in (rewriter(part) if isinstance(part, str) else (part,))))


def in_tree(tree: Tree, rewriter: Rewriter) -> Tree:
    """The JSON value with its strings rewritten; keys stay."""
    match tree:
        case str():
            return as_value(rewriter(tree))
        case Text():
            return as_value(in_text(tree, rewriter).parts)
        case Array(items=items):
            return Array(tuple(in_tree(item, rewriter) for item in items))
        case Object(members=members):
            return Object(tuple((key, in_tree(value, rewriter)) for key, value in members))
        case _:
            return tree


def in_keys(tree: Tree, fields: Container[str], rewriter: Rewriter) -> Tree:
    """A record in which the keys of the objects in these fields are rewritten."""
    if not isinstance(tree, Object):
        return tree
    members = (
        (name, _in_own_keys(value, rewriter) if name in fields and isinstance(value, Object) else value)
        for name, value in tree.members
    )
    return Object(tuple(members))


def _in_own_keys(record: Object, rewriter: Rewriter) -> Object:
    keys = (in_text(Text((key,)) if isinstance(key, str) else key, rewriter) for key, _ in record.members)
    return Object(
        tuple((key if key.variables else old, value) for key, (old, value) in zip(keys, record.members, strict=True))
    )


def as_value(parts: Parts) -> Tree:
    """A string of a JSON value: text alone, a variable alone, or both."""
    match joined(parts):
        case ():
            return ""
        case (str(text),):
            return text
        case several:
            return Text(several)


def _in_match(
    match: Iterable[tuple[str, Tree]], values: Rewriter, words: Container[str]
) -> tuple[tuple[str, Tree], ...]:
    return tuple((field, value if field in words else in_tree(value, values)) for field, value in match)


def in_lookup(lookup: Lookup, values: Rewriter, words: Container[str]) -> Lookup:
    """The lookup with the values it looks for rewritten, but for those of the fields in `words`."""
    return replace(
        lookup,
        match=_in_match(lookup.match, values, words),
        newer=tuple(_in_match(match, values, words) for match in lookup.newer),
    )
