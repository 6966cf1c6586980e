"""What a person would change becomes a parameter, with the recorded value as default.

Two kinds. The natural key of each record that the journey creates is a parameter by itself (`role_name`), and follows
wherever the catalog says that it stands: later writes of the record, and for services the paths, event scripts and
caches named after them. And a stem that the person chooses (`tenant=acme`) is one in every typed value that holds it:
`acme-role`, `ACME files` and `/api/v2/acme_files/` follow it, each in its own letters.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace

from dfrecord.errors import UsageError
from dfrecord.journey.model import (
    Journey,
    JsonBody,
    Letters,
    RawBody,
    RequestBody,
    RequestTemplate,
    Residue,
    ResidueKind,
    Step,
    StepKind,
    Variable,
    VariableKind,
)
from dfrecord.journey.names import RESERVED, Namer, identifier
from dfrecord.journey.natural_keys import created_keys, heading_with, with_keys
from dfrecord.journey.query_values import pieces
from dfrecord.journey.rewrite import Parts, in_keys, in_lookup, in_text, in_tree, joined
from dfrecord.journey.text_body import WRITTEN, TextKind, with_values
from dfrecord.journey.values import in_letters
from dfrecord.normalise.body import each_record, field_path
from dfrecord.system_api.catalog import Catalog, Resource
from dfrecord.tree import Array, Encoding, Number, Object, Text, Tree, Var

_LETTERS = (Letters.UPPER, Letters.LOWER, Letters.CAPITALIZED)


def parameterise(journey: Journey, chosen: Mapping[str, str], catalog: Catalog) -> Journey:
    """The journey with the chosen stems (name to recorded text) and its natural keys as parameters.

    Raises UsageError when a chosen name cannot be used or no typed value holds its text.
    """
    offered = "" if chosen else offered_stem(journey, catalog)
    for name, value in sorted(chosen.items(), key=lambda item: -len(item[1])):
        journey = _choose(journey, name, value, catalog)
    left = tuple(_written_otherwise(journey, chosen, catalog))
    journey = replace(journey, offered_stem=offered, residue=(*journey.residue, *left))
    return with_keys(journey, catalog)


def offered_stem(journey: Journey, catalog: Catalog) -> str:
    """A word that the keys of several created records share, which a person may want to choose; empty for none."""
    keys = [value for _, _, value in created_keys(journey, catalog)]
    counts: Counter[str] = Counter()
    common = _common_words(catalog)
    written: dict[str, str] = {}
    for key in dict.fromkeys(keys):
        words = {word.lower(): word for word in re.split(r"[\W_]+", key.partition("@")[0]) if len(word) > 2}
        counts.update(word for word in words if not word.isdigit() and word not in common)
        for word, as_written in words.items():
            written.setdefault(word, as_written)
    word, count = max(counts.items(), key=lambda item: (item[1], len(item[0])), default=("", 0))
    if count < 2:
        return ""
    return word if any(form in key for form in _forms(word) for key in keys) else written[word]


def _common_words(catalog: Catalog) -> set[str]:
    return set(re.split(r"[^a-z0-9]+", catalog.vocabulary)) | {"tenant", "customer", "client", "test", "demo"}


# ---------------------------------------------------------------- a chosen stem


def _written_otherwise(journey: Journey, chosen: Mapping[str, str], catalog: Catalog) -> Iterator[Residue]:
    """Created records that have a chosen stem in their name, but not as it was given: `Acme Corp` for `acme-corp`."""
    for position, _, key in created_keys(journey, catalog):
        for name, value in chosen.items():
            if _bare(value) and _bare(value) in _bare(key):
                reason = (
                    f"{key!r} does not follow {name}: {value!r} is written otherwise there; set its own variable, too"
                )
                step = journey.steps[position]
                yield Residue(ResidueKind.RISKY, reason, step.entry, step.name)


def _bare(text: str) -> str:
    """The letters and digits of a text, however they are written."""
    return re.sub(r"[\W_]+", "", text).casefold()


def _choose(journey: Journey, name: str, value: str, catalog: Catalog) -> Journey:
    if identifier(name) != name:
        rule = "at most 40 of a-z, 0-9 and _ and is no word of Python"
        raise UsageError(f"--parameter {name}: a name is made of {rule}, such as tenant")
    if name in RESERVED:
        raise UsageError(f"--parameter {name}: the scripts use this name themselves; choose another")
    if name in {variable.name for variable in journey.variables}:
        raise UsageError(f"--parameter {name}: the journey has a variable of that name; choose another")
    if not value:
        raise UsageError(f"--parameter {name}=: give the recorded text that it stands for")
    is_number = _is_number(value) and any(_holds(step.request.body, Number(value)) for step in journey.steps)
    stem = _Stem(name, value, is_number, Namer(variable.name for variable in journey.variables))
    steps = tuple(stem.in_step(step, catalog) for step in journey.steps)
    variables = tuple(
        replace(v, lookup=in_lookup(v.lookup, stem.in_value, _words(v.lookup.resource, catalog))) if v.lookup else v
        for v in journey.variables
    )
    if not stem.used:
        taken = (v for v in journey.variables if isinstance(v.default, str) and value.lower() in v.default.lower())
        if other := next((v.name for v in taken if v.kind is VariableKind.PARAMETER), ""):
            raise UsageError(
                f"--parameter {name}={value}: whatever holds {value!r} follows the parameter {other} already"
            )
        raise UsageError(
            f"--parameter {name}={value}: no value of the recording holds {value!r}; see the keys in dfrecord show"
        )
    return replace(journey, steps=steps, variables=(*variables, *stem.variables()))


class _Stem:
    """One chosen stem: finds its text, in any of its letters, and puts its variables there."""

    def __init__(self, name: str, value: str, is_number: bool, namer: Namer) -> None:
        self._name, self._value, self._is_number, self._namer = name, value, is_number, namer
        self._forms = _forms(value)
        self._pattern = self._finding(self._forms)
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
        if step.kind is StepKind.LOGIN:
            return self._in_login(step, catalog)
        if step.kind is StepKind.LOGOUT:
            return step
        request, facts = step.request, catalog.resources.get(step.resource or "")
        if isinstance(request.body, JsonBody) and self._is_number:
            request = replace(request, body=JsonBody(self._numbers(request.body.tree)))
        elif not self._is_number:
            request = replace(
                request,
                target=self._in_target(request.target, catalog),
                headers=self._in_headers(request),
                body=self._in_body(request, facts, catalog),
            )
            if facts and facts.named_members and isinstance(request.body, JsonBody):
                tree = in_keys(request.body.tree, facts.named_members, self.in_value)
                request = replace(request, body=JsonBody(tree))
        return replace(step, request=request, heading=heading_with(step, self.in_value))

    def _in_login(self, step: Step, catalog: Catalog) -> Step:
        """In the names of an account that the journey creates: those of any other are variables already."""
        body = step.request.body
        if not isinstance(body, JsonBody) or not isinstance(body.tree, Object):
            return step
        own = catalog.session.identity_fields
        members = ((name, in_tree(value, self.in_value) if name in own else value) for name, value in body.tree.members)
        return replace(step, request=replace(step.request, body=JsonBody(Object(tuple(members)))))

    def _in_headers(self, request: RequestTemplate) -> tuple[tuple[str, Text], ...]:
        """In the headers that name things, such as X-Folder-Name, not in those of HTTP itself."""
        return tuple(
            (name, in_text(value, self.in_value) if name.lower().startswith("x-") else value)
            for name, value in request.headers
        )

    def _in_body(self, request: RequestTemplate, facts: Resource | None, catalog: Catalog) -> RequestBody:
        match request.body:
            case JsonBody(tree=tree) if facts:
                rows = each_record(tree, catalog.wrapper, lambda _, row: self._in_record(row, facts, catalog))
                return JsonBody(rows)
            case JsonBody(tree=tree):
                return JsonBody(in_tree(tree, self.in_value))
            case RawBody() as body:
                return with_values(body, request.content_type, self._in_text)
        return None

    def _in_record(self, record: Object, facts: Resource, catalog: Catalog, path: str = "") -> Object:
        """In the values of a record and of its nested rows, not in words of the platform."""
        members = tuple(
            (name, self._in_field(value, field_path(path, str(name)), facts, catalog)) for name, value in record.members
        )
        return Object(members)

    def _in_field(self, value: Tree, path: str, facts: Resource, catalog: Catalog) -> Tree:
        relation = facts.relations.get(path)
        if relation and relation.nested:
            facts, path = catalog.resources[relation.resource], ""
        match value:
            case _ if path in facts.words:
                return value
            case Array(items=items):
                inside = path and f"{path}[]"
                return Array(tuple(self._in_field(item, inside, facts, catalog) for item in items))
            case Object():
                return self._in_record(value, facts, catalog, path)
        return in_tree(value, self.in_value)

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
        """In what follows the resource's own path: a word of the System API is not the recording's, nor in a query."""
        first = target.parts[0] if target.parts and isinstance(target.parts[0], str) else ""
        known = catalog.resources.get(catalog.locate(first.partition("?")[0]).resource or "")
        prefix = re.match(r"/api(/v[\d.]+)?/", first)
        length = len(known.path) if known and known.path else prefix.end() if prefix else 0
        parts: list[str | Var] = [first[:length]]
        is_query = False
        for part in (first[length:], *target.parts[1:]) if first else target.parts:
            if isinstance(part, Var):
                parts.append(part)
                continue
            path, mark, query = ("", "", part) if is_query else part.partition("?")
            is_query = is_query or bool(mark)
            for piece, is_typed in ((path, True), *pieces(mark + query, catalog.words_in_query)):
                parts += self._written(piece, WRITTEN[TextKind.FORM], Encoding.URI) if is_typed else (piece,)
        return Text(joined(parts))

    def _in_text(self, text: str, kind: TextKind | None) -> Parts:
        """In a value of a body that is no JSON, as it is written there."""
        return tuple(self._written(text, WRITTEN.get(kind, (str,)), Encoding.PLAIN))

    def _written(self, text: str, ways: tuple[Callable[[str], str], ...], encoding: Encoding) -> Iterator[str | Var]:
        forms = {written(form): letters for form, letters in self._forms.items() for written in ways}
        at = 0
        for match in self._finding(forms, r"(?<!%)(?<!%[\dA-Fa-f])" if encoding is Encoding.URI else "").finditer(text):
            yield text[at : match.start()]
            yield Var(self._variable(forms[match.group()]), encoding)
            at = match.end()
        yield text[at:]

    def _finding(self, forms: Collection[str], not_inside: str = "") -> re.Pattern[str]:
        """Finds these texts; a number not in the middle of a longer one."""
        either = "|".join(map(re.escape, sorted(forms, key=len, reverse=True)))
        if _is_number(self._value):
            either = rf"(?<!\d)(?<!\d\.)(?:{either})(?!\d)(?!\.\d)"
        return re.compile(f"{not_inside}(?:{either})")

    def _variable(self, letters: Letters | None) -> str:
        if letters not in self._names:
            self._names[letters] = self._name if letters is None else self._namer.give(f"{self._name}_{letters.value}")
        return self._names[letters]


def _words(resource: str, catalog: Catalog) -> frozenset[str]:
    facts = catalog.resources.get(resource)
    return facts.words if facts else frozenset()


def _forms(stem: str) -> dict[str, Letters | None]:
    """The stem as it may be written, each with the letters that the scripts write so."""
    return {**{in_letters(stem, letters): letters for letters in _LETTERS}, stem: None}


def _is_number(text: str) -> bool:
    return re.fullmatch(r"-?\d+(\.\d+)?", text, re.ASCII) is not None


def _holds(body: RequestBody | Tree, number: Number) -> bool:
    match body:
        case JsonBody(tree=tree):
            return _holds(tree, number)
        case Array(items=items):
            return any(_holds(item, number) for item in items)
        case Object(members=members):
            return any(_holds(value, number) for _, value in members)
    return body == number
