"""The writes of a journey taken apart: one record each, whatever a step's body holds.

An upsert compares record by record, so a batch, an import, a bulk change and a delete of several ids become one `Write`
for each of their records.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from urllib.parse import quote, unquote

from dfrecord.journey.model import Capture, JsonBody, RawBody, Step, StepKind, Variable
from dfrecord.journey.names import Namer, label
from dfrecord.journey.text_records import records_in
from dfrecord.normalise.body import json_text, records_of
from dfrecord.system_api.catalog import Catalog, Resource
from dfrecord.tree import Array, Encoding, Object, Text, Tree, Var


@dataclass(frozen=True)
class Write:
    """One record that a step writes. `id` is the variable of its id, empty when a name in the path takes its place.

    `position` is the record's place among those of the step; `in_list`, whether the list creates one with such a name.
    `account` tells whose it is, of what belongs to the account that is signed on (`own_accounts`).
    """

    step: Step
    facts: Resource
    id: str
    record: Object
    position: int = 0
    in_list: bool = False
    account: str = ""

    @property
    def subject(self) -> str:
        """The record that it is about: two writes with the same one write the same record. A profile is its account."""
        if self.account:
            return self.account if self.facts.single else f"{self.account} {path_text(self.step.request.target)}"
        unnamed = not self.id and self.step.kind is StepKind.CREATE and self.facts.numbered
        return self.step.name if unnamed else self.id or unquote(path_text(self.step.request.target))


def target_text(target: Text) -> str:
    """A target with its variables by name."""
    return "".join(part if isinstance(part, str) else f"{{{part.name}}}" for part in target.parts)


def path_text(target: Text) -> str:
    """A target's path, variables by name: two requests with the same one are about the same record."""
    return target_text(target).partition("?")[0]


def key_of(facts: Resource, record: Object) -> tuple[tuple[str, Tree], ...]:
    """The natural key of a record, of the parts that it shows; a dotted part stands for the foreign key."""
    shown = {field for field, _ in record.members}
    return tuple((field, as_shown(facts, field, record.get(field))) for field in facts.key_fields if field in shown)


def as_shown(facts: Resource, field: str, value: Tree) -> Tree:
    """What a record shows of a value that was sent: an id that is sent as text, too, is a number there."""
    is_id = field in facts.foreign_keys and isinstance(value, Text) and len(value.parts) == 1
    return value.parts[0] if is_id and isinstance(value, Text) else value


@dataclass(frozen=True)
class Writes:
    """Takes steps apart; `variables` are the journey's, and `names` knows the names of its steps."""

    catalog: Catalog
    variables: Mapping[str, Variable]
    names: Namer

    def of(self, step: Step) -> Iterable[Step | Write]:
        """The writes of a step, or the step itself when it writes no record that can be found again."""
        facts = self.catalog.resources.get(step.resource or "")
        if facts is not None and facts.single and step.kind is StepKind.UPDATE and not step.captures:
            return [self._single(step, facts)]
        if facts is None or facts.path is None or not facts.natural_key:
            return [step]
        writes: list[Write] = []
        if facts.create_by_name or facts.listed:
            writes = self._named_records(step, facts)
        elif facts.numbered and step.kind is StepKind.CREATE:
            writes = self._creates(step, facts)
        elif facts.numbered and step.kind in (StepKind.UPDATE, StepKind.DELETE):
            writes = self._changes(step, facts)
        return self._each_with_its_own(step, writes) if len(writes) > 1 else writes or [step]

    def _each_with_its_own(self, whole: Step, writes: list[Write]) -> list[Write]:
        """The writes of one step, each with what was answered and what was not kept of its own record only."""
        answered = records_of(whole.answer.tree if whole.answer else None, self.catalog.wrapper)
        one_for_all = len(self._records(whole)) < len(writes)
        not_kept: dict[int, list[str]] = {}
        for place, field in whole.not_kept:
            not_kept.setdefault(place, []).append(field)
        own = []
        for place, write in enumerate(writes):
            answer = whole.answer
            if answer and len(answered) == len(writes):
                answer = replace(answer, tree=answered[place], text=json_text(answered[place]))
            fields = not_kept.get(0 if one_for_all else place, ())
            step = replace(write.step, answer=answer, not_kept=tuple((write.position, field) for field in fields))
            own.append(replace(write, step=step))
        return own

    def _single(self, step: Step, facts: Resource) -> Step | Write:
        """The one record of a resource, at the resource's own path: the profile of who is signed on."""
        tree = step.request.body.tree if isinstance(step.request.body, JsonBody) else None
        return Write(step, facts, "", tree) if isinstance(tree, Object) else step

    def _named_records(self, step: Step, facts: Resource) -> list[Write]:
        """The records whose id is their name (system-api.md section 6): in the path, in `ids`, or in each of a list."""
        tree = step.request.body.tree if isinstance(step.request.body, JsonBody) else None
        if _first(step.request.target).startswith(f"{facts.path}/"):
            record = Object(()) if step.kind is StepKind.DELETE else tree
            is_refused = step.kind is StepKind.CREATE and not facts.create_by_name
            return [Write(step, facts, "", record)] if isinstance(record, Object) and not is_refused else []
        own, path, query = facts.id_field or "", facts.path or "", _first(step.request.target).partition("?")[2]
        given = [unquote(value) for name, value in _pairs(query) if name == "ids"]
        names: list[Tree] = [name for each in given for name in each.split(",")]
        records = self._records(step)
        records = records * len(names) if names and len(records) <= 1 else records
        names = names or [record.get(own) for record in records]
        records = records or [Object(())] * len(names)
        if step.request.target.variables or len(names) != len(records) or not all(map(_is_name, names)):
            return []
        writes = [
            self._in_list(step, facts, path, own, name, record, position)
            for position, (name, record) in enumerate(zip(names, records, strict=True))
        ]
        if len(writes) == 1:
            return writes
        return [
            replace(write, step=self._named(write.step, facts, Object(((own, name),)), write.position))
            for write, name in zip(writes, names, strict=True)
        ]

    def _in_list(
        self, step: Step, facts: Resource, path: str, own: str, name: Tree, record: Object, position: int
    ) -> Write:
        """One of the named records that a write of the list is about, by its own path."""
        parts = name.parts if isinstance(name, Text) else (name,)
        last = [Var(part.name, Encoding.URI) if isinstance(part, Var) else quote(str(part), safe="") for part in parts]
        target = Text((f"{path}/", *last, *_query_without_ids(step.request.target)))
        creates = step.kind is StepKind.CREATE
        method = {StepKind.CREATE: "POST", StepKind.DELETE: "DELETE"}.get(step.kind, "PATCH")
        single = replace(step, request=replace(step.request, method=method, target=target))
        record = record if creates else _without(record, own)
        return Write(single, facts, "", record, position, in_list=creates)

    def _creates(self, step: Step, facts: Resource) -> list[Write]:
        records = self._records(step)
        if not all(key_of(facts, record) for record in records):  # the server refuses it; and any record would fit
            return []
        writes = []
        made: dict[int, list[Capture]] = {}
        for capture in step.captures:
            made.setdefault(capture.position, []).append(replace(capture, pointer=capture.inside))
        for position, record in enumerate(records):
            captures = made.get(position, [])
            own = next((capture.variable for capture in captures if capture.pointer == (facts.id_field,)), "")
            request = replace(step.request, body=JsonBody(record))
            single = replace(step, request=request, captures=tuple(captures))
            if len(records) > 1:
                single = self._named(single, facts, record, position)
            writes.append(Write(single, facts, own, record, position))
        return writes

    def _records(self, step: Step) -> list[Object]:
        match step.request.body:
            case JsonBody(tree=tree):
                return records_of(tree, self.catalog.wrapper)
            case RawBody() as body:
                return records_in(body, step.request.content_type, self.catalog.wrapper)
        return []

    def _changes(self, step: Step, facts: Resource) -> list[Write]:
        """The records that an update or a delete names: in its path, in `ids`, or each in its body."""
        body, first, path = step.request.body, _first(step.request.target), f"{facts.path}/"
        tree = body.tree if isinstance(body, JsonBody) else None
        if isinstance(body, RawBody) and body.parts:
            found = records_in(body, step.request.content_type, self.catalog.wrapper)
            if not found or (len(found) > 1 and first == path):
                return []
            tree = found[0] if len(found) == 1 else Array(tuple(found))
        variables = [var.name for var in step.request.target.variables]
        bare = tree if isinstance(tree, Object) else Object(())
        if first == path and variables:
            return [self._change(step, facts, variables[0], bare)]
        records = records_of(tree, self.catalog.wrapper) if body else []
        if re.search(r"[?&]ids=$", first) and variables and len(records) <= 1:
            ids, given = variables, records * len(variables) or [bare] * len(variables)
        elif first.partition("?")[0] == facts.path and records and not variables:
            ids, given = [name for record in records for name in _own_id(record, self.catalog.id)], records
        else:
            return []
        if len(ids) != len(given):
            return []
        return [
            self._change(self._named(step, facts, record, position, own), facts, own, _without(record, self.catalog.id))
            for position, (own, record) in enumerate(zip(ids, given, strict=True))
        ]

    def _change(self, step: Step, facts: Resource, own: str, record: Object) -> Write:
        """The update or delete of one record by its id; `PUT` is partial, an alias (system-api.md section 4.1)."""
        target = Text((f"{facts.path}/", Var(own, Encoding.URI), *_query_without_ids(step.request.target)))
        method = "DELETE" if step.kind is StepKind.DELETE else "PATCH"
        request = replace(step.request, method=method, target=target, body=JsonBody(record))
        return Write(replace(step, request=request), facts, own, record)

    def _named(self, step: Step, facts: Resource, record: Object, position: int, own: str = "") -> Step:
        """A step of its own for one record of several. `own` is the variable of the record's id."""
        looked_up = self.variables[own].lookup if own else None
        key = next((value for field, value in looked_up.match if field == facts.key_field), None) if looked_up else None
        key = key if key is not None else record.get(facts.natural_key[0])
        words = f"{step.kind.value.capitalize()} {label(facts.name)} "
        heading: Text | None = None
        if isinstance(key, (Var, Text)):
            heading = Text((words, *(key.parts if isinstance(key, Text) else (key,))))
            names = [part if isinstance(part, str) else self._recorded(part) for part in heading.parts[1:]]
            key = "".join(names)
        title = f"{words}{key}" if isinstance(key, str) else step.title
        return replace(step, name=self.names.give(f"{step.name}_{position + 1}"), title=title, heading=heading)

    def _recorded(self, var: Var) -> str:
        default = self.variables[var.name].default
        return default if isinstance(default, str) else "…"


def _own_id(record: Object, field: str) -> list[str]:
    """The variable of a record's id, as a number or as text (`"id": "3"`)."""
    value = record.get(field)
    parts = value.parts if isinstance(value, Text) else (value,)
    return [part.name for part in parts if isinstance(part, Var)]


def _without(record: Object, field: str) -> Object:
    return Object(tuple(member for member in record.members if member[0] != field))


def _is_name(name: Tree) -> bool:
    return isinstance(name, (str, Var, Text)) and name != ""


def _pairs(query: str) -> list[tuple[str, str]]:
    return [(name, value) for name, _, value in (pair.partition("=") for pair in query.split("&"))]


def _first(target: Text) -> str:
    return target.parts[0] if target.parts and isinstance(target.parts[0], str) else ""


def _query_without_ids(target: Text) -> tuple[str | Var, ...]:
    text = "".join(part if isinstance(part, str) else "0" for part in target.parts)
    pairs = [pair for pair in text.partition("?")[2].split("&") if pair and not pair.startswith("ids=")]
    return (f"?{'&'.join(pairs)}",) if pairs else ()
