"""Ids become variables, in every place where the catalog says that a number is an id.

That is a path segment, `ids`, a `filter` text, a foreign key field, the `id` of a bulk record, a column of a CSV
import; never a number that only equals one. In the same walk everything is left out of bodies that the server makes
itself or that must not be copied: server-made fields, read-only relations, parents' own keys, masked secrets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from urllib.parse import quote, unquote_plus

from dfrecord.journey.filter_text import with_ids
from dfrecord.journey.lookup import Parent
from dfrecord.journey.model import (
    NOT_CREATED_HERE,
    JsonBody,
    RawBody,
    RequestBody,
    Residue,
    ResidueKind,
    Step,
    StepKind,
)
from dfrecord.journey.references import References
from dfrecord.journey.rewrite import as_value, in_tree, joined
from dfrecord.journey.text_body import Sites, TextKind, linked, text_kind
from dfrecord.normalise.body import field_path, parse_json
from dfrecord.system_api.catalog import Location, Resource
from dfrecord.tree import Array, Encoding, Number, Object, Text, Tree, Var

LEFT_OUT = {
    "server-made": "made by the server",
    "relation": "a read-only relation",
    "unknown relation": "rows of a relation that dfrecord does not know",
    "parent": "the row's own parent, filled in by the server",
    "masked": "a masked secret: the server keeps the stored one",
}
NOT_TEXT = "its body is not JSON: ids in it are sent as recorded"
NOT_JSON = "its body is not JSON: only the ids in it are replaced, the rest is sent as recorded"
BELOW = "it is about something below a record that the catalog does not know: other ids in it are sent as recorded"
_GONE: Tree = Text(("left out",))
"""Stands for a field that is not sent; compared by identity."""
_MAY_BE_ID = re.compile(r"((^|[_.])ids?|[a-z]Ids?)(\[\])?$")
_NUMBER = re.compile("[1-9][0-9]*")
_NUMBER_IN_JSON = re.compile(r'"(?P<field>\w+)"\s*:\s*(?P<number>[1-9][0-9]*)(?=\s*[,}])')
_FILTER_SAFE = "=()*,!<>'"


def link(step: Step, location: Location, entry: int, answer: Tree, references: References) -> Step:
    """The step with every id a variable, and with captures of the ids it creates.

    `entry` is the step's place in running order, `answer` the tree of its recorded answer.
    """
    facts = references.catalog.resources.get(location.resource or "")
    if facts is None or step.kind in (StepKind.LOGIN, StepKind.LOGOUT):
        return step
    linking = _Linking(references, step, facts, location, entry)
    linked = linking.run()
    if asked := list(filter(None, map(references.asked, linking.own))):
        linked = replace(linked, title=f"{linked.title} ({', '.join(dict.fromkeys(asked[:5]))})")
    if step.kind is StepKind.CREATE:
        linked = replace(linked, captures=(*linked.captures, *references.capture(facts, answer)))
    if references.catalog.is_below_record(location) and step.request.method == "DELETE" and not linked.danger:
        linked = replace(linked, danger=NOT_CREATED_HERE)
    if step.kind is StepKind.DELETE:
        created_here = references.delete(facts.name, linking.about, entry)
        linked = linked if created_here or linked.danger else replace(linked, danger=NOT_CREATED_HERE)
    if facts.makes_records and step.kind is not StepKind.READ:
        references.makes_records(entry)
    return linked


def link_call(step: Step, path: str, entry: int, references: References) -> Step:
    """The call to a service, at this decoded path, with the ids in its body that the catalog tells of."""
    fields, body = references.catalog.ids_in_call(path), step.request.body
    if not fields or not isinstance(body, JsonBody):
        return step

    def linked(name: str | Text, value: Tree) -> Tree:
        own = references.catalog.written_id(value)
        if name not in fields or own in (None, "0"):
            return inside(value)
        var = Var(references.of(fields[str(name)], str(own), entry, f"{name} of {step.title!r}"))
        return Text((var,)) if isinstance(value, str) else var

    def inside(tree: Tree) -> Tree:
        if isinstance(tree, Array):
            return Array(tuple(map(inside, tree.items)))
        if isinstance(tree, Object):
            return Object(tuple((name, linked(name, value)) for name, value in tree.members))
        return tree

    return replace(step, request=replace(step.request, body=JsonBody(inside(body.tree))))


class _Linking:
    """The linking of one step.

    `about` are the records that the request names, by recorded id or by name, and `own` the variables of their ids.
    """

    def __init__(self, references: References, step: Step, facts: Resource, location: Location, entry: int) -> None:
        self.references, self.step, self.facts, self.location, self.entry = references, step, facts, location, entry
        self.catalog = references.catalog
        self.about: list[str] = []
        self.own: list[str] = []
        self.left_out: dict[str, list[str]] = {}
        self.record: tuple[str, Var] | None = None

    def run(self) -> Step:
        request = self.step.request
        target = self._target(request.target)
        body = request.body if self.catalog.is_below_record(self.location) else self._body(request.body)
        left_out = [f"{', '.join(fields)} ({LEFT_OUT[why]})" for why, fields in self.left_out.items()]
        for reason in left_out:
            self._tell(ResidueKind.LEFT_OUT, reason)
        return replace(
            self.step,
            request=replace(request, target=target, body=body),
            notes=(*self.step.notes, *(f"left out: {reason}" for reason in left_out)),
        )

    def _tell(self, kind: ResidueKind, reason: str, subject: str = "") -> None:
        self.references.residue.append(Residue(kind, reason, self.step.entry, self.step.name, subject))

    def _id(self, value: str, resources: Sequence[str], where: str, encoding: Encoding = Encoding.PLAIN) -> Var:
        where = f"{where} of {self.step.title!r}"
        return Var(self.references.of(resources, value, self.entry, where), encoding)

    def _own_id(self, value: str, where: str, encoding: Encoding = Encoding.PLAIN) -> Var:
        self.about.append(value)
        own = self._id(value, self.facts.foreign_keys.get(self.catalog.id, (self.facts.name,)), where, encoding)
        self.own.append(own.name)
        return own

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
        if record is not None and self.catalog.is_below_record(self.location):
            return list(self._below(path, record))
        if record is None or not self.facts.numbered or not self.catalog.is_id(record):
            self.about += [record] if record else []
            return [path]
        own = self._own_id(record, "path", Encoding.URI)
        self.record = record, Var(own.name)
        before, _, after = path.rpartition(record)
        return [before, own, after]

    def _below(self, path: str, below: str) -> Iterator[str | Var]:
        """A path that goes on below a record (`7/members`); which of its names are ids is known of numbers, or seen."""
        before, found, _ = path.rpartition(below)  # names that are percent-encoded stay as recorded
        yield before if found else path
        for position, name in enumerate(below.split("/") if found else ()):
            yield "/" if position else ""
            sure = name.isdecimal() and not position
            known = sure or self.references.knows(self.facts.name, name, self.entry)
            yield self._id(name, (self.facts.name,), "path", Encoding.URI) if known else name
        self._tell(ResidueKind.UNKNOWN, BELOW, self.facts.name)

    def _query(self, query: str) -> Iterator[str | Var]:
        for position, pair in enumerate(query.split("&")):
            name, equals, value = pair.partition("=")
            yield ("&" if position else "") + name + equals
            if name == "ids" and self.facts.numbered:
                yield from (_in_query(part) for part in self._ids(unquote_plus(value)))
            elif name == "filter":
                text = list(self._filter(unquote_plus(value)))
                yield from map(_in_query, text) if any(isinstance(part, Var) for part in text) else [value]
            else:
                yield value

    def _ids(self, value: str) -> list[str | Var]:
        pieces = re.split(r"([^\s,()]+)", value)
        return [self._own_id(piece, "ids") if self.catalog.is_id(piece) else piece for piece in pieces]

    def _filter(self, text: str) -> Iterator[str | Var]:
        def targets_of(field: str) -> Sequence[str]:
            return (self.facts.name,) if field == self.catalog.id else self.facts.foreign_keys.get(field, ())

        return with_ids(text, targets_of, lambda value, targets: self._id(value, targets, "filter"))

    # -------------------------------------------------------- body

    def _body(self, body: RequestBody) -> RequestBody:
        if isinstance(body, JsonBody):
            return JsonBody(self._content(body.tree))
        if isinstance(body, RawBody) and body.parts:
            kind = text_kind(self.step.request.content_type)
            if kind is None and self.facts.foreign_keys:
                self._tell(ResidueKind.UNKNOWN, NOT_TEXT)
            elif kind in (TextKind.XML, TextKind.FORM) or (kind is TextKind.PARTS and self.facts.foreign_keys):
                self._tell(ResidueKind.UNKNOWN, NOT_JSON)
            sites = Sites(self._named_id, self._keeps, self._content, self._is_text)
            return linked(body, self.step.request.content_type, sites)
        return body

    def _named_id(self, names: Sequence[str], value: str) -> Var | None:
        """The variable of a value in a form or in XML, None when its field holds no id."""
        if value == "0":
            return None
        facts = self._facts_at(names)
        is_id = self.catalog.is_id(value)
        if names[-1] == facts.id_field and self._names_records() and is_id:
            is_own = facts is self.facts and facts.numbered
            return self._own_id(value, names[-1]) if is_own else self._id(value, (facts.name,), names[-1])
        ends = {path.removesuffix("[]").rpartition(".")[2]: targets for path, targets in facts.foreign_keys.items()}
        if names[-1] in ends:
            return self._id(value, ends[names[-1]], names[-1]) if is_id else None
        known = {facts.id_field, *facts.server_made, *facts.self_keys, *facts.relations}
        names = names[1:] if names[0] == self.catalog.wrapper else names
        path = ".".join(names)
        if known.intersection(names[-1:]) or not names or not _looks_like_id(path, value):
            return None
        guesses = (self.catalog.guessed_targets(".".join(names[start:])) for start in range(len(names)))
        return self._likely_id(value, path, next(filter(None, guesses), ()))

    def _keeps(self, names: Sequence[str]) -> bool:
        """Whether a field of a table, a form or XML is sent, which the server makes or not."""
        facts = self._facts_at(names)
        if names[-1] not in facts.server_made or (names[-1] == facts.id_field and self._names_records()):
            return True
        return self._leave_out("server-made", names[-1], None) is not _GONE

    def _facts_at(self, names: Sequence[str]) -> Resource:
        """The resource that a field is of, told by the names that lead to it, relations of nested rows among them."""
        facts = self.facts
        for name in names:
            relation = facts.relations.get(name)
            facts = self.catalog.resources[relation.resource] if relation and relation.nested else facts
        return facts

    def _names_records(self) -> bool:
        """Whether the ids of records in the body tell which records the step is about."""
        return self.step.kind in (StepKind.UPDATE, StepKind.DELETE)

    def _is_text(self, var: Var) -> bool:
        return next(v.type for v in reversed(self.references.variables) if v.name == var.name) == "string"

    def _content(self, tree: Tree) -> Tree:
        """A body's records, one or several, or the options of a tunnelled read (system-api.md section 4.4)."""
        if isinstance(tree, Array):
            return self._records(tree)
        if not isinstance(tree, Object):
            return tree
        members: list[tuple[str | Text, Tree]] = []
        wrapped = tree.get(self.catalog.wrapper)
        if not isinstance(wrapped, Array) and self.step.kind is not StepKind.READ:
            return self._object(tree, self.facts, "", None)
        for key, value in tree.members:
            if key == self.catalog.wrapper and isinstance(value, Array):
                value = self._records(value)
            elif key == "ids" and self.facts.numbered:
                value = self._id_list(value)
            elif key == "filter" and isinstance(value, str):
                value = as_value(tuple(self._filter(value)))
            members.append((key, value))
        return Object(tuple(members))

    def _id_list(self, value: Tree) -> Tree:
        match value:
            case Number(text=text):
                return self._own_id(text, "ids")
            case str() if self.catalog.id_of(value):
                return self._own_id(value, "ids")
            case str():
                return as_value(tuple(self._ids(value)))
            case Array(items=items):
                return Array(tuple(map(self._id_list, items)))
        return value

    def _records(self, rows: Array) -> Array:
        result: list[Tree] = []
        for row in rows.items:
            if not isinstance(row, Object):
                result.append(self._id_list(row) if self.step.kind is StepKind.DELETE else row)
                continue
            value = row.get(self.catalog.id)
            own = self.catalog.written_id(value)
            self.record = None
            if self.step.kind is not StepKind.CREATE and own is not None and self.facts.numbered:
                self.record = own, self._own_id(own, "a bulk record")
                row = Object(tuple(member for member in row.members if member[0] != self.catalog.id))
            linked = self._object(row, self.facts, "", None)
            if self.record:
                named: Tree = self.record[1] if self.catalog.id_of(value) else Text((self.record[1],))
                linked = Object(((self.catalog.id, named), *linked.members))
            result.append(linked)
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
        if relation is not None and isinstance(value, (Array, Object)):
            return self._rows(path, value, facts)
        if relation is None and isinstance(value, (Array, Object)) and re.fullmatch(r"[a-z_]+_by_[a-z_]+_id", path):
            return self._leave_out("unknown relation", path, parent)
        if parent is not None and path == facts.id_field:
            return self._row_id(record, facts, parent)
        if path in facts.self_keys or (parent is not None and path == self._parent_key(parent)):
            deletes = parent is not None and value is None and self.step.kind is StepKind.UPDATE
            return (
                value
                if deletes and self.catalog.written_id(record.get(self.catalog.id))
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
        if self.step.kind is not StepKind.CREATE:
            return self._leave_out("masked", path, parent)
        return Var(self.references.secret(facts.name, path, self.step.title))

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
        if isinstance(value, Number) and _looks_like_id(path, value.text):
            return self._likely_id(value.text, path, self.catalog.guessed_targets(path))
        if isinstance(value, (str, Text)) and path in facts.may_hold_secrets and _is_json(value):
            return in_tree(value, lambda text: joined(self._in_json(text, path)))
        return value

    def _in_json(self, text: str, above: str) -> Iterator[str | Var]:
        """A piece of JSON that stands in a text (a schedule's `payload`), with what looks like an id in it."""
        at = 0
        for found in _NUMBER_IN_JSON.finditer(text):
            path = field_path(above, found["field"])
            if _looks_like_id(path, found["number"]):
                yield text[at : found.start("number")]
                yield self._likely_id(found["number"], path, ())
                at = found.end("number")
        yield text[at:]

    def _likely_id(self, value: str, path: str, targets: Sequence[str]) -> Var:
        if targets:
            taken = f"it is taken for the id of a {targets[0]}"
            sent = self._id(value, targets, path)
        else:
            sent = Var(self.references.suspected(path, Number(value), self.step.title))
            taken = f"set DF_{sent.name.upper()} where it is another one"
        reason = f"{path} = {value} looks like an id that dfrecord does not know; {taken}"
        self._tell(ResidueKind.UNKNOWN, reason, path)
        return sent

    def _foreign(self, value: Tree, targets: Sequence[str], path: str) -> Tree:
        own = self.catalog.id_of(value)
        if own is not None and own != "0":
            return self._id(own, targets, path)
        if isinstance(value, str) and value.isdigit() and value != "0":
            return Text((self._id(value, targets, path),))
        return value

    # -------------------------------------------------------- nested rows

    def _rows(self, relation: str, rows: Array | Object, facts: Resource) -> Tree:
        """The rows of a relation: an array, also with a name for each (PHP's way), or the one record of a has-one."""
        child = self.catalog.resources[facts.relations[relation].resource]
        parent = Parent(facts.name, self.record[0] if self.record else "", relation)
        if isinstance(rows, Object) and all(isinstance(row, Object) for _, row in rows.members):
            rows = Array(tuple(row for _, row in rows.members))
        if isinstance(rows, Object):
            return self._object(rows, child, "", parent)
        objects = [row for row in rows.items if isinstance(row, Object)]
        items = [*rows.items]
        for row in objects:
            self.references.sends_row(parent, row, self.entry)
        if self.record and self.step.kind is StepKind.UPDATE:
            items = [*self.references.rows_left_out(parent, objects, self.entry), *items]
        return Array(tuple(self._object(row, child, "", parent) if isinstance(row, Object) else row for row in items))

    def _row_id(self, row: Object, facts: Resource, parent: Parent) -> Tree:
        row_id = self.references.row_id(row, facts)
        if self.step.kind is StepKind.UPDATE and self.record:
            if facts.id_field == self._parent_key(parent):
                return self.record[1]  # a has-one has its parent's id
            if row_id is not None:
                return Var(self.references.row(parent, self.record[1], facts.name, row_id, row, self.entry))
        return self._leave_out("server-made", facts.id_field or self.catalog.id, parent)

    def _parent_key(self, parent: Parent) -> str:
        return self.references.relation(parent).parent_key

    def _leave_out(self, why: str, path: str, parent: Parent | None) -> Tree:
        shown = f"{parent.relation}[].{path}" if parent else path
        fields = self.left_out.setdefault(why, [])
        if shown not in fields:
            fields.append(shown)
        return _GONE


def _looks_like_id(path: str, value: str) -> bool:
    return _MAY_BE_ID.search(path) is not None and _NUMBER.fullmatch(value) is not None


def _is_json(text: str | Text) -> bool:
    """Whether a text is JSON; what stands for a secret in it stands inside a string."""
    parts = text.parts if isinstance(text, Text) else (text,)
    try:
        parse_json("".join(part if isinstance(part, str) else "0" for part in parts))
    except ValueError:
        return False
    return True


def _in_query(part: str | Var) -> str | Var:
    return (
        Var(part.name, Encoding.URI)
        if isinstance(part, Var)
        else quote(part, safe=_FILTER_SAFE, errors="surrogatepass")
    )
