"""Rows that hang on several records, as a user's role in an app does: what one write adds, one of another may change.

An upsert compares the rows of each record by themselves. So of such a row only the last write tells, that it shall be
there as it is in the end, or not at all; the writes before it say nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from dfrecord.journey.model import Lookup, Variable
from dfrecord.journey.own_accounts import Part
from dfrecord.journey.writes import Write, key_of
from dfrecord.system_api.catalog import Catalog, Resource
from dfrecord.system_api.catalog_file import Relation
from dfrecord.tree import Array, Object, Text, Tree, Var


@dataclass
class _Added:
    """A row that the journey adds: all that is said of it so far, and by the writes that tell of it, how each sends it.

    `is_moved` once a write of another record has said all of it.
    """

    whole: Object
    told: dict[int, Object]
    sent: list[Object]
    is_moved: bool = False


@dataclass
class SharedRows:
    """Lets the last write tell of such a row; `variables` are the journey's."""

    catalog: Catalog
    variables: Mapping[str, Variable]
    handed_on: dict[int, Object] = field(default_factory=dict)
    """The rows that a write of another record tells of later, by identity."""

    def told_last(self, parts: Sequence[Part]) -> list[Part]:
        """The parts, each row that is added with one record and sent with another told by the last of these only."""
        told = list(parts)
        by_key: dict[object, _Added] = {}
        by_id: dict[str, _Added] = {}
        for place, part in enumerate(parts):
            if not isinstance(part, Write):
                continue
            for relation, row in self._rows(part):
                child = self.catalog.resources[relation.resource]
                own = row.get(child.id_field or "")
                if not isinstance(own, Var):
                    whole = Object(((relation.parent_key, Var(part.id)),)).updated(row)
                    by_key[key_of(child, whole)] = _Added(whole, {place: row}, [row])
                    continue
                lookup = self.variables[own.name].lookup
                added = by_id.get(own.name) or (by_key.get(_key_of(lookup, child)) if lookup else None)
                if added is not None:  # else it was there before
                    by_id[own.name] = added
                    self._tell(told, added, place, relation, row)
        return told

    def _rows(self, write: Write) -> Iterator[tuple[Relation, Object]]:
        """The rows of a write whose key says on which records they hang."""
        for name, value in write.record.members:
            relation = write.facts.relations.get(name) if isinstance(name, str) else None
            if relation is None or not relation.nested or not isinstance(value, Array):
                continue
            if self.catalog.resources[relation.resource].hangs_on_several:
                yield from ((relation, row) for row in value.items if isinstance(row, Object))

    def _tell(self, told: list[Part], added: _Added, place: int, relation: Relation, row: Object) -> None:
        """Takes in that the write at this place sends the row, too."""
        here = told[place]
        assert isinstance(here, Write)
        others = [(each, part) for each in added.told if isinstance(part := told[each], Write)]
        added.whole = added.whole.updated(row)
        if not added.is_moved and all(other.subject == here.subject for _, other in others):
            added.told[place] = row
            added.sent.append(row)
            return
        self.handed_on |= {id(each): each for each in added.sent}
        for each, other in others:
            told[each] = _replaced(other, added.told[each], ())
        left_out = {self.catalog.resources[relation.resource].id_field} | (
            {relation.parent_key} - {name for name, _ in row.members}
        )
        new = Object(tuple(member for member in added.whole.members if member[0] not in left_out))
        told[place] = _replaced(here, row, (new,))
        added.told, added.sent, added.is_moved = {place: new}, [row], True


def _key_of(lookup: Lookup, child: Resource) -> object:
    """The key of a row that is looked for on one of its records: that one is not among what it is found by."""
    parent = next((Var(part.name) for part in lookup.path.parts if isinstance(part, Var)), None)
    found_by = dict(lookup.match)
    return tuple((name, found_by.get(name, parent)) for name in child.key_fields)


def _replaced(write: Write, row: Object, by: tuple[Object, ...]) -> Write:
    """The write with other rows in the place of this one."""

    def value_of(value: Tree) -> Tree:
        if not isinstance(value, Array) or all(item is not row for item in value.items):
            return value
        return Array(tuple(each for item in value.items for each in (by if item is row else (item,))))

    members: list[tuple[str | Text, Tree]] = [(name, value_of(value)) for name, value in write.record.members]
    return replace(write, record=Object(tuple(members)))
