"""The steps of a run as they happen, on standard error: a line each, and on a terminal what is under way below them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from dfrecord.outputs import plain

if TYPE_CHECKING:
    from rich.progress import Progress


class Display:
    """Says what a run does. Without `lines` no results are shown, only what is under way."""

    def __init__(self, *, lines: bool, quiet: bool, bar: Progress | None = None) -> None:
        self._lines, self._quiet, self._bar = lines and not quiet, quiet, bar

    def begin(self, number: int, title: str) -> None:
        """A step begins; steps count from 1."""
        if self._bar:
            self._bar.update(self._bar.task_ids[0], completed=number - 1, title=plain(title))

    def show(self, lines: Iterable[tuple[str, str | None]]) -> None:
        """The lines of a result, each with its colour."""
        for text, colour in lines if self._lines else ():
            self._print(text, colour or "")

    def say(self, text: str) -> None:
        """A remark."""
        if not self._quiet:
            self._print(f"  {plain(text)}", "dim")

    def _print(self, text: str, style: str) -> None:
        if self._bar is None:
            click.echo(text, err=True)
            return
        from rich.text import Text

        self._bar.console.print(Text(text, style=style), soft_wrap=True)


@contextmanager
def display(total: int, *, lines: bool, quiet: bool) -> Iterator[Display]:
    """The display of a run of so many steps."""
    if quiet or not sys.stderr.isatty():
        yield Display(lines=lines, quiet=quiet)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    title = TextColumn("{task.fields[title]}", markup=False)
    columns = (SpinnerColumn(), MofNCompleteColumn(), BarColumn(20), TimeElapsedColumn(), title)
    with Progress(*columns, console=Console(stderr=True, highlight=False), transient=True) as bar:
        bar.add_task("", total=total, title="")
        yield Display(lines=lines, quiet=False, bar=bar)
