"""A command starts at once: it loads what it needs and nothing heavy beside."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tools import FORMATS

EXAMPLE = Path(__file__).parent.parent / "examples" / "provision-tenant.har"
HEAVY = {"_hashlib", "black", "haralyzer", "jinja2", "mitmproxy", "requests", "rich"}

_LOADED = """
import sys
before = set(sys.modules)
from dfrecord.cli import cli
try:
    cli.main(sys.argv[1:], prog_name="dfrecord", standalone_mode=False)
finally:
    print("\\n" + " ".join(sorted(set(sys.modules) - before)))
"""


def loaded(*arguments: str) -> set[str]:
    """The modules that a command loads."""
    done = subprocess.run([sys.executable, "-c", _LOADED, *arguments], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_help_loads_click_and_what_names_the_commands() -> None:
    modules = loaded("--help")
    ours = {name for name in modules if name.partition(".")[0] == "dfrecord"}
    assert ours == {"dfrecord", "dfrecord.cli", "dfrecord.cli.talk", "dfrecord.errors", "dfrecord.outputs"}
    others = {name.partition(".")[0] for name in modules - ours} - sys.stdlib_module_names
    assert others == {"click"}


@pytest.mark.parametrize(
    "arguments",
    [["formats"], ["show", str(EXAMPLE)], ["show", str(EXAMPLE), "--json"], ["import", str(EXAMPLE), "-o", "-"]],
    ids=lambda arguments: " ".join(word for word in arguments if word != str(EXAMPLE)),
)
def test_a_command_loads_nothing_heavy(arguments: list[str]) -> None:
    modules = loaded(*arguments)
    assert {name.partition(".")[0] for name in modules} & HEAVY == set()
    assert "importlib.metadata" not in modules or arguments == ["formats"]


def test_an_import_loads_nothing_of_what_makes_scripts_or_unpacks_archives(tmp_path: Path) -> None:
    """Nor does it make data classes, each of which takes as long as many of its entries (`recording.exchange`)."""
    modules = loaded("import", str(EXAMPLE), "-o", str(tmp_path / "small.har"))
    assert not {name for name in modules if name.startswith("dfrecord.renderers")}
    assert not modules & {"dfrecord.recording.archives", "tarfile", "zipfile", "dataclasses"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["show", str(EXAMPLE)],
        ["show", str(EXAMPLE), "--json"],
        ["report", str(EXAMPLE), "-o", "out.html"],
        *(["render", str(EXAMPLE), "-f", format, "-o", f"out.{format}"] for format in FORMATS),
    ],
    ids=lambda arguments: "-".join(word for word in arguments if word != str(EXAMPLE)),
)
def test_nothing_depends_on_the_encoding_of_the_system(arguments: list[str], tmp_path: Path) -> None:
    """As on Windows, whose code pages know few characters; a file opened without its encoding is an error here."""
    told = {"PYTHONWARNDEFAULTENCODING": "1", "PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0"}
    command = [sys.executable, "-W", "error::EncodingWarning", "-m", "dfrecord", *arguments]
    done = subprocess.run(command, capture_output=True, cwd=tmp_path, env={**os.environ, **told})
    assert done.returncode == 0, done.stderr
    for file in filter(Path.is_file, tmp_path.rglob("*")):
        assert b"\r" not in file.read_bytes()
