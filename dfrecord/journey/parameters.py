"""What a person would change becomes a parameter, with the recorded value as default.

Two kinds. The natural key of each record that the journey creates is a parameter by itself (`role_name`), and follows
wherever the catalog says that it stands: later writes of the record, and for services the paths, event scripts and
caches named after them. And a stem that the person chooses (`tenant=acme`) is one in every typed value that holds it:
`acme-role`, `ACME files` and `/api/v2/acme_files/` follow it, each in its own letters.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from urllib.parse import quote, unquote

from dfrecord.errors import UsageError
from dfrecord.journey.link import label
from dfrecord.journey.model import (
    Array,
    Encoding,
    Journey,
    JsonBody,
    Letters,
    Number,
    Object,
    Step,
    StepKind,
    Text,
    Tree,
    Var,
    Variable,
    VariableKind,
)
from dfrecord.journey.names import Namer, identifier
from dfrecord.journey.rewrite import Parts, Rewriter, in_lookup, in_request, in_text, in_tree, joined
from dfrecord.normalise.body import records_of
from dfrecord.system_api.catalog import Catalog, Resource

MOST_KEYS = 40
"""A journey that creates more records than this has no parameter for each: nobody would set them."""
LONGEST_DEFAULT = 200


def parameterise(journey: Journey, chosen: Mapping[str, str], catalog: Catalog) -> Journey:
    """The journey with the chosen stems (name to recorded text) and its natural keys as parameters.

    Raises UsageError when a chosen name cannot be used or no typed value holds its text.
    """
    offered = "" if chosen else offered_stem(journey, catalog)
    for name, value in sorted(chosen.items(), key=lambda item: -len(item[1])):
        journey = _choose(journey, name, value, catalog)
    journey = replace(journey, offered_stem=offered)
    return _Keys(journey, catalog).run()


def offered_stem(journey: Journey, catalog: Catalog) -> str:
    """A word that the keys of several created records share, which a person may want to choose; empty for none."""
    keys = [value for _, _, value in _created_keys(journey, catalog)]
    counts: Counter[str] = Counter()
    for key in dict.fromkeys(keys):
        words = {word for word in re.split(r"[^a-z0-9]+", key.partition("@")[0].lower()) if len(word) > 2}
        counts.update(word for word in words if not word.isdigit() and word not in _common_words(catalog))
    best = max(counts.items(), key=lambda item: (item[1], len(item[0])), default=("", 0))
    return best[0] if best[1] > 1 else ""


def _common_words(catalog: Catalog) -> set[str]:
    return set(re.split(r"[^a-z0-9]+", catalog.vocabulary)) | {"tenant", "customer", "client", "test", "demo"}


def _created_keys(journey: Journey, catalog: Catalog) -> Iterator[tuple[int, Resource, str]]:
    """Step position, resource and natural key of each record that a step creates."""
    for position, step in enumerate(journey.steps):
        facts = catalog.resources.get(step.resource or "")
        if step.kind is not StepKind.CREATE or facts is None or not isinstance(step.request.body, JsonBody):
            continue
        for record in records_of(step.request.body.tree, catalog.wrapper):
            key = record.get(_key_field(facts))
            if isinstance(key, str):
                yield position, facts, key


def _key_field(facts: Resource) -> str:
    """The field whose value tells one record from the next, empty when an id or a path does."""
    usable = facts.numbered and facts.natural_key and "." not in facts.natural_key[0]
    return facts.natural_key[0] if usable else ""


# ---------------------------------------------------------------- a chosen stem


def _choose(journey: Journey, name: str, value: str, catalog: Catalog) -> Journey:
    if identifier(name) != name:
        raise UsageError(f"--parameter {name}: a name is made of a-z, 0-9 and _, such as tenant")
    if name in {variable.name for variable in journey.variables}:
        raise UsageError(f"--parameter {name}: the journey has a variable of that name; choose another")
    if not value:
        raise UsageError(f"--parameter {name}=: give the recorded text that it stands for")
    stem = _Stem(name, value, Namer(variable.name for variable in journey.variables))
    steps = tuple(stem.in_step(step, catalog) for step in journey.steps)
    variables = tuple(
        replace(v, lookup=in_lookup(v.lookup, lambda text: (text,), stem.in_value)) if v.lookup else v
        for v in journey.variables
    )
    if not stem.used:
        raise UsageError(
            f"--parameter {name}={value}: no value of the recording holds {value!r}; see the keys in dfrecord show"
        )
    return replace(journey, steps=steps, variables=(*variables, *stem.variables()))


class _Stem:
    """One chosen stem: finds its text, in any of its letters, and puts its variables there."""

    def __init__(self, name: str, value: str, namer: Namer) -> None:
        self._name, self._value, self._namer = name, value, namer
        written = {Letters.UPPER: value.upper(), Letters.LOWER: value.lower(), Letters.CAPITALIZED: _capital(value)}
        self._forms: dict[str, Letters | None] = {text: letters for letters, text in written.items()}
        if not value.isascii():
            self._forms = {}
        self._forms[value] = None
        self._pattern = re.compile("|".join(map(re.escape, sorted(self._forms, key=len, reverse=True))))
        self._is_number = re.fullmatch(r"-?\d+(\.\d+)?", value) is not None
        self._type = "string"
        self._names: dict[Letters | None, str] = {}

    @property
    def used(self) -> bool:
        return bool(self._names)

    def variables(self) -> Iterator[Variable]:
        default: Tree = self._value if self._type == "string" else Number(self._value)
        about = f"takes the place of {self._value}"
        env = f"DF_{self._name.upper()}"
        yield Variable(self._name, VariableKind.PARAMETER, self._type, env, default=default, description=about)
        for letters, name in self._names.items():
            if letters is not None:
                about = f"{self._name} in {letters.value} letters"
                yield Variable(name, VariableKind.PARAMETER, description=about, follows=self._name, letters=letters)

    def in_step(self, step: Step, catalog: Catalog) -> Step:
        if step.kind in (StepKind.LOGIN, StepKind.LOGOUT):
            return step
        request = step.request
        if isinstance(request.body, JsonBody) and self._is_number:
            request = replace(request, body=JsonBody(self._numbers(request.body.tree)))
        elif not self._is_number:
            request = in_request(request, lambda part: (part,), self.in_value)
            request = replace(request, target=self._in_target(request.target, catalog))
        return replace(step, request=request, heading=_heading(step, self.in_value))

    def in_value(self, text: str) -> Parts:
        if self._is_number:
            return (Var(self._variable(None)),) if text == self._value else (text,)
        parts: list[str | Var] = []
        at = 0
        for match in self._pattern.finditer(text):
            parts += [text[at : match.start()], Var(self._variable(self._forms[match.group()]))]
            at = match.end()
        return (*parts, text[at:])

    def _numbers(self, tree: Tree) -> Tree:
        """Numbers that are this one become the variable, and so do texts that are the same digits."""
        match tree:
            case Number(text=self._value):
                self._type = "integer" if self._value.lstrip("-").isdigit() else "number"
                return Var(self._variable(None))
            case str():
                return Text((Var(self._variable(None)),)) if tree == self._value else tree
            case Array(items=items):
                return Array(tuple(map(self._numbers, items)))
            case Object(members=members):
                return Object(tuple((key, self._numbers(value)) for key, value in members))
        return tree

    def _in_target(self, target: Text, catalog: Catalog) -> Text:
        """In what follows the resource's own path: a word of the System API is not the recording's."""
        first = target.parts[0] if target.parts and isinstance(target.parts[0], str) else ""
        known = catalog.resources.get(catalog.locate(first.partition("?")[0]).resource or "")
        prefix = re.match(r"/api(/v[\d.]+)?/", first)
        length = len(known.path) if known and known.path else prefix.end() if prefix else 0
        rest = Text((first[length:], *target.parts[1:])) if first else target
        rewritten = in_text(rest, lambda text: tuple(self._uri(text)))
        return Text(joined((first[:length], *rewritten.parts))) if first else rewritten

    def _uri(self, text: str) -> Iterator[str | Var]:
        forms = {quote(form, safe=""): letters for form, letters in self._forms.items()}
        at = 0
        for match in re.finditer("|".join(map(re.escape, sorted(forms, key=len, reverse=True))), text):
            yield text[at : match.start()]
            yield Var(self._variable(forms[match.group()]), Encoding.URI)
            at = match.end()
        yield text[at:]

    def _variable(self, letters: Letters | None) -> str:
        if letters not in self._names:
            self._names[letters] = self._name if letters is None else self._namer.give(f"{self._name}_{letters.value}")
        return self._names[letters]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


# ---------------------------------------------------------------- natural keys


class _Keys:
    """Makes the natural keys of created records parameters."""

    def __init__(self, journey: Journey, catalog: Catalog) -> None:
        self._journey, self._catalog = journey, catalog
        self._namer = Namer(variable.name for variable in journey.variables)
        self._made: list[Variable] = []
        self._of_record: dict[str, tuple[str, str]] = {}  # id variable: recorded key, its parameter
        self._services: dict[str, str] = {}  # name in lower case: its parameter

    def run(self) -> Journey:
        if not 0 < sum(1 for _ in _created_keys(self._journey, self._catalog)) <= MOST_KEYS:
            return self._journey
        steps = tuple(map(self._in_step, self._journey.steps))
        return replace(self._journey, steps=steps, variables=(*self._journey.variables, *self._made))

    def _in_step(self, step: Step) -> Step:
        facts = self._catalog.resources.get(step.resource or "")
        body = step.request.body
        if facts and step.kind is StepKind.CREATE and isinstance(body, JsonBody):
            step = self._in_create(step, body, facts)
        elif facts and step.kind is StepKind.UPDATE and isinstance(body, JsonBody):
            step = self._in_update(step, body, facts)
        return self._follow_services(step) if self._services else step

    def _in_create(self, step: Step, body: JsonBody, facts: Resource) -> Step:
        ids = {c.position: c.variable for c in step.captures if c.inside == (facts.id_field,)}
        heading = step.heading

        def record(position: int, row: Object) -> Object:
            nonlocal heading
            key = row.get(_key_field(facts))
            if not isinstance(key, str) or not _can_be_default(key):
                return row
            slug = identifier(key.partition("@")[0], facts.name)
            wish = f"{facts.name}_{_key_field(facts)}"
            name = self._parameter(f"{facts.key_field or 'name'} of the {facts.name}", key, wish, f"{slug}_{wish}")
            if position in ids:
                self._of_record[ids[position]] = (key, name)
            if facts.name == "service":
                self._services[key.lower()] = name
            heading = _heading(replace(step, heading=heading), _once(key, name))
            return Object(tuple((field, Var(name) if value == key else value) for field, value in row.members))

        tree = _each_record(body.tree, self._catalog.wrapper, record)
        return replace(step, request=replace(step.request, body=JsonBody(tree)), heading=heading)

    def _in_update(self, step: Step, body: JsonBody, facts: Resource) -> Step:
        """A later write of a created record repeats its key, or gives it a new one."""
        own = [var.name for var in step.request.target.variables]
        known = self._of_record.get(own[0], ("", "")) if own else ("", "")
        field = _key_field(facts)

        def record(position: int, row: Object) -> Object:
            old, name = known
            if isinstance(at := row.get(self._catalog.id), Var):
                old, name = self._of_record.get(at.name, ("", ""))
            key = row.get(field)
            if not isinstance(key, str) or not name or not _can_be_default(key):
                return row
            if key != old:
                name = self._parameter(f"new {field} of the {facts.name}", key, f"new_{facts.name}_{field}")
            return Object(tuple((at, Var(name) if at == field else value) for at, value in row.members))

        tree = _each_record(body.tree, self._catalog.wrapper, record)
        heading = _heading(step, _once(*known)) if known[1] else step.heading
        return replace(step, request=replace(step.request, body=JsonBody(tree)), heading=heading)

    def _parameter(self, about: str, default: str, *wishes: str) -> str:
        name = self._namer.give(*wishes)
        variable = Variable(
            name, VariableKind.PARAMETER, "string", f"DF_{name.upper()}", default=default, description=about
        )
        self._made.append(variable)
        return name

    # -------------------------------------------------------- services

    def _follow_services(self, step: Step) -> Step:
        request = replace(step.request, target=in_text(step.request.target, self._in_target))
        if step.resource == "event_script" and isinstance(request.body, JsonBody):
            request = replace(request, body=JsonBody(in_tree(request.body.tree, self._in_event)))
        if step.resource == "email_template" and isinstance(request.body, JsonBody):
            request = replace(request, body=JsonBody(self._in_attachments(request.body.tree)))
        return replace(step, request=request)

    def _in_target(self, text: str) -> Parts:
        """A service's name in a path or as `service=` in a query (system-api.md section 7)."""
        match = re.match(r"(?i)(/api(?:/v[\d.]+)?/(?:system/(?:cache|event_script|event)/|api_docs/)?)([^/?.&]+)", text)
        parts: list[str | Var] = []
        at = 0
        if match and (name := self._services.get(unquote(match[2]).lower())):
            parts += [match[1], Var(name, Encoding.URI)]
            at = match.end()
        for found in re.finditer(r"(?<=[?&]service=)[^&]+", text):
            if found.start() >= at and (name := self._services.get(unquote(found[0]).lower())):
                parts += [text[at : found.start()], Var(name, Encoding.URI)]
                at = found.end()
        return (*parts, text[at:])

    def _in_event(self, text: str) -> Parts:
        service, dot, rest = text.partition(".")
        name = self._services.get(service.lower()) if dot else None
        return (Var(name), dot + rest) if name else (text,)

    def _in_attachments(self, tree: Tree) -> Tree:
        match tree:
            case Object(members=members):
                return Object(tuple((key, self._attached(key, value)) for key, value in members))
            case Array(items=items):
                return Array(tuple(map(self._in_attachments, items)))
        return tree

    def _attached(self, key: str | Text, value: Tree) -> Tree:
        name = self._services.get(value.lower()) if key == "service" and isinstance(value, str) else None
        return Var(name) if name else self._in_attachments(value)


def _once(text: str, variable: str) -> Rewriter:
    """Puts the variable where the text first stands."""

    def rewrite(part: str) -> Parts:
        before, found, after = part.partition(text)
        return (before, Var(variable), after) if found and text else (part,)

    return rewrite


def _heading(step: Step, rewriter: Rewriter) -> Text | None:
    """The step's title with variables in what follows `Create role`, None when it holds none."""
    words = re.match(rf"\w+ (\d+ )?{label(step.resource or '')}( records:)? ", step.title)
    start = words.end() if words else 0
    first, *rest = (step.heading or Text((step.title,))).parts
    tail = in_text(Text((first[start:], *rest)) if isinstance(first, str) else Text((first, *rest)), rewriter)
    heading = Text(joined((first[:start], *tail.parts))) if isinstance(first, str) else tail
    return heading if heading.variables else None


def _each_record(tree: Tree, wrapper: str, change: Callable[[int, Object], Object]) -> Tree:
    """The body with each of its records changed; `change` takes a record's position and the record."""
    if isinstance(tree, Object) and isinstance(wrapped := tree.get(wrapper), Array):
        return Object(tuple((k, _each_record(v, wrapper, change) if v is wrapped else v) for k, v in tree.members))
    if isinstance(tree, Array):
        return Array(tuple(change(n, item) if isinstance(item, Object) else item for n, item in enumerate(tree.items)))
    return change(0, tree) if isinstance(tree, Object) else tree


def _can_be_default(text: str) -> bool:
    """Whether the text can stand in an environment variable and is what a person would type."""
    return 0 < len(text) <= LONGEST_DEFAULT and text.isprintable()
