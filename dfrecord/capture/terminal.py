"""What a person sees while a recording is made: a live table on a terminal, plain lines elsewhere.

Everything recorded is shown without characters that could steer the terminal. All of it goes to standard error.
"""

from __future__ import annotations

import contextlib
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self

import click

from dfrecord.capture.live import Call
from dfrecord.outputs import plain

if TYPE_CHECKING:
    from rich.text import Text

    from dfrecord.capture.audience import Summary
    from dfrecord.capture.proxy import ProxyOptions

_REFRESH = 0.25
_GONE = contextlib.suppress(OSError)  # nobody reads any more, a closed terminal say: the recording goes on


class Lines:
    """One plain line for each call. With `quiet` only what went wrong."""

    def __init__(self, options: ProxyOptions, *, quiet: bool = False) -> None:
        self._options = options
        self._quiet = quiet
        self._noted: set[str] = set()
        self._failed = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """The terminal is as it was."""

    def listening(self, host: str, port: int, ca: Path | None) -> None:
        """Says where to go."""
        shown = f"[{host}]" if ":" in host else host
        target = self._options.target
        if self._options.mode == "browser":
            self._say(f"recording {target.origin} in the browser that opens; close it or press Ctrl-C to end")
        elif self._options.mode == "reverse":
            self._say(f"recording {target.origin}: open http://{shown}:{port}{target.start} and press Ctrl-C to end")
        else:
            self._say(f"recording {target.origin}: set your browser's proxy to {shown}:{port}; press Ctrl-C to end")
            if target.scheme == "https":
                self._say(f"the browser must trust the certificate {ca}; take the trust away again afterwards")

    def call(self, call: Call) -> None:
        """One line: time, what it means, status, duration, and why it failed."""
        self._failed += bool(call.failure)
        self._say("  ".join(part for part in _columns(call) if part))

    def filtered_out(self, count: int) -> None:
        """Nothing until the end."""

    def note(self, line: str) -> None:
        """Said once, also when quiet."""
        if line not in self._noted:
            self._noted.add(line)
            self._print(f"dfrecord: {plain(line)}")

    def ended(self, summary: Summary) -> None:
        """What was recorded, where it is, and what to type next."""
        output = self._options.output
        calls = f"{summary.recorded} call{'s' if summary.recorded != 1 else ''} recorded"
        calls += f" ({self._failed} refused or failed)" if self._failed else ""
        self._say(f"{calls}, {summary.filtered_out} filtered out -> {output}")
        if summary.recorded:
            from dfrecord.pasting import argument, pasted_line

            har, script = argument(str(output)), argument(str(output.with_suffix(".py")))
            render = ["dfrecord", "render", har, "-f", "python", "-o", script]
            replay = ["dfrecord", "replay", har, "--base-url", "https://df-test.example.com"]
            self._say(f"next: {pasted_line(['dfrecord', 'show', har])}")
            self._say(f"      {pasted_line(render)}")
            self._say(f"      {pasted_line(replay)}")
        if not self._options.redact:
            self._print(f"warning: {output} holds passwords and tokens in clear; do not share it")

    def _say(self, line: str) -> None:
        if not self._quiet:
            self._print(line)

    def _print(self, line: str) -> None:
        with _GONE:
            click.echo(plain(line), err=True)


class LiveTable(Lines):
    """A table that grows, and below it how many calls were recorded and filtered out."""

    def __init__(self, options: ProxyOptions) -> None:
        from rich.console import Console
        from rich.live import Live

        super().__init__(options)
        self._console = Console(stderr=True, highlight=False)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._recorded = self._filtered_out = 0
        self._refreshed = 0.0

    def __exit__(self, *_: object) -> None:
        """Takes the counter away and gives the cursor back."""
        with _GONE:
            self._live.stop()

    def listening(self, host: str, port: int, ca: Path | None) -> None:
        """Says where to go and starts the table."""
        super().listening(host, port, ca)
        with _GONE:
            self._live.start()
        self._row(("TIME", "CALL", "STATUS", "TOOK"), "bold")
        self._footer()

    def call(self, call: Call) -> None:
        """One row; a refused or failed call stands out, and says why below."""
        self._recorded += 1
        self._failed += bool(call.failure)
        started, title, status, took, why = _columns(call)
        self._row((started, f"{title}\n{why}" if why else title, status, took), "bold red" if call.failure else "")
        self._footer()

    def filtered_out(self, count: int) -> None:
        """The counter below the table, not more often than a person can read."""
        self._filtered_out = count
        if time.monotonic() - self._refreshed > _REFRESH:
            self._footer()

    def ended(self, summary: Summary) -> None:
        """Takes the counter away and sums up."""
        self.__exit__()
        super().ended(summary)

    def _row(self, columns: tuple[str, ...], style: str) -> None:
        from rich.table import Table

        table = Table.grid(padding=(0, 2), expand=True)
        for width, ratio in ((8, None), (None, 1), (6, None), (8, None)):
            table.add_column(width=width, ratio=ratio, overflow="fold")
        table.add_row(*(_text(column, style) for column in columns))
        with _GONE:
            self._console.print(table)

    def _footer(self) -> None:
        counted = f"{self._recorded} recorded · {self._failed} refused or failed · {self._filtered_out} filtered out"
        line = f"{counted} · Ctrl-C ends"
        with _GONE:
            self._live.update(_text(line, "dim"), refresh=True)
        self._refreshed = time.monotonic()

    def _print(self, line: str) -> None:
        with _GONE:
            self._console.print(_text(line, ""), soft_wrap=True)


def _text(content: str, style: str) -> Text:
    from rich.text import Text

    return Text(content, style=style)


def _columns(call: Call) -> tuple[str, str, str, str, str]:
    started = datetime.fromisoformat(call.started).astimezone().strftime("%H:%M:%S")
    took = f"{call.milliseconds:.0f} ms" if call.milliseconds >= 0 else ""
    status = str(call.status) if call.status > 0 else "failed"
    return started, plain(call.title), status, took, plain(call.failure)
