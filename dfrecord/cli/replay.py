"""`dfrecord replay`: run the journey on an instance and compare, or tell beforehand what it would change."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import click

import dfrecord
from dfrecord.cli.options import input_argument, plan_from, plan_options, quiet_option
from dfrecord.errors import UsageError
from dfrecord.outputs import Written, write_file

WOULD_CHANGE = 3
INTERRUPTED = 130


@click.command("replay")
@input_argument
@click.option("--base-url", envvar="DF_BASE_URL", metavar="URL", help="The instance to run against (DF_BASE_URL).")
@click.option("--plan", "plan_only", is_flag=True, help="Change nothing; tell what would be created, changed, deleted.")
@click.option("--from", "first_step", default=1, metavar="STEP", show_default=True, help="Go on from this step.")
@click.option("--yes", is_flag=True, envvar="DF_YES", help="Agree to dangerous steps (DF_YES=1).")
@click.option("--json", "as_json", is_flag=True, help="The results as JSON on standard output.")
@click.option("--junit", type=click.Path(dir_okay=False, path_type=Path), help="Write the results as JUnit XML, too.")
@click.option(
    "--created-file",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="DF_CREATED",
    help="Notes what is created, for --teardown (default: NAME.created.jsonl).",
)
@click.option("--timeout", default=30.0, metavar="SECONDS", show_default=True, help="For each request.")
@click.option("--retries", default=3, metavar="N", show_default=True, help="Of safe requests, and after a 429.")
@click.option("--insecure", is_flag=True, help="Do not check the server's certificate.")
@click.option("--ca-file", type=click.Path(exists=True, dir_okay=False), default=None, help="Certificates to trust.")
@click.option("--proxy", default="", metavar="URL", help="Proxy (default: HTTPS_PROXY and the like).")
@plan_options
@quiet_option
def command(
    source: str,
    base_url: str | None,
    plan_only: bool,
    first_step: int,
    yes: bool,
    as_json: bool,
    junit: Path | None,
    created_file: Path | None,
    timeout: float,
    retries: int,
    insecure: bool,
    ca_file: str | None,
    proxy: str,
    filters: tuple[str, ...],
    quiet: bool,
    **choices: Any,
) -> None:
    """Run again what INPUT shows, on the instance at --base-url, and compare each answer with the recorded one.

    Secrets and parameters come from the environment, as for scripts; `dfrecord show INPUT` lists them. Exit code 0: as
    recorded; 1: something failed or differs; 2: something to set is missing. With --plan 0: nothing would change; 3:
    something would.
    """
    from dfrecord.replaying import told
    from dfrecord.replaying.client import Connection
    from dfrecord.replaying.run import ReplayOptions, tear_down

    if not base_url:
        raise UsageError("set DF_BASE_URL or give --base-url: the instance to run against; nothing was sent")
    catalog = choices["catalog"]
    journey = plan_from(source, filters, quiet, **choices)
    if journey.literal:
        raise UsageError("--literal: a replay links what it sends; render the literal requests instead")
    connection = Connection(timeout, retries, insecure, ca_file or "", proxy)
    if plan_only:
        planned = dfrecord.preview(journey, base_url, os.environ, catalog=catalog, connection=connection)
        click.echo(json.dumps(told.plan_account(planned), indent=2) if as_json else "\n".join(told.plan_lines(planned)))
        sys.exit(WOULD_CHANGE if planned.changes else 0)
    total = len(journey.steps)

    def tell(result: Any) -> None:
        if not quiet and not as_json:
            for line, colour in told.result_lines(result, total):
                click.secho(line, fg=colour, err=True)

    options = ReplayOptions(base_url, os.environ, connection, yes, first_step, created_file)
    if journey.teardown:
        replayed = tear_down(journey, options, catalog, tell)
    else:
        replayed = dfrecord.replay(
            journey,
            base_url,
            os.environ,
            catalog=catalog,
            connection=connection,
            yes=yes,
            first_step=first_step,
            created_file=created_file,
            tell=tell,
        )
    if junit is not None:
        write_file(Written(junit, told.junit_xml(replayed)))
    if as_json:
        click.echo(json.dumps(told.run_account(replayed), indent=2))
    elif not quiet:
        click.echo(told.summary(replayed, source), err=True)
    sys.exit(INTERRUPTED if replayed.interrupted else 0 if replayed.ok else 1)
