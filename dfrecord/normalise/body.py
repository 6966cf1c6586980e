"""Bodies in a normal form: JSON text to trees that keep numbers, order and duplicate keys as written, and back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from dfrecord.nesting import is_too_deep
from dfrecord.recording.exchange import Body, BodyState
from dfrecord.system_api.catalog import Catalog
from dfrecord.tree import Array, Number, Object, Text, Tree, Var


def parse_json(content: bytes | str) -> Tree:
    """The JSON tree of a text. Numbers stay as written; members keep order and duplicates.

    Raises ValueError when it is not JSON (NaN and Infinity are not), not UTF-8, or nested too deeply.
    """
    text = content.decode("utf-8-sig") if isinstance(content, bytes) else content
    try:
        tree = _frozen(_DECODER.decode(text))
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if is_too_deep(tree, _inside):
        raise ValueError("nested too deeply")
    return tree


def json_of(body: Body) -> Tree | ValueError:
    """The JSON tree of a recorded body, or the reason why there is none."""
    if body.state is not BodyState.RECORDED or not body.content.strip():
        return ValueError("no body")
    try:
        return parse_json(body.content)
    except ValueError as error:
        return error


def json_text(tree: Tree, indent: int | None = None) -> str:
    """Compact (or indented) JSON text of a tree without variables. Raises TypeError when there is a variable in it."""
    return "".join(_pieces(tree, indent, "\n"))


def _pieces(tree: Tree, indent: int | None, newline: str) -> Iterator[str]:
    inner = newline + " " * indent if indent else ""
    match tree:
        case Number(text=text):
            yield text
        case Array(items=items) if items:
            for position, item in enumerate(items):
                yield ("," if position else "[") + inner
                yield from _pieces(item, indent, inner)
            yield (newline if indent else "") + "]"
        case Object(members=members) if members:
            for position, (key, value) in enumerate(members):
                yield ("," if position else "{") + inner
                yield from _pieces(key, None, "")
                yield ": " if indent else ":"
                yield from _pieces(value, indent, inner)
            yield (newline if indent else "") + "}"
        case Array():
            yield "[]"
        case Object():
            yield "{}"
        case Text(literal=str(text)):
            yield json.dumps(text, ensure_ascii=False)
        case Var() | Text():
            raise TypeError("a tree with variables has no JSON text")
        case _:
            yield json.dumps(tree, ensure_ascii=False)


def _object(pairs: list[tuple[str, object]]) -> Object:
    return Object(tuple((key, _frozen(value)) for key, value in pairs))


def _frozen(value: object) -> Tree:
    if isinstance(value, list):
        return Array(tuple(_frozen(item) for item in value))
    if value is None or isinstance(value, (bool, str, Number, Object)):
        return value
    raise TypeError(f"not a JSON value: {value!r}")


def _inside(tree: Tree) -> Iterable[Tree]:
    if isinstance(tree, Object):
        return [value for _, value in tree.members]
    return tree.items if isinstance(tree, Array) else ()


def _no_constant(name: str) -> Tree:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=Number, parse_float=Number, parse_constant=_no_constant, strict=True
)


def records_of(tree: Tree, wrapper: str) -> list[Object]:
    """The records in a body: of `{"resource": [...]}`, of a bare array, or the one bare object; empty when none."""
    return [record for _, record in placed_records(tree, wrapper)]


def placed_records(tree: Tree, wrapper: str) -> list[tuple[tuple[str | int, ...], Object]]:
    """The records in a body, each behind the pointer that leads to it."""
    above: tuple[str, ...] = ()
    if wrapper and isinstance(tree, Object) and isinstance(wrapped := tree.get(wrapper), Array):
        tree, above = wrapped, (wrapper,)
    if isinstance(tree, Array):
        return [((*above, place), item) for place, item in enumerate(tree.items) if isinstance(item, Object)]
    return [((), tree)] if isinstance(tree, Object) else []


def only_records(tree: Tree, wrapper: str, wanted: Callable[[Object], bool]) -> Tree:
    """A body with those of its records that are wanted; one that is no list of records as it is."""
    rows = tree.get(wrapper) if wrapper and isinstance(tree, Object) else tree
    if not isinstance(rows, Array):
        return tree
    rest = Array(tuple(row for row in rows.items if not isinstance(row, Object) or wanted(row)))
    return (
        rest if not isinstance(tree, Object) else Object(tuple((k, rest if v is rows else v) for k, v in tree.members))
    )


class Leaf(NamedTuple):
    """A scalar in a body.

    `pointer` leads to it from the body's root; `resource` and `path` say which field of which resource it is;
    `siblings` are the members of the object it stands in.
    """

    pointer: tuple[str | int, ...]
    resource: str | None
    path: str
    value: Tree
    siblings: Mapping[str, object]


def leaves(tree: Tree, resource: str | None, catalog: Catalog) -> list[Leaf]:
    """Every scalar of a body, in order; a relation's rows belong to the resource they are records of."""
    found: list[Leaf] = []
    pointer: tuple[str | int, ...] = ()
    if isinstance(tree, Object) and isinstance(wrapped := tree.get(catalog.wrapper), Array):
        tree, pointer = wrapped, (catalog.wrapper,)
    if isinstance(tree, Array):
        for position, item in enumerate(tree.items):
            _add_leaves(found, item, (*pointer, position), resource, "", {}, catalog)
    else:
        _add_leaves(found, tree, pointer, resource, "", {}, catalog)
    return found


def _add_leaves(
    found: list[Leaf],
    tree: Tree,
    pointer: tuple[str | int, ...],
    resource: str | None,
    path: str,
    siblings: Mapping[str, object],
    catalog: Catalog,
) -> None:
    if isinstance(tree, Object):
        beside = {key: value for key, value in tree.members if isinstance(key, str)}
        for name, value in tree.members:
            if not isinstance(name, str):
                continue
            relation = catalog.child(resource, name) if not path else None
            if relation is None:
                _add_leaves(found, value, (*pointer, name), resource, field_path(path, name), beside, catalog)
            elif isinstance(value, Array):
                for position, row in enumerate(value.items):
                    _add_leaves(found, row, (*pointer, name, position), relation.resource, "", beside, catalog)
            else:
                _add_leaves(found, value, (*pointer, name), relation.resource, "", beside, catalog)
    elif isinstance(tree, Array):
        for position, item in enumerate(tree.items):
            _add_leaves(found, item, (*pointer, position), resource, f"{path}[]", siblings, catalog)
    else:
        found.append(Leaf(pointer, resource, path, tree, siblings))


def field_path(path: str, name: str) -> str:
    """The field path of a member, as the catalog writes it."""
    return f"{path}.{name}" if path else name
