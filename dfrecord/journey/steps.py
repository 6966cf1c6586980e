"""Only some of a journey's steps: what the others would have given has to be given by the person.

`only_steps` is a pass like the others, Journey -> Journey. A value that a left-out step would have captured becomes a
required parameter (or secret), each with a line in the residue; so does every step that is left out.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from dfrecord.errors import UsageError
from dfrecord.journey.model import (
    NOT_CREATED_HERE,
    Journey,
    Residue,
    ResidueKind,
    Step,
    StepKind,
    Variable,
    VariableKind,
    used_variables,
    variables_of_step,
)

_RANGE = re.compile(r"\s*(\d{1,9})\s*(-)?\s*(\d{1,9})?\s*")


def parse_steps(text: str, count: int) -> frozenset[int]:
    """The numbers that `1,3-5,8-` means in a journey of `count` steps, counted from 1 as `dfrecord show` counts them.

    Raises UsageError when the text is no such list, or names a step that is not there.
    """
    numbers: set[int] = set()
    for part in text.split(","):
        found = _RANGE.fullmatch(part)
        if found is None or (found[3] and not found[2]):
            raise UsageError(f"--steps {text}: {part.strip()!r} is no step; write numbers and ranges, such as 1,3-5")
        first = int(found[1])
        last = int(found[3]) if found[3] else count if found[2] else first
        if not 1 <= first <= last <= count:
            part = part.strip()
            raise UsageError(f"--steps {text}: {part} is not within 1-{count}; see the numbers in dfrecord show")
        numbers.update(range(first, last + 1))
    return frozenset(numbers)


def only_steps(journey: Journey, chosen: Collection[int]) -> Journey:
    """The journey with the steps of these numbers (from 1) only, in their order."""
    numbered = list(enumerate(journey.steps, 1))
    kept = [step for number, step in numbered if number in chosen]
    gone = [(number, step) for number, step in numbered if number not in chosen]
    captured = {capture.variable for step in kept for capture in step.captures}
    makers = {capture.variable: place for place in gone for capture in place[1].captures}
    used = list(used_variables(journey.variables, kept))
    asked = {v.name: makers[v.name] for v in used if v.name in makers and v.name not in captured}
    steps = tuple(_with_consent(step, asked) for step in kept)
    variables = tuple(_asked_for(v, *asked[v.name]) if v.name in asked else v for v in used)
    names = {step.name for _, step in gone}
    residue = (
        *(line for line in journey.residue if line.step not in names),
        *(_left_out(number, step) for number, step in gone),
        *_of_asked(variables, asked),
        *(
            Residue(ResidueKind.RISKY, f"{now.danger}; runs only with DF_YES=1", now.entry, now.name)
            for now, before in zip(steps, kept, strict=True)
            if now.danger != before.danger
        ),
    )
    return replace(journey, steps=steps, variables=variables, residue=residue)


def _asked_for(variable: Variable, number: int, step: Step) -> Variable:
    about = f"{variable.description}; step {number} ({step.title}), left out, would have given it"
    asked = replace(variable, required=True, description=about)
    if variable.env:  # the session token, which may be given in any case
        return asked
    kind = VariableKind.SECRET if variable.secret else VariableKind.PARAMETER
    return replace(asked, kind=kind, env=f"DF_{variable.name.upper()}")


def _with_consent(step: Step, asked: Mapping[str, tuple[int, Step]]) -> Step:
    """A delete of what a left-out step created deletes something of the target's own."""
    if step.kind is not StepKind.DELETE or step.danger or asked.keys().isdisjoint(variables_of_step(step)):
        return step
    return replace(step, danger=NOT_CREATED_HERE)


def _left_out(number: int, step: Step) -> Residue:
    return Residue(ResidueKind.DROPPED, f"step {number} is left out (--steps)", step.entry, subject=step.title)


def _of_asked(variables: tuple[Variable, ...], asked: Mapping[str, tuple[int, Step]]) -> Iterator[Residue]:
    for variable in variables:
        if variable.name in asked:
            number, step = asked[variable.name]
            reason = f"{variable.name} is not captured, as step {number} ({step.title}) is left out: set {variable.env}"
            yield Residue(ResidueKind.UNKNOWN, reason, subject=variable.name)
