"""What the recording's answers tell about records: by which natural key each id can be found again elsewhere.

An id first seen in a read becomes a lookup on the target. Sightings come from every answered exchange, kept or not:
lists, single records, and the related records inside them.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from urllib.parse import parse_qs

from dfrecord.normalise.body import json_of, records_of
from dfrecord.normalise.select import effective_method, start_times
from dfrecord.recording.exchange import Exchange
from dfrecord.system_api.catalog import Catalog, Resource
from dfrecord.tree import Array, Object, Tree


@dataclass(frozen=True, slots=True)
class Parent:
    """The record that a nested row hangs on, and under which relation name."""

    resource: str
    id: str
    relation: str


@dataclass(frozen=True, slots=True)
class Sighting:
    """One record as an answer, or a create or update of it, showed it. `entry` is its place in running order.

    `whole` tells that no field was left out, so that one which is absent is empty. `heard` is the place of the first
    call that was sent after the answer had come: what was sent before may or may not show in it.
    """

    resource: str
    id: str
    entry: int
    row: Object
    parent: Parent | None = None
    whole: bool = False
    heard: int = 0


_Table = dict[tuple[str, str], list[Sighting]]


class Sightings:
    """Every record seen, by resource and id, in running order. The one record of a `single` resource has the id ""."""

    def __init__(self, exchanges: Iterable[Exchange], catalog: Catalog) -> None:
        self._catalog = catalog
        self._answered: _Table = {}
        self._keyed: tuple[_Table, _Table, _Table] = ({}, {}, {})  # shown with all of its key, sent so, shown with some
        self._rows: dict[Parent, list[Sighting]] = {}
        self._made_secrets: dict[str, tuple[Sighting, str] | None] = {}  # None: an update gave it
        exchanges = list(exchanges)
        for entry, (exchange, heard) in enumerate(zip(exchanges, _heard(exchanges), strict=True)):
            self.add(exchange, entry, heard)

    def add(self, exchange: Exchange, entry: int, heard: int = 0) -> None:
        """Takes in the records of one more exchange, at its place in running order."""
        location = self._catalog.locate(exchange.request.decoded_path)
        facts = self._catalog.resources.get(location.resource or "")
        facts = self._catalog.resources[facts.shows] if facts else None
        if facts is None or not 200 <= exchange.response.status < 300:
            return
        method = effective_method(exchange, self._catalog)
        answer = json_of(exchange.response.body)
        own = location.record or ("" if facts.single else None)
        if not isinstance(answer, ValueError):
            fields = parse_qs(exchange.request.query).get("fields", ["*"])
            whole = method == "GET" and fields == ["*"] and facts.name == location.resource
            for record in records_of(answer, self._catalog.wrapper):
                self._see(Sighting(facts.name, own or "", entry, record, None, whole, heard), known=own is not None)
            if own is None and method == "POST":
                self._see_created(exchange, answer, facts, entry)
        if own and method in ("PUT", "PATCH"):
            sent = json_of(exchange.request.body)
            if isinstance(sent, Object):
                self._note(Sighting(facts.name, own, entry, sent), 1)
                self._given_secrets(facts, own, sent)

    def _given_secrets(self, facts: Resource, own: str, sent: Object) -> None:
        """New API keys: made in the browser (system-api.md section 8, 7), no record of the target holds them.

        A record that is sent as it was read has the key that the server made.
        """
        names = {name for name, _ in sent.members}
        seen = self._answered.get((facts.name, own), [])
        for name in facts.made_secrets & names:
            value, before = sent.get(name), seen[-1].row.get(name) if seen else None
            if isinstance(value, str) and (before not in (None, value) or facts.key_field not in names):
                self._made_secrets.setdefault(value, None)

    def of(self, resource: str, identifier: str, entry: int, since: int = -1) -> Sighting | None:
        """The record as it was first seen with its natural key before `entry` (and after `since`), else soonest after.

        Falls back to what a create or an update of the record itself sent, then to an answer that shows only a part of
        the key. None when the recording never shows it.
        """
        for table in self._keyed:
            seen = table.get((resource, identifier), [])
            place = bisect_right(seen, since, key=_entry)
            if place < len(seen):
                return seen[place]
        return None

    def named(self, resource: str, identifier: str, entry: int) -> Sighting | None:
        """The record with the natural key that it had at `entry`: that of the answer or the update last before it."""
        tables = (table.get((resource, identifier), []) for table in self._keyed)
        before = [seen[place - 1] for seen in tables if (place := bisect_left(seen, entry, key=_entry))]
        return max(before, key=_entry) if before else self.of(resource, identifier, entry)

    def first(self, resource: str, identifier: str) -> Sighting:
        """The record as an answer first showed it. Raises KeyError when none did."""
        return self._answered[(resource, identifier)][0]

    def beside(self, seen: Sighting) -> list[Sighting]:
        """The nested rows that the same answer showed on the same record, the row itself among them."""
        rows = self._rows.get(seen.parent, []) if seen.parent else [seen]
        return rows[bisect_left(rows, seen.entry, key=_entry) : bisect_right(rows, seen.entry, key=_entry)]

    def rows_of(self, parent: Parent, entry: int) -> list[Sighting]:
        """The nested rows that an answer last showed on a record before `entry`."""
        rows = self._rows.get(parent, [])
        place = bisect_left(rows, entry, key=_entry)
        return self.beside(rows[place - 1]) if place else []

    def holder(self, secret: str) -> tuple[Sighting, str] | None:
        """The record, and the field of it, in which an answer showed this secret that the server makes (an API key)."""
        return self._made_secrets.get(secret)

    def latest(self, resource: str, identifier: str, entry: int) -> Sighting | None:
        """The record as an answer last showed it before `entry`, None when none did."""
        seen = self._answered.get((resource, identifier), [])
        place = bisect_left(seen, entry, key=_entry)
        return seen[place - 1] if place else None

    def next(self, resource: str, identifier: str, entry: int) -> Sighting | None:
        """The record as an answer first showed it after `entry`, None when none did."""
        seen = self._answered.get((resource, identifier), [])
        place = bisect_right(seen, entry, key=_entry)
        return seen[place] if place < len(seen) else None

    def between(self, resource: str, identifier: str, start: int, stop: int) -> list[Sighting]:
        """The record as answers showed it from `start` to before `stop`."""
        seen = self._answered.get((resource, identifier), [])
        return seen[bisect_left(seen, start, key=_entry) : bisect_left(seen, stop, key=_entry)]

    def _see(self, seen: Sighting, *, known: bool = False) -> None:
        """Notes a record of an answer and the related ones in it. `known`: its id is the path's, whatever it shows."""
        facts = self._catalog.resources.get(seen.resource)
        if facts is None:  # related records of a resource that the catalog does not tell of
            return
        own = self._catalog.id_of(seen.row.get(facts.id_field)) if facts.id_field else None
        if own is not None:
            seen, known = replace(seen, id=own), True
        if known and (seen.id or facts.single):
            self._note(seen, None)
            for name in facts.made_secrets:
                if isinstance(secret := seen.row.get(name), str):
                    self._made_secrets.setdefault(secret, (seen, name))
        for name, relation in facts.relations.items():
            value = seen.row.get(name)
            below = Parent(facts.name, seen.id, name) if relation.nested and known else None
            for row in value.items if isinstance(value, Array) else (value,):
                if isinstance(row, Object):
                    self._see(Sighting(relation.resource, "", seen.entry, row, below, heard=seen.heard))

    def _see_created(self, exchange: Exchange, answer: Tree, facts: Resource, entry: int) -> None:
        """A create answers with ids only: the names are in what was sent, in the same order."""
        sent = json_of(exchange.request.body)
        if isinstance(sent, ValueError) or facts.id_field is None:
            return
        wrapper = self._catalog.wrapper
        for record, made in zip(records_of(sent, wrapper), records_of(answer, wrapper), strict=False):
            if (identifier := self._catalog.id_of(made.get(facts.id_field))) is not None:
                self._note(Sighting(facts.name, identifier, entry, record), 1)

    def _note(self, seen: Sighting, table: int | None) -> None:
        """Files a sighting; `table` 1 is what a write sent, None what an answer showed."""
        at = (seen.resource, seen.id)
        if table is None:
            self._answered.setdefault(at, []).append(seen)
            if seen.parent:
                self._rows.setdefault(seen.parent, []).append(seen)
        facts = self._catalog.resources[seen.resource]
        shown = {name for name, _ in seen.row.members}
        parts = [part for part in facts.natural_key if "." not in part]
        if parts and isinstance(seen.row.get(parts[0]), str):
            complete = shown.issuperset(parts)
            self._keyed[(table or 0) if complete else 2].setdefault(at, []).append(seen)


def _entry(sighting: Sighting) -> int:
    return sighting.entry


def _heard(exchanges: Sequence[Exchange]) -> list[int]:
    """For each exchange the place of the first one sent after its answer came; the next one when times are unknown."""
    sent = start_times(exchanges)
    if sent is None:
        return [place + 1 for place in range(len(exchanges))]
    ends = [time + timedelta(milliseconds=max(e.milliseconds, 0)) for time, e in zip(sent, exchanges, strict=True)]
    return [max(place + 1, bisect_left(sent, end)) for place, end in enumerate(ends)]
