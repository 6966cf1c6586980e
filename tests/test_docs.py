"""What the documentation shows is run: the blocks of the Python page, one after the other, against the double."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest

from docs.generate import main as generate
from tests.doubles.server import DreamFactoryDouble
from tests.states import portable
from tests.tools import FIXTURES, ROOT


def blocks(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)


def test_examples_of_the_python_page_do_what_they_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    recording = (FIXTURES / "02-provision-tenant" / "recording.har").read_bytes()
    (tmp_path / "session.har").write_bytes(recording)
    names: dict[str, Any] = {}
    with DreamFactoryDouble(id_offset=1000) as df:
        for block in blocks(ROOT / "docs" / "python-api.md"):
            source = block.replace("https://df-test.example.com", df.url).replace("admin@example.com", df.email)
            exec(source.replace("…", df.password), names)
        roles = portable(df.state())["role"]
    assert set(roles) == {"globex-role", "initech-role"}
    assert names["result"].ok


def test_pages_made_from_the_program_are_fresh(tmp_path: Path) -> None:
    generate(tmp_path)
    made = [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()]
    assert len(made) > 20
    stale = [str(path) for path in made if (tmp_path / path).read_bytes() != (ROOT / path).read_bytes()]
    assert stale == [], "run: make docs"
