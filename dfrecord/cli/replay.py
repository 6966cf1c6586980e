"""`dfrecord replay`: run the journey on an instance and compare, or tell beforehand what it would change."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from dfrecord.cli.options import (
    given_options,
    input_argument,
    plan_from,
    plan_options,
    quiet_option,
    refuse_input_as_output,
)
from dfrecord.cli.progress import display
from dfrecord.cli.talk import tell
from dfrecord.errors import DfrecordError, UsageError
from dfrecord.outputs import Written, check_place, write_file

if TYPE_CHECKING:
    from dfrecord.replaying.planned import Plan

WOULD_CHANGE = 3


@click.command("replay")
@input_argument
@click.option("--base-url", envvar="DF_BASE_URL", metavar="URL", help="The instance to run against (DF_BASE_URL).")
@click.option("--plan", "plan_only", is_flag=True, help="Change nothing; tell what would be created, changed, deleted.")
@click.option("--from", "first_step", default=1, metavar="STEP", show_default=True, help="Go on from this step.")
@click.option("--yes", is_flag=True, envvar="DF_YES", help="Agree to dangerous steps (DF_YES=1).")
@click.option("--json", "as_json", is_flag=True, help="As JSON (docs/replay.schema.json, docs/plan.schema.json).")
@click.option("--junit", type=click.Path(dir_okay=False, path_type=Path), help="Write the results as JUnit XML, too.")
@click.option(
    "--created-file",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="DF_CREATED",
    help="Notes what is created, for --teardown (default: NAME.created.jsonl).",
)
@click.option(
    "--timeout",
    type=float,
    default=30.0,
    metavar="SECONDS",
    show_default=True,
    help="For each request.",
)
@click.option(
    "--retries",
    type=click.IntRange(min=0),
    default=3,
    metavar="N",
    show_default=True,
    help="Of safe requests, and after a 429.",
)
@click.option("--insecure", is_flag=True, help="Do not check the server's certificate.")
@click.option(
    "--ca-file",
    type=click.Path(exists=True, dir_okay=False),
    default=None,
    help="Certificates to trust (default: REQUESTS_CA_BUNDLE, or those that requests brings along).",
)
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
    from dfrecord.pasting import argument, pasted_line
    from dfrecord.replaying import run, told
    from dfrecord.replaying.client import Connection
    from dfrecord.replaying.plan import plan, teardown_plan

    if created_file is not None:
        refuse_input_as_output(str(created_file), source)
    if not base_url:
        raise UsageError("set DF_BASE_URL or give --base-url: the instance to run against; nothing was sent")
    catalog = choices["catalog"]
    journey = plan_from(source, filters, quiet, **choices)
    if journey.literal:
        raise UsageError("--literal: a replay links what it sends; render the literal requests instead")
    connection = Connection(timeout, retries, insecure, ca_file or "", proxy)
    options = run.ReplayOptions(base_url, os.environ, connection, yes, first_step, created_file)
    if plan_only:
        make_plan = teardown_plan if journey.teardown else plan
        _tell_plan(make_plan(journey, options, catalog), as_json)
    if junit is not None:
        _check_junit(junit, created_file)
    total = len(journey.steps)
    with display(total, lines=not as_json, quiet=quiet) as shown:
        options = replace(options, begin=shown.begin, say=shown.say)
        start = run.tear_down if journey.teardown else run.replay
        replayed = start(journey, options, catalog, lambda result: shown.show(told.result_lines(result, total)))
    if as_json:
        click.echo(json.dumps(told.run_account(replayed), indent=2))
    if not quiet and (replayed.interrupted or not as_json):
        unsaid = ("base_url", "first_step", *(["proxy"] if "@" in proxy else []))  # its password is nobody's business
        again = ["dfrecord", "replay", argument(source), "--base-url", base_url, *given_options(*unsaid)]
        tell(told.summary(replayed, pasted_line(again)))
    if junit is not None:  # last: what the run did is told, whatever becomes of the file
        write_file(Written(junit, told.junit_xml(replayed)))
    raise click.exceptions.Exit(128 + replayed.signal if replayed.interrupted else 0 if replayed.ok else 1)


def _check_junit(junit: Path, created_file: Path | None) -> None:
    """Raises UsageError when they cannot be written there; they take the place of earlier ones and of nothing else."""
    if str(junit) == "-":
        raise UsageError("--junit -: name a file; nothing was sent")
    if junit == created_file:
        raise UsageError(f"--junit {junit}: is the --created-file, too; name another file; nothing was sent")
    if junit.is_file() and not _holds_results(junit):
        raise UsageError(f"--junit {junit}: exists already and holds no results; name another file; nothing was sent")
    try:
        check_place(junit)
    except DfrecordError as error:
        raise type(error)(f"--junit {error}; nothing was sent") from None


def _holds_results(file: Path) -> bool:
    """Whether nothing is lost when results are written there: it is empty, or holds those of some test run."""
    try:
        with file.open("rb") as stream:
            start = stream.read(200)
    except OSError:
        return False
    return not start or b"<testsuite" in start


def _tell_plan(plan: Plan, as_json: bool) -> NoReturn:
    from dfrecord.replaying import told

    if as_json:
        click.echo(json.dumps(told.plan_account(plan), indent=2))
    for line, colour in told.plan_lines(plan) if not as_json else ():
        click.secho(line, fg=None if os.environ.get("NO_COLOR") else colour)
    raise click.exceptions.Exit(WOULD_CHANGE if plan.changes else 0)
