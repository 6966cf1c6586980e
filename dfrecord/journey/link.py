"""Ids become variables: captured from the create that made the record, or looked up by natural key on the target.

A number is an id only where the catalog says so (path segment, `ids`, `filter`, foreign key fields, the `id` of a bulk
record); never because its value is equal to one. In the same walk everything is left out of bodies that the server
makes itself or that must not be copied: server-made fields, read-only relations, parents' own keys, masked secrets.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import quote, unquote

from dfrecord.journey.lookup import Parent, Sightings
from dfrecord.journey.model import (
    Array,
    Capture,
    Encoding,
    JsonBody,
    Lookup,
    Number,
    Object,
    Residue,
    ResidueKind,
    Step,
    StepKind,
    Text,
    Tree,
    Var,
    Variable,
    VariableKind,
)
from dfrecord.journey.names import Namer, identifier
from dfrecord.journey.rewrite import joined
from dfrecord.normalise.body import field_path, placed_records, records_of
from dfrecord.system_api.catalog import Catalog, Location, Resource

LEFT_OUT = {
    "server-made": "made by the server",
    "relation": "a read-only relation",
    "parent": "the row's own parent, filled in by the server",
    "masked": "a masked secret: the server keeps the stored one",
}


@dataclass
class Linker:
    """Links the steps of one journey, in running order. Collects the variables and the residue that linking makes."""

    catalog: Catalog
    sightings: Sightings
    namer: Namer
    lookup_headers: tuple[tuple[str, Text], ...]
    variables: list[Variable] = field(default_factory=list)
    residue: list[Residue] = field(default_factory=list)
    _known: dict[tuple[str, str], str] = field(default_factory=dict)
    _deleted: dict[tuple[str, str], int] = field(default_factory=dict)
    _captured: set[tuple[str, str]] = field(default_factory=set)
    _coming: dict[tuple[str, str], int] = field(default_factory=dict)
    _promised: dict[tuple[str, str], str] = field(default_factory=dict)

    def announce(self, resource: str, answer: Tree, entry: int) -> None:
        """Tell of a create before linking starts: a recording without times may show its use first."""
        facts = self.catalog.resources[resource]
        for row in records_of(answer, self.catalog.wrapper):
            if (own := self.catalog.id_of(row.get(facts.id_field or ""))) is not None:
                self._coming.setdefault((resource, own), entry)

    def link(self, step: Step, location: Location, entry: int, answer: Tree) -> Step:
        """The step with every id a variable, and with captures of the ids it creates.

        `entry` is the step's place in running order, `answer` the tree of its recorded answer.
        """
        facts = self.catalog.resources.get(location.resource or "")
        if facts is None or step.kind in (StepKind.LOGIN, StepKind.LOGOUT):
            return step
        linking = _Linking(self, step, facts, location, entry)
        linked = linking.run()
        if step.kind is StepKind.CREATE:
            captures = tuple(self._capture_created(facts, answer))
            linked = replace(linked, captures=(*linked.captures, *captures))
        if step.kind is StepKind.DELETE and location.record:
            self._known.pop((facts.name, location.record), None)
            self._captured.discard((facts.name, location.record))
            self._deleted[(facts.name, location.record)] = entry
        return linked

    def was_created_here(self, resource: str, identifier: str | None) -> bool:
        """Whether an earlier step of the journey created this record."""
        return (resource, identifier or "") in self._captured

    def _capture_created(self, facts: Resource, answer: Tree) -> Iterable[Capture]:
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
            self.variables.append(
                Variable(
                    name, VariableKind.CAPTURE, type=self.catalog.id_type, description=f"id of the {label(facts.name)}"
                )
            )
            yield Capture(name, (*pointer, self.catalog.id))

    def reference(self, resources: Sequence[str], value: str, entry: int, where: str) -> str:
        """The name of the variable for an id: captured, looked up, or as a last resort asked for."""
        for resource in resources:
            if (resource, value) in self._known:
                return self._known[(resource, value)]
        for resource in resources:
            name = self._made_later(resource, value, entry) or self._looked_up(resource, value, entry)
            if name is not None:
                return name
        return self._asked_for(resources[0], value, where)

    def _made_later(self, resource: str, value: str, entry: int) -> str | None:
        """The variable that a create further on will capture, when nothing shows the record before that create."""
        coming = self._coming.get((resource, value), -1)
        sighting = self.sightings.of(resource, value, entry, self._deleted.get((resource, value), -1))
        if coming <= entry or (sighting is not None and sighting.entry < coming):
            return None
        name = self._name(self.catalog.resources[resource], sighting.row if sighting else None)
        self._promised[(resource, value)] = self._known[(resource, value)] = name
        return name

    def _looked_up(self, resource: str, value: str, entry: int) -> str | None:
        facts = self.catalog.resources[resource]
        since = self._deleted.get((resource, value), -1)
        sighting = self.sightings.of(resource, value, entry, since)
        if sighting is None or facts.path is None:
            return None
        match = self.identity(facts, sighting.row, entry, None)
        if match is None:
            return None
        key = match[0][1] if isinstance(match[0][1], str) else value
        name = self._name(facts, sighting.row)
        lookup = Lookup(
            resource=resource,
            path=Text((facts.path,)),
            rows=self.catalog.conventions.rows,
            match=match,
            pick=facts.id_field or self.catalog.id,
            title=f"Find {label(resource)} {key}",
            headers=self.lookup_headers,
        )
        return self._add_lookup(name, lookup, (resource, value))

    def api_key(self, value: str) -> str | None:
        """The variable for an app's API key that an answer showed: read from the app of that name on the target."""
        found = self.sightings.holder(value)
        if found is None:
            return None
        holder, field_name = found
        facts = self.catalog.resources[holder.resource]
        created = self._known.get((facts.name, holder.id)) if self.was_created_here(facts.name, holder.id) else None
        match = ((self.catalog.id, Var(created)),) if created else self.identity(facts, holder.row, holder.entry, None)
        if match is None or facts.path is None:
            return None
        name = self.namer.give(f"{facts.name}_{field_name}")
        words = "API key" if field_name == "api_key" else label(field_name)
        title = f"Find the {words} of {label(facts.name)} {holder.row.get(facts.key_field or 'name')}"
        rows = self.catalog.conventions.rows
        lookup = Lookup(holder.resource, Text((facts.path,)), rows, match, field_name, title, self.lookup_headers)
        self.variables.append(Variable(name, VariableKind.LOOKUP, secret=True, description=title, lookup=lookup))
        return name

    def row(self, parent: Parent, parent_id: Var, resource: str, value: str, row: Object, entry: int) -> str:
        """The variable for the id of a nested row, found again on the target's own record by its composite key."""
        if (resource, value) in self._known:
            return self._known[(resource, value)]
        facts, above = self.catalog.resources[resource], self.catalog.resources[parent.resource]
        seen = self.sightings.latest(resource, value, entry)
        relation = above.relations[parent.relation]
        match = self.identity(facts, seen.row if seen else row, entry, relation.parent_key)
        if match is None:
            return self._asked_for(resource, value, f"a row of {parent.relation}")
        lookup = Lookup(
            resource=resource,
            path=Text((f"{above.path}/", Var(parent_id.name, Encoding.URI), f"?related={parent.relation}")),
            rows=(parent.relation,),
            match=match,
            pick=facts.id_field or self.catalog.id,
            title=f"Find the {label(resource)} row",
            headers=self.lookup_headers,
        )
        return self._add_lookup(self.namer.give(f"{resource}_row_id"), lookup, (resource, value))

    def identity(
        self, facts: Resource, row: Object, entry: int, parent_key: str | None
    ) -> tuple[tuple[str, Tree], ...] | None:
        """Field and value pairs that name the record on every instance; None when the row does not show them all.

        A dotted part of a natural key (`service.name`) stands for the foreign key to that resource.
        """
        pairs: list[tuple[str, Tree]] = []
        for part in facts.natural_key if parent_key is None else facts.nested_key:
            name = f"{part.split('.')[0]}_id" if "." in part else part
            if name == parent_key:
                continue
            value = row.get(name)
            if "." in part and (own := self.catalog.id_of(value)) is not None:
                targets = facts.foreign_keys[name]
                value = Var(self.reference(targets, own, entry, f"{facts.name}.{name}"))
            if value is None and name not in [key for key, _ in row.members]:
                return None
            pairs.append((name, value))
        return tuple(pairs) or None

    def _add_lookup(self, name: str, lookup: Lookup, key: tuple[str, str]) -> str:
        self._known[key] = name
        self.variables.append(
            Variable(name, VariableKind.LOOKUP, type=self.catalog.id_type, description=lookup.title, lookup=lookup)
        )
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

    def _asked_for(self, resource: str, value: str, where: str) -> str:
        name = self.namer.give(f"{resource}_id", f"other_{resource}_id")
        self._known[(resource, value)] = name
        about = f"id of the {label(resource)} that was {value} on the recorded instance ({where})"
        self.variables.append(
            Variable(
                name,
                VariableKind.PARAMETER,
                self.catalog.id_type,
                f"DF_{name.upper()}",
                required=True,
                description=about,
            )
        )
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


class _Linking:
    """The linking of one step."""

    def __init__(self, linker: Linker, step: Step, facts: Resource, location: Location, entry: int) -> None:
        self.linker, self.step, self.facts, self.location, self.entry = linker, step, facts, location, entry
        self.catalog = linker.catalog
        self.left_out: dict[str, list[str]] = {}
        self.record: Var | None = None

    def run(self) -> Step:
        request = self.step.request
        target = self._target(request.target)
        body = request.body
        if isinstance(body, JsonBody):
            body = JsonBody(self._body(body.tree))
        left_out = [f"{', '.join(fields)} ({LEFT_OUT[why]})" for why, fields in self.left_out.items()]
        for reason in left_out:
            self.linker.residue.append(Residue(ResidueKind.LEFT_OUT, reason, self.step.entry, self.step.name))
        return replace(
            self.step,
            request=replace(request, target=target, body=body),
            notes=(*self.step.notes, *(f"left out: {reason}" for reason in left_out)),
        )

    # -------------------------------------------------------- path and query

    def _target(self, target: Text) -> Text:
        parts: list[str | Var] = []
        for position, part in enumerate(target.parts):
            if isinstance(part, Var):
                parts.append(part)
                continue
            path, mark, query = part.partition("?") if position == 0 else ("", "", part)
            if position == 0:
                parts += self._path(path)
            parts += [mark] if mark else []
            parts += self._query(query)
        return Text(joined(parts))

    def _path(self, path: str) -> list[str | Var]:
        record = self.location.record
        if record is None or not self.facts.numbered or not self.catalog.is_id(record):
            return [path]
        resources = self.facts.foreign_keys.get(self.catalog.id, (self.facts.name,))
        name = self.linker.reference(resources, record, self.entry, f"path of {self.step.title!r}")
        self.record = Var(name)
        before, _, after = path.rpartition(record)
        return [before, Var(name, Encoding.URI), after]

    def _query(self, query: str) -> list[str | Var]:
        parts: list[str | Var] = []
        for position, pair in enumerate(query.split("&")):
            name, equals, value = pair.partition("=")
            parts.append(("&" if position else "") + name + equals)
            if name == "ids" and self.facts.numbered:
                parts += self._ids(unquote(value))
            elif name == "filter":
                parts += self._filter(unquote(value.replace("+", " ")), value)
            else:
                parts.append(value)
        return parts

    def _ids(self, value: str) -> list[str | Var]:
        return [
            self._id(piece, (self.facts.name,), "ids") if self.catalog.is_id(piece) else quote(piece, safe=",")
            for piece in re.split(r"([^\s,()]+)", value)
        ]

    def _filter(self, text: str, raw: str) -> list[str | Var]:
        """Ids in a filter text: the numbers compared with `id` or with a foreign key of the resource."""
        parts: list[str | Var] = []
        at = 0
        for match in re.finditer(r"\b(\w+)\s*(?:=|!=|<>|in\s*\()\s*((?:\d+\s*,?\s*)+)", text):
            targets = (self.facts.name,) if match[1] == self.catalog.id else self.facts.foreign_keys.get(match[1])
            if not targets:
                continue
            parts.append(quote(text[at : match.start(2)], safe=_FILTER_SAFE))
            for piece in re.split(r"(\d+)", match[2]):
                parts.append(self._id(piece, targets, "filter") if piece.isdigit() else quote(piece, safe=_FILTER_SAFE))
            at = match.end(2)
        return [*parts, quote(text[at:], safe=_FILTER_SAFE)] if parts else [raw]

    def _id(self, value: str, resources: Sequence[str], where: str) -> Var:
        name = self.linker.reference(resources, value, self.entry, f"{where} of {self.step.title!r}")
        return Var(name, Encoding.URI)

    # -------------------------------------------------------- body

    def _body(self, tree: Tree) -> Tree:
        if self.step.kind not in (StepKind.CREATE, StepKind.UPDATE, StepKind.DELETE):
            return tree
        wrapper = self.catalog.wrapper
        if isinstance(tree, Object) and isinstance(wrapped := tree.get(wrapper), Array):
            return Object(
                tuple((k, self._records(wrapped) if k == wrapper and v is wrapped else v) for k, v in tree.members)
            )
        if isinstance(tree, Array):
            return self._records(tree)
        return self._object(tree, self.facts, "", None) if isinstance(tree, Object) else tree

    def _records(self, rows: Array) -> Array:
        result: list[Tree] = []
        for row in rows.items:
            if not isinstance(row, Object):
                result.append(row)
                continue
            own = self.catalog.id_of(row.get(self.catalog.id))
            self.record = None
            if self.step.kind is not StepKind.CREATE and own is not None:
                self.record = Var(self.linker.reference((self.facts.name,), own, self.entry, "a bulk record"))
                row = Object(tuple(member for member in row.members if member[0] != self.catalog.id))
            linked = self._object(row, self.facts, "", None)
            result.append(Object(((self.catalog.id, self.record), *linked.members)) if self.record else linked)
        return Array(tuple(result))

    def _object(self, tree: Object, facts: Resource, path: str, parent: Parent | None) -> Object:
        members: list[tuple[str | Text, Tree]] = []
        for key, value in tree.members:
            name = field_path(path, key) if isinstance(key, str) else ""
            kept = self._field(name, value, tree, facts, parent)
            if kept is not _GONE:
                members.append((key, kept))
        return Object(tuple(members))

    def _field(self, path: str, value: Tree, record: Object, facts: Resource, parent: Parent | None) -> Tree:
        relation = facts.relations.get(path)
        if relation is not None and not relation.nested:
            return self._leave_out("relation", path, parent)
        if relation is not None and isinstance(value, Array):
            return self._rows(path, value, facts)
        if parent is not None and path == facts.id_field:
            return self._row_id(value, record, facts, parent)
        if path in facts.self_keys or (parent is not None and path == self._parent_key(parent)):
            deletes = parent is not None and value is None and self.step.kind is StepKind.UPDATE
            return (
                value
                if deletes and self.catalog.id_of(record.get(self.catalog.id))
                else self._leave_out("parent", path, parent)
            )
        if path in facts.server_made:
            return self._leave_out("server-made", path, parent)
        if value == self.catalog.mask:
            return self._masked(path, facts, parent)
        if path in facts.made_secrets and self.step.kind is StepKind.CREATE:
            return self._leave_out("server-made", path, parent)
        targets = facts.foreign_keys.get(path)
        if targets is not None:
            return self._foreign(value, targets, path)
        return self._inside(path, value, facts, parent)

    def _masked(self, path: str, facts: Resource, parent: Parent | None) -> Tree:
        """An update keeps the stored secret; a create would store none, so it asks for one (system-api.md, 5)."""
        if self.step.kind is StepKind.UPDATE:
            return self._leave_out("masked", path, parent)
        return Var(self.linker.secret(facts.name, path, self.step.title))

    def _inside(self, path: str, value: Tree, facts: Resource, parent: Parent | None) -> Tree:
        if isinstance(value, Object):
            return self._object(value, facts, path, parent)
        if isinstance(value, Array):
            targets = facts.foreign_keys.get(f"{path}[]", ())
            return Array(
                tuple(
                    self._foreign(item, targets, path) if targets else self._inside(f"{path}[]", item, facts, parent)
                    for item in value.items
                )
            )
        if isinstance(value, Number) and re.search(r"(^|[_.])id$", path) and value.text not in ("0", "-1"):
            reason = f"{path} = {value.text} looks like an id that dfrecord does not know; it is sent as recorded"
            self.linker.residue.append(Residue(ResidueKind.UNKNOWN, reason, self.step.entry, self.step.name, path))
        return value

    def _foreign(self, value: Tree, targets: Sequence[str], path: str) -> Tree:
        own = self.catalog.id_of(value)
        if own is not None and own != "0":
            return Var(self.linker.reference(targets, own, self.entry, f"{path} of {self.step.title!r}"))
        if isinstance(value, str) and value.isdigit() and value != "0":
            name = self.linker.reference(targets, value, self.entry, f"{path} of {self.step.title!r}")
            return Text((Var(name),))
        return value

    def _rows(self, relation: str, rows: Array, facts: Resource) -> Array:
        child = self.catalog.resources[facts.relations[relation].resource]
        parent = Parent(facts.name, "", relation)
        return Array(
            tuple(self._object(row, child, "", parent) if isinstance(row, Object) else row for row in rows.items)
        )

    def _row_id(self, value: Tree, row: Object, facts: Resource, parent: Parent) -> Tree:
        own = self.catalog.id_of(value)
        if self.step.kind is StepKind.UPDATE and self.record and facts.id_field == self._parent_key(parent):
            return self.record  # a has-one has its parent's id
        if self.step.kind is StepKind.UPDATE and own not in (None, "0") and self.record:
            return Var(self.linker.row(parent, self.record, facts.name, own, row, self.entry))
        return self._leave_out("server-made", facts.id_field or self.catalog.id, parent)

    def _parent_key(self, parent: Parent) -> str:
        return self.catalog.resources[parent.resource].relations[parent.relation].parent_key

    def _leave_out(self, why: str, path: str, parent: Parent | None) -> Tree:
        shown = f"{parent.relation}[].{path}" if parent else path
        fields = self.left_out.setdefault(why, [])
        if shown not in fields:
            fields.append(shown)
        return _GONE


_GONE: Tree = Text(("left out",))
"""Stands for a field that is not sent; compared by identity."""

_FILTER_SAFE = "=()*,!<>'"


def label(resource: str) -> str:
    """A resource's name for people."""
    return resource.replace("_", " ")
