"""`dfrecord formats`: the formats that render can write."""

from __future__ import annotations

import click

from dfrecord.cli.talk import tell
from dfrecord.errors import UsageError
from dfrecord.renderers import Format, Renderer, formats, unused


@click.command("formats")
def command() -> None:
    """List the formats that `dfrecord render --format` can write; what is wrong with a plug-in is told below them."""
    rows: list[tuple[Format, Renderer]] = []
    problems: list[str] = []
    for format in formats().values():
        try:
            rows.append((format, format.load()))
        except UsageError as error:
            problems.append(str(error))
    width = max(len(format.name) for format, _ in rows)
    ending = max(len(renderer.ending) for _, renderer in rows)
    needs = max(len(renderer.needs) for _, renderer in rows)
    for format, renderer in rows:
        facts = f"needs {renderer.needs:<{needs}}  {format.origin}"
        click.echo(f"{format.name:<{width}}  {renderer.ending:<{ending}}  {facts}")
    problems += [f"format {f.name}: {f.origin} is not used, for another format has its name" for f in unused()]
    for problem in problems:
        tell("dfrecord: " + " ".join(problem.split()))
