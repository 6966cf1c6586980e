"""Bodies in a normal form: JSON text to trees that keep numbers, order and duplicate keys as written, and back."""

from __future__ import annotations

import json
import re
from codecs import BOM_UTF8
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

import msgspec

from dfrecord.recording.exchange import Body, BodyState
from dfrecord.recording.lenient import nests_too_deep
from dfrecord.system_api.catalog import Catalog
from dfrecord.tree import Array, Number, Object, Text, Tree, Var


def parse_json(content: bytes | str) -> Tree:
    """The JSON tree of a text. Numbers stay as written; members keep order and duplicates.

    Raises ValueError when it is not JSON (NaN and Infinity are not), not UTF-8, or nested too deeply.
    """
    text = content.removeprefix(BOM_UTF8).decode() if isinstance(content, bytes) else content
    try:
        tree = _frozen(_DECODER.decode(text))
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if nests_too_deep(tree, text, _inside):
        raise ValueError("nested too deeply")
    return tree


def json_of(body: Body) -> Tree | ValueError:
    """The JSON tree of a recorded body, or the reason why there is none."""
    return json_in(body.content) if body.state is BodyState.RECORDED else ValueError("no body")


def json_in(content: bytes) -> Tree | ValueError:
    """The JSON tree of the bytes of a body, or the reason why there is none."""
    if not content.strip():
        return ValueError("no body")
    try:
        return parse_json(content)
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


def _object(pairs: list[tuple[str, Any]]) -> Object:
    return Object(tuple([(pair[0], _frozen(pair[1])) if type(pair[1]) is list else pair for pair in pairs]))


def _frozen(value: Any) -> Tree:
    """What the decoder gives, lists made arrays; objects are frozen already."""
    return Array(tuple([_frozen(item) for item in value])) if type(value) is list else value


def _inside(tree: Tree) -> Iterable[Tree]:
    """What lies in it, as far as it tells the depth: where only scalars do, one stands for all."""
    if type(tree) is Object:
        nested = [value for _, value in tree.members if type(value) is Object or type(value) is Array]
        return nested or ((None,) if tree.members else ())
    if type(tree) is Array:
        return [item for item in tree.items if type(item) is Object or type(item) is Array] or tree.items[:1]
    return ()


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


def each_record(tree: Tree, wrapper: str, change: Callable[[int, Object], Object]) -> Tree:
    """The body with each of its records changed; `change` takes a record's position and the record."""
    if isinstance(tree, Object) and isinstance(wrapped := tree.get(wrapper), Array):
        return Object(tuple((k, each_record(v, wrapper, change) if v is wrapped else v) for k, v in tree.members))
    if isinstance(tree, Array):
        return Array(tuple(change(n, item) if isinstance(item, Object) else item for n, item in enumerate(tree.items)))
    return change(0, tree) if isinstance(tree, Object) else tree


class Leaf(msgspec.Struct, frozen=True, gc=False):
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
        beside: Mapping[Any, object] = dict(tree.members)
        for name, value in tree.members:
            if not isinstance(name, str):
                continue
            inner, inner_path, is_relation = _member(resource, path, name, catalog)
            if type(value) is not Object and type(value) is not Array:
                found.append(Leaf((*pointer, name), inner, inner_path, value, beside))
            elif is_relation and isinstance(value, Array):
                for position, row in enumerate(value.items):
                    _add_leaves(found, row, (*pointer, name, position), inner, "", beside, catalog)
            else:
                _add_leaves(found, value, (*pointer, name), inner, inner_path, beside, catalog)
    elif isinstance(tree, Array):
        for position, item in enumerate(tree.items):
            _add_leaves(found, item, (*pointer, position), resource, f"{path}[]", siblings, catalog)
    else:
        found.append(Leaf(pointer, resource, path, tree, siblings))


@lru_cache(maxsize=4096)  # a recording has few fields, and each many times
def _member(resource: str | None, path: str, name: str, catalog: Catalog) -> tuple[str | None, str, bool]:
    """The resource and field path of a member, and whether it is a relation: its rows are records of their own."""
    relation = catalog.child(resource, name) if not path else None
    return (relation.resource, "", True) if relation else (resource, field_path(path, name), False)


def field_path(path: str, name: str) -> str:
    """The field path of a member, as the catalog writes it."""
    return f"{path}.{name}" if path else name


def path_in_rows(place: str) -> str:
    """The same of a place in one of several rows: `rows[].name` of `rows[new].name`."""
    return re.sub(r"\[\w+\]", "[]", place)
