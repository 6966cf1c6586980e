"""A recorded answer against the one that came now: status, shape and values, as far as two instances can be equal.

Ids differ from instance to instance, so one is compared by what it stands for: each recorded id must go with one id
here, everywhere. What the server makes anew each time (dates, tokens, audit fields) and secrets are not compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from dfrecord.journey.model import Answer, Array, Number, Object, Tree
from dfrecord.normalise.body import field_path, json_text
from dfrecord.normalise.secrets import PLACEHOLDER
from dfrecord.replaying.client import Answered
from dfrecord.system_api.catalog import Catalog, Resource

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

    def answers(self, recorded: Answer, found: Answered, resource: str | None) -> list[Difference]:
        """Where the answer differs from the recorded one."""
        differences = []
        if recorded.status != found.status:
            differences.append(Difference("status", str(recorded.status), str(found.status)))
        if recorded.tree is not None and found.succeeded:
            differences += self._trees(recorded.tree, found.tree, resource)
        return differences

    def _trees(self, recorded: Tree, found: Tree, resource: str | None) -> Iterator[Difference]:
        facts = self.catalog.resources.get(resource or "")
        wrapper = self.catalog.wrapper
        before = recorded.get(wrapper) if wrapper and isinstance(recorded, Object) else recorded
        if not isinstance(before, Array) or facts is None:
            yield from self._value(recorded, found, facts, "", "")
            return
        now = found.get(wrapper) if wrapper and isinstance(found, Object) else found
        if not isinstance(now, Array):
            yield _difference(wrapper, before, now)
        elif all(isinstance(item, Object) for item in before.items):
            yield from self._records(before, now, facts, wrapper)

    def _records(self, recorded: Array, found: Array, facts: Resource, place: str) -> Iterator[Difference]:
        """A list, record by record: by id where that is known here, else by place when both lists are as long."""
        here = {_id(row, facts): row for row in found.items}
        alike = len(recorded.items) == len(found.items)
        for position, row in enumerate(recorded.items):
            own = self._ids.get((facts.name, _id(row, facts)))
            other = here.get(own) if own else found.items[position] if alike else None
            at = f"{place}[{position}]"
            if own and other is None:
                yield Difference(at, _shown(row), "no such record")
            elif other is not None:
                yield from self._value(row, other, facts, "", at)

    def _value(
        self, recorded: Tree, found: Tree, facts: Resource | None, path: str, place: str
    ) -> Iterator[Difference]:
        if facts is not None and path:
            own = path == facts.id_field and facts.numbered
            targets = (facts.name,) if own else facts.foreign_keys.get(path)
            if targets and self.catalog.id_of(recorded) is not None:
                yield from self._id(recorded, found, targets, place)
                return
            if self._is_volatile(path, facts):
                return
        if isinstance(recorded, Object) and isinstance(found, Object):
            yield from self._members(recorded, found, facts, path, place)
        elif isinstance(recorded, Array) and isinstance(found, Array):
            yield from self._items(recorded, found, facts, path, place)
        elif not self._equal(recorded, found):
            yield _difference(place, recorded, found)

    def _is_volatile(self, path: str, facts: Resource) -> bool:
        """Whether the field is made anew by each server, or secret, or another record shown inside this one."""
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
        here = {str(key) for key, _ in found.members}
        for key, value in recorded.members:
            name = str(key)
            at = field_path(place, name)
            below = field_path(path, name)
            if facts is not None and self._is_volatile(below, facts) and below != facts.id_field:
                continue
            if name not in here:
                yield Difference(at, _shown(value), "absent")
                continue
            relation = facts.relations.get(below) if facts else None
            child = self.catalog.resources[relation.resource] if relation else None
            other = found.get(name)
            if relation and child and isinstance(value, Array) and isinstance(other, Array):
                yield from self._rows(value, other, child, relation.parent_key, at)
            else:
                yield from self._value(value, other, facts, below, at)

    def _rows(
        self, recorded: Array, found: Array, child: Resource, parent_key: str, place: str
    ) -> Iterator[Difference]:
        """Nested rows by place; the parent's own key in them is the server's."""
        if len(recorded.items) != len(found.items):
            yield Difference(place, f"{len(recorded.items)} rows", f"{len(found.items)} rows")
            return
        for position, (row, other) in enumerate(zip(recorded.items, found.items, strict=True)):
            bare = [_without(item, parent_key) for item in (row, other)]
            yield from self._value(bare[0], bare[1], child, "", f"{place}[{position}]")

    def _items(
        self, recorded: Array, found: Array, facts: Resource | None, path: str, place: str
    ) -> Iterator[Difference]:
        if len(recorded.items) != len(found.items):
            yield _difference(place, recorded, found)
            return
        for position, (item, other) in enumerate(zip(recorded.items, found.items, strict=True)):
            yield from self._value(item, other, facts, f"{path}[]" if path else "", f"{place}[{position}]")

    def _id(self, recorded: Tree, found: Tree, targets: Sequence[str], place: str) -> Iterator[Difference]:
        before, now = self.catalog.id_of(recorded), self.catalog.id_of(found)
        if before is None or now is None:
            yield _difference(place, recorded, found)
            return
        expected = self._ids.setdefault((targets[0], before), now)
        if expected != now:
            yield Difference(place, f"{before}, which is {expected} here", now)

    def _equal(self, recorded: Tree, found: Tree) -> bool:
        if isinstance(recorded, str) and PLACEHOLDER.search(recorded):
            return isinstance(found, str)
        if isinstance(recorded, str):
            return found in (recorded, self.renamed(recorded))
        return recorded == found


def _id(row: Tree, facts: Resource) -> str:
    own = row.get(facts.id_field or "") if isinstance(row, Object) else None
    return own.text if isinstance(own, Number) else str(own)


def _without(row: Tree, key: str) -> Tree:
    return Object(tuple(member for member in row.members if member[0] != key)) if isinstance(row, Object) else row


def _difference(place: str, recorded: Tree, found: Tree) -> Difference:
    return Difference(place or "answer", _shown(recorded), _shown(found))


def _shown(value: Tree) -> str:
    text = json_text(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 1]}…"
