"""Which variable stands for an id: captured from the create that made it, looked up on the target, or asked for.

An id is a resource and a number of the recorded instance. Each gets one variable for the whole journey, anew when the
record was deleted and its number used again.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from dfrecord.journey.changes import compared
from dfrecord.journey.lookup import Parent, Sighting, Sightings
from dfrecord.journey.model import Capture, Lookup, Residue, ResidueKind, Variable, VariableKind
from dfrecord.journey.names import Namer, identifier, label
from dfrecord.normalise.body import placed_records, records_of
from dfrecord.system_api.catalog import Catalog, Resource
from dfrecord.system_api.catalog_file import Relation
from dfrecord.tree import Encoding, Number, Object, Text, Tree, Var

Identity = tuple[tuple[str, Tree], ...]
"""Field and value pairs that name a record on every instance."""


@dataclass(frozen=True, slots=True)
class _SentRow:
    """A nested row as a step sent it, or an answer showed it; `own` is its id, None for a new one."""

    entry: int
    own: str | None
    row: Object


class _Beside:
    """The rows of one record at one time."""

    def __init__(self, rows: Iterable[_SentRow]) -> None:
        self._rows = tuple(rows)
        self._alike: dict[tuple[str, ...], dict[tuple[Tree, ...], list[_SentRow]]] = {}

    def alike(self, row: Object, fields: tuple[str, ...]) -> list[_SentRow]:
        """Those that are like a row in these fields."""
        if fields not in self._alike:
            groups: dict[tuple[Tree, ...], list[_SentRow]] = {}
            for each in self._rows:
                groups.setdefault(_values(each.row, fields), []).append(each)
            self._alike[fields] = groups
        return self._alike[fields].get(_values(row, fields), [])


@dataclass
class References:
    """The variables for the ids of one journey, asked for in running order, and the residue that this makes."""

    catalog: Catalog
    sightings: Sightings
    namer: Namer
    lookup_headers: tuple[tuple[str, Text], ...]
    variables: list[Variable] = field(default_factory=list)
    residue: list[Residue] = field(default_factory=list)
    _known: dict[tuple[str, str], str] = field(default_factory=dict)
    _settings: dict[str, str] = field(default_factory=dict)
    _deleted: dict[tuple[str, str], int] = field(default_factory=dict)
    _was: dict[tuple[str, str], str] = field(default_factory=dict)
    _captured: set[tuple[str, str]] = field(default_factory=set)
    _coming: dict[tuple[str, str], int] = field(default_factory=dict)
    _promised: dict[tuple[str, str], str] = field(default_factory=dict)
    _sent_rows: dict[Parent, list[_SentRow]] = field(default_factory=dict)
    _added_rows: dict[Parent, list[_SentRow]] = field(default_factory=dict)
    _first_added: dict[tuple[str, ...], int] = field(default_factory=dict)
    _record_maker: int | None = None
    _last_beside: tuple[object, _Beside] | None = None

    # ---------------------------------------------------------------- what steps make and delete

    def announce(self, resource: str, answer: Tree, entry: int) -> None:
        """Tell of a create before linking starts: a recording without times may show its use first."""
        facts = self.catalog.resources[resource]
        for row in records_of(answer, self.catalog.wrapper):
            if (own := self.catalog.id_of(row.get(facts.id_field or ""))) is not None:
                self._coming.setdefault((resource, own), entry)

    def capture(self, facts: Resource, answer: Tree) -> Iterable[Capture]:
        """The captures of what a create made, by position in its answer."""
        for pointer, row in placed_records(answer, self.catalog.wrapper):
            value = row.get(facts.id_field or "")
            own = self.catalog.id_of(value) if facts.numbered else None
            if own is None:
                if isinstance(value, str):
                    self._captured.add((facts.name, value))
                continue
            promised = self._promised.pop((facts.name, own), None)
            name = promised or self._name(facts, row)
            self._known[(facts.name, own)] = name
            self._captured.add((facts.name, own))
            about = f"id of the {label(facts.name)}"
            self.variables.append(Variable(name, VariableKind.CAPTURE, self.catalog.id_type, description=about))
            yield Capture(name, (*pointer, self.catalog.id))

    def delete(self, resource: str, identifiers: Iterable[str], entry: int) -> bool:
        """Tell of records that a step deletes. Gives whether earlier steps created all of them, and there are some."""
        keys = [(resource, identifier) for identifier in identifiers]
        created_here = bool(keys) and self._captured.issuperset(keys)
        for key in keys:
            if key in self._known:
                self._was[key] = self._known.pop(key)
            self._captured.discard(key)
            self._deleted[key] = entry
        return created_here

    def sends_row(self, parent: Parent, row: Object, entry: int) -> None:
        """Tell of a row that a step sends; what it adds to a record cannot be looked up before."""
        sent = _SentRow(entry, self.row_id(row, self.catalog.resources[self.relation(parent).resource]), row)
        if sent.own is None and (key := self._key_on_each(parent, row)):
            self._first_added.setdefault(key, entry)
        if not parent.id:  # of a record that the step makes
            return
        self._sent_rows.setdefault(parent, []).append(sent)
        if sent.own is None:
            self._added_rows.setdefault(parent, []).append(sent)

    def makes_records(self, entry: int) -> None:
        """Tell of a step that may make records that it does not name, such as the import of a package."""
        self._record_maker = entry if self._record_maker is None else self._record_maker

    # ---------------------------------------------------------------- the variable of an id

    def of(self, resources: Sequence[str], value: str, entry: int, where: str) -> str:
        """The name of the variable for an id: captured, looked up, or as a last resort asked for.

        What still names a record that was deleted keeps the id that this had.
        """
        for resource in resources:
            if (resource, value) in self._known:
                return self._known[(resource, value)]
        for resource in resources:
            name = self._made_later(resource, value, entry) or self._looked_up(resource, value, entry)
            if name is not None:
                return name
        left = (self._was[(each, value)] for each in resources if (each, value) in self._was)
        return next(left, "") or self._asked_for(resources[0], value, where)

    def asked(self, name: str) -> str:
        """The setting that gives the id of this variable, empty when the target or an answer does."""
        return self._settings.get(name, "")

    def knows(self, resource: str, value: str, entry: int) -> bool:
        """Whether the recording shows a record with that id, or its create."""
        key = (resource, value)
        return key in self._known or key in self._coming or self.sightings.of(resource, value, entry) is not None

    def row(self, parent: Parent, parent_id: Var, resource: str, value: str, row: Object, entry: int) -> str:
        """The variable for the id of a nested row, found again on the target's own record by its composite key."""
        if (resource, value) in self._known:
            return self._known[(resource, value)]
        facts, above = self.catalog.resources[resource], self.catalog.resources[parent.resource]
        seen = self.sightings.latest(resource, value, entry)
        parent_key = self.relation(parent).parent_key
        match = whole = self._identity(facts, seen.row if seen else row, entry, parent_key)
        if match is None or whole is None:
            return self._asked_for(resource, value, f"a row of {parent.relation}")
        added, nth = self._added_rows.get(parent, []), None
        elsewhere = self._first_added.get(self._key_on_each(parent, seen.row if seen else row))
        if seen is None:
            if row.get(parent_key) is not None or all(name != parent_key for name, _ in row.members):
                match = tuple(pair for pair in match if pair[0] not in facts.changed_in_place)  # what it was before
            late = any(_is_alike(sent.row, row, [name for name, _ in match]) for sent in added)
            late = late or elsewhere is not None
            finer = _with_shown(whole, row, facts.told_apart_by)
        else:
            first = self.sightings.first(resource, value)
            late = bool(added) and first.entry >= added[0].entry
            late = late or (elsewhere is not None and first.entry >= elsewhere)
            at_use = late or (parent.resource, parent.id) in self._captured  # what is made here is looked for then
            shown = seen if at_use else first
            beside = self._beside(parent, shown, entry if at_use else 0)
            match, nth = self._told_apart(match, facts, shown, beside, at_use=at_use)
            finer = _with_shown(match, shown.row, facts.told_apart_by)
            match = match if nth is None else finer
        lookup = Lookup(
            resource=resource,
            path=Text((f"{above.path}/", Var(parent_id.name, Encoding.URI), f"?related={parent.relation}")),
            rows=(parent.relation,),
            match=match,
            pick=facts.id_field or self.catalog.id,
            title=self._row_title(facts, parent, seen.row if seen else row, entry),
            headers=self.lookup_headers,
            newer=(finer,) if finer != match else (),
            late=late,
            nth=nth,
        )
        return self._add_lookup(self.namer.give(f"{resource}_row_id"), lookup, (resource, value))

    def _row_title(self, facts: Resource, parent: Parent, row: Object, entry: int) -> str:
        """Which row is looked for, in the names that the recording shows."""
        about = [(parent.resource, parent.id)]
        parts = [part.partition(".") for part in facts.nested_key]
        about += [(name, own) for name, dot, _ in parts if dot and (own := self.catalog.id_of(row.get(f"{name}_id")))]
        words = []
        for resource, own in about:
            seen = self.sightings.of(resource, own, entry)
            key = seen.row.get(self.catalog.resources[resource].natural_key[0]) if seen else None
            named = f"{label(resource)} {key}" if isinstance(key, str) else ""
            words += [named] if named and named not in words else []
        plain = [(name, row.get(name)) for name, dot, _ in parts if not dot]
        words += [f"{label(name)} {value or '(empty)'}" for name, value in plain if isinstance(value, str)]
        return f"Find the {label(facts.name)} row{' of ' if words else ''}{', '.join(words)}"

    def rows_left_out(self, parent: Parent, rows: Sequence[Object], entry: int) -> list[Object]:
        """Rows of a record that a step does not send, and that one which it sends is like from then on.

        Sent, too, they tell how many of them there are.
        """
        relation = self.relation(parent)
        facts = self.catalog.resources[relation.resource]
        there = self._now(parent, self.sightings.rows_of(parent, entry), entry)
        if facts.matched_by_key or not there:
            return []
        before = {each.own: each.row for each in there if each.own}
        sent = [(self.row_id(row, facts), row) for row in rows]
        then = [before[own].updated(row) if own in before else row for own, row in sent]
        fields = [name for name in (*facts.key_fields, *facts.told_apart_by) if name != relation.parent_key]
        keys, owns = {_values(row, fields) for row in then}, {own for own, _ in sent}
        return [row for own, row in before.items() if own not in owns and _values(row, fields) in keys]

    def relation(self, parent: Parent) -> Relation:
        """The relation in which nested rows hang on their record."""
        return self.catalog.resources[parent.resource].relations[parent.relation]

    def row_id(self, row: Object, facts: Resource) -> str | None:
        """The id of a nested row that is sent; None for a new one, also where it is written as 0."""
        own = self.catalog.written_id(row.get(facts.id_field or self.catalog.id))
        return None if own == "0" else own

    def _key_on_each(self, parent: Parent, row: Object) -> tuple[str, ...]:
        """What tells a row that hangs on several records (a user's role in an app), whichever of them it is sent with.

        Empty for any other row.
        """
        relation = self.relation(parent)
        facts = self.catalog.resources[relation.resource]
        if not facts.hangs_on_several:
            return ()
        whole = row.updated(Object(((relation.parent_key, parent.id),))) if parent.id else row
        owns = [self.catalog.written_id(whole.get(name)) for name in facts.key_fields]
        return (facts.name, *(own for own in owns if own)) if all(owns) else ()

    def _now(self, parent: Parent, shown: Sequence[Sighting], entry: int) -> list[_SentRow]:
        """The rows of a record as an answer showed them, with what steps have sent since then, before the one here."""
        rows = {other.id: _SentRow(other.entry, other.id, other.row) for other in shown}
        added = []
        parent_key = self.relation(parent).parent_key
        sent_rows = self._sent_rows.get(parent, [])
        since = bisect_right(sent_rows, shown[0].entry, key=_entry_of) if shown else 0
        for sent in sent_rows[since:]:
            if sent.entry >= entry:
                break
            if sent.own is None:
                added.append(sent)
            elif sent.own in rows:
                rows[sent.own] = replace(sent, row=rows[sent.own].row.updated(sent.row))
                if any(name == parent_key and value is None for name, value in sent.row.members):
                    del rows[sent.own]
        return [*rows.values(), *added]

    def _beside(self, parent: Parent, shown: Sighting, entry: int) -> _Beside:
        """The rows beside one that an answer showed, as they are now; many are asked for one after the other."""
        asked = (parent, shown.entry, entry)
        if self._last_beside is None or self._last_beside[0] != asked:
            self._last_beside = asked, _Beside(self._now(parent, self.sightings.beside(shown), entry))
        return self._last_beside[1]

    def _told_apart(
        self, match: Identity, facts: Resource, shown: Sighting, beside: _Beside, *, at_use: bool
    ) -> tuple[Identity, int | None]:
        """The key of a nested row with what tells it from rows beside it that have the same key.

        Of rows that nothing tells apart, also which of them it is; of those that are looked for at the start, from the
        last on, so that the first ones stay.
        """
        row = shown.row
        alike = beside.alike(row, tuple(name for name, _ in match))
        further = [name for name in facts.told_apart_by if not all(_is_alike(each.row, row, [name]) for each in alike)]
        same = [other.own for other in alike if _is_alike(other.row, row, further)]
        match = (*match, *((name, row.get(name)) for name in further))
        if len(same) < 2:
            return match, None
        if at_use:
            return match, same.index(shown.id)
        return match, len(same) - 1 - sum((facts.name, own) in self._known for own in same)

    def api_key(self, value: str) -> str | None:
        """The variable for an app's API key that an answer showed: read from the app of that name on the target."""
        found = self.sightings.holder(value)
        if found is None:
            return None
        holder, field_name = found
        facts = self.catalog.resources[holder.resource]
        key = (facts.name, holder.id)
        created = self._known.get(key) if key in self._captured else None
        match = ((self.catalog.id, Var(created)),) if created else self._identity(facts, holder.row, holder.entry, None)
        if match is None or facts.path is None:
            return None
        name = self.namer.give(f"{facts.name}_{field_name}")
        words = "API key" if field_name == "api_key" else label(field_name)
        title = f"Find the {words} of {label(facts.name)} {holder.row.get(facts.key_field or 'name')}"
        rows = self.catalog.conventions.rows
        lookup = Lookup(holder.resource, Text((facts.path,)), rows, match, field_name, title, self.lookup_headers)
        self.variables.append(Variable(name, VariableKind.LOOKUP, secret=True, description=title, lookup=lookup))
        return name

    def secret(self, resource: str, path: str, title: str) -> str:
        """The variable for a secret that the recording shows only masked."""
        name = self.namer.give(f"{resource}_{identifier(path.rsplit('.', 1)[-1])}")
        about = f"{path} ({title}); masked in the recording"
        env = f"DF_{name.upper()}"
        self.variables.append(
            Variable(name, VariableKind.SECRET, env=env, secret=True, required=True, description=about)
        )
        return name

    def suspected(self, path: str, value: Number, title: str) -> str:
        """The parameter for a number that may be an id, of a resource that nobody can tell; as recorded by default."""
        key = (f".{path}", value.text)
        if key not in self._known:
            name = self._known[key] = self.namer.give(identifier(re.split(r"[.\[\]]+", path.rstrip("[]"))[-1]))
            env, about = f"DF_{name.upper()}", f"{path} ({title}), which may be an id"
            parameter = Variable(name, VariableKind.PARAMETER, "integer", env, default=value, description=about)
            self.variables.append(parameter)
        return self._known[key]

    def capture_row(self, table: str, value: Number | str) -> str:
        """The variable for the id of a row of a table that the catalog does not know, which a create answers with."""
        is_number = isinstance(value, Number)
        name = self._known[(table, value.text if isinstance(value, Number) else value)] = self.namer.give(f"{table}_id")
        about = f"id of the {label(table)}"
        self.variables.append(
            Variable(name, VariableKind.CAPTURE, "integer" if is_number else "string", description=about)
        )
        return name

    def row_of_table(self, table: str, value: str, where: str) -> str | None:
        """The variable for the id of such a row; None for a name, which is the same on every instance."""
        known = self._known.get((table, value))
        return known or (self._asked_for(table, value, where) if self.catalog.is_id(value) else None)

    # ---------------------------------------------------------------- one way each

    def _made_later(self, resource: str, value: str, entry: int) -> str | None:
        """The variable that a create further on will capture: what shows the record before that create ran beside it.

        Unless a step deleted a record of that number, so that the create used it again.
        """
        key = (resource, value)
        if self._coming.get(key, -1) <= entry or key in self._deleted:
            return None
        sighting = self.sightings.of(resource, value, entry)
        name = self._name(self.catalog.resources[resource], sighting.row if sighting else None)
        self._promised[key] = self._known[key] = name
        return name

    def _looked_up(self, resource: str, value: str, entry: int) -> str | None:
        facts = self.catalog.resources[resource]
        sighting = self.sightings.of(resource, value, entry, self._deleted.get((resource, value), -1))
        if sighting is None or facts.path is None:
            return None
        match = self._identity(facts, sighting.row, entry, None)
        if match is None:
            return None
        lookup = Lookup(
            resource=resource,
            path=Text((facts.path,)),
            rows=self.catalog.conventions.rows,
            match=match,
            pick=facts.id_field or self.catalog.id,
            title=f"Find {label(resource)} {match[0][1]}",
            headers=self.lookup_headers,
            late=self._may_be_made_here(sighting),
        )
        return self._add_lookup(self._name(facts, sighting.row), lookup, (resource, value))

    def _may_be_made_here(self, sighting: Sighting) -> bool:
        return self._record_maker is not None and sighting.entry > self._record_maker

    def _identity(self, facts: Resource, row: Object, entry: int, parent_key: str | None) -> Identity | None:
        """What names the record on every instance; None when the row does not show it.

        A dotted part of a natural key (`service.name`) stands for the foreign key to that resource. A nested row
        (`parent_key`) must show all parts; of another record those that are shown do, since several hits stop the run.
        """
        shown: Mapping[str | Text, Tree] = dict(row.members)
        pairs: list[tuple[str, Tree]] = []
        for part in facts.natural_key if parent_key is None else facts.nested_key:
            name = f"{part.split('.')[0]}_id" if "." in part else part
            if name == parent_key:
                continue
            if name not in shown:
                if parent_key is not None or not pairs:
                    return None
                continue
            value = shown[name]
            if "." in part and (own := self.catalog.id_of(value)) is not None:
                value = Var(self.of(facts.foreign_keys[name], own, entry, f"{facts.name}.{name}"))
            pairs.append((name, value))
        return tuple(pairs) or None

    def _add_lookup(self, name: str, lookup: Lookup, key: tuple[str, str]) -> str:
        self._known[key] = name
        self.variables.append(
            Variable(name, VariableKind.LOOKUP, self.catalog.id_type, description=lookup.title, lookup=lookup)
        )
        return name

    def _asked_for(self, resource: str, value: str, where: str) -> str:
        name = self.namer.give(f"{resource}_id", f"other_{resource}_id")
        self._known[(resource, value)] = name
        about = f"id of the {label(resource)} that was {value} on the recorded instance ({where})"
        kind, env = self.catalog.id_type, f"DF_{name.upper()}"
        self._settings[name] = env
        self.variables.append(Variable(name, VariableKind.PARAMETER, kind, env, required=True, description=about))
        reason = (
            f"the recording does not show which {label(resource)} the id {value} is ({where}); set DF_{name.upper()}"
        )
        self.residue.append(Residue(ResidueKind.UNKNOWN, reason, subject=name))
        return name

    def _name(self, facts: Resource, row: Object | None) -> str:
        key = row.get(facts.key_field) if row is not None and facts.key_field else None
        slug = identifier(key, facts.name) if isinstance(key, str) else facts.name
        plain = f"{facts.name}_id"
        return self.namer.give(plain, f"{slug}_id" if slug.endswith(facts.name) else f"{slug}_{plain}")


def _with_shown(match: Identity, row: Object, fields: Iterable[str]) -> Identity:
    """The key with those of the fields that the row shows, as the target may have several rows of the key."""
    shown, known = [field for field, _ in row.members], [field for field, _ in match]
    return (*match, *((field, row.get(field)) for field in fields if field in shown and field not in known))


def _is_alike(row: Object, other: Object, fields: Sequence[str]) -> bool:
    return _values(row, fields) == _values(other, fields)


def _values(row: Object, fields: Iterable[str]) -> tuple[Tree, ...]:
    """The same for rows that are alike in these fields."""
    return tuple(compared(row.get(name)) for name in fields)


def _entry_of(sent: _SentRow) -> int:
    return sent.entry
