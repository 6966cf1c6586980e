"""The nested rows of a wanted state: the keys by which each is found, before a run and after it.

A run takes the rows of the target one after the other, by the newest key that one has. So that a second run takes the
same ones, a row that leaves a key comes before the one that takes it, and one that is removed gives its place to the
one that takes its key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from dfrecord.journey.changes import is_equal
from dfrecord.journey.model import Variable
from dfrecord.journey.writes import key_of
from dfrecord.system_api.catalog import Relation, Resource
from dfrecord.tree import Object, Text, Tree, Var

Match = tuple[tuple[str, Tree], ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One row as it shall be, None when it shall not be there.

    `new` are the keys that it has after a run, `old` those before it, each time those that say more first. `own` is the
    variable of its id, empty when it has none. `apart` is what told it from others of its key, as far as that is known.
    """

    new: tuple[Match, ...]
    old: tuple[Match, ...]
    wanted: Object | None
    own: str = ""
    apart: Match = ()

    @property
    def keys(self) -> tuple[Match, ...]:
        """What finds it; a key that says less, which others may have, too, only after all that say more."""
        pairs = zip_longest(self.new, self.old)
        return tuple(dict.fromkeys(key for pair in pairs for key in pair if key is not None))


def wanted_rows(
    rows: Sequence[Object], relation: Relation, child: Resource, variables: Mapping[str, Variable]
) -> list[Row]:
    """The rows that one write sends for a relation, in the order in which they are to be found."""
    plain = [_row(row, relation, child, variables) for row in rows]
    replaced = _in_place(plain)
    kept = [row for row in replaced if row.wanted is not None]
    return _in_order(kept) + [row for row in replaced if row.wanted is None]


def staying(rows: Sequence[Object], child: Resource, variables: Mapping[str, Variable]) -> dict[Match, int]:
    """How many rows that nothing tells from one of these stay as they are, by their key."""
    owns = [row.get(child.id_field or "id") for row in rows]
    lookups = [variables[own.name].lookup for own in owns if isinstance(own, Var)]
    alike = [(lookup.match, lookup.nth) for lookup in lookups if lookup and lookup.nth is not None]
    return {match: min(nth for other, nth in alike if other == match) for match, _ in alike}


def is_written_later(row: Row, later: Iterable[Row]) -> bool:
    """Whether one of the later rows is the same one."""
    return any(
        (row.own and row.own == other.own)
        or (_holds(row.keys[0], other.keys[-1]) and not _denies(row.keys[0], other.apart))
        or (row.wanted is None and _holds(other.keys[-1], row.keys[0]))
        for other in later
    )


def is_same(row: Row, others: Sequence[Row]) -> bool:
    """Whether the row is one of the others, which are written before or after it."""
    return is_written_later(row, others) or any(is_written_later(other, [row]) for other in others)


def completed(
    rows: Iterable[Object],
    before: Iterable[Row],
    relation: Relation,
    child: Resource,
    variables: Mapping[str, Variable],
) -> tuple[Object, ...]:
    """The rows that a write sends, those that earlier writes sent, too, with what these gave them."""
    result = []
    for sent in rows:
        row = _row(sent, relation, child, variables)
        members: dict[str | Text, Tree] = {}
        for other in before if row.wanted is not None and (row.own or child.matched_by_key) else ():
            if other.wanted is not None and is_written_later(other, [row]):
                members |= dict(other.wanted.members)
        result.append(Object(tuple((members | dict(sent.members)).items())))
    return tuple(result)


def _row(row: Object, relation: Relation, child: Resource, variables: Mapping[str, Variable]) -> Row:
    own = row.get(child.id_field or "id") if child.id_field != relation.parent_key else None
    name = own.name if isinstance(own, Var) else ""
    before = variables[name].lookup if name else None
    older: tuple[Match, ...] = (*before.newer, before.match) if before else ((("id", own),),) if name else ()
    members = tuple(member for member in row.members if member[0] != child.id_field)
    names = [field for field, _ in members]
    is_known = before and {field for field, _ in before.match}.issuperset(child.changed_in_place)
    apart = tuple(pair for pair in older[0] if pair[0] in child.told_apart_by) if is_known else ()
    key = _key(row, relation, child)
    if relation.parent_key in names and row.get(relation.parent_key) is None:
        return Row((), older[:1] or (key,), None, name)  # never another row of the key instead, once this one is gone
    if older and not before:
        return Row((), older[:1], Object(members), name)  # its id is given
    if not before:
        return Row((_with(key, key, row, child),), (), Object(members), name)
    return Row(tuple(_with(each, key, row, child) for each in older), older, Object(members), name, apart)


def _with(known: Match, key: Match, row: Object, child: Resource) -> Match:
    """A key with what the row sets of it, of its own key, and of what tells it from rows with the same key."""
    names = [field for field, _ in row.members]
    known = tuple((field, row.get(field) if field in names else value) for field, value in known)
    fields = [field for field, _ in known]
    own = tuple((field, value) for field, value in key if field in names and field not in fields)
    fields += [field for field, _ in own]
    apart = [field for field in child.told_apart_by if field in names and field not in fields]
    return (*known, *own, *((field, row.get(field)) for field in apart))


def _key(row: Object, relation: Relation, child: Resource) -> Match:
    if child.nested_key != child.natural_key:
        return tuple((field, row.get(field)) for field in child.nested_key)
    return tuple((field, value) for field, value in key_of(child, row) if field != relation.parent_key)


def _holds(key: Match, other: Match) -> bool:
    """Whether a row with the one key has the other, too: that of a row that others are told from by more says more."""
    values = dict(key)
    return all(field in values and is_equal(values[field], value) for field, value in other)


def _denies(key: Match, other: Match) -> bool:
    """Whether a row with the one key has another value in a field of the other."""
    values = dict(key)
    return any(field in values and not is_equal(values[field], value) for field, value in other)


def _in_place(rows: list[Row]) -> list[Row]:
    """A row that takes the key of one that is removed is that one, changed; what it was before is removed instead."""
    result = list(rows)
    heirs: set[int] = set()
    for place, gone in enumerate(rows):
        if gone.wanted is not None:
            continue
        while gone.keys and (heir := _heir(result, gone, heirs)) is not None:
            heirs.add(heir)
            leaves = result[heir]
            result[heir] = replace(leaves, old=gone.old, apart=gone.apart)
            gone = replace(gone, old=leaves.old, apart=leaves.apart)
        result[place] = gone
    return [row for row in result if row.keys]


def _heir(rows: list[Row], gone: Row, heirs: set[int]) -> int | None:
    taking = (place for place, row in enumerate(rows) if row.wanted is not None and place not in heirs)
    return next((place for place in taking if _holds(rows[place].keys[0], gone.old[-1])), None)


def _in_order(rows: list[Row]) -> list[Row]:
    """The rows, each after the one that leaves its key to it."""
    leaving = {row.old[-1]: place for place, row in enumerate(rows) if len(row.keys) > 1 and row.old}
    placed: dict[int, None] = {}
    for place in range(len(rows)):
        chain: dict[int, None] = {}
        at: int | None = place
        while at is not None and at not in placed and at not in chain:
            chain[at] = None
            at = leaving.get(rows[at].new[-1]) if rows[at].new else None
        placed |= dict.fromkeys(reversed(chain))
    return [rows[place] for place in placed]
