"""A journey with its recorded values back in it: parameters that have a default are replaced by that default.

For showing a step alone, where a person wants to see and send what was recorded rather than set names first. Ids,
secrets and whatever else has no default stay variables.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from dfrecord.journey.model import Journey, JsonBody, RawBody, RequestBody, Step, Variable, variables_of_tree
from dfrecord.journey.rewrite import as_value, joined
from dfrecord.journey.values import encoded, in_letters
from dfrecord.tree import Array, Encoding, Number, Object, Text, Tree, Var


def with_defaults(journey: Journey) -> Journey:
    """The journey whose requests hold the default wherever a variable with one stood; its variables stay listed."""
    known = {variable.name: variable for variable in journey.variables}
    inlining = _Inlining(_values(known))
    return replace(journey, steps=tuple(map(inlining.step, journey.steps)))


def recorded_value(tree: Tree, variables: Mapping[str, Variable]) -> Tree:
    """A value with the default wherever a variable with one stands in it."""
    known = {name: variables[name] for name in variables_of_tree(tree)}
    known |= {v.follows: variables[v.follows] for v in known.values() if v.follows}
    return _Inlining(_values(known)).tree(tree)


def _values(known: Mapping[str, Variable]) -> dict[str, str | bool | Number]:
    return {name: value for name, variable in known.items() if (value := _value(variable, known)) is not None}


def _value(variable: Variable, known: Mapping[str, Variable]) -> str | bool | Number | None:
    default = known[variable.follows].default if variable.follows else variable.default
    if isinstance(default, str) and variable.letters is not None:
        return in_letters(default, variable.letters)
    return default if isinstance(default, (str, bool, Number)) else None


@dataclass(frozen=True)
class _Inlining:
    values: Mapping[str, str | bool | Number]

    def step(self, step: Step) -> Step:
        request = step.request
        headers = tuple((name, self.text(value)) for name, value in request.headers)
        request = replace(request, target=self.text(request.target), headers=headers, body=self.body(request.body))
        return replace(step, request=request, heading=None)

    def body(self, body: RequestBody) -> RequestBody:
        match body:
            case JsonBody(tree=tree):
                return JsonBody(self.tree(tree))
            case RawBody(parts=parts):
                return RawBody(tuple(part if isinstance(part, bytes) else self.raw(part) for part in parts))
        return None

    def raw(self, var: Var) -> bytes | Var:
        part = self.part(var)
        return part if isinstance(part, Var) else part.encode("utf-8", "surrogatepass")

    def text(self, text: Text) -> Text:
        return Text(joined(part if isinstance(part, str) else self.part(part) for part in text.parts))

    def part(self, var: Var) -> str | Var:
        if var.name not in self.values:
            return var
        return encoded(self.values[var.name], var.encoding)

    def tree(self, tree: Tree) -> Tree:
        match tree:
            case Var(name=name, encoding=Encoding.PLAIN):
                return self.values.get(name, tree)
            case Var():
                return self.part(tree)
            case Text():
                return as_value(self.text(tree).parts)
            case Array(items=items):
                return Array(tuple(map(self.tree, items)))
            case Object(members=members):
                return Object(tuple((self.key(key), self.tree(value)) for key, value in members))
        return tree

    def key(self, key: str | Text) -> str | Text:
        if isinstance(key, str):
            return key
        text = self.text(key)
        return text if text.literal is None else text.literal
