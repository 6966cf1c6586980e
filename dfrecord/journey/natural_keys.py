"""The natural key of each record that a journey creates is a parameter, with the recorded value as default.

It follows wherever the catalog says that it stands: in other fields of the record (a service's label), later writes of
it, fields that name it, and for services the paths, event scripts and caches named after them (system-api.md, 7).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from urllib.parse import unquote

from dfrecord.journey.model import Journey, JsonBody, RawBody, Step, StepKind, Variable, VariableKind
from dfrecord.journey.names import Namer, identifier, label
from dfrecord.journey.rewrite import Parts, Rewriter, in_text, joined
from dfrecord.journey.text_body import WRITTEN, TextKind, with_values
from dfrecord.journey.text_records import records_in
from dfrecord.normalise.body import each_record, field_path, records_of
from dfrecord.system_api.catalog import Catalog, Resource
from dfrecord.tree import Array, Encoding, Object, Text, Tree, Var

MOST_KEYS = 40
"""A journey that creates more records than this has no parameter for each: nobody would set them."""
LONGEST_DEFAULT = 200


def with_keys(journey: Journey, catalog: Catalog) -> Journey:
    """The journey with the natural keys of the records it creates as parameters."""
    return _Keys(journey, catalog).run()


def created_keys(journey: Journey, catalog: Catalog) -> Iterator[tuple[int, Resource, str]]:
    """Step position, resource and natural key of each record that a step creates; imported, of those that log in."""
    log_in = _logging_in(journey, catalog)
    for position, step in enumerate(journey.steps):
        facts = catalog.resources.get(step.resource or "")
        if step.kind is not StepKind.CREATE or facts is None:
            continue
        for key in _keys_in(step, facts, catalog):
            if isinstance(step.request.body, JsonBody) or key.lower() in log_in:
                yield position, facts, key


def _keys_in(step: Step, facts: Resource, catalog: Catalog) -> Iterator[str]:
    body, content_type = step.request.body, step.request.content_type
    records = records_of(body.tree, catalog.wrapper) if isinstance(body, JsonBody) else []
    if isinstance(body, RawBody) and catalog.names_accounts(facts.name):
        records = records_in(body, content_type, catalog.wrapper)
    return (key for record in records if isinstance(key := record.get(_key_field(facts)), str))


def _logging_in(journey: Journey, catalog: Catalog) -> frozenset[str]:
    """The names that the accounts which the journey makes log in by, in small letters."""
    bodies = [step.request.body for step in journey.steps if step.kind is StepKind.LOGIN]
    trees = [body.tree for body in bodies if isinstance(body, JsonBody) and isinstance(body.tree, Object)]
    names = (tree.get(field) for tree in trees for field in catalog.session.identity_fields)
    return frozenset(name.lower() for name in names if isinstance(name, str))


def _key_field(facts: Resource) -> str:
    """The field whose value tells one record from the next, empty when an id or a path does."""
    usable = facts.numbered and facts.natural_key and "." not in facts.natural_key[0]
    return facts.natural_key[0] if usable else ""


class _Keys:
    """Makes the natural keys of created records parameters."""

    def __init__(self, journey: Journey, catalog: Catalog) -> None:
        self._journey, self._catalog = journey, catalog
        self._namer = Namer(variable.name for variable in journey.variables)
        self._made: dict[str, Variable] = {}
        self._of_record: dict[str, tuple[str, str]] = {}  # id variable: recorded key, its parameter
        self._named: dict[str, dict[str, str]] = {}  # resource: key in lower case: its parameter
        self._log_in = _logging_in(journey, catalog)

    def run(self) -> Journey:
        if not 0 < sum(1 for _ in created_keys(self._journey, self._catalog)) <= MOST_KEYS:
            return self._journey
        steps = tuple(map(self._in_step, self._journey.steps))
        return replace(self._journey, steps=steps, variables=(*self._journey.variables, *self._made.values()))

    def _in_step(self, step: Step) -> Step:
        facts = self._catalog.resources.get(step.resource or "")
        body = step.request.body
        if facts and step.kind is StepKind.CREATE and isinstance(body, JsonBody):
            step = self._in_create(step, body, facts)
        elif facts and step.kind is StepKind.CREATE and isinstance(body, RawBody):
            step = self._in_import(step, body, facts)
        elif facts and step.kind is StepKind.UPDATE and isinstance(body, JsonBody):
            step = self._in_update(step, body, facts)
        elif step.kind is StepKind.LOGIN and isinstance(body, JsonBody):
            step = self._in_login(step, body)
        return self._follow(step, facts) if self._named else step

    def _in_login(self, step: Step, body: JsonBody) -> Step:
        """The login of an account that the journey creates."""
        accounts = [names for resource, names in self._named.items() if self._catalog.names_accounts(resource)]
        named = {key: name for names in accounts for key, name in names.items()}

        def record(position: int, row: Object) -> Object:
            own = self._catalog.session.identity_fields
            names = [(at, named.get(v.lower()) if at in own and isinstance(v, str) else None) for at, v in row.members]
            members = zip(names, row.members, strict=True)
            return Object(tuple((at, Var(name) if name else value) for (at, name), (_, value) in members))

        return replace(step, request=replace(step.request, body=JsonBody(each_record(body.tree, "", record))))

    def _in_create(self, step: Step, body: JsonBody, facts: Resource) -> Step:
        ids = {c.position: c.variable for c in step.captures if c.inside == (facts.id_field,)}
        field, heading = _key_field(facts), step.heading

        def record(position: int, row: Object) -> Object:
            nonlocal heading
            key = row.get(field)
            if not isinstance(key, str) or not _can_be_default(key):
                return row
            name = self._parameter_of(facts, key)
            if position in ids:
                self._of_record[ids[position]] = (key, name)
            self._named.setdefault(facts.name, {})[key.lower()] = name
            heading = heading_with(replace(step, heading=heading), _once(key, name))
            same = {field, *facts.key_copies}
            return Object(tuple((at, Var(name) if at in same and value == key else value) for at, value in row.members))

        tree = each_record(body.tree, self._catalog.wrapper, record)
        return replace(step, request=replace(step.request, body=JsonBody(tree)), heading=heading)

    def _in_import(self, step: Step, body: RawBody, facts: Resource) -> Step:
        """A body that is no JSON: the names of accounts that log in later, wherever they are a whole value of it."""
        for key in _keys_in(step, facts, self._catalog):
            known = self._named.get(facts.name, {})
            if key.lower() in known or key.lower() not in self._log_in or not _can_be_default(key):
                continue
            name = self._parameter_of(facts, key)
            self._named.setdefault(facts.name, {})[key.lower()] = name
            body = with_values(body, step.request.content_type, partial(_whole, key, name))
        return replace(step, request=replace(step.request, body=body))

    def _parameter_of(self, facts: Resource, key: str) -> str:
        """The parameter for the natural key of a record that is created."""
        field, slug = _key_field(facts), identifier(key.partition("@")[0], facts.name)
        wish = f"{facts.name}_{field}"
        second = f"{slug}_{field if slug.endswith(facts.name) else wish}"  # temp_role_name, bob_user_email
        return self._parameter(f"{facts.key_field or 'name'} of the {label(facts.name)}", key, wish, second)

    def _in_update(self, step: Step, body: JsonBody, facts: Resource) -> Step:
        """A later write of a created record repeats its key, or gives it a new one."""
        own = next((var.name for var in step.request.target.variables), "")
        heading, field = step.heading, _key_field(facts)

        def record(position: int, row: Object) -> Object:
            nonlocal heading
            at = row.get(self._catalog.id)
            own_id = at.name if isinstance(at, Var) else own
            old, name = self._of_record.get(own_id, ("", ""))
            heading = heading_with(replace(step, heading=heading), _once(old, name)) if name else heading
            key = row.get(field)
            if not isinstance(key, str) or not name or not _can_be_default(key):
                return row
            if key != old:
                about = f"new {field} of the {label(facts.name)}"
                name = self._parameter(about, key, f"new_{facts.name}_{field}")
                self._of_record[own_id] = (key, name)
                self._named.setdefault(facts.name, {})[key.lower()] = name
            return Object(tuple((at, Var(name) if at == field else value) for at, value in row.members))

        tree = each_record(body.tree, self._catalog.wrapper, record)
        return replace(step, request=replace(step.request, body=JsonBody(tree)), heading=heading)

    def _parameter(self, about: str, default: str, *wishes: str) -> str:
        name = self._namer.give(*wishes)
        env = f"DF_{name.upper()}"
        self._made[name] = Variable(name, VariableKind.PARAMETER, "string", env, default=default, description=about)
        return name

    # -------------------------------------------------------- where a key is named

    def _follow(self, step: Step, facts: Resource | None) -> Step:
        request = replace(step.request, target=in_text(step.request.target, self._in_target))
        if facts and (facts.references_by_name or facts.event_names) and isinstance(request.body, JsonBody):

            def record(position: int, row: Object) -> Object:
                return Object(tuple((key, self._in_field(value, str(key), facts)) for key, value in row.members))

            request = replace(request, body=JsonBody(each_record(request.body.tree, self._catalog.wrapper, record)))
        return replace(step, request=request, heading=self._of_call(step, request.target) or step.heading)

    def _of_call(self, step: Step, target: Text) -> Text | None:
        """The title of a call that ends with a name in its path: `Clear the cache of acme_files`."""
        for var in target.variables if step.kind is StepKind.CALL else ():
            name = self._made[var.name].default if var.name in self._made else None
            if isinstance(name, str) and step.title.endswith(f" {name}"):
                return Text((step.title.removesuffix(name), Var(var.name)))
        return None

    def _in_target(self, text: str) -> Parts:
        """A service's name in a path, or as `service=` in a query."""
        names = self._named.get(self._catalog.named_in_paths, {})
        parts: list[str | Var] = []
        at = 0
        for found in self._catalog.name_in_path.finditer(text) if names else ():
            group = "path" if found["path"] else "query"
            if name := names.get(unquote(found[group]).lower()):
                parts += [text[at : found.start(group)], Var(name, Encoding.URI)]
                at = found.end(group)
        return (*parts, text[at:])

    def _in_field(self, value: Tree, path: str, facts: Resource) -> Tree:
        match value:
            case str():
                names = self._named.get(facts.references_by_name.get(path, ""), {})
                if name := names.get(value.lower()):
                    return Var(name)
                event, dot, rest = value.partition(".")
                name = self._named.get(self._catalog.named_in_paths, {}).get(event.lower())
                return Text((Var(name), dot + rest)) if name and dot and path in facts.event_names else value
            case Array(items=items):
                return Array(tuple(self._in_field(item, f"{path}[]", facts) for item in items))
            case Object(members=members):
                return Object(
                    tuple(
                        (self._in_key(key, path, facts), self._in_field(inner, field_path(path, str(key)), facts))
                        for key, inner in members
                    )
                )
        return value

    def _in_key(self, key: str | Text, path: str, facts: Resource) -> str | Text:
        names = self._named.get(facts.named_members.get(path, ""), {})
        name = names.get(key.lower()) if isinstance(key, str) else None
        return Text((Var(name),)) if name else key


def _whole(key: str, variable: str, value: str, kind: TextKind | None) -> Parts:
    """The variable in the place of a value that is this key, as it is written in a body of that kind."""
    for form in (key, *(written(key) for written in WRITTEN.get(kind, ()))):
        before, found, after = value.partition(form)
        if found and not before.strip(' \t\r\n"') and not after.strip(' \t\r\n"'):
            return (before, Var(variable), after)
    return (value,)


def _once(text: str, variable: str) -> Rewriter:
    """Puts the variable where the text first stands."""

    def rewrite(part: str) -> Parts:
        before, found, after = part.partition(text)
        return (before, Var(variable), after) if found and text else (part,)

    return rewrite


def heading_with(step: Step, rewriter: Rewriter) -> Text | None:
    """The step's title with variables in what follows `Create role`, None when it holds none."""
    words = re.match(rf"\w+ (\d+ )?{label(step.resource or '')}( records:)? ", step.title)
    start = words.end() if words else 0
    first, *rest = (step.heading or Text((step.title,))).parts
    tail = in_text(Text((first[start:], *rest)) if isinstance(first, str) else Text((first, *rest)), rewriter)
    heading = Text(joined((first[:start], *tail.parts))) if isinstance(first, str) else tail
    return heading if heading.variables else None


def _can_be_default(text: str) -> bool:
    """Whether the text can stand in an environment variable and is what a person would type."""
    return 0 < len(text) <= LONGEST_DEFAULT and text.isprintable()
