"""Rows of the tables of database services (`/api/v2/db/_table/todo/7`): their ids become variables, too.

The catalog knows nothing of such a table but that it has rows. The id of one that the journey makes is captured where
its create answers with it; any other is asked for, as nothing says by what it could be found elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from urllib.parse import quote, unquote_plus

from dfrecord.journey.filter_text import with_ids
from dfrecord.journey.model import NOT_CREATED_HERE, Capture, JsonBody, RequestBody, Step, variables_of_step
from dfrecord.journey.names import identifier
from dfrecord.journey.references import References
from dfrecord.journey.rewrite import joined
from dfrecord.normalise.body import placed_records
from dfrecord.tree import Array, Encoding, Number, Object, Text, Tree, Var


@dataclass
class TableRows:
    """Links the steps of one journey that are about rows, in running order."""

    references: References
    _captured: set[str] = field(default_factory=set)
    _id_fields: dict[str, str] = field(default_factory=dict)

    def link(self, step: Step, path: str, method: str, answer: Tree) -> Step:
        """The step with variables for the ids of rows; any other as it is. `path` is its decoded path."""
        found = self.references.catalog.table_in_path(path)
        if found is None:
            return step
        table = f"{identifier(found['service'])}_{identifier(found['table'])}_row"
        linked = _Linking(self, step, table, found["row"] or "", method)
        linked_step = linked.run()
        if method == "POST" and not found["row"]:
            return replace(linked_step, captures=(*step.captures, *self._captures(table, answer)))
        made_here = bool(linked.about) and self._captured.issuperset(linked.about)
        if method == "DELETE" and not linked_step.danger and not made_here:
            return replace(linked_step, danger=NOT_CREATED_HERE)
        return linked_step

    def without_unused(self, steps: Iterable[Step]) -> list[Step]:
        """The steps without captures of rows that no step is about."""
        steps = list(steps)
        used = {name for step in steps for name in variables_of_step(step)}
        unused = self._captured - used
        return [replace(s, captures=tuple(c for c in s.captures if c.variable not in unused)) for s in steps]

    def id_field(self, table: str) -> str:
        """The field that holds the id of a row, as creates answer it."""
        return self._id_fields.get(table, self.references.catalog.id)

    def _captures(self, table: str, answer: Tree) -> Iterator[Capture]:
        """A create answers with the ids only, else with whole rows."""
        for pointer, row in placed_records(answer, self.references.catalog.wrapper):
            names = [name for name, _ in row.members if isinstance(name, str)]
            own = names[0] if len(names) == 1 else self.references.catalog.id
            value = row.get(own)
            if isinstance(value, (Number, str)):
                self._id_fields[table] = own
                name = self.references.capture_row(table, value)
                self._captured.add(name)
                yield Capture(name, (*pointer, own))


@dataclass
class _Linking:
    rows: TableRows
    step: Step
    table: str
    row: str
    method: str
    about: list[str] = field(default_factory=list)

    def run(self) -> Step:
        request = self.step.request
        target = Text(joined(self._target(request.target)))
        title = self.step.title
        if self.row and Var(self.about[0], Encoding.URI) in target.variables:  # an id of the recorded instance
            title = f"{title.removesuffix(self.row)}…" if title.endswith(f"/{self.row}") else title
        return replace(self.step, title=title, request=replace(request, target=target, body=self._body(request.body)))

    def _id(self, value: str, encoding: Encoding = Encoding.PLAIN) -> str | Var:
        """The variable of an id; a name is the same on every instance."""
        references = self.rows.references
        name = references.row_of_table(self.table, value, f"{self.step.title!r}")
        self.about.append(name or value)
        return Var(name, encoding) if name else value

    def _target(self, target: Text) -> Iterator[str | Var]:
        for position, part in enumerate(target.parts):
            if isinstance(part, Var):
                yield part
                continue
            path, mark, query = part.partition("?") if position == 0 else ("", "", part)
            before, slash, last = path.rpartition("/")
            own = self._id(self.row, Encoding.URI) if self.row else ""
            yield from (before, slash, own) if isinstance(own, Var) and last else (path,)
            yield mark
            for place, pair in enumerate(query.split("&")):
                name, equals, value = pair.partition("=")
                yield ("&" if place else "") + name + equals
                yield from self._in_query(name, value)

    def _in_query(self, name: str, value: str) -> Iterator[str | Var]:
        text: list[str | Var] = [value]
        if name == "ids":
            ids = unquote_plus(value).split(",")
            text = [part for own in ids for part in (",", self._id(own.strip()))][1:]
        elif name == "filter":
            own = self.rows.id_field(self.table)
            text = list(
                with_ids(unquote_plus(value), lambda field: (self.table,) if field == own else (), self._in_filter)
            )
        if not any(isinstance(part, Var) for part in text):
            yield value
            return
        for part in text:
            yield Var(part.name, Encoding.URI) if isinstance(part, Var) else quote(part)

    def _in_filter(self, value: str, targets: object) -> Var:
        found = self._id(value)
        assert isinstance(found, Var)
        return found

    def _body(self, body: RequestBody) -> RequestBody:
        """Of what updates or deletes several rows, each by the id in it."""
        if self.method not in ("PUT", "PATCH", "DELETE") or self.row or not isinstance(body, JsonBody):
            return body
        return JsonBody(self._tree(body.tree))

    def _tree(self, tree: Tree) -> Tree:
        if isinstance(tree, Array):
            return Array(tuple(self._tree(item) for item in tree.items))
        if not isinstance(tree, Object):
            return tree
        own, wrapper = self.rows.id_field(self.table), self.rows.references.catalog.wrapper
        return Object(
            tuple(
                (
                    (name, self._id(value.text) if name == own and isinstance(value, Number) else value)
                    if name != wrapper
                    else (name, self._tree(value))
                )
                for name, value in tree.members
            )
        )
