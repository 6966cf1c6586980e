"""What an update really changes, against the record as the recording last showed it.

The console sends whole records back. On another instance the unchanged rest would overwrite what is there, so only the
difference is kept. `PUT` is partial on this server (system-api.md section 4.1), so absent fields keep their values; a
service's `config` is merged member by member (df-core `BaseServiceConfigModel`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from dfrecord.journey.lookup import Sighting, Sightings
from dfrecord.normalise.body import field_path
from dfrecord.system_api.catalog import Catalog, Resource
from dfrecord.system_api.catalog_file import Relation
from dfrecord.tree import Array, Number, Object, Text, Tree, Var


@dataclass
class _Record:
    """What is known of a record, field by field: the value last shown and when, and when a step last wrote it.

    `unheard` are reads that were under way when the last update was sent.
    """

    until: int = -1
    unheard: list[Sighting] = field(default_factory=list)
    whole: bool = False
    shown: dict[str, tuple[int, Tree]] = field(default_factory=dict)
    written: dict[str, int] = field(default_factory=dict)


class Changes:
    """Follows the records of one journey; asked in running order."""

    def __init__(self, sightings: Sightings, catalog: Catalog) -> None:
        self._sightings, self._catalog = sightings, catalog
        self._records: dict[tuple[str, str], _Record] = {}

    def of(self, sent: Object, facts: Resource, identifier: str, entry: int) -> Object:
        """The members of `sent` that differ from what was last shown, or that a step has written since then.

        Of nested rows, those that are new or differ. A field that no answer showed is kept, unless the whole record
        was shown and the field is empty (null, "", []): the console fills its forms with those.
        """
        record = self._seen(facts, identifier, entry)
        members = tuple(self._members(sent, facts, record, ""))
        if all(key in facts.server_made for key, _ in members):  # dates, say, of a form that was read before a change
            return Object(())
        members += tuple(self._needed(sent, facts, record, {key for key, _ in members})) if members else ()
        for path, _ in _fields(Object(members), facts):
            record.written[path] = entry
        return Object(members)

    def _seen(self, facts: Resource, identifier: str, entry: int) -> _Record:
        record = self._records.setdefault((facts.name, identifier), _Record())
        sightings = [*record.unheard, *self._sightings.between(facts.name, identifier, record.until, entry)]
        record.unheard = [sighting for sighting in sightings if sighting.heard > entry]
        for sighting in sightings:
            record.whole = record.whole or sighting.whole
            shown = {path: (sighting.entry, value) for path, value in _fields(sighting.row, facts)}
            if sighting.heard > entry:  # it may show already what this update does: only where nothing else shows it
                record.shown = shown | record.shown
            else:
                record.shown |= {
                    path: seen for path, seen in shown.items() if seen[0] >= record.shown.get(path, (-1, None))[0]
                }
        record.until = entry
        return record

    def _members(self, sent: Object, facts: Resource, record: _Record, above: str) -> Iterator[tuple[str | Text, Tree]]:
        for key, value in sent.members:
            path = field_path(above, key) if isinstance(key, str) else ""
            at, before = record.shown.get(path, (-1, None))
            rewritten = record.written.get(path, -1) > at
            if path in facts.merged and isinstance(value, Object) and isinstance(before, Object):
                kept: Tree = Object(tuple(self._members(value, facts, record, path)))
                if kept != Object(()):
                    yield key, kept
                continue
            if not rewritten and (at >= 0 or record.whole) and is_equal(value, before):
                continue
            relation = facts.relations.get(path)
            if relation and relation.nested and isinstance(value, Array) and isinstance(before, Array):
                rows = value if rewritten else self._new_rows(value, before, relation)
                if rows.items:
                    yield key, rows
                continue
            yield key, value

    @staticmethod
    def _needed(
        sent: Object, facts: Resource, record: _Record, given: set[str | Text]
    ) -> Iterator[tuple[str | Text, Tree]]:
        """What the server cannot do without in an update, where it was empty."""
        for key, value in sent.members:
            if key in facts.needed_in_updates and key not in given and not record.shown.get(str(key), (0, None))[1]:
                yield key, value

    def _new_rows(self, rows: Array, before: Array, relation: Relation) -> Array:
        """The rows that change something."""
        child = self._catalog.resources[relation.resource]
        by_id: dict[Tree, list[Tree]] = {}
        for old in before.items:
            by_id.setdefault(_id_of(old, child), []).append(old)

        def is_there(row: Tree) -> bool:
            own = _id_of(row, child)
            return any(
                self._is_part_of(row, old, child) for old in (before.items if own is None else by_id.get(own, ()))
            )

        return Array(tuple(row for row in rows.items if not is_there(row)))

    def _is_part_of(self, row: Tree, old: Tree, child: Resource) -> bool:
        """Whether a row that is sent is one that is there; without its id it makes a new one (system-api.md, 10)."""
        if not isinstance(row, Object) or not isinstance(old, Object):
            return row == old
        if not child.matched_by_key and self._catalog.written_id(row.get(child.id_field or "")) is None:
            return False
        return all(isinstance(key, str) and is_equal(value, old.get(key)) for key, value in row.members)


def _id_of(row: Tree, child: Resource) -> Tree:
    return compared(row.get(child.id_field or "")) if isinstance(row, Object) else None


def _fields(record: Object, facts: Resource) -> Iterator[tuple[str, Tree]]:
    """The members of a record, and below a merged one its members, by field path."""
    for key, value in record.members:
        if not isinstance(key, str):
            continue
        yield key, value
        if key in facts.merged and isinstance(value, Object):
            yield from ((field_path(key, str(name)), inner) for name, inner in value.members)


def kept_otherwise(sent: Object, shown: Object, above: str = "") -> Iterator[tuple[str, Tree, Tree]]:
    """Where in a record the server shows another single value than was sent, or nothing of several: `config.host`.

    Each place with both values.
    """
    there = {key: value for key, value in shown.members if isinstance(key, str)}
    for key, value in sent.members:
        if not isinstance(key, str) or key not in there:
            continue
        other = there[key]
        if isinstance(value, Object) and isinstance(other, Object):
            yield from kept_otherwise(value, other, f"{above}{key}.")
        elif isinstance(value, (Object, Array)):
            if compared(value) is not None and compared(other) is None:
                yield f"{above}{key}", value, other
        elif not isinstance(value, (Var, Text)) and _other(value, other):
            yield f"{above}{key}", value, other


def _other(value: Tree, shown: Tree) -> bool:
    if isinstance(shown, Array) and isinstance(value, str):  # e-mail addresses and verbs read back as lists
        return sorted(part.strip() for part in value.split(",")) != sorted(map(str, shown.items))
    return not is_equal(value, shown)


def is_equal(left: Tree, right: Tree) -> bool:
    """Whether two values are the same to the server: what is empty is, and a number as text."""
    return left == right or compared(left) == compared(right)


def compared(tree: Tree) -> Tree:
    """What values have in common that are the same to the server: without what is empty; numbers as text, which is how
    the console sends some (an app's `type`).
    """
    match tree:
        case Object(members=members):
            kept = [(key, compared(value)) for key, value in members]
            kept = [(key, value) for key, value in kept if value is not None]
            return Object(tuple(sorted(kept, key=lambda member: str(member[0])))) if kept else None
        case Array(items=items):
            return Array(tuple(compared(item) for item in items)) if items else None
        case Number(text=text):
            return text
        case "":
            return None
        case _:
            return tree
