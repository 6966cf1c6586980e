"""What the documentation shows is run: its Python blocks, its commands with what they print, its scripts."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import dfrecord
from docs.generate import main as generate
from tests.doubles.server import DreamFactoryDouble
from tests.states import portable
from tests.tools import FIXTURES, ROOT

DOCS = ROOT / "docs"
BASE_URL, EMAIL = "https://df-test.example.com", "admin@example.com"


def blocks(page: Path, language: str = "python") -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)


def commands(page: Path) -> Iterator[tuple[str, str]]:
    """Each command of the page's console blocks, and what is printed below it."""
    for block in blocks(page, "console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, printed = part.partition("\n")
            yield command, printed


class Shell:
    """A terminal in a folder: what a reader of a page types, one command after the other."""

    def __init__(self, folder: Path, df: DreamFactoryDouble) -> None:
        self._folder, self._df = folder, df
        programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self._env = {**os.environ, "PATH": programs, "PYTHONPATH": str(ROOT)}

    def __call__(self, command: str, code: int | None = None) -> str:
        if command.startswith("export "):
            self._env |= {"DF_BASE_URL": self._df.url, "DF_EMAIL": self._df.email, "DF_PASSWORD": self._df.password}
            return ""
        done = subprocess.run(
            command,
            shell=True,
            cwd=self._folder,
            env=self._env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )
        assert code is None or done.returncode == code, done.stdout
        return done.stdout.replace(self._df.url, BASE_URL)


def assert_prints(expected: str, printed: str, command: str) -> None:
    """A line `…` stands for any lines."""
    pattern = ".*".join(re.escape(part) for part in re.split(r"^…\n", expected, flags=re.MULTILINE))
    assert re.fullmatch(pattern, printed, re.DOTALL), f"{command} prints:\n{printed}"


def test_tutorial_prints_what_it_shows(tmp_path: Path) -> None:
    (tmp_path / "tenant.har").write_bytes((ROOT / "examples" / "provision-tenant.har").read_bytes())
    told = list(commands(DOCS / "tutorial.md"))
    assert len(told) == 10
    with DreamFactoryDouble(id_offset=40) as df:
        shell = Shell(tmp_path, df)
        for command, expected in told:
            assert_prints(expected, shell(command), command)


def test_readme_prints_what_it_shows(tmp_path: Path) -> None:
    (tmp_path / "examples").mkdir()
    name = "examples/provision-tenant.har"
    (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    told = list(commands(ROOT / "README.md"))[:4]
    assert told[-1][0] == "./provision.sh"
    with DreamFactoryDouble(id_offset=40) as df:
        shell = Shell(tmp_path, df)
        for command, expected in told:
            assert_prints(expected, shell(command), command)


def test_recipe_for_environments_changes_nothing_that_nobody_agreed_to(tmp_path: Path) -> None:
    recording = (FIXTURES / "02-provision-tenant" / "recording.har").read_bytes()
    (tmp_path / "session.har").write_bytes(recording)
    (tmp_path / "setup").mkdir()
    (tmp_path / "env").mkdir()
    (tmp_path / "promote.sh").write_text(blocks(DOCS / "recipes.md", "bash")[0])
    with DreamFactoryDouble(id_offset=1000) as df:
        shell = Shell(tmp_path, df)
        for command, _ in list(commands(DOCS / "recipes.md"))[:3]:
            shell(command, code=0)
        settings = f"DF_BASE_URL={df.url} DF_EMAIL={df.email} DF_PASSWORD='{df.password}'\n"
        (tmp_path / "env" / "test").write_text(settings)
        assert "Plan: 3 to create" in shell("bash promote.sh test", code=3)
        assert df.writes == []
        shell("bash promote.sh test --apply", code=0)
        assert set(portable(df.state())["role"]) == {"acme-role"}
        assert shell("bash promote.sh test --apply", code=0).endswith("test: nothing to do\n")


def test_recipe_for_payments_makes_each_tenant_once(tmp_path: Path) -> None:
    (tmp_path / "tenant.har").write_bytes((ROOT / "examples" / "provision-tenant.har").read_bytes())
    (tmp_path / "billing.py").write_text(blocks(DOCS / "recipes.md")[0])
    call = "python -c 'import billing; print(billing.on_payment(\"Globex Corp.\"))'"
    with DreamFactoryDouble(id_offset=1000) as df:
        shell = Shell(tmp_path, df)
        shell(list(commands(DOCS / "recipes.md"))[3][0], code=0)
        shell("export DF_BASE_URL=…")
        assert "'ready': False" in Shell(tmp_path, df)(f"DF_BASE_URL={df.url} DF_EMAIL=x DF_PASSWORD=y {call}")
        first, again = shell(call, code=0), shell(call, code=0)
        assert set(portable(df.state())["role"]) == {"globex-corp-role"}
        assert first.splitlines()[-1] == again.splitlines()[-1]
        assert "'ready': True" in first


def test_examples_of_the_python_page_do_what_they_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    recording = (FIXTURES / "02-provision-tenant" / "recording.har").read_bytes()
    (tmp_path / "session.har").write_bytes(recording)
    (tmp_path / "catalog.json").write_text('{"extends": "dreamfactory", "resources": {}}')
    names: dict[str, Any] = {}
    with DreamFactoryDouble(id_offset=1000) as df:
        for block in blocks(DOCS / "python-api.md"):
            source = block.replace(BASE_URL, df.url).replace(EMAIL, df.email)
            exec(source.replace("…", df.password), names)
        roles = portable(df.state())["role"]
    assert set(roles) == {"globex-role"}
    assert names["result"].ok


def test_a_program_that_uses_the_api_is_typed(tmp_path: Path) -> None:
    types = [
        name for name in dfrecord.__all__ if name[0].isupper() and not issubclass(getattr(dfrecord, name), Exception)
    ]
    lines = ["import dfrecord", *(f"def f{n}(x: dfrecord.{name}) -> None: ..." for n, name in enumerate(types))]
    source = "\n".join(block for block in blocks(DOCS / "python-api.md") if "provision_tenant import" not in block)
    (tmp_path / "program.py").write_text("\n".join(lines) + "\n" + source)
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(ROOT / ".mypy_cache"), "program.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_pages_made_from_the_program_are_fresh(tmp_path: Path) -> None:
    generate(tmp_path)
    made = [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()]
    assert len(made) > 20
    stale = [str(path) for path in made if (tmp_path / path).read_bytes() != (ROOT / path).read_bytes()]
    assert stale == [], "run: make docs"
