"""`dfrecord render`: write the script."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import dfrecord
from dfrecord.cli.options import (
    force_option,
    input_argument,
    may_replace,
    output_option,
    plan_from,
    plan_options,
    quiet_option,
    refuse_input_as_output,
)
from dfrecord.cli.talk import tell
from dfrecord.outputs import stem_of, write_out, write_script


def _formats(context: click.Context, option: click.Parameter, incomplete: str) -> list[str]:
    from dfrecord.renderers import formats

    return [name for name in formats() if name.startswith(incomplete)]


@click.command("render")
@input_argument
@click.option(
    "-f",
    "--format",
    required=True,
    metavar="FORMAT",
    shell_complete=_formats,
    help="curl, python, postman or another one of dfrecord formats.",
)
@output_option("OUT", "File to write")
@click.option(
    "--template-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Your own templates, looked at first.",
)
@click.option("--steps", metavar="1,3-5", help="Only these steps, numbered as dfrecord show numbers them.")
@force_option
@plan_options
@quiet_option
def command(
    source: str,
    format: str,
    output: str,
    steps: str | None,
    template_dir: Path | None,
    filters: tuple[str, ...],
    force: bool,
    quiet: bool,
    **choices: Any,
) -> None:
    """Write the script that does again what INPUT shows: a HAR, a mitmproxy flow file, or - for standard input.

    The script takes its target and its secrets from the environment; the top of it lists them.
    """
    from dfrecord.journey.steps import only_steps, parse_steps
    from dfrecord.pasting import argument, pasted_line
    from dfrecord.renderers import find

    find(format)  # before a large input is read
    refuse_input_as_output(output, source)
    journey = plan_from(source, filters, quiet, **choices)
    if steps is not None:
        journey = only_steps(journey, parse_steps(steps, len(journey.steps)))
    stem = "journey" if output == "-" else stem_of(Path(output))
    files = dfrecord.render(journey, format, stem=stem, template_dir=template_dir)
    if output == "-":
        write_out(files[0].content)
        beside = [file.beside for file in files if file.beside]
        if beside and not quiet:
            tell(f"it needs {', '.join(beside)} beside it, which -o FILE writes, too")
        return
    paths = write_script(files, Path(output), may_replace(force))
    if not quiet:
        count = len(journey.steps)
        tell(f"{journey.title}: {count} step{'s' if count != 1 else ''} -> {', '.join(map(str, paths))}")
        if not count:
            under = ", ".join(filters or choices["catalog"].default_filters)
            see = pasted_line(["dfrecord", "show", argument(source)])
            tell(f"no request under {under} is worth doing again; see: {see}")
