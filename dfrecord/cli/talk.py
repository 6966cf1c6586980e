"""What commands say on standard error: one door, so that nothing recorded or received can steer the terminal."""

from __future__ import annotations

import click

from dfrecord.outputs import plain


def tell(line: str) -> None:
    """Say one line; names of files and words of servers may be in it."""
    click.echo(plain(line), err=True)
