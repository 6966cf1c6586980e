"""What an upsert need not do, so that a second run finds nothing to do.

A record that the journey makes and deletes again is not made, one that it deletes in the end is not changed before, and
one that it deletes and makes anew is changed instead. References to what is gone in the end go with it; an update makes
them null, as it may find another one there.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace

from dfrecord.journey.model import (
    JsonBody,
    Residue,
    ResidueKind,
    Step,
    StepKind,
    Variable,
    used_variables,
    variables_of_step,
    variables_of_tree,
)
from dfrecord.journey.names import Namer
from dfrecord.journey.own_accounts import OwnAccounts, Part
from dfrecord.journey.writes import Write
from dfrecord.tree import Array, Object, Text, Tree, Var

NOT_MADE = "made and deleted again in the recording: an upsert does not make it"
NOT_CHANGED = "the record is deleted later in the recording: an upsert only deletes it"
NOT_USED = "it is about a record that the recording deletes"
REPLACED = (
    "deleted and made anew in the recording: an upsert changes what is there, and leaves values that the new one does "
    "not name"
)
CHANGED_BEFORE = "the record is deleted and made anew later in the recording: an upsert only makes it as it is then"

Key = Callable[[Write], object]
"""What tells which record a write is about on every instance: its natural key."""


@dataclass
class Unneeded:
    """Leaves out of a journey's parts what an upsert need not do, and says so in `residue`."""

    variables: Mapping[str, Variable]
    key: Key
    accounts: OwnAccounts
    id_field: str
    names: Namer
    residue: dict[Residue, None] = field(default_factory=dict)
    """In order, each once."""
    replaced: set[object] = field(default_factory=set)
    """The keys of the records that are deleted and made anew."""

    def left(self, parts: list[Part]) -> list[Part]:
        """The parts that an upsert needs."""
        return self._without_deleted(self._without_replaced(parts))

    def _without_replaced(self, parts: list[Part]) -> list[Part]:
        """Without the delete of a record whose key a later create uses again, and without its changes before that."""
        left: list[Part] = []
        remade: set[object] = set()
        replaced: set[str] = set()
        gone_later: set[object] = set()
        for part in reversed(parts):
            if isinstance(part, Write) and part.step.kind is StepKind.CREATE and part.subject not in gone_later:
                remade.add(self.key(part))
            if isinstance(part, Write) and part.step.kind is StepKind.DELETE:
                if self.key(part) in remade:
                    self._tell(REPLACED, part.step)
                    self.replaced.add(self.key(part))
                    replaced.add(part.subject)
                    continue
                gone_later.add(part.subject)
            if isinstance(part, Write) and part.step.kind is StepKind.UPDATE and part.subject in replaced:
                self._tell(CHANGED_BEFORE, part.step)
                continue
            left.append(part)
        return left[::-1]

    def _without_deleted(self, parts: list[Part]) -> list[Part]:
        """Without what is done to records that are gone in the end, but for the delete of what was there before."""
        writes = [part for part in parts if isinstance(part, Write)]
        gone = {write.subject for write in writes if write.step.kind is StepKind.DELETE}
        made = {write.subject for write in writes if write.step.kind is StepKind.CREATE} & gone
        if not gone:
            return parts
        while True:
            left = [kept for part in parts if (kept := self._kept(part, gone, made)) is not None]
            steps = [part.step if isinstance(part, Write) else part for part in left]
            used = {variable.name for variable in used_variables(self.variables.values(), steps)}
            needed = made & {*used, *(self.accounts.of(step.request.headers) for step in steps)}
            if not needed:
                break
            gone, made = gone - needed, made - needed  # something that stays depends on it
        self._tell_of(parts, {id(part) for part in left}, gone, made)
        return self._in_order(left)

    def _in_order(self, parts: list[Part]) -> list[Part]:
        """Rows go before what they pointed to is deleted: a teardown goes backwards, and makes that anew first."""
        deleted: dict[str, int] = {}
        earlier: dict[int, list[Part]] = {}
        result: list[Part | None] = list(parts)
        for place, part in enumerate(parts):
            if isinstance(part, Write) and part.step.kind is StepKind.DELETE:
                deleted[part.subject] = place
            elif isinstance(part, Write) and deleted:
                rows, rest, pointed_to = self._divided(part.record, deleted)
                if pointed_to:
                    name = self.names.give(part.step.name) if rest.members else part.step.name
                    first = replace(part, record=rows, step=replace(part.step, name=name))
                    earlier.setdefault(min(deleted[each] for each in pointed_to), []).append(first)
                    result[place] = replace(part, record=rest) if rest.members else None
        placed = [each for place, part in enumerate(result) for each in (*earlier.get(place, ()), part)]
        return [part for part in placed if part is not None]

    def _divided(self, record: Object, deleted: Collection[str]) -> tuple[Object, Object, set[str]]:
        """The rows of a record that pointed to these records, the rest of it, and to which ones."""
        going: list[tuple[str | Text, Tree]] = []
        rest: list[tuple[str | Text, Tree]] = []
        pointed_to: set[str] = set()
        for name, value in record.members:
            items = value.items if isinstance(value, Array) else ()
            found = [pointed & set(deleted) for pointed in (set(self._pointed_to(item)) for item in items)]
            pointed_to = pointed_to.union(*found)
            rows = [tuple(i for i, f in zip(items, found, strict=True) if bool(f) is goes) for goes in (True, False)]
            going += [(name, Array(rows[0]))] if rows[0] else []
            rest += [(name, Array(rows[1]) if rows[0] else value)] if rows[1] or not rows[0] else []
        return Object(tuple(going)), Object(tuple(rest)), pointed_to

    def _signs_on(self, part: Part, made: set[str]) -> bool:
        """Whether a step only opens, renews or closes the session of an account that is made for a while."""
        if isinstance(part, Write):
            return False
        sessions = {self.accounts.of_token.get(capture.variable) for capture in part.captures}
        is_session = part.kind in (StepKind.LOGIN, StepKind.LOGOUT) or sessions
        return bool(is_session and made & (sessions or {self.accounts.of(part.request.headers)}))

    def _tell_of(self, parts: list[Part], left: set[int], gone: set[str], made: set[str]) -> None:
        for part in parts:
            if not isinstance(part, Write):
                if id(part) not in left:
                    self._tell(NOT_USED, part)
            elif part.subject in made:
                self._tell(NOT_MADE, part.step)
            elif part.subject in gone and part.step.kind is not StepKind.DELETE:
                self._tell(NOT_CHANGED, part.step)

    def _tell(self, reason: str, step: Step) -> None:
        self.residue[Residue(ResidueKind.LEFT_OUT, reason, step.entry, subject=step.title)] = None

    def _kept(self, part: Part, gone: set[str], made: set[str]) -> Part | None:
        """The part without references to what is gone, None when it is not needed at all."""
        if isinstance(part, Write):
            if part.subject in gone:
                return part if part.step.kind is StepKind.DELETE and part.subject not in made else None
            updates = part.step.kind is StepKind.UPDATE
            parents = {relation.parent_key for relation in part.facts.relations.values()} if updates else set()

            def stays(row: Tree) -> bool:
                """A row that pointed to what was there, and is removed: it may stay without that."""
                removed = isinstance(row, Object) and any((name, None) in row.members for name in parents)
                return not (made if removed else gone).intersection(self._pointed_to(row))

            record = self._without(part.record, gone, frozenset(part.facts.key_fields) if updates else None, stays)
            assert isinstance(record, Object)
            request = replace(part.step.request, body=JsonBody(record))
            return replace(part, record=record, step=replace(part.step, request=request))
        if self._signs_on(part, made):
            return None
        return part if part.captures or not gone & set(variables_of_step(part)) else None

    def _without(self, tree: Tree, gone: set[str], keys: frozenset[str] | None, stays: Callable[[Tree], bool]) -> Tree:
        """The value without the rows that do not stay, and without the fields that point to one of these records.

        Given the `keys` of a record, only those of its fields go; the others become null.
        """
        match tree:
            case Object(members=members):
                found = [(key, isinstance(value, Var) and value.name in gone, value) for key, value in members]
                kept = [each for each in found if not each[1] or (keys is not None and each[0] not in keys)]
                return Object(
                    tuple((k, None if is_gone else self._without(v, gone, keys, stays)) for k, is_gone, v in kept)
                )
            case Array(items=items):
                return Array(tuple(filter(stays, items)))
        return tree

    def _pointed_to(self, row: Tree) -> Iterator[str]:
        """The variables that a row holds after it is written, those by which it is found among them."""
        yield from variables_of_tree(row)
        if not isinstance(row, Object):
            return
        own = row.get(self.id_field)
        if isinstance(own, Var) and (lookup := self.variables[own.name].lookup):
            given = {name for name, _ in row.members}
            for name, found_by in lookup.match:
                if name not in given:
                    yield from variables_of_tree(found_by)
