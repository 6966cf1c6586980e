"""Options and arguments that several commands share, and how they open inputs."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

import dfrecord
from dfrecord.cli.talk import tell
from dfrecord.errors import UsageError

if TYPE_CHECKING:
    from rich.progress import Progress

    from dfrecord.journey.model import Journey
    from dfrecord.recording.exchange import Recording
    from dfrecord.system_api.catalog import Catalog

Decorated = Callable[..., Any]


def input_argument(function: Decorated) -> Decorated:
    """INPUT: a path, or `-` for standard input."""
    return click.argument("source", metavar="INPUT", type=click.Path(allow_dash=True))(function)


def plan_options(function: Decorated) -> Decorated:
    """--filter, --reads, --literal, --whole-records, --parameter, --upsert, --teardown, --name."""
    for option in (
        click.option(
            "--teardown",
            is_flag=True,
            help="Undo what runs did, and only that: replay at once, a script with DF_TEARDOWN=1.",
        ),
        click.option("--upsert", is_flag=True, help="Look up, then create or change: a second run changes nothing."),
        click.option(
            "--parameter",
            "parameters",
            metavar="NAME=VALUE",
            multiple=True,
            help="Recorded text VALUE becomes the parameter NAME wherever a value holds it; repeatable.",
        ),
        click.option("--name", default="", help="Name of the journey (default: from the input's name)."),
        click.option("--whole-records", is_flag=True, help="Send updates whole, not only what changed."),
        click.option("--literal", is_flag=True, help="Each kept request verbatim: no linking, nothing left out."),
        click.option(
            "--reads",
            type=click.Choice(["used", "all", "none"]),
            default="used",
            show_default=True,
            help="Which reads stay: those that a later step needs, all, or none.",
        ),
        filter_option,
        catalog_option,
    ):
        function = option(function)
    return function


def filter_option(function: Decorated) -> Decorated:
    """--filter PATH, repeatable."""
    return click.option(
        "--filter",
        "filters",
        metavar="PATH",
        multiple=True,
        help="Keep what lies under this path (after the host, or with it: https://…); repeatable. "
        "[default: api/v2/system]",
    )(function)


def catalog_option(function: Decorated) -> Decorated:
    """--catalog FILE.json; commands get the Catalog."""

    def read_catalog(context: click.Context, option: click.Parameter, path: str | None) -> Catalog:
        from dfrecord.system_api.catalog import load

        return load(path)

    return click.option(
        "--catalog",
        metavar="FILE.json",
        callback=read_catalog,
        help="What is known about the API: adds to, or replaces, the built-in knowledge (docs/catalog.md).",
    )(function)


def quiet_option(function: Decorated) -> Decorated:
    """-q/--quiet."""
    return click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")(function)


def given_options(*without: str) -> list[str]:
    """The words on the command line that gave options, except those named; what has its default is left out."""
    context = click.get_current_context()
    words: list[str] = []
    for option in context.command.params:
        name = option.name or ""
        is_given = context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        if not isinstance(option, click.Option) or not is_given or name in without:
            continue
        value = context.params["catalog"].source if name == "catalog" else context.params[name]
        for each in value if isinstance(value, tuple) else (value,):
            words += [option.opts[0]] if each is True else [option.opts[0], str(each)]
    return words


def output_option(metavar: str, what: str) -> Callable[[Decorated], Decorated]:
    """-o/--output, a path or `-` for standard output; `what` says what is written there."""
    return click.option(
        "-o",
        "--output",
        required=True,
        metavar=metavar,
        type=click.Path(allow_dash=True),
        help=f"{what}; - for standard output.",
    )


def force_option(function: Decorated) -> Decorated:
    """--force."""
    return click.option("--force", is_flag=True, help="Replace the output when it exists.")(function)


def may_replace(force: bool) -> Callable[[Path], bool]:
    """Whether a file that exists may be replaced: with --force, or when a person at the terminal says so."""

    def asked(path: Path) -> bool:
        if force or sys.stdin is None or not (sys.stdin.isatty() and sys.stderr.isatty()):
            return force
        return click.confirm(f"{path} exists; replace it?", err=True)

    return asked


def refuse_input_as_output(output: str, *sources: str) -> None:
    """Raises UsageError when the output is one of the inputs, or a recording in a folder that is one."""
    if output == "-" or not Path(output).exists():
        return
    if any(source != "-" and Path(source).exists() and Path(output).samefile(source) for source in sources):
        raise UsageError(f"{output}: is the input itself; choose another output")
    for folder in filter(os.path.isdir, sources):
        from dfrecord.recording.inputs import is_in_folder

        if is_in_folder(Path(output), Path(folder)):
            raise UsageError(f"{output}: is a recording in the input {folder}; choose another output")


def plan_from(source: str, filters: Sequence[str], quiet: bool, **choices: Any) -> Journey:
    """Read the input and plan the journey."""
    return plan_recording(read_source(source, filters, quiet, choices["catalog"]), filters, quiet, **choices)


def plan_recording(recording: Recording, filters: Sequence[str], quiet: bool, **choices: Any) -> Journey:
    """Plan the journey; says on standard error when entries of the input were lost."""
    if recording.lost and not quiet:
        tell(f"dfrecord: {recording.source}: {recording.told_losses}")
    chosen: dict[str, str] = {}
    for name, value in map(_name_and_value, choices.pop("parameters", ())):
        if name in chosen:
            raise UsageError(f"--parameter {name}: given twice, as {chosen[name]} and {value}; give it once")
        chosen[name] = value
    return dfrecord.plan(recording, filters=filters, parameters=chosen, **choices)


def _name_and_value(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"--parameter {text}: write NAME=VALUE, such as tenant=acme")
    return name, value


def read_source(source: str | BinaryIO, filters: Sequence[str], quiet: bool, catalog: Catalog) -> Recording:
    """Read the input, with a progress bar on a terminal when it takes longer than a second."""
    from dfrecord.recording.changing import cut_off_is_told
    from dfrecord.recording.peel import READ_AT_ONCE

    path = Path(source) if isinstance(source, str) and source != "-" else None
    if path is not None and (path.is_dir() or (path.is_file() and path.stat().st_size > READ_AT_ONCE)):
        with cut_off_is_told(path):
            return _read(source, filters, quiet, catalog)
    return _read(source, filters, quiet, catalog)


def _read(source: str | BinaryIO, filters: Sequence[str], quiet: bool, catalog: Catalog) -> Recording:
    silent = quiet or not sys.stderr.isatty()
    started = time.monotonic()
    bar: list[Progress] = []

    def progress(done: int, total: int) -> None:
        if not done:
            import dfrecord.normalise.secrets  # noqa: F401 - needed next; meanwhile other processes may be reading
        if silent or (not bar and time.monotonic() - started < 1):
            return
        if not bar:
            from rich.console import Console
            from rich.progress import Progress

            bar.append(Progress(console=Console(stderr=True), transient=True))
            bar[0].add_task("reading", total=total)
            bar[0].start()
        bar[0].update(bar[0].task_ids[0], completed=done, total=total)

    try:
        return dfrecord.read(source, filters=filters, catalog=catalog, progress=progress)
    finally:
        for shown in bar:
            shown.stop()
