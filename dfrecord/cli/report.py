"""`dfrecord report`: one page that shows the recording and everything made from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from dfrecord.cli.options import (
    force_option,
    given_options,
    input_argument,
    may_replace,
    output_option,
    plan_options,
    plan_recording,
    quiet_option,
    read_source,
    refuse_input_as_output,
)
from dfrecord.cli.talk import tell
from dfrecord.errors import UsageError
from dfrecord.outputs import Written, write_file, write_out


@click.command("report")
@input_argument
@output_option("FILE.html", "Page to write")
@force_option
@plan_options
@quiet_option
def command(source: str, output: str, filters: tuple[str, ...], force: bool, quiet: bool, **choices: Any) -> None:
    """Write one self-contained page for a browser: the calls, the steps in every form, what feeds what, the residue.

    The page needs no network and holds no secret.
    """
    from dfrecord.reporting.page import report

    if choices["upsert"]:
        raise UsageError("--upsert: a report shows what was recorded; give --upsert to render or replay")
    refuse_input_as_output(output, source)
    recording = read_source(source, filters, quiet, choices["catalog"])
    journey = plan_recording(recording, filters, quiet, **choices)
    page = report(recording, journey, given_options("output", "quiet", "force"), source)
    if output == "-":
        write_out(page)
        return
    write_file(Written(Path(output), page), may_replace(force))
    if not quiet:
        count = len(journey.steps)
        tell(f"{journey.title}: {count} step{'s' if count != 1 else ''} -> {output}")
