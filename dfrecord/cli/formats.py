"""`dfrecord formats`: the formats that render can write."""

from __future__ import annotations

import click

from dfrecord.renderers import formats


@click.command("formats")
def command() -> None:
    """List the formats that `dfrecord render --format` can write."""
    rows = [(format, format.load()) for format in formats().values()]
    width = max(len(format.name) for format, _ in rows)
    ending = max(len(renderer.ending) for _, renderer in rows)
    needs = max(len(renderer.needs) for _, renderer in rows)
    for format, renderer in rows:
        facts = f"needs {renderer.needs:<{needs}}  {format.origin}"
        click.echo(f"{format.name:<{width}}  {renderer.ending:<{ending}}  {facts}")
