"""`dfrecord addon`: where the mitmproxy addon is."""

from __future__ import annotations

from pathlib import Path

import click

import dfrecord


@click.command("addon")
def command() -> None:
    """Print the path of the addon for your own mitmproxy.

    Use it like this: mitmdump -s "$(dfrecord addon)" --set dfrecord_output=tenant.har
    """
    click.echo(str(Path(dfrecord.__file__).with_name("capture") / "addon.py"))
