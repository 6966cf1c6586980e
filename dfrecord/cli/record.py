"""`dfrecord record`: record live what is clicked in a browser."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dfrecord.capture.target import listen_address, target_of
from dfrecord.cli.options import catalog_option, filter_option, force_option, may_replace, quiet_option
from dfrecord.errors import UsageError, WorkFailed
from dfrecord.outputs import check_place

if TYPE_CHECKING:
    from dfrecord.system_api.catalog import Catalog


@click.command("record")
@click.argument("url", metavar="URL")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    metavar="FILE.har",
    help="HAR to write.",
)
@click.option(
    "--mode",
    type=click.Choice(["reverse", "browser", "proxy"]),
    default="reverse",
    show_default=True,
    help="reverse: a local address for any browser; browser: starts Chromium, Chrome or Edge; proxy: for a browser "
    "that you configure.",
)
@click.option("--listen", default="127.0.0.1:8080", show_default=True, metavar="HOST:PORT", help="Port 0: a free one.")
@catalog_option
@filter_option
@click.option("--duration", type=float, metavar="SECONDS", help="End after this time.")
@click.option("--browser", metavar="PATH", help="The browser to start in browser mode (default: the first one found).")
@click.option("--upstream-proxy", metavar="URL", help="Reach the target through this proxy.")
@click.option("--ca-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Trust these CAs (PEM).")
@click.option("--insecure", is_flag=True, help="Do not check the target's certificate.")
@click.option("--keep-secrets", is_flag=True, help="Do not replace secrets; the file is then readable by you only.")
@force_option
@quiet_option
def command(
    url: str,
    output: Path,
    mode: str,
    listen: str,
    catalog: Catalog,
    filters: tuple[str, ...],
    duration: float | None,
    browser: str | None,
    upstream_proxy: str | None,
    ca_file: Path | None,
    insecure: bool,
    keep_secrets: bool,
    force: bool,
    quiet: bool,
) -> None:
    """Record what is clicked in the admin console at URL into one small HAR without secrets.

    The file is a valid HAR at every moment. Ctrl-C ends the recording.
    """
    target, address = target_of(url), listen_address(listen)
    if browser is not None and mode != "browser":
        raise UsageError("--browser: is for --mode browser only")
    if duration is not None and not duration > 0:  # nor is NaN
        raise UsageError("--duration: has to be more than 0")
    if output.exists() and output.stat().st_size and not may_replace(force)(output):
        raise UsageError(f"{output}: exists already; choose another -o, or replace it with --force")
    check_place(output)
    from dfrecord.capture.proxy import ProxyOptions, run  # mitmproxy takes most of a second to import
    from dfrecord.capture.terminal import Lines, LiveTable

    options = ProxyOptions(
        target=target,
        output=output,
        mode=mode,
        listen=address,
        catalog=catalog.source,
        filters=filters or catalog.default_filters,
        redact=not keep_secrets,
        overwrite=output.exists(),
        insecure=insecure,
        upstream_proxy=upstream_proxy,
        ca_file=ca_file,
        browser=browser,
        duration=duration,
    )
    audience = LiveTable(options) if sys.stderr.isatty() and not quiet else Lines(options, quiet=quiet)
    with audience:
        summary = run(options, audience)
    if summary.lost:
        raise WorkFailed(f"{output}: {summary.lost} of {summary.lost + summary.recorded} calls could not be recorded")
