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

from dfrecord.errors import UsageError
from dfrecord.journey.model import (
    Journey,
    JsonBody,
    Letters,
    RawBody,
    RequestBody,
    RequestTemplate,
    Step,
    StepKind,
    Variable,
    VariableKind,
)
from dfrecord.journey.names import RESERVED, Namer, identifier
from dfrecord.journey.natural_keys import created_keys, heading_with, with_keys
from dfrecord.journey.rewrite import Parts, in_keys, in_lookup, in_text, in_tree, joined
from dfrecord.journey.text_body import WRITTEN, TextKind, with_values
from dfrecord.system_api.catalog import Catalog
from dfrecord.tree import Array, Encoding, Number, Object, Text, Tree, Var

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
    return with_keys(journey, catalog)


def offered_stem(journey: Journey, catalog: Catalog) -> str:
    """A word that the keys of several created records share, which a person may want to choose; empty for none."""
    keys = [value for _, _, value in created_keys(journey, catalog)]
    counts: Counter[str] = Counter()
    common = _common_words(catalog)
    for key in dict.fromkeys(keys):
        words = {word for word in re.split(r"[^a-z0-9]+", key.partition("@")[0].lower()) if len(word) > 2}
        counts.update(word for word in words if not word.isdigit() and word not in common)
    best = max(counts.items(), key=lambda item: (item[1], len(item[0])), default=("", 0))
    return best[0] if best[1] > 1 else ""


def _common_words(catalog: Catalog) -> set[str]:
    return set(re.split(r"[^a-z0-9]+", catalog.vocabulary)) | {"tenant", "customer", "client", "test", "demo"}


# ---------------------------------------------------------------- a chosen stem


def _choose(journey: Journey, name: str, value: str, catalog: Catalog) -> Journey:
    if identifier(name) != name:
        raise UsageError(f"--parameter {name}: a name is made of a-z, 0-9 and _, such as tenant")
    if name in RESERVED:
        raise UsageError(f"--parameter {name}: the scripts use this name themselves; choose another")
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
        if step.kind is StepKind.LOGIN:
            return self._in_login(step, catalog)
        if step.kind is StepKind.LOGOUT:
            return step
        request = step.request
        if isinstance(request.body, JsonBody) and self._is_number:
            request = replace(request, body=JsonBody(self._numbers(request.body.tree)))
        elif not self._is_number:
            request = replace(
                request,
                target=self._in_target(request.target, catalog),
                headers=self._in_headers(request),
                body=self._in_body(request),
            )
            facts = catalog.resources.get(step.resource or "")
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

    def _in_body(self, request: RequestTemplate) -> RequestBody:
        match request.body:
            case JsonBody(tree=tree):
                return JsonBody(in_tree(tree, self.in_value))
            case RawBody() as body:
                return with_values(body, request.content_type, self._in_text)
        return None

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
        rewritten = in_text(rest, self._in_uri)
        return Text(joined((first[:length], *rewritten.parts))) if first else rewritten

    def _in_uri(self, text: str) -> Parts:
        return tuple(self._written(text, WRITTEN[TextKind.FORM], Encoding.URI))

    def _in_text(self, text: str, kind: TextKind | None) -> Parts:
        """In a value of a body that is no JSON, as it is written there."""
        return tuple(self._written(text, WRITTEN.get(kind, (str,)), Encoding.PLAIN))

    def _written(self, text: str, ways: tuple[Callable[[str], str], ...], encoding: Encoding) -> Iterator[str | Var]:
        forms = {written(form): letters for form, letters in self._forms.items() for written in ways}
        at = 0
        for match in re.finditer("|".join(map(re.escape, sorted(forms, key=len, reverse=True))), text):
            yield text[at : match.start()]
            yield Var(self._variable(forms[match.group()]), encoding)
            at = match.end()
        yield text[at:]

    def _variable(self, letters: Letters | None) -> str:
        if letters not in self._names:
            self._names[letters] = self._name if letters is None else self._namer.give(f"{self._name}_{letters.value}")
        return self._names[letters]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
