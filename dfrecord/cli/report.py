"""`dfrecord report`: one page that shows the recording and everything made from it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from dfrecord.cli.options import given_options, input_argument, plan_options, plan_recording, quiet_option, read_source
from dfrecord.errors import UsageError
from dfrecord.outputs import write_file


@click.command("report")
@input_argument
@click.option("-o", "--output", required=True, metavar="FILE.html", help="Page to write; - for standard output.")
@plan_options
@quiet_option
def command(source: str, output: str, filters: tuple[str, ...], quiet: bool, **choices: Any) -> None:
    """Write one self-contained page for a browser: the calls, the steps in every form, what feeds what, the residue.

    The page needs no network and holds no secret.
    """
    from dfrecord.reporting.page import report

    if choices["upsert"]:
        raise UsageError("--upsert: a report shows what was recorded; give --upsert to render or replay")
    if output != "-" and source != "-" and Path(output).exists() and Path(output).samefile(source):
        raise UsageError(f"{output}: is the input itself; choose another output")
    recording = read_source(source, filters, quiet)
    journey = plan_recording(recording, filters, quiet, **choices)
    page = report(recording, journey, given_options("output", "quiet"), source)
    if output == "-":
        sys.stdout.buffer.write(page)
        return
    write_file(Path(output), page)
    if not quiet:
        count = len(journey.steps)
        click.echo(f"{journey.title}: {count} step{'s' if count != 1 else ''} -> {output}", err=True)
