"""What the recording's answers tell about records: by which natural key each id can be found again elsewhere.

An id first seen in a read becomes a lookup on the target. Sightings come from every answered exchange, kept or not:
lists, single records, and the related records inside them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass

from dfrecord.journey.model import Array, Object, Tree
from dfrecord.normalise.body import json_of, records_of
from dfrecord.normalise.select import effective_method
from dfrecord.recording.exchange import Exchange
from dfrecord.system_api.catalog import Catalog


@dataclass(frozen=True, slots=True)
class Parent:
    """The record that a nested row hangs on, and under which relation name."""

    resource: str
    id: str
    relation: str


@dataclass(frozen=True, slots=True)
class Sighting:
    """One record as an answer, or a create or update of it, showed it. `entry` is its place in running order."""

    resource: str
    id: str
    entry: int
    row: Object
    parent: Parent | None = None


class Sightings:
    """Every record seen, by resource and id, in running order."""

    def __init__(self, exchanges: Iterable[Exchange], catalog: Catalog) -> None:
        self._catalog = catalog
        self._answered: dict[tuple[str, str], list[Sighting]] = {}
        self._made_secrets: dict[str, tuple[Sighting, str]] = {}
        self._sent: dict[tuple[str, str], list[Sighting]] = {}
        for entry, exchange in enumerate(exchanges):
            self.add(exchange, entry)

    def add(self, exchange: Exchange, entry: int) -> None:
        """Takes in the records of one more exchange, at its place in running order."""
        location = self._catalog.locate(exchange.request.decoded_path)
        resource = self._catalog.resources[location.resource].shows if location.resource else None
        if resource is None or not 200 <= exchange.response.status < 300:
            return
        answer = json_of(exchange.response.body)
        if not isinstance(answer, ValueError):
            self._see_all(answer, resource, entry, self._answered)
            if location.record is None and effective_method(exchange, self._catalog) == "POST":
                self._see_created(exchange, answer, resource, entry)
        if location.record and exchange.request.method in ("PUT", "PATCH"):
            sent = json_of(exchange.request.body)
            if isinstance(sent, Object):
                self._see(sent, resource, entry, self._sent, None, location.record)

    def of(self, resource: str, identifier: str, entry: int, since: int = -1) -> Sighting | None:
        """The record as it was first seen with its natural key before `entry` (and after `since`), else soonest after.

        Falls back to what a create or an update of the record itself sent. None when the recording never shows it.
        """
        for table in (self._answered, self._sent):
            seen = [s for s in table.get((resource, identifier), ()) if s.entry > since and self._has_key(s)]
            before = [s for s in seen if s.entry <= entry]
            if before or seen:
                return (before or seen)[0]
        return None

    def holder(self, secret: str) -> tuple[Sighting, str] | None:
        """The record, and the field of it, in which an answer showed this secret that the server makes (an API key)."""
        return self._made_secrets.get(secret)

    def latest(self, resource: str, identifier: str, entry: int) -> Sighting | None:
        """The record as an answer last showed it before `entry`, None when none did."""
        seen = self._answered.get((resource, identifier), [])
        place = bisect_left(seen, entry, key=lambda sighting: sighting.entry)
        return seen[place - 1] if place else None

    def next(self, resource: str, identifier: str, entry: int) -> Sighting | None:
        """The record as an answer first showed it after `entry`, None when none did."""
        seen = self._answered.get((resource, identifier), [])
        place = bisect_left(seen, entry + 1, key=lambda sighting: sighting.entry)
        return seen[place] if place < len(seen) else None

    def _has_key(self, sighting: Sighting) -> bool:
        resource = self._catalog.resources[sighting.resource]
        if sighting.parent is None and resource.key_field is not None:
            return isinstance(sighting.row.get(resource.key_field), str)
        return any(sighting.row.get(part) is not None for part in resource.natural_key)

    def _see_all(self, tree: Tree, resource: str, entry: int, table: dict[tuple[str, str], list[Sighting]]) -> None:
        for record in records_of(tree, self._catalog.wrapper):
            self._see(record, resource, entry, table, None, None)

    def _see_created(self, exchange: Exchange, answer: Tree, resource: str, entry: int) -> None:
        """A create answers with ids only: the names are in what was sent, in the same order."""
        sent = json_of(exchange.request.body)
        facts = self._catalog.resources.get(resource)
        if isinstance(sent, ValueError) or facts is None or facts.id_field is None:
            return
        wrapper = self._catalog.wrapper
        for record, made in zip(records_of(sent, wrapper), records_of(answer, wrapper), strict=False):
            identifier = self._catalog.id_of(made.get(facts.id_field))
            if identifier is not None:
                seen = Sighting(resource, identifier, entry, record)
                self._sent.setdefault((resource, identifier), []).append(seen)

    def _see(
        self,
        record: Object,
        resource: str,
        entry: int,
        table: dict[tuple[str, str], list[Sighting]],
        parent: Parent | None,
        known_id: str | None,
    ) -> None:
        facts = self._catalog.resources.get(resource)
        if facts is None or facts.id_field is None:
            return
        identifier = self._catalog.id_of(record.get(facts.id_field)) or known_id
        if identifier is not None:
            seen = Sighting(resource, identifier, entry, record, parent)
            table.setdefault((resource, identifier), []).append(seen)
            for name in facts.made_secrets:
                if isinstance(secret := record.get(name), str):
                    self._made_secrets.setdefault(secret, (seen, name))
        for name, relation in facts.relations.items():
            value = record.get(name)
            below = Parent(resource, identifier, name) if relation.nested and identifier else None
            for row in value.items if isinstance(value, Array) else (value,):
                if isinstance(row, Object):
                    self._see(row, relation.resource, entry, table, below, None)
