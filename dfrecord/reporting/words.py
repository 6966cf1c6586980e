"""A journey in words, for `dfrecord show`: its steps, what feeds what, what to set, and what was left out and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from textwrap import wrap

from dfrecord.journey.model import (
    Journey,
    JsonBody,
    Residue,
    ResidueKind,
    Step,
    StepKind,
    Variable,
    VariableKind,
    variables_of_step,
)
from dfrecord.normalise.body import records_of
from dfrecord.outputs import plain
from dfrecord.renderers.bash_encoder import pasted
from dfrecord.tree import Array, Number, Text, Tree

WIDTH = 110
RESIDUE_TITLES = {
    ResidueKind.RISKY: "Look at these first",
    ResidueKind.UNKNOWN: "Not known",
    ResidueKind.LEFT_OUT: "Left out of requests",
    ResidueKind.DROPPED: "Entries that are no step",
}


def told(journey: Journey) -> Iterator[str]:
    """The lines of the account. Recorded text in them holds nothing that could steer a terminal."""
    count = len(journey.steps)
    steps = f"{count} step{'' if count == 1 else 's'}"
    yield f"{plain(journey.title)}: {steps} from {journey.entry_count} entries of {plain(journey.source)}"
    yield from ("", "Steps")
    origins = origin_of_each(journey)
    for number, step in enumerate(journey.steps, 1):
        yield from _step(number, step, origins, journey.conventions.wrapper)
    yield from ("", "Set before you run the script")
    yield from (f"  {line}" for line in export_lines(journey.variables, needs_consent=_needs_consent(journey)))
    if journey.offered_stem:
        yield f"  (several names hold {journey.offered_stem}: --parameter tenant={journey.offered_stem} makes it one)"
    yield from _residue(journey.residue)


# ---------------------------------------------------------------- steps


def _step(number: int, step: Step, origins: dict[str, str], wrapper: str) -> Iterator[str]:
    answered = f" → {step.answer.status} {plain(step.answer.reason)}".rstrip() if step.answer else ""
    yield f"{number:4}. {plain(step.title)}"
    yield f"      {plain(step.request.method)} {plain(shown_text(step.request.target))}{answered}"
    uses = (f"{name} ← {origins[name]}" for name in dict.fromkeys(variables_of_step(step)) if name != "session_token")
    yield from _line("sends", [", ".join(sent_fields(step, wrapper))])
    yield from _line("uses", uses)
    yield from _line("makes", (capture.variable for capture in step.captures))
    yield from _line("needs DF_YES=1", [step.danger])
    yield from _line("note", step.notes)


def _line(label: str, values: Iterable[str]) -> Iterator[str]:
    text = "; ".join(filter(None, values))
    if text:
        yield from _wrapped(f"{label}: {plain(text)}", " " * 6, " " * 8)


def _wrapped(text: str, first: str, later: str) -> list[str]:
    """The text in lines, with what the first one and the later ones begin with."""
    return wrap(
        text, WIDTH, initial_indent=first, subsequent_indent=later, break_long_words=False, break_on_hyphens=False
    )


def sent_fields(step: Step, wrapper: str) -> list[str]:
    """The names of the fields that a step sends, with the number of rows of those that are lists; none for a login."""
    body = step.request.body
    if not isinstance(body, JsonBody) or step.kind is StepKind.LOGIN:
        return []
    fields: dict[str, str] = {}
    for record in records_of(body.tree, wrapper):
        for key, value in record.members:
            name = key if isinstance(key, str) else shown_text(key)
            rows = f" ({len(value.items)})" if isinstance(value, Array) else ""
            fields.setdefault(name, f"{name}{rows}")
    return list(fields.values())


def origin_of_each(journey: Journey) -> dict[str, str]:
    """Where the value of each variable comes from, in a few words: `step 2`, `$DF_EMAIL`, a record looked up."""
    makers = {c.variable: f"step {number}" for number, step in enumerate(journey.steps, 1) for c in step.captures}
    return {variable.name: makers.get(variable.name) or _origin(variable) for variable in journey.variables}


def _origin(variable: Variable) -> str:
    if variable.lookup is not None:
        key = " ".join(value for _, match in variable.lookup.match if (value := _shown(match)))
        return f"looked up: {variable.lookup.resource} {key}".rstrip()
    if variable.follows:
        return f"{variable.follows} in {variable.letters or 'its own'} letters"
    default = _shown(variable.default)
    return f"${variable.env} or {default}" if default else f"${variable.env}"


def _shown(value: Tree) -> str:
    """A single value in words, empty for what is none."""
    match value:
        case str():
            return value
        case Number(text=text):
            return text
        case Text():
            return shown_text(value)
        case bool():
            return str(value).lower()
    return ""


def shown_text(text: Text) -> str:
    """A text with the names of its variables in braces."""
    return "".join(part if isinstance(part, str) else f"{{{part.name}}}" for part in text.parts)


# ---------------------------------------------------------------- variables


def _needs_consent(journey: Journey) -> bool:
    return any(step.danger for step in journey.steps)


def export_lines(variables: Iterable[Variable], *, needs_consent: bool = False) -> list[str]:
    """Lines to paste into a shell: an `export` for each variable to set, its meaning in a comment.

    What has a default, or may be given instead of something else, stands in a comment itself.
    """
    rows = [(_export(variable), _about(variable)) for variable in variables if variable.env]
    if needs_consent:
        rows.append(("# export DF_YES=1", "to agree to the steps that need it"))
    width = min(max((len(start) for start, _ in rows), default=0), 50)
    return [
        f"{start.ljust(width)}  # {plain(about)}" for start, about in sorted(rows, key=lambda row: row[0][0] == "#")
    ]


def _export(variable: Variable) -> str:
    is_needed = variable.required or variable.kind is VariableKind.SECRET
    return f"{'' if is_needed else '# '}export {variable.env}={pasted([_shown(variable.default)])}"


def _about(variable: Variable) -> str:
    facts = [variable.description]
    facts += [f"({variable.type})"] if variable.type != "string" else []
    facts += ["(secret)"] if variable.secret else []
    return " ".join(filter(None, facts))


# ---------------------------------------------------------------- residue


def _residue(residue: tuple[Residue, ...]) -> Iterator[str]:
    for kind, title in RESIDUE_TITLES.items():
        lines = [line for line in residue if line.kind is kind]
        if not lines:
            continue
        yield from ("", title)
        examples: dict[str, list[int]] = {}
        for line in lines:
            if line.entry is not None:
                examples.setdefault(line.reason, []).append(line.entry)
        counts = Counter((line.reason, line.step) for line in lines)
        for (reason, step), count in sorted(counts.items(), key=lambda counted: counted[1]):  # the rare ones first
            where = f"{step}: " if step else ""
            entries = _entries(examples.get(reason, [])) if kind is ResidueKind.DROPPED else ""
            yield from _wrapped(f"{where}{plain(reason)}{entries}", f"  {count:5} × ", " " * 10)


def _entries(numbers: list[int]) -> str:
    shown = ", ".join(str(number) for number in numbers[:8])
    several = "entries" if len(numbers) > 1 else "entry"
    return f" ({several} {shown}{', …' if len(numbers) > 8 else ''})" if numbers else ""
