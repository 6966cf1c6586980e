"""`dfrecord formats`: the formats that render can write."""

from __future__ import annotations

import click

from dfrecord.renderers import FORMATS


@click.command("formats")
def command() -> None:
    """List the formats that `dfrecord render --format` can write."""
    width = max(len(name) for name in FORMATS)
    ending = max(len(format.ending) for format in FORMATS.values())
    for format in FORMATS.values():
        click.echo(f"{format.name:<{width}}  {format.ending:<{ending}}  needs {format.needs}")
