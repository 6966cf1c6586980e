"""A recorded answer against the one that came now: status, shape and values, as far as two instances can be equal.

Ids differ from instance to instance, so one is compared by what it stands for: each recorded id must go with one id
here, everywhere. What the server makes anew each time (dates, tokens, audit fields) and secrets are not compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from dfrecord.journey.model import Step, StepKind
from dfrecord.normalise.body import field_path, json_text, records_of
from dfrecord.normalise.secret_places import PLACEHOLDER
from dfrecord.replaying.client import Answered
from dfrecord.system_api.catalog import Catalog, Resource
from dfrecord.tree import Array, Number, Object, Tree

LONGEST_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Difference:
    """One place (`resource[0].description`, `status`) where the two differ, with both values as JSON text."""

    place: str
    recorded: str
    found: str


@dataclass
class Comparison:
    """Compares the answers of one run. `renamed` gives a recorded text as the run's parameters make it."""

    catalog: Catalog
    renamed: Callable[[str], str] = str
    _ids: dict[tuple[str, str], str] = field(default_factory=dict)

    def answers(self, step: Step, found: Answered) -> list[Difference]:
        """Where the answer differs from the step's recorded one."""
        recorded = step.answer
        if recorded is None:
            return []
        differences = []
        if recorded.status != found.status:
            differences.append(Difference("status", str(recorded.status), str(found.status)))
        # name, roles and dates of whoever runs this
        is_of_the_person = self.catalog.is_session((step.request.target.literal or "").partition("?")[0])
        if recorded.tree is not None and found.succeeded and not is_of_the_person:
            differences += self._trees(recorded.tree, found.tree, step)
        return differences

    def _trees(self, recorded: Tree, found: Tree, step: Step) -> Iterator[Difference]:
        facts = self.catalog.resources.get(step.resource or "")
        wrapper = self.catalog.wrapper
        if facts and step.kind is StepKind.CREATE:  # an id that a record had which was deleted may be used again
            for row in records_of(recorded, wrapper):
                self._ids.pop((facts.name, _id(row, facts)), None)
        before = recorded.get(wrapper) if wrapper and isinstance(recorded, Object) else recorded
        if not isinstance(before, Array) or facts is None:
            yield from self._value(recorded, found, facts, "", "")
            return
        now = found.get(wrapper) if wrapper and isinstance(found, Object) else found
        if not isinstance(now, Array):
            yield _difference(wrapper, before, now)
        elif all(isinstance(item, Object) for item in before.items):
            yield from self._records(before, now, facts, wrapper, is_read=step.kind is StepKind.READ)
        else:
            yield from self._items(before, now, facts, "", wrapper)

    def _records(
        self, recorded: Array, found: Array, facts: Resource, place: str, *, is_read: bool
    ) -> Iterator[Difference]:
        """A list, record by record. A write answers one for each that was sent, in order; a read lists what is there:
        a record is found by its id where that is known here, else by its natural key, and others may be there too.
        """
        for position, row in enumerate(recorded.items):
            at = f"{place}[{position}]"
            if is_read:
                other = self._same_record(row, found, facts)
            else:
                other = found.items[position] if position < len(found.items) else None
            if other is None:
                yield Difference(at, _shown(row), "no such record")
            else:
                yield from self._value(row, other, facts, "", at)
        for position, row in enumerate(found.items[len(recorded.items) :] if not is_read else ()):
            yield Difference(f"{place}[{len(recorded.items) + position}]", "no such record", _shown(row))

    def _same_record(self, row: Tree, found: Array, facts: Resource) -> Tree:
        own = self._ids.get((facts.name, _id(row, facts)))
        if own is not None:
            return next((other for other in found.items if _id(other, facts) == own), None)
        key = [name for name in facts.natural_key if isinstance(row, Object) and row.get(name) is not None]
        if not key:
            position = next((n for n, other in enumerate(found.items) if other == row), None)
            return found.items[position] if position is not None else None
        return next(
            (other for other in found.items if all(self._equal(_member(row, n), _member(other, n)) for n in key)), None
        )

    def _value(
        self, recorded: Tree, found: Tree, facts: Resource | None, path: str, place: str
    ) -> Iterator[Difference]:
        if path and facts is not None:
            own = path == facts.id_field and facts.numbered
            targets = (facts.name,) if own else facts.foreign_keys.get(path)
            if targets and self.catalog.id_of(recorded) is not None:
                yield from self._id(recorded, found, targets, place)
                return
        if path and self._is_volatile(path, facts):
            return
        if isinstance(recorded, Object) and isinstance(found, Object):
            yield from self._members(recorded, found, facts, path, place)
        elif isinstance(recorded, Array) and isinstance(found, Array):
            yield from self._items(recorded, found, facts, path, place)
        elif not self._equal(recorded, found):
            yield _difference(place, recorded, found)

    def _is_volatile(self, path: str, facts: Resource | None) -> bool:
        """Whether the field is made anew by each server, or secret, or another record shown inside this one."""
        if facts is None:
            return path.rpartition(".")[2] in self.catalog.differs_elsewhere or self.catalog.is_secret_name(path)
        relation = facts.relations.get(path)
        if relation is not None and not relation.nested:
            return True
        return (
            path in facts.server_made
            or path in facts.self_keys
            or self.catalog.secret_rule(facts.name, path) is not None
            or path in facts.may_hold_secrets
        )

    def _members(
        self, recorded: Object, found: Object, facts: Resource | None, path: str, place: str
    ) -> Iterator[Difference]:
        here, before = ({str(key) for key, _ in each.members} for each in (found, recorded))
        for key, value in recorded.members:
            name = str(key)
            at, below = field_path(place, name), field_path(path, name)
            if self._is_volatile(below, facts) and not (facts and below == facts.id_field):
                continue
            if name not in here:
                yield Difference(at, _shown(value), "absent")
                continue
            relation = facts.relations.get(below) if facts else None
            child = self.catalog.resources.get(relation.resource) if relation else None
            other = found.get(name)
            if relation and child and isinstance(value, Array) and isinstance(other, Array):
                yield from self._rows(value, other, child, relation.parent_key, at)
            else:
                yield from self._value(value, other, facts, below, at)
        for key, value in found.members:
            if key not in before and not self._is_volatile(field_path(path, str(key)), facts):
                yield Difference(field_path(place, str(key)), "absent", _shown(value))

    def _rows(
        self, recorded: Array, found: Array, child: Resource, parent_key: str, place: str
    ) -> Iterator[Difference]:
        """Nested rows, each with the one that differs least: servers keep them in no order. The parent's own key in
        them is the server's.
        """
        before, rest = ([_without(row, parent_key) for row in rows.items] for rows in (recorded, found))
        alike: dict[int, Tree] = {}
        for may_differ in (False, True):
            for number, row in enumerate(before):
                if number in alike or not rest:
                    continue
                nearest = min(rest, key=lambda other: self._distance(row, other, child))
                if may_differ or self._distance(row, nearest, child) == 0:
                    alike[number] = nearest
                    rest.remove(nearest)
        for number, row in enumerate(before):
            if number in alike:
                yield from self._value(row, alike[number], child, "", f"{place}[{number}]")
            else:
                yield Difference(f"{place}[{number}]", _shown(row), "absent")
        for other in rest:
            yield Difference(f"{place}[]", "absent", _shown(other))

    def _distance(self, row: Tree, other: Tree, child: Resource) -> int:
        """In how many places two rows differ, without learning which ids go together."""
        known = dict(self._ids)
        places = sum(1 for _ in self._value(row, other, child, "", ""))
        self._ids = known
        return places

    def _items(
        self, recorded: Array, found: Array, facts: Resource | None, path: str, place: str
    ) -> Iterator[Difference]:
        """A list told as a whole when it is of another length or of plain values, else item by item."""
        is_of_ids = facts is not None and f"{path}[]" in facts.foreign_keys
        is_plain = not is_of_ids and not any(isinstance(item, Object | Array) for item in recorded.items)
        if len(recorded.items) != len(found.items) or is_plain:
            is_like = len(recorded.items) == len(found.items) and all(map(self._equal, recorded.items, found.items))
            if not is_like:
                yield _difference(place, recorded, found)
            return
        for position, (item, other) in enumerate(zip(recorded.items, found.items, strict=True)):
            yield from self._value(item, other, facts, f"{path}[]" if path else "", f"{place}[{position}]")

    def _id(self, recorded: Tree, found: Tree, targets: Sequence[str], place: str) -> Iterator[Difference]:
        before, now = self.catalog.id_of(recorded), self.catalog.id_of(found)
        is_alike = type(found) is type(recorded) and before is not None and now is not None
        if is_alike:
            self._ids.setdefault((targets[0], str(before)), str(now))
        expected = self._ids.get((targets[0], str(before)))
        if not is_alike or expected != now:
            here = f", which is {expected} here" if expected else ""
            yield Difference(place, f"{_shown(recorded)}{here}", _shown(found))

    def _equal(self, recorded: Tree, found: Tree) -> bool:
        if isinstance(recorded, str) and PLACEHOLDER.search(recorded):
            return isinstance(found, str)
        if isinstance(recorded, str):
            return found in (recorded, self.renamed(recorded))
        return recorded == found


def _id(row: Tree, facts: Resource) -> str:
    return _text(_member(row, facts.id_field or ""))


def _text(value: Tree) -> str:
    return value.text if isinstance(value, Number) else str(value)


def _member(row: Tree, name: str) -> Tree:
    return row.get(name) if isinstance(row, Object) else None


def _without(row: Tree, key: str) -> Tree:
    return Object(tuple(member for member in row.members if member[0] != key)) if isinstance(row, Object) else row


def _difference(place: str, recorded: Tree, found: Tree) -> Difference:
    return Difference(place or "answer", _shown(recorded), _shown(found))


def _shown(value: Tree) -> str:
    return json_text(value)  # whole: cut here, half a secret would be left that nobody recognises


def shortened(text: str) -> str:
    """As much of a value as a person wants to see."""
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 1]}…"
