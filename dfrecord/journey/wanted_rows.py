"""The nested rows of a record, each followed through the journey: what it was, and what the writes made of it.

A run takes the rows of the target one after the other, by the newest key that one has. So that a second run takes the
same ones, a row that leaves a key comes before the one that takes it, and one that is removed gives its place to the
one that takes its key.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import zip_longest

from dfrecord.journey.changes import is_equal
from dfrecord.journey.model import Lookup, Variable
from dfrecord.journey.writes import as_shown, key_of
from dfrecord.system_api.catalog import Resource
from dfrecord.system_api.catalog_file import Relation
from dfrecord.tree import Object, Tree, Var

Match = tuple[tuple[str, Tree], ...]


@dataclass(eq=False, slots=True)
class Row:
    """One row of a record.

    `states` are the keys that it has one after the other, each time those that say more first; the first ones are those
    before a run where it `was_there`, be it that the create of the record makes it. `is_found` when no write of the
    journey makes it, and `own` is the variable of its id, empty when it has none. `written` is what all writes up to a
    place say of it, None when it is removed there. `is_handed_on` when a write of another record tells of it later.
    """

    own: str = ""
    is_found: bool = False
    was_there: bool = False
    is_handed_on: bool = False
    states: list[tuple[Match, ...]] = field(default_factory=list)
    written: dict[int, Object | None] = field(default_factory=dict)

    @property
    def last(self) -> int:
        """The place of its last write."""
        return max(self.written)

    @property
    def wanted(self) -> Object | None:
        """The row as it shall be in the end, None when it shall not be there."""
        return self.written[self.last]

    def keys(self, place: int) -> tuple[Match, ...]:
        """What finds it at the write of this place: as it shall be, as it was, or as a run left it that broke off.

        A key that says less, which others may have, too, comes last.
        """
        first = 1 if self.was_there else 0
        states = self.states[-1:]
        states += self.states[:first] if self.last >= place else []
        states += self.states[first:-1][::-1] if self.last == place else []
        return tuple(dict.fromkeys(key for keys in zip_longest(*states) for key in keys if key is not None))


class Rows:
    """The rows of one relation of a record; every write of it is to be told, before the rows are asked for.

    `is_made` tells that the journey creates the record, and `every_write` that rows which it makes and removes stay.
    """

    def __init__(
        self,
        relation: Relation,
        child: Resource,
        variables: Mapping[str, Variable],
        *,
        is_made: bool,
        every_write: bool,
    ) -> None:
        self._relation, self._child, self._variables, self._is_made = relation, child, variables, is_made
        self._every_write = every_write
        self._told: list[Row] = []
        self._by_id: dict[str, Row] = {}
        self._groups: list[list[Row]] = []

    def write(self, place: int, sent: Iterable[Object], handed_on: Container[int], *, creates: bool) -> None:
        """Tell of the rows that the write of this place sends; `creates` when it makes the record itself.

        `handed_on` are the identities of those that a write of another record tells of later.
        """
        for row in sent:
            told = self._told_of(row, creates=creates)
            told.is_handed_on = id(row) in handed_on
            self._write(told, place, row)

    def end(self) -> None:
        """Tell that there are no more writes."""
        _in_place(self._told)
        told = [row for row in self._told if self._every_write or row.wanted is not None or row.was_there]
        alive = _in_order([row for row in told if row.wanted is not None], self._child.told_apart_by)
        self._groups = list(self._alike([*alive, *(row for row in told if row.wanted is None)]))

    def at(self, place: int, *, every: bool) -> list[Row]:
        """Those that the write of this place is about, and those that may be taken for them (or `every` one).

        In the order in which they are to be found: what is as it shall be first, what is removed last.
        """
        groups = (group for group in self._groups if every or any(place in row.written for row in group))
        rows = [row for group in groups for row in group if row.wanted is not None or row.last >= place]
        return sorted(rows, key=lambda row: (row.wanted is None, row.last >= place, not row.was_there))

    def staying(self) -> dict[Match, int]:
        """How many rows that nothing tells from one that is written stay as they are, by their key."""
        lookups = [lookup for row in self._told if row.is_found and (lookup := self._lookup(row.own))]
        alike = [(lookup.match, lookup.nth) for lookup in lookups if lookup.nth is not None and not lookup.late]
        return {match: min(nth for other, nth in alike if other == match) for match, _ in alike}

    def _lookup(self, own: str) -> Lookup | None:
        return self._variables[own].lookup if own else None

    # ---------------------------------------------------------------- which row it is

    def _told_of(self, sent: Object, *, creates: bool) -> Row:
        """The row that is sent; without its id it is a new one, but where the server finds it by its key."""
        child = self._child
        own = sent.get(child.id_field or "id") if child.id_field != self._relation.parent_key else None
        if isinstance(own, Var):
            if own.name not in self._by_id:
                self._by_id[own.name] = self._of_id(own)
            return self._by_id[own.name]
        key = _key(sent, self._relation, child)
        if child.matched_by_key:
            for row in self._told:
                if row.wanted is not None and _holds(row.states[-1][0], key):
                    return row
        made = Row(was_there=creates)
        self._told.append(made)
        return made

    def _of_id(self, own: Var) -> Row:
        lookup = self._lookup(own.name)
        keys: tuple[Match, ...] = (*lookup.newer, lookup.match) if lookup else ((("id", own),),)
        if lookup and (lookup.late or self._is_made):
            for row in self._told:
                if not row.own and row.wanted is not None and _holds(keys[0], row.states[-1][0]):
                    row.own, row.states[-1] = own.name, keys
                    return row
        found = Row(own.name, is_found=True, was_there=True, states=[keys])
        self._told.append(found)
        return found

    def _write(self, row: Row, place: int, sent: Object) -> None:
        child, parent_key = self._child, self._relation.parent_key
        members = tuple(member for member in sent.members if member[0] != child.id_field)
        names = [name for name, _ in members]
        key = _key(sent, self._relation, child)
        if parent_key in names and sent.get(parent_key) is None:
            row.was_there = row.was_there or not row.written
            row.states = [row.states[0][:1] if row.states else (key,)]  # never another row once this one is gone
            row.written[place] = None
            return
        before = row.wanted if row.written else None
        row.written[place] = (before or Object(())).updated(Object(members))
        if not row.own or self._lookup(row.own):
            known = row.states[-1] if row.states else (key,)
            row.states.append(tuple(_with(each, key, sent, child) for each in known))

    # ---------------------------------------------------------------- which others are like it

    def _alike(self, rows: list[Row]) -> Iterable[list[Row]]:
        """The rows in groups: those that have had the same key but for what is changed in place, and so on."""
        groups: dict[str, tuple[list[Row], set[str]]] = {}
        for row in rows:
            bases = set(self._bases(row))
            near = list({id(groups[base]): groups[base] for base in bases if base in groups}.values())
            group = near[0] if near else ([], set())
            for other_rows, other_bases in ([row], bases), *near[1:]:
                group[0].extend(other_rows)
                group[1].update(other_bases)
            groups |= dict.fromkeys(group[1] if len(near) > 1 else bases, group)
        order = {id(row): place for place, row in enumerate(rows)}
        for joined, _ in {id(group): group for group in groups.values()}.values():
            yield sorted(joined, key=lambda row: order[id(row)])

    def _bases(self, row: Row) -> Iterator[str]:
        apart = (*self._child.changed_in_place, *self._child.told_apart_by)
        for keys in row.states:
            yield repr([(name, value) for name, value in keys[-1] if name not in apart])


def is_sure(key: Match, child: Resource) -> bool:
    """Whether a key says all that tells a row from others that may have the rest of it."""
    return {name for name, _ in key}.issuperset(child.told_apart_by)


def _with(known: Match, key: Match, row: Object, child: Resource) -> Match:
    """A key with what the row sets of it, of its own key, and of what tells it from rows with the same key."""
    names = [field for field, _ in row.members]
    given = {field: as_shown(child, field, row.get(field)) for field, _ in known if field in names}
    known = tuple((field, given.get(field, value)) for field, value in known)
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


def _in_place(rows: list[Row]) -> None:
    """A row that takes the key of one that is removed is that one, changed; what it was before is removed instead."""
    heirs: list[Row] = []
    removed = [row for row in rows if row.wanted is None and row.was_there]
    for gone in removed:
        while gone.was_there and (heir := _heir(rows, gone, heirs)) is not None:
            heirs.append(heir)
            before, was_there = heir.states[0], heir.was_there
            heir.states = [gone.states[0], *heir.states[1 if was_there else 0 :]]
            heir.was_there = True
            gone.states, gone.was_there = [before[:1]], was_there


def _heir(rows: list[Row], gone: Row, heirs: list[Row]) -> Row | None:
    taking = (row for row in rows if row.wanted is not None and all(row is not heir for heir in heirs))
    return next((row for row in taking if _holds(row.states[-1][0], gone.states[0][-1])), None)


def _in_order(rows: list[Row], apart: tuple[str, ...]) -> list[Row]:
    """The rows, those that end as they begin first, each other one after those that leave its key to it.

    `apart` are the fields that tell rows of one key from each other.
    """

    def plain(key: Match) -> str:
        return repr([(name, value) for name, value in key if name not in apart])

    staying = [row for row in rows if row.was_there and _holds(row.states[-1][0], row.states[0][0])]
    leaving: dict[str, list[Row]] = {}
    placed = {id(row): row for row in staying}
    for row in rows:
        if row.was_there and id(row) not in placed:
            leaving.setdefault(plain(row.states[0][0]), []).append(row)

    def before(row: Row) -> Iterator[Row]:
        others = leaving.get(plain(row.states[-1][0]), ())
        return (other for other in others if _holds(row.states[-1][0], other.states[0][0]))

    known = set(placed)
    for row in rows:
        waiting = [] if id(row) in known else [(row, before(row))]
        known.add(id(row))
        while waiting:
            last, others = waiting[-1]
            other = next((each for each in others if id(each) not in known), None)
            if other is None:
                placed[id(last)] = last
                waiting.pop()
            else:
                known.add(id(other))
                waiting.append((other, before(other)))
    return list(placed.values())
