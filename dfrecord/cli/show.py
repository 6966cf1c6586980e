"""`dfrecord show`: what was recorded, in words or as JSON."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import click

from dfrecord.cli.options import input_argument, plan_from, plan_options, quiet_option
from dfrecord.journey.account import account
from dfrecord.journey.model import Journey, Residue, ResidueKind, Variable, VariableKind
from dfrecord.outputs import plain


@click.command("show")
@input_argument
@click.option("--json", "as_json", is_flag=True, help="The whole account as JSON.")
@plan_options
@quiet_option
def command(source: str, as_json: bool, filters: tuple[str, ...], quiet: bool, **choices: Any) -> None:
    """Tell what INPUT shows: steps, what feeds what, variables to set, and everything left out, with reasons."""
    journey = plan_from(source, filters, quiet, **choices)
    if as_json:
        click.echo(json.dumps(account(journey), indent=2, ensure_ascii=True))
        return
    click.echo(
        f"{journey.title}: {len(journey.steps)} steps from {journey.entry_count} entries of {plain(journey.source)}"
    )
    _show_steps(journey)
    _show_variables(journey)
    _show_residue(journey)


def _show_steps(journey: Journey) -> None:
    click.echo("\nSteps")
    made_by = {c.variable: f"step {n}" for n, step in enumerate(journey.steps, 1) for c in step.captures}
    for number, (step, told) in enumerate(zip(journey.steps, account(journey)["steps"], strict=True), 1):
        target = "".join(part if isinstance(part, str) else f"{{{part.name}}}" for part in step.request.target.parts)
        click.echo(f"{number:4}. {plain(step.title)}")
        click.echo(f"      {step.request.method} {plain(target)}")
        uses = [f"{name} ← {made_by.get(name, _origin(journey.variable(name)))}" for name in told["uses"]]
        _show_line("uses", [use for use in uses if not use.startswith("session_token")])
        _show_line("makes", [capture.variable for capture in step.captures])
        _show_line("needs DF_YES=1", [step.danger] if step.danger else [])
        _show_line("note", list(step.notes))


def _show_line(label: str, values: list[str]) -> None:
    if values:
        click.echo(f"      {label}: {plain('; '.join(values))}")


def _origin(variable: Variable) -> str:
    if variable.lookup is not None:
        key = " ".join(str(value) for _, value in variable.lookup.match if isinstance(value, str))
        return f"looked up: {variable.lookup.resource} {key}".rstrip()
    return f"${variable.env}"


def _show_variables(journey: Journey) -> None:
    click.echo("\nSet before you run the script")
    for variable in journey.variables:
        if variable.env:
            what = "secret" if variable.secret else variable.type
            need = "required" if variable.required else "instead of logging in"
            if variable.kind is VariableKind.SECRET or variable.name == "password":
                need = "required"
            click.echo(f"  export {variable.env}=…  # {what}, {need}: {plain(variable.description)}")


def _show_residue(journey: Journey) -> None:
    for kind, title in (
        (ResidueKind.RISKY, "Look at these first"),
        (ResidueKind.UNKNOWN, "Not known"),
        (ResidueKind.LEFT_OUT, "Left out of requests"),
        (ResidueKind.DROPPED, "Entries that are no step"),
    ):
        lines = [line for line in journey.residue if line.kind is kind]
        if not lines:
            continue
        click.echo(f"\n{title}")
        for (reason, step), count in Counter((line.reason, line.step) for line in lines).items():
            where = f"{step}: " if step else ""
            click.echo(
                f"  {count:5} × {where}{plain(reason)}{_example(lines, reason) if kind is ResidueKind.DROPPED else ''}"
            )


def _example(lines: list[Residue], reason: str) -> str:
    numbers = [line.entry for line in lines if line.reason == reason and line.entry is not None]
    shown = ", ".join(str(number) for number in numbers[:8])
    return f" (entries {shown}{', …' if len(numbers) > 8 else ''})" if numbers else ""
