"""Writes what the documentation takes from the program itself, into the folders given or `docs/` and `examples/`.

    docs/commands/*.md         a page for each command, from click
    docs/man/dfrecord*.1       man pages, from click
    docs/catalog.schema.json   the form of a catalog file, from its types
    examples/*/                what the bundled recordings render to

`make docs` runs it; a test runs it into an empty folder and compares.
"""

from __future__ import annotations

import json
import sys
from inspect import cleandoc
from pathlib import Path

import click
from click_man.core import write_man_pages

import dfrecord
from dfrecord.cli import COMMANDS, cli
from dfrecord.errors import UsageError
from dfrecord.outputs import write_script
from dfrecord.renderers import formats
from dfrecord.system_api.catalog_file import schema

ROOT = Path(__file__).resolve().parent.parent
RELEASED = "2026-11-24"
EXAMPLES = {"provision-tenant": {"upsert": True, "teardown": True, "parameters": {"tenant": "acme"}}, "edit-role": {}}


def main(root: Path) -> None:
    """Write everything below `root`."""
    (root / "docs" / "commands").mkdir(parents=True, exist_ok=True)
    (root / "docs" / "man").mkdir(parents=True, exist_ok=True)
    top = click.Context(cli, info_name="dfrecord")
    pages = {name: _context(top, name) for name in COMMANDS}
    _write(root / "docs" / "commands" / "README.md", _index(top))
    for name, context in pages.items():
        _write(root / "docs" / "commands" / f"{name}.md", _page(context, COMMANDS[name][1]))
    commands = {name: page.command for name, page in pages.items()}
    everything = click.Group("dfrecord", commands, help=cli.help, short_help=_NAME)
    folder, version = root / "docs" / "man", f"dfrecord {dfrecord.__version__}"
    write_man_pages("dfrecord", everything, version=version, target_dir=folder, date=RELEASED)
    _write(root / "docs" / "catalog.schema.json", json.dumps(schema(), indent=2) + "\n")
    for name, options in EXAMPLES.items():
        _example(root / "examples" / name, name, options)


def _context(top: click.Context, name: str) -> click.Context:
    command = cli.get_command(top, name)
    assert command is not None, name
    return click.Context(command, info_name=name, parent=top, terminal_width=100)


def _index(top: click.Context) -> str:
    lines = ["# Commands", "", str(top.command.help), ""]
    lines += [f"- [dfrecord {name}]({name}.md): {summary}" for name, (_, summary) in COMMANDS.items()]
    return "\n".join([*lines, "", _EXIT_CODES, ""])


_EXIT_CODES = """Exit codes: 0 done; 1 the work failed, a replay differs, say; 2 wrong usage or unreadable input;
3 `replay --plan`, and something would change; 130 Ctrl-C, 143 SIGTERM, 129 a closed terminal; 141 nobody reads the
output. Errors are one line on standard error. `NO_COLOR` is respected; colours and progress bars are shown on a
terminal only.

`make docs` makes these pages from the commands' own help."""


_NAME = "record clicks in DreamFactory's admin console, get a script that does it again"


def _page(context: click.Context, summary: str) -> str:
    usage = f"{context.command_path} {' '.join(context.command.collect_usage_pieces(context))}"
    told = cleandoc(context.command.help or "").replace("\b\n", "")
    lines = [f"# {context.command_path}", "", f"{summary[:1].upper()}{summary[1:]}.", ""]
    lines += ["```console", f"$ {usage}", "```", "", told, ""]
    records = [
        record
        for option in context.command.params
        if isinstance(option, click.Option) and (record := option.get_help_record(context)) is not None
    ]
    lines += ["| option | meaning |", "| --- | --- |"]
    lines += [f"| `{_cell(names)}` | {_cell(meaning)} |" for names, meaning in records]
    if context.command.epilog:
        lines += ["", "```console", context.command.epilog.replace("\b", "").strip(), "```"]
    return "\n".join([*lines, ""])


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _example(folder: Path, name: str, options: dict[str, object]) -> None:
    """The recording's scripts in every built-in format, and what `dfrecord show` and `report` make of it."""
    folder.mkdir(parents=True, exist_ok=True)
    recording = dfrecord.read(ROOT / "examples" / f"{name}.har")
    journey = dfrecord.plan(recording, name=name.replace("-", " "), **options)  # type: ignore[arg-type]
    for format in formats().values():
        if format.origin != "built in":
            continue
        try:
            files = dfrecord.render(journey, format.name, stem=name)
        except UsageError:  # the format knows neither --upsert nor --teardown
            plain = {key: value for key, value in options.items() if key not in ("upsert", "teardown")}
            files = dfrecord.render(dfrecord.plan(recording, **plain), format.name, stem=name)  # type: ignore[arg-type]
        write_script(files, folder / f"{name}{format.load().ending}")


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT)
