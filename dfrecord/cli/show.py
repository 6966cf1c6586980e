"""`dfrecord show`: what was recorded, in words, as JSON, or one step as a curl command."""

from __future__ import annotations

import json
from typing import Any

import click

from dfrecord.cli.options import input_argument, plan_from, plan_options, quiet_option
from dfrecord.errors import UsageError


@click.command("show")
@input_argument
@click.option("--json", "as_json", is_flag=True, help="The whole account as JSON (docs/journey.schema.json).")
@click.option("--curl", "step", type=int, metavar="N", help="Step N as one curl command to paste.")
@plan_options
@quiet_option
def command(
    source: str, as_json: bool, step: int | None, filters: tuple[str, ...], quiet: bool, **choices: Any
) -> None:
    """Tell what INPUT shows: steps, what feeds what, variables to set, and everything left out, with reasons."""
    from dfrecord.journey.account import account
    from dfrecord.renderers import refuse_secrets
    from dfrecord.reporting.words import export_lines, told

    if as_json and step is not None:
        raise UsageError("--json and --curl: choose one of them")
    journey = plan_from(source, filters, quiet, **choices)
    if step is not None:
        from dfrecord.renderers.curl_command import curl_command

        shown = curl_command(journey, step)
        output = shown.text
    elif as_json:
        output = json.dumps(account(journey), indent=2, ensure_ascii=True, allow_nan=False)
    else:
        output = "\n".join(told(journey))
    refuse_secrets(journey, "show", output.encode("utf-8", "surrogatepass"))
    if step is not None and not quiet:
        click.echo("\n".join(["# set first:", *export_lines(shown.variables), ""]), err=True)
    click.echo(output)
