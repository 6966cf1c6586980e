"""`dfrecord import`: any recordings into one small redacted one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dfrecord.cli.options import (
    catalog_option,
    filter_option,
    force_option,
    may_replace,
    output_option,
    quiet_option,
    read_source,
    refuse_input_as_output,
)
from dfrecord.cli.talk import tell
from dfrecord.outputs import Written, write_file, write_out
from dfrecord.pasting import argument, pasted_line

if TYPE_CHECKING:
    from dfrecord.system_api.catalog import Catalog


@click.command("import")
@click.argument("sources", metavar="INPUT...", nargs=-1, required=True, type=click.Path(allow_dash=True))
@output_option("FILE.har", "HAR to write")
@catalog_option
@filter_option
@click.option("--keep-secrets", is_flag=True, help="Do not replace secrets; the file is then readable by you only.")
@force_option
@quiet_option
def command(
    sources: tuple[str, ...],
    output: str,
    catalog: Catalog,
    filters: tuple[str, ...],
    keep_secrets: bool,
    force: bool,
    quiet: bool,
) -> None:
    """Make one small HAR of the API calls in INPUT..., safe to commit: every secret is replaced by a placeholder.

    INPUT is a HAR of any browser or tool, a mitmproxy flow file, an archive or folder of these, or - for standard
    input. Several recordings are joined by time; an exchange that stands in more than one is kept once.
    """
    from dfrecord.recording.inputs import recordings_in

    refuse_input_as_output(output, *sources)
    recordings = [read_source(part, filters, quiet, catalog) for source in sources for part in recordings_in(source)]
    from dfrecord.normalise.redact import joined, redacted  # not before a large input is read, see `read_source`
    from dfrecord.recording.har_writer import har_of

    recording = joined(recordings)
    kept, replaced = redacted(recording, filters or catalog.default_filters, catalog, keep_secrets=keep_secrets)
    content = bytearray()  # joined at once, all of it would be held twice
    for chunk in har_of(kept):
        content += chunk
    if output == "-":
        write_out(content)
    else:
        write_file(Written(Path(output), content, private=keep_secrets), may_replace(force))
    if quiet:
        return
    for part in recordings:
        if part.lost:
            tell(f"{part.source}: {part.told_losses}")
        for note in part.notes:
            tell(f"{part.source}: {note}")
    if output != "-":
        tell(f"{recording.entry_count} entries -> {len(kept)} kept, {replaced} secrets replaced -> {output}")
        tell(f"next: {pasted_line(['dfrecord', 'show', argument(output)])}")
    if keep_secrets:
        where = "what was written" if output == "-" else output
        tell(f"warning: {where} holds passwords and tokens in clear; do not share it")
