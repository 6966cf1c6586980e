"""The journey as a desired state: look up by natural key, then create, change or leave alone.

Each write becomes one step a record that says what shall be true (`Wanted`); a run compares that with the target and
sends only what differs. So that the second run finds nothing to do, a step does not ask for what a later step of the
journey sets anew, nor for what the server did not keep in the recording; a record that the journey makes and deletes
again is not made at all; and a record that it renames is looked for by its new name first.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from dfrecord.journey.model import (
    Array,
    Encoding,
    Journey,
    JsonBody,
    Number,
    Object,
    RawBody,
    Residue,
    ResidueKind,
    Step,
    StepKind,
    Text,
    Tree,
    Var,
    Wanted,
    used_variables,
)
from dfrecord.journey.names import label
from dfrecord.journey.rewrite import as_value
from dfrecord.normalise.body import records_of
from dfrecord.system_api.catalog import Catalog, Relation, Resource

SENT_AFTER_CHANGES = "sent only by a run that changed something before it"
SENT_ALWAYS = "sent by every run: nothing tells whether it was done before"
NOT_MADE = "made and deleted again in the recording: an upsert does not make it"
REPLACED = "deleted and made anew in the recording: an upsert changes what is there"

_Match = tuple[tuple[str, Tree], ...]


def upsert(journey: Journey, catalog: Catalog, *, every_write: bool = False) -> Journey:
    """The journey with every write repeatable.

    With `every_write`, records that are made and deleted again, or deleted and made anew, stay: what a run of the
    plain journey does, told as wanted states.
    """
    return _Upsert(journey, catalog, every_write).run()


@dataclass(frozen=True)
class _Write:
    """One record that a step writes. `id` is the variable of its id, empty when a name in the path takes its place."""

    step: Step
    facts: Resource
    id: str
    record: Object


class _Upsert:
    def __init__(self, journey: Journey, catalog: Catalog, every_write: bool) -> None:
        self._journey, self._catalog, self._every_write = journey, catalog, every_write
        self._variables = {variable.name: variable for variable in journey.variables}
        self._residue: list[Residue] = []

    def run(self) -> Journey:
        parts = [part for step in self._journey.steps for part in self._split(step)]
        if not self._every_write:
            parts = self._without_replaced(self._without_short_lived(parts))
        later = _LaterWrites(part for part in parts if isinstance(part, _Write))
        self._prepare_lookups(later)
        steps: list[Step] = []
        for part in parts:
            steps.append(self._write(part, later) if isinstance(part, _Write) else self._other(part, steps))
        variables = tuple(used_variables(self._variables.values(), steps))
        residue = (*self._journey.residue, *self._residue)
        return replace(self._journey, steps=tuple(steps), variables=variables, residue=residue, upsert=True)

    # ---------------------------------------------------------------- one record a step

    def _split(self, step: Step) -> Iterable[Step | _Write]:
        facts = self._catalog.resources.get(step.resource or "")
        if facts is None or facts.path is None or not facts.natural_key:
            return [step]
        if facts.create_by_name:
            return [self._by_name(step, facts)]
        if not facts.numbered:
            return [step]
        if step.kind is StepKind.CREATE:
            return self._creates(step, facts) or [step]
        if step.kind in (StepKind.UPDATE, StepKind.DELETE):
            return self._changes(step, facts) or [step]
        return [step]

    def _by_name(self, step: Step, facts: Resource) -> Step | _Write:
        """An event script: its name is in the path, and its body is bare (system-api.md section 6.1)."""
        path = _first(step.request.target).partition("?")[0]
        below = path.startswith(f"{facts.path}/")
        tree = step.request.body.tree if isinstance(step.request.body, JsonBody) else None
        if below and step.kind is StepKind.DELETE:
            return _Write(step, facts, "", Object(()))
        if below and step.kind in (StepKind.CREATE, StepKind.UPDATE) and isinstance(tree, Object):
            return _Write(step, facts, "", tree)
        return step

    def _creates(self, step: Step, facts: Resource) -> list[_Write]:
        records = self._records(step)
        writes = []
        for position, record in enumerate(records):
            captures = tuple(
                replace(capture, pointer=capture.inside) for capture in step.captures if capture.position == position
            )
            own = next((capture.variable for capture in captures if capture.pointer == (facts.id_field,)), "")
            request = replace(step.request, body=JsonBody(record))
            single = replace(step, request=request, captures=captures)
            if len(records) > 1:
                single = self._named(single, facts, record, position)
            writes.append(_Write(single, facts, own, record))
        return writes

    def _records(self, step: Step) -> list[Object]:
        match step.request.body:
            case JsonBody(tree=tree):
                return records_of(tree, self._catalog.wrapper)
            case RawBody() as body if _media_type(step).startswith("text/csv"):
                return _csv_records(body)
        return []

    def _changes(self, step: Step, facts: Resource) -> list[_Write]:
        """The records that an update or a delete names: in its path, in `ids`, or each in its body."""
        body = step.request.body
        tree = body.tree if isinstance(body, JsonBody) else None
        first, path = _first(step.request.target), f"{facts.path}/"
        variables = [var.name for var in step.request.target.variables]
        bare = tree if isinstance(tree, Object) else Object(())
        if first == path and variables:
            return [self._change(step, facts, variables[0], bare)]
        records = records_of(tree, self._catalog.wrapper) if body else []
        if re.search(r"[?&]ids=$", first) and variables and len(records) <= 1:
            ids, given = variables, records * len(variables) or [bare] * len(variables)
        elif first.partition("?")[0] == facts.path and records and not variables:
            own = [record.get(self._catalog.id) for record in records]
            ids, given = [var.name for var in own if isinstance(var, Var)], records
        else:
            return []
        if len(ids) != len(given):
            return []
        return [
            self._change(
                self._named(step, facts, record, position, own), facts, own, _without(record, self._catalog.id)
            )
            for position, (own, record) in enumerate(zip(ids, given, strict=True))
        ]

    def _change(self, step: Step, facts: Resource, own: str, record: Object) -> _Write:
        """The update or delete of one record by its id; `PUT` is partial, an alias (system-api.md section 4.1)."""
        target = Text((f"{facts.path}/", Var(own, Encoding.URI), *_query_without_ids(step.request.target)))
        method = "DELETE" if step.kind is StepKind.DELETE else "PATCH"
        request = replace(step.request, method=method, target=target, body=JsonBody(record))
        return _Write(replace(step, request=request), facts, own, record)

    def _named(self, step: Step, facts: Resource, record: Object, position: int, own: str = "") -> Step:
        """A step of its own for one record of several. `own` is the variable of the record's id."""
        looked_up = self._variables[own].lookup if own else None
        key = next((value for field, value in looked_up.match if field == facts.key_field), None) if looked_up else None
        key = key if key is not None else record.get(facts.natural_key[0])
        words = f"{step.kind.value.capitalize()} {label(facts.name)} "
        heading: Text | None = None
        if isinstance(key, (Var, Text)):
            heading = Text((words, *(key.parts if isinstance(key, Text) else (key,))))
            names = [part if isinstance(part, str) else self._recorded(part) for part in heading.parts[1:]]
            key = "".join(names)
        title = f"{words}{key}" if isinstance(key, str) else step.title
        return replace(step, name=f"{step.name}_{position + 1}", title=title, heading=heading)

    def _recorded(self, var: Var) -> str:
        default = self._variables[var.name].default
        return default if isinstance(default, str) else "…"

    # ---------------------------------------------------------------- what need not be done

    def _without_short_lived(self, parts: list[Step | _Write]) -> list[Step | _Write]:
        """Without the records that the journey makes and deletes, unless something that stays depends on them."""
        writes = [part for part in parts if isinstance(part, _Write)]
        created = {w.id for w in writes if w.step.kind is StepKind.CREATE and w.id}
        short_lived = created & {w.id for w in writes if w.step.kind is StepKind.DELETE}
        while short_lived:
            left = [part for part in parts if not (isinstance(part, _Write) and part.id in short_lived)]
            steps = [part.step if isinstance(part, _Write) else part for part in left]
            needed = {variable.name for variable in used_variables(self._variables.values(), steps)}
            if not short_lived & needed:
                self._tell(NOT_MADE, (w.step for w in writes if w.id in short_lived))
                return left
            short_lived -= needed
        return parts

    def _without_replaced(self, parts: list[Step | _Write]) -> list[Step | _Write]:
        """Without the delete of a record whose key a later create uses again."""
        left: list[Step | _Write] = []
        remade: set[tuple[str, object]] = set()
        for part in reversed(parts):
            if isinstance(part, _Write) and part.step.kind is StepKind.CREATE:
                remade.add((part.facts.name, self._plain(_key(part.facts, part.record))))
            if isinstance(part, _Write) and part.step.kind is StepKind.DELETE and part.id:
                lookup = self._variables[part.id].lookup
                if lookup and (part.facts.name, self._plain(lookup.match)) in remade:
                    self._tell(REPLACED, [part.step])
                    continue
            left.append(part)
        return left[::-1]

    def _plain(self, match: _Match) -> object:
        """A key with the recorded values of its parameters, to compare it with another."""
        return tuple((field, self._variables[v.name].default if isinstance(v, Var) else v) for field, v in match)

    def _tell(self, reason: str, steps: Iterable[Step]) -> None:
        self._residue += [Residue(ResidueKind.LEFT_OUT, reason, step.entry, subject=step.title) for step in steps]

    # ---------------------------------------------------------------- steps

    def _prepare_lookups(self, later: _LaterWrites) -> None:
        """Records that the journey renames are looked for by the new key too; those it deletes may be missing."""
        for variable in list(self._variables.values()):
            lookup = variable.lookup
            if lookup is None or variable.name not in later.by_id:
                continue
            facts = self._catalog.resources[lookup.resource]
            keys = [_renamed(lookup.match, facts, w.record) for w in later.by_id[variable.name]]
            newer = tuple(dict.fromkeys(key for key in reversed(keys) if key != lookup.match))
            optional = any(w.step.kind is StepKind.DELETE for w in later.by_id[variable.name])
            self._variables[variable.name] = replace(
                variable, lookup=replace(lookup, newer=newer, optional=lookup.optional or optional)
            )

    def _write(self, write: _Write, later: _LaterWrites) -> Step:
        facts, step, follows = write.facts, write.step, later.after(write)
        is_create = step.kind is StepKind.CREATE
        plain, rows = self._divided(write)
        places = list(_places(plain, [other.record for other in follows]))
        places += self._not_kept(write, plain) if is_create else []
        keys = self._keys(write, follows) if is_create and facts.numbered else ()
        later_rows = {key for other in follows for _, key in self._row_keys(other)}
        document = Object(
            (
                ("keys", Array(tuple(Object(key) for key in keys))),
                ("record", plain),
                ("later", Array(tuple(dict.fromkeys(places)))),
                ("rows", Object(tuple(self._rows(name, given, facts, later_rows) for name, given in rows))),
            )
        )
        request = replace(step.request, body=None)
        headers = tuple(header for header in request.headers if header[0].lower() != "content-type")
        wanted = Wanted(document, write.id, facts.path or "")
        return replace(step, request=replace(request, headers=headers), wanted=wanted)

    def _keys(self, write: _Write, follows: list[_Write]) -> tuple[_Match, ...]:
        """The natural keys to look for a created record by: those that later updates give it first."""
        key = _key(write.facts, write.record)
        renamed = [_renamed(key, write.facts, other.record) for other in reversed(follows)]
        return tuple(dict.fromkeys((*renamed, key)))

    def _divided(self, write: _Write) -> tuple[Object, list[tuple[str, tuple[Object, ...]]]]:
        """The plain fields of a record, and its nested rows by relation. An absent has-one is nothing to compare."""
        plain: list[tuple[str | Text, Tree]] = []
        rows: list[tuple[str, tuple[Object, ...]]] = []
        for field, value in write.record.members:
            relation = write.facts.relations.get(field) if isinstance(field, str) else None
            if relation is None or not relation.nested:
                plain.append((field, value))
            elif isinstance(value, Array) and value.items:
                rows.append((str(field), tuple(row for row in value.items if isinstance(row, Object))))
            elif isinstance(value, Object):
                rows.append((str(field), (value,)))
        return Object(tuple(plain)), rows

    def _rows(
        self, name: str, rows: tuple[Object, ...], facts: Resource, later: set[_Match]
    ) -> tuple[str | Text, Tree]:
        relation = facts.relations[name]
        child = self._catalog.resources[relation.resource]
        entries: list[Tree] = []
        for row in rows:
            keys, wanted = self._row(row, relation, child)
            members: list[tuple[str | Text, Tree]] = [
                ("keys", Array(tuple(Object(key) for key in keys))),
                ("row", wanted),
            ]
            if any(key in later for key in keys):
                members.append(("later", True))
            entries.append(Object(tuple(members)))
        identity = (("id", child.id_field or "id"), ("parent", relation.parent_key), ("rows", Array(tuple(entries))))
        return name, Object(identity)

    def _row(self, row: Object, relation: Relation, child: Resource) -> tuple[tuple[_Match, ...], Object | None]:
        """The keys of a nested row, the newest first, and the row as it shall be: None when it shall not be there."""
        key = _row_key(row, relation, child)
        own = row.get(child.id_field or "id")
        before = self._variables[own.name].lookup if isinstance(own, Var) else None
        older: tuple[_Match, ...] = (before.match,) if before else ((("id", own),),) if isinstance(own, Var) else ()
        members = tuple(member for member in row.members if member[0] != child.id_field)
        names = [field for field, _ in members]
        if relation.parent_key in names and row.get(relation.parent_key) is None:
            return older or (key,), None
        if older and before:
            key = tuple((field, row.get(field) if field in names else value) for field, value in before.match)
        return tuple(dict.fromkeys((key, *older))), Object(members)

    def _row_keys(self, write: _Write) -> Iterator[tuple[str, _Match]]:
        for name, rows in self._divided(write)[1]:
            relation = write.facts.relations[name]
            for row in rows:
                keys, _ = self._row(row, relation, self._catalog.resources[relation.resource])
                yield from ((name, key) for key in keys)

    def _not_kept(self, write: _Write, record: Object) -> Iterator[str]:
        """Fields of a create that the server answered otherwise, or drops because they are empty."""
        tree = write.step.answer.tree if write.step.answer else None
        answered = next((row for row in records_of(tree, self._catalog.wrapper)), None)
        alone = len(records_of(tree, self._catalog.wrapper)) == 1
        for field, value in record.members:
            dropped = write.facts.create_drops_empty and value in _EMPTY
            otherwise = answered is not None and alone and _differs(value, answered, str(field))
            if isinstance(field, str) and (dropped or otherwise):
                yield field

    def _other(self, step: Step, before: list[Step]) -> Step:
        """A step that writes no record: a read is harmless, a session's step is needed, a call cannot be checked."""
        if step.kind in (StepKind.LOGIN, StepKind.LOGOUT, StepKind.READ) or step.captures:
            return step
        after_changes = any(other.wanted for other in before)
        reason = SENT_AFTER_CHANGES if after_changes else SENT_ALWAYS
        self._residue.append(Residue(ResidueKind.RISKY, reason, step.entry, step.name))
        return replace(step, only_after_changes=after_changes)


class _LaterWrites:
    """Which writes of the same record come after one."""

    def __init__(self, writes: Iterable[_Write]) -> None:
        self.by_id: dict[str, list[_Write]] = {}
        self._place: dict[int, int] = {}
        for write in writes:
            group = self.by_id.setdefault(write.id or _path_text(write.step.request.target), [])
            self._place[id(write)] = len(group)
            group.append(write)

    def after(self, write: _Write) -> list[_Write]:
        """The later updates of the record that the write is about."""
        group = self.by_id[write.id or _path_text(write.step.request.target)]
        return [other for other in group[self._place[id(write)] + 1 :] if other.step.kind is not StepKind.DELETE]


_EMPTY: tuple[Tree, ...] = (None, "", False, Number("0"), Array(()), Object(()))


def _key(facts: Resource, record: Object) -> _Match:
    """The natural key of a record, of the parts that it shows; a dotted part stands for the foreign key."""
    fields = [f"{part.split('.')[0]}_id" if "." in part else part for part in facts.natural_key]
    shown = {field for field, _ in record.members}
    return tuple((field, record.get(field)) for field in fields if field in shown)


def _row_key(row: Object, relation: Relation, child: Resource) -> _Match:
    if child.nested_key != child.natural_key:
        return tuple((field, row.get(field)) for field in child.nested_key)
    return tuple((field, value) for field, value in _key(child, row) if field != relation.parent_key)


def _renamed(key: _Match, facts: Resource, record: Object) -> _Match:
    """The key with what an update sets of it."""
    given = dict(_key(facts, record))
    return tuple((field, given.get(field, value)) for field, value in key)


def _places(record: Object, later: Iterable[Object], above: str = "") -> Iterator[str]:
    """Where the record holds something that one of the later ones sets: `description`, `config.host`."""
    for other in later:
        for field, value in record.members:
            if not isinstance(field, str) or field not in [name for name, _ in other.members]:
                continue
            new = other.get(field)
            if isinstance(value, Object) and isinstance(new, Object):
                yield from _places(value, [new], f"{above}{field}.")
            else:
                yield f"{above}{field}"


def _differs(value: Tree, answered: Object, field: str) -> bool:
    """Whether the server's answer to a create shows another value than was sent, as far as that can be told."""
    if field not in [name for name, _ in answered.members] or not isinstance(value, (bool, str, Number)):
        return False
    shown = answered.get(field)
    text = [v.text if isinstance(v, Number) else v for v in (value, shown)]
    return text[0] != text[1] and not (value in ("", None) and shown in ("", None))


def _without(record: Object, field: str) -> Object:
    return Object(tuple(member for member in record.members if member[0] != field))


def _first(target: Text) -> str:
    return target.parts[0] if target.parts and isinstance(target.parts[0], str) else ""


def _path_text(target: Text) -> str:
    """A target's path, variables by name: two requests with the same one are about the same record."""
    text = "".join(part if isinstance(part, str) else f"{{{part.name}}}" for part in target.parts)
    return text.partition("?")[0]


def _query_without_ids(target: Text) -> tuple[str | Var, ...]:
    text = "".join(part if isinstance(part, str) else "0" for part in target.parts)
    pairs = [pair for pair in text.partition("?")[2].split("&") if pair and not pair.startswith("ids=")]
    return (f"?{'&'.join(pairs)}",) if pairs else ()


def _media_type(step: Step) -> str:
    values = [value for name, value in step.request.headers if name.lower() == "content-type"]
    return (values[0].literal or "").lower() if values else ""


def _csv_records(body: RawBody) -> list[Object]:
    """The records of a CSV import: a field a column, variables (passwords) kept. None when it is not text."""
    holders: dict[str, Var] = {}
    text = ""
    for part in body.parts:
        if isinstance(part, Var):
            holder = f"\ue000{len(holders)}\ue000"
            holders[holder] = Var(part.name)
            text += holder
            continue
        try:
            text += part.decode("utf-8-sig")
        except UnicodeDecodeError:
            return []
    rows = csv.DictReader(io.StringIO(text))
    return [
        Object(
            tuple((field, _cell(value, holders)) for field, value in row.items() if field and isinstance(value, str))
        )
        for row in rows
    ]


def _cell(text: str, holders: Mapping[str, Var]) -> Tree:
    parts = re.split("(\ue000\\d+\ue000)", text)
    whole = [holders.get(part, part) for part in parts if part]
    return whole[0] if len(whole) == 1 and isinstance(whole[0], Var) else as_value(tuple(whole))
