"""The journey as a desired state: look up by natural key, then create, change or leave alone.

Each write becomes one step a record that says what shall be true (`Wanted`); a run compares that with the target and
sends only what differs. So that the second run finds nothing to do, a step does not ask for what a later step of the
journey sets anew, nor for what the server did not keep in the recording; a record that it renames is looked for by its
new name first; and what is gone in the end is not made (`unneeded`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import pairwise

from dfrecord.errors import UsageError
from dfrecord.journey.calls import Calls
from dfrecord.journey.changes import kept_otherwise
from dfrecord.journey.model import (
    Journey,
    Residue,
    ResidueKind,
    Step,
    StepKind,
    VariableKind,
    Wanted,
    used_variables,
    variables_of_step,
    variables_of_tree,
)
from dfrecord.journey.names import Namer
from dfrecord.journey.own_accounts import OwnAccounts
from dfrecord.journey.shared_rows import SharedRows
from dfrecord.journey.unneeded import Unneeded
from dfrecord.journey.wanted_rows import Match, Row, Rows, is_sure
from dfrecord.journey.writes import Write, Writes, key_of
from dfrecord.normalise.body import records_of
from dfrecord.system_api.catalog import Catalog, Resource
from dfrecord.tree import Array, Number, Object, Text, Tree, Var

NOT_KEPT = "the recorded server kept another value than was sent, so that an upsert does not compare it"
UNSEEN = "where the server does not show the secret, an upsert sends it only with another change of the record"


def upsert(journey: Journey, catalog: Catalog, *, every_write: bool = False) -> Journey:
    """The journey with every write repeatable.

    With `every_write`, records that are made and deleted again, or deleted and made anew, stay: what a run of the
    plain journey does, told as wanted states. Raises UsageError where names change hands, so that none names a record.
    """
    return _Upsert(journey, catalog, every_write).run()


class _Upsert:
    def __init__(self, journey: Journey, catalog: Catalog, every_write: bool) -> None:
        self._journey, self._catalog, self._every_write = journey, catalog, every_write
        self._variables = {variable.name: variable for variable in journey.variables}
        self._residue: list[Residue] = []
        self._users = Counter(name for step in journey.steps for name in set(variables_of_step(step)))
        self._row_keys: dict[str, dict[Match, None]] = {}  # those that writes give the rows which are looked up
        self._rows_known: dict[tuple[str, str], Rows] = {}  # of each record, by relation
        self._looked_for_last: set[object] = set()  # names that another record may still have
        self._handed_on: dict[int, Object] = {}  # rows that writes of other records tell of later, by identity
        self._replacing: set[object] = set()  # what tells the records that were deleted and are made anew

    def run(self) -> Journey:
        names = Namer(step.name for step in self._journey.steps)
        writes = Writes(self._catalog, self._variables, names)
        accounts = OwnAccounts(self._catalog, self._variables)
        parts = accounts.told(part for step in self._journey.steps for part in writes.of(step))
        if not self._every_write:
            unneeded = Unneeded(self._variables, self._recorded_key, accounts, self._catalog.id, names)
            parts = unneeded.left(parts)
            self._residue += unneeded.residue
            self._replacing = unneeded.replaced
        shared = SharedRows(self._catalog, self._variables)
        told_last, self._handed_on = shared.told_last(parts), shared.handed_on
        parts = parts if self._every_write else told_last
        later = _LaterWrites(part for part in parts if isinstance(part, Write))
        if not self._every_write:
            self._check_names(later)
        self._prepare_lookups(later)
        calls = Calls(self._journey, self._catalog, self._residue)
        steps: list[Step] = []
        for part in parts:
            if isinstance(part, Write):
                steps.append(self._write(part, later))
            else:
                steps.append(part if self._every_write else calls.told(part, steps))
        self._prepare_row_lookups()
        variables = tuple(used_variables(self._variables.values(), steps))
        residue = (*self._journey.residue, *self._residue)
        return replace(self._journey, steps=tuple(steps), variables=variables, residue=residue, upsert=True)

    def _recorded_key(self, write: Write) -> object:
        """What names the record, with the recorded values of parameters; of one that the journey made, its id."""
        if not write.facts.numbered:
            return write.subject
        if write.step.kind is StepKind.CREATE:
            return write.facts.name, self._plain(key_of(write.facts, write.record))
        lookup = self._variables[write.id].lookup if write.id else None
        return (write.facts.name, self._plain(lookup.match)) if lookup else write.subject

    def _plain(self, match: Match) -> object:
        """A key with the recorded values of its parameters, without what is empty, to compare it with another."""
        filled = ((field, v) for field, v in match if v not in (None, ""))
        return tuple((field, self._variables[v.name].default if isinstance(v, Var) else v) for field, v in filled)

    def _check_names(self, later: _LaterWrites) -> None:
        """Raises UsageError when an update gives a record the name of another that loses it, so that none tells them.

        That is so where the other was there: before the first run the name is that of the one, after it of the other.
        Where the journey made it, the name is told apart by the time, unless the one is looked for while the other has
        it. A run that goes on after one that ended then finds it still there: such a name is looked for last, which no
        third record may have had.
        """
        leaving: dict[object, str] = {}
        handed_on: dict[object, list[tuple[str, int, int]]] = {}  # by whom, and from when until when it had the name
        held_by: dict[object, set[str]] = {}
        given: list[tuple[tuple[str, object], str, Write]] = []
        for subject, writes in later.by_id.items():
            first = next((write for write in writes if write.facts.numbered), writes[0])  # no profile of the account
            facts, variable = first.facts, self._variables.get(first.id)
            lookup = variable.lookup if variable else None
            old = lookup.match if lookup else key_of(facts, first.record)
            updates = [write for write in writes if write.step.kind is StepKind.UPDATE and facts.numbered]
            renaming = [(key, w) for w in updates if (key := _renamed(old, facts, w.record)) != old]
            if lookup and (renaming or any(write.step.kind is StepKind.DELETE for write in writes)):
                leaving[facts.name, self._plain(old)] = subject
            holding = [((facts.name, self._plain(key)), later.place(w)) for key, w in [(old, first), *renaming]]
            for (name, start), (_, end) in pairwise(holding[1:] if lookup else holding):
                handed_on.setdefault(name, []).append((subject, start, end))
            for name, _ in holding:
                held_by.setdefault(name, set()).add(subject)
            given += [(name, subject, write) for (name, _), (_, write) in zip(holding[1:], renaming, strict=True)]
        for name, subject, write in given:
            looked_for = later.place(later.by_id[subject][0])
            others = [(start, end) for other, start, end in handed_on.get(name, ()) if other != subject]
            taken = any(start < looked_for < end for start, end in others)
            if any(looked_for < end for _, end in others):
                self._looked_for_last.add(name)
                names = {each for each, holders in held_by.items() if subject in holders} - {name}
                taken = taken or any(len(held_by[each]) > 1 for each in names)
            if leaving.get(name, subject) != subject or taken:
                raise UsageError(
                    f"upsert: step {write.step.name} gives a {write.facts.name} the name of one that was there and "
                    "loses it: after a run they cannot be told apart by name; leave these steps out (render --steps)"
                )

    # ---------------------------------------------------------------- steps

    def _prepare_lookups(self, later: _LaterWrites) -> None:
        """Records that the journey renames are looked for by the new key too; those it deletes may be missing."""
        for variable in list(self._variables.values()):
            lookup = variable.lookup
            if lookup is None or variable.name not in later.by_id:
                continue
            facts = self._catalog.resources[lookup.resource]
            newer = self._in_order(lookup.match, facts, _newer(lookup.match, facts, later.by_id[variable.name]))
            optional = any(w.step.kind is StepKind.DELETE for w in later.by_id[variable.name])
            self._variables[variable.name] = replace(
                variable, lookup=replace(lookup, newer=newer, optional=lookup.optional or optional)
            )

    def _prepare_row_lookups(self) -> None:
        """Rows are looked for by the keys that the journey gives them too; one that is not there is made."""
        for name, newer in self._row_keys.items():
            variable = self._variables[name]
            if variable.lookup:
                child = self._catalog.resources[variable.lookup.resource]
                sure = [key for key in newer if is_sure(key, child)]
                keys = (*sure, *(key for key in newer if key not in sure))
                lookup = replace(variable.lookup, newer=keys, optional=True, alike=len(sure))
                self._variables[name] = replace(variable, lookup=lookup)

    def _write(self, write: Write, later: _LaterWrites) -> Step:
        facts, step = write.facts, write.step
        is_create = step.kind is StepKind.CREATE
        follows = later.after(write) if is_create else []
        plain, rows = self._divided(write)
        if is_create and not self._every_write:
            plain = self._with_last_secrets(plain, [other.record for other in follows])
        fields = {field for field, _ in plain.members}
        places = [place for place in later.set_later(write) if place.partition(".")[0] in fields]
        places += self._not_kept(write, plain)
        keys = self._keys(write, follows) if is_create and facts.numbered else ()
        only = is_create and self._recorded_key(write) in self._replacing
        rows = self._with_all_relations(rows, facts) if only else rows
        members: list[tuple[str | Text, Tree]] = [
            ("keys", Array(tuple(Object(key) for key in keys))),
            ("record", plain),
            ("later", Array(tuple(dict.fromkeys(places)))),
            ("rows", Object(tuple(self._rows(name, write, later, only=only) for name, _ in rows))),
        ]
        if write.in_list:
            members.append(("in_list", True))
        if facts.whole:
            members.append(("whole", Array(facts.whole)))
        if facts.needed_in_updates:
            members.append(("needs", Array(facts.needed_in_updates)))
        if facts.shaped_by:
            members.append(("shaped", Object(tuple(facts.shaped_by.items()))))
        if secrets := [] if is_create else self._secrets(write, plain):
            members.append(("secrets", Array(tuple(secrets))))
        document = Object(tuple(members))
        request = replace(step.request, body=None)
        headers = tuple(header for header in request.headers if header[0].lower() != "content-type")
        wanted = Wanted(document, write.id, facts.path or "")
        return replace(step, request=replace(request, headers=headers), wanted=wanted)

    def _with_last_secrets(self, record: Object, later: Iterable[Object]) -> Object:
        """A create with the secrets that later updates set: when a run ends before them, no other sees that."""
        for other in later:
            record = Object(tuple((name, self._last_secret(value, other, name)) for name, value in record.members))
        return record

    def _last_secret(self, value: Tree, later: Object, name: str | Text) -> Tree:
        """The value, or the secret that stands there later; not that of an account which logs in before that."""
        match value, later.get(name) if isinstance(name, str) else None:
            case Object(), Object() as inside:
                return self._with_last_secrets(value, [inside])
            case Var(name=first), Var(name=last) as secret:
                kinds = {self._variables[first].kind, self._variables[last].kind}
                return secret if kinds == {VariableKind.SECRET} and self._users[first] == 1 else value
        return value

    def _secrets(self, write: Write, record: Object) -> list[str]:
        """The fields of an update that hold a secret; the server shows it masked or not at all, so it is told."""
        fields = [
            str(field)
            for field, value in record.members
            if any(self._variables[name].kind is VariableKind.SECRET for name in variables_of_tree(value))
        ]
        for field in fields if not self._every_write else ():
            self._residue.append(
                Residue(ResidueKind.RISKY, f"{field}: {UNSEEN}", write.step.entry, write.step.name, field)
            )
        return fields

    def _keys(self, write: Write, follows: list[Write]) -> tuple[Match, ...]:
        """The natural keys to look for a created record by: those that later updates give it first."""
        key = key_of(write.facts, write.record)
        return (*self._in_order(key, write.facts, _newer(key, write.facts, follows)), key)

    def _in_order(self, key: Match, facts: Resource, newer: tuple[Match, ...]) -> tuple[Match, ...]:
        """The newer keys, but those only after the first one that another record may still have."""
        last = tuple(each for each in newer if (facts.name, self._plain(each)) in self._looked_for_last)
        return (*(each for each in newer if each not in last), key, *last) if last else newer

    def _divided(self, write: Write) -> tuple[Object, list[tuple[str, tuple[Object, ...]]]]:
        """The plain fields of a record as the server keeps them, and its nested rows by relation.

        An absent has-one is nothing to compare.
        """
        plain: list[tuple[str | Text, Tree]] = []
        rows: list[tuple[str, tuple[Object, ...]]] = []
        for field, value in write.record.members:
            relation = write.facts.relations.get(field) if isinstance(field, str) else None
            if relation is None or not relation.nested:
                plain.append((field, _as_kept(write.facts, str(field), value)))
            elif isinstance(value, Array) and value.items:
                rows.append((str(field), tuple(row for row in value.items if isinstance(row, Object))))
            elif isinstance(value, Object):
                rows.append((str(field), (value,)))
        return Object(tuple(plain)), rows

    def _with_all_relations(
        self, rows: list[tuple[str, tuple[Object, ...]]], facts: Resource
    ) -> list[tuple[str, tuple[Object, ...]]]:
        """Also those of which the record has no row: what is made anew has nothing else."""
        own = [name for name, relation in facts.relations.items() if self._catalog.owns(facts, relation)]
        return [*rows, *((name, ()) for name in own if name not in dict(rows))]

    def _rows(self, name: str, write: Write, later: _LaterWrites, *, only: bool) -> tuple[str | Text, Tree]:
        """The rows of a relation; `only` those that the journey gives it shall be there."""
        relation = write.facts.relations[name]
        child = self._catalog.resources[relation.resource]
        known, place = self._known_rows(name, write, later), later.place_of_record(write)
        entries = [_entry((key,), None, is_later=True) for key, n in known.staying().items() for _ in range(n)]
        is_create, is_made = write.step.kind is StepKind.CREATE, False
        for row in known.at(place, every=only):
            keys = self._sure_keys(row, row.keys(place), child)
            keys = keys if row.wanted is not None else tuple(map(self._of_what_is_there, keys))
            entries.append(_entry(keys, row.written.get(place), is_later=row.last != place or row.is_handed_on))
            is_made = is_made or (place in row.written and bool(row.own) and not row.is_found)
        identity: list[tuple[str | Text, Tree]] = [("id", child.id_field or "id"), ("parent", relation.parent_key)]
        if child.changed_in_place and not only and (is_create or (is_made and later.is_made(write))):
            identity.append(("may_differ", Array((*child.changed_in_place, *child.told_apart_by))))
        if only:
            identity.append(("only", True))
        return name, Object((*identity, ("rows", Array(tuple(entries)))))

    def _known_rows(self, name: str, write: Write, later: _LaterWrites) -> Rows:
        """The rows of a record in one relation, as all writes of it tell."""
        if (write.subject, name) not in self._rows_known:
            relation = write.facts.relations[name]
            child = self._catalog.resources[relation.resource]
            made, every = later.is_made(write), self._every_write
            known = Rows(relation, child, self._variables, is_made=made, every_write=every)
            for place, other in enumerate(later.by_id[write.subject]):
                rows = dict(self._divided(other)[1]).get(name, ()) if name in other.facts.relations else ()
                known.write(place, rows, self._handed_on, creates=other.step.kind is StepKind.CREATE)
            known.end()
            self._rows_known[write.subject, name] = known
        return self._rows_known[write.subject, name]

    def _sure_keys(self, row: Row, keys: tuple[Match, ...], child: Resource) -> tuple[Match, ...]:
        """The keys of a row; not those that others may have, too. A row that the journey makes needs no others.

        Of one that it finds, the id takes the place of that key: its lookup stops at several.
        """
        lookup = self._variables[row.own].lookup if row.own else None
        if lookup is None or row.wanted is None:
            return keys
        sure = tuple(key for key in keys if is_sure(key, child))
        if lookup.late or not row.is_found:
            return sure or keys
        if keys[-1] != lookup.match or lookup.nth is not None or keys[-1] in sure:
            return keys
        self._row_keys[row.own] = dict.fromkeys((*keys[:-1], *self._row_keys.get(row.own, ())))
        return (*keys[:-1], ((child.id_field or "id", Text((Var(row.own),))),))

    def _of_what_is_there(self, key: Match) -> Match:
        """The key of a row that is removed: where a record that it points to is absent, no row has it.

        As the one item of a list an id equals only itself; nothing at all would equal what points nowhere.
        """
        pairs = (
            (field, value, self._variables.get(value.name) if isinstance(value, Var) else None) for field, value in key
        )
        return tuple(
            (field, Array((Text((Var(var.name),)),)) if var and var.lookup and var.lookup.optional else value)
            for field, value, var in pairs
        )

    def _not_kept(self, write: Write, record: Object) -> Iterator[str]:
        """The places that the server answered otherwise, or that a create drops or fills because they are empty."""
        if write.step.kind is StepKind.CREATE:
            empty = [str(field) for field, value in record.members if value in _EMPTY]
            yield from (f for f in empty if write.facts.create_drops_empty or f in write.facts.create_fills)
        answered = records_of(write.step.answer.tree if write.step.answer else None, self._catalog.wrapper)
        otherwise = [place for place, _, _ in kept_otherwise(record, answered[0])] if len(answered) == 1 else ()
        recorded = (place for position, place in write.step.not_kept if position == write.position)
        fields = {field for field, _ in record.members}
        for place in dict.fromkeys(place for place in (*otherwise, *recorded) if place.partition(".")[0] in fields):
            if not self._every_write:
                reason = f"{place}: {NOT_KEPT}"
                self._residue.append(Residue(ResidueKind.UNKNOWN, reason, write.step.entry, write.step.name, place))
            yield place


def _entry(keys: Iterable[Match], row: Object | None, *, is_later: bool) -> Object:
    """One row of a wanted state; one that is written later is only kept from being taken for another."""
    members: list[tuple[str | Text, Tree]] = [("keys", Array(tuple(map(Object, keys)))), ("row", row)]
    return Object((*members, *((("later", True),) if is_later else ())))


_Fields = dict[str, "_Fields | None"]
"""The fields that some records set, with those below where none sets the field as a whole."""


class _LaterWrites:
    """Which writes of the same record come after one."""

    def __init__(self, writes: Iterable[Write]) -> None:
        self.by_id: dict[str, list[Write]] = {}
        self._place: dict[int, int] = {}
        self._places: dict[int, int] = {}
        for place, write in enumerate(writes):
            self._places[id(write)] = place
            group = self.by_id.setdefault(write.subject, [])
            self._place[id(write)] = len(group)
            group.append(write)
        self._set_later: dict[int, tuple[str, ...]] = {}
        for group in self.by_id.values():
            fields: _Fields = {}
            for write in reversed(group):
                self._set_later[id(write)] = tuple(_places(write.record, fields))
                if write.step.kind is not StepKind.DELETE:
                    _add(write.record, fields, write.facts.whole)

    def place(self, write: Write) -> int:
        """Where the write stands among all of them."""
        return self._places[id(write)]

    def place_of_record(self, write: Write) -> int:
        """Where the write stands among those of its record."""
        return self._place[id(write)]

    def after(self, write: Write) -> list[Write]:
        """The later updates of the record that the write is about."""
        group = self.by_id[write.subject][self._place[id(write)] + 1 :]
        return [other for other in group if other.step.kind is not StepKind.DELETE]

    def set_later(self, write: Write) -> tuple[str, ...]:
        """The places of its record that later updates set: `description`, `config.host`."""
        return self._set_later[id(write)]

    def is_made(self, write: Write) -> bool:
        """Whether the journey creates the record that the write is about."""
        return self.by_id[write.subject][0].step.kind is StepKind.CREATE


def _as_kept(facts: Resource, field: str, value: Tree) -> Tree:
    """What the server keeps of a value: a part of a long text, words for bits."""
    match value:
        case str():
            return value[: facts.cut_to.get(field)]
        case Number(text=text) if field in facts.bits and re.fullmatch("[0-9]{1,9}", text):
            return Array(tuple(word for bit, word in enumerate(facts.bits[field]) if int(text) >> bit & 1))
    return value


_EMPTY: tuple[Tree, ...] = (None, "", False, Number("0"), Array(()), Object(()))


def _renamed(key: Match, facts: Resource, record: Object) -> Match:
    """The key with what an update sets of it."""
    given = dict(key_of(facts, record))
    return tuple((field, given.get(field, value)) for field, value in key)


def _newer(key: Match, facts: Resource, follows: Iterable[Write]) -> tuple[Match, ...]:
    """The keys that one update after the other gives a record which has this one at first: the newest first."""
    keys = [key]
    for write in follows:
        keys.append(_renamed(keys[-1], facts, write.record))
    *newer, oldest = dict.fromkeys(reversed(keys))
    return tuple(newer) if oldest == key else (*newer, oldest)  # its first name may be its last one, too


def _places(record: Object, later: _Fields, above: str = "") -> Iterator[str]:
    """Where the record holds something that is set later."""
    for field, value in record.members:
        if isinstance(field, str) and field in later:
            below = later[field]
            if isinstance(value, Object) and below is not None:
                yield from _places(value, below, f"{above}{field}.")
            else:
                yield f"{above}{field}"


def _add(record: Object, later: _Fields, whole: tuple[str, ...] = ()) -> None:
    """Adds the fields that a record sets."""
    for field, value in record.members:
        if isinstance(field, str):
            below = later.setdefault(field, {})
            if isinstance(value, Object) and below is not None and field not in whole:
                _add(value, below)
            else:
                later[field] = None
