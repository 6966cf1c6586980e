"""Formats from outside: the example plug-in installed and run, broken ones told in a line, users' own templates."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pytest

import dfrecord as api
from dfrecord.errors import UsageError
from dfrecord.journey.model import Journey, RawBody, RequestTemplate, Step, StepKind
from dfrecord.renderers.registry import GROUP, Format, RenderOptions, built_in
from dfrecord.renderers.templates import TEMPLATES
from dfrecord.tree import Text, Var
from tests.render.journeys import PROVISION
from tests.tools import FIXTURES, FORMATS, ROOT

RECORDING = FIXTURES / "02-provision-tenant" / "recording.har"


def dfrecord(*arguments: str | Path, packages: Path) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{packages}"}
    command = [sys.executable, "-m", "dfrecord", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=env, timeout=120)


def plug_in(packages: Path, name: str, source: str) -> None:
    """A package as an installer leaves it behind: a module, and the metadata that names its entry point."""
    (packages / f"{name}.py").write_text(source)
    metadata = packages / f"{name}-2.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 2.0\n")
    (metadata / "entry_points.txt").write_text(f"[dfrecord.renderers]\n{name} = {name}:RENDERER\n")


def test_example_plug_in_is_installed_listed_and_run(tmp_path: Path) -> None:
    packages = tmp_path / "packages"
    example = ROOT / "examples" / "renderer-plugin"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(packages), str(example)]
    subprocess.run(install, check=True, capture_output=True, timeout=300)
    listed = dfrecord("formats", packages=packages)
    assert [line.split() for line in listed.stdout.splitlines() if line.startswith("runbook")] == [
        ["runbook", ".md", "needs", "a", "reader", "dfrecord-runbook", "1.0"]
    ]
    output = tmp_path / "change.md"
    done = dfrecord("render", RECORDING, "-f", "runbook", "-o", output, packages=packages)
    assert done.returncode == 0, done.stderr
    assert "3. [ ] Create role acme\\-role: POST /api/v2/system/role?" in output.read_text()


def test_built_in_formats_are_entry_points_as_those_of_plug_ins_are() -> None:
    installed = metadata.distribution("dfrecord").entry_points.select(group=GROUP)  # from `make`, or `pip install -e .`
    assert {point.name: point.value for point in installed} == {f.name: f.reference for f in built_in().values()}
    assert list(built_in()) == list(FORMATS)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import nothing_of_that_name", "ModuleNotFoundError: No module named 'nothing_of_that_name'"),
        ("", "AttributeError"),
    ],
)
def test_broken_plug_in_is_told_in_one_line(source: str, reason: str, tmp_path: Path) -> None:
    plug_in(tmp_path, "broken", source)
    done = dfrecord("render", RECORDING, "-f", "broken", "-o", tmp_path / "out", packages=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("dfrecord: format broken: ")
    assert reason in done.stderr
    assert done.stderr.count("\n") == 1
    assert dfrecord("render", RECORDING, "-f", "curl", "-o", "-", packages=tmp_path).returncode == 0


RENDERER = """
from dfrecord.renderers import OutputFile
class Renderer:
    ending, needs = ".txt", "nothing"
    def render(self, journey, options):
        {body}
RENDERER = Renderer{made}
"""


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("raise SystemExit(0)", "cannot be loaded (SystemExit: 0)"),
        ("RENDERER = 3", "has no object with the texts ending and needs, and render"),
        ("class RENDERER: ending, needs, render = '.txt', None, print", "has no object with the texts"),
        (RENDERER.format(body="pass", made=""), "has no object with the texts"),
        (RENDERER.format(body="return {}[1]", made="()"), "failed (KeyError: 1; "),
        (RENDERER.format(body="raise SystemExit", made="()"), "odd.py, line 6); update or remove it"),
        (RENDERER.format(body="return None", made="()"), "gave no files that can be written"),
        (RENDERER.format(body="return ()", made="()"), "gave no files that can be written"),
        (RENDERER.format(body="return (OutputFile('text'),)", made="()"), "gave no files that can be written"),
        (RENDERER.format(body="return (OutputFile(b'', beside='../x'),)", made="()"), "gave no files"),
        (RENDERER.format(body="return (OutputFile(b'', suffix='/../x'),)", made="()"), "gave no files"),
    ],
)
def test_whatever_a_plug_in_does_wrong_is_told_as_its_fault(
    source: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "odd", raising=False)
    (tmp_path / "odd.py").write_text(source)
    with pytest.raises(UsageError, match=re.escape(reason)) as raised:
        Format("odd", "odd:RENDERER", "odd 2.0").render(PROVISION, RenderOptions())
    assert str(raised.value).startswith("format odd: odd 2.0 ")


def test_formats_are_listed_beside_a_broken_plug_in_and_one_that_takes_a_name(tmp_path: Path) -> None:
    plug_in(tmp_path, "broken", "import nothing_of_that_name")
    plug_in(tmp_path, "curl", "raise SystemExit('not this one')")
    listed = dfrecord("formats", packages=tmp_path)
    assert [line.split()[0] for line in listed.stdout.splitlines()] == list(FORMATS)
    broken, taken = listed.stderr.splitlines()
    assert broken.startswith("dfrecord: format broken: broken 2.0 cannot be loaded (ModuleNotFoundError: ")
    assert taken == "dfrecord: format curl: curl 2.0 is not used, for another format has its name"
    done = dfrecord("render", RECORDING, "-f", "curl", "-o", "-", packages=tmp_path)
    assert done.stdout.startswith("#!/usr/bin/env bash")


def test_secret_cannot_leave_through_a_plug_in(tmp_path: Path) -> None:
    source = """
from dfrecord.renderers import OutputFile
from dfrecord.renderers.registry import FunctionRenderer
RENDERER = FunctionRenderer(".txt", "nothing", lambda journey, options: (OutputFile(min(journey.secrets).encode()),))
"""
    plug_in(tmp_path, "leaky", source)
    done = dfrecord("render", RECORDING, "-f", "leaky", "-o", tmp_path / "out.txt", packages=tmp_path)
    assert done.returncode == 2
    assert "a recorded secret would stand in the leaky output" in done.stderr
    assert not (tmp_path / "out.txt").exists()


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("#!/bin/sh\n{% if %}\n", "script.sh.j2, line 2: Expected an expression"),
        ("#!/bin/sh\n\n{{ nosuch.thing }}\n", "script.sh.j2, line 3: 'nosuch' is undefined"),
        ("{% include 'curl/none.j2' %}\n", "there is no template curl/none.j2"),
        ("\n{{ 1 / 0 }}\n", "script.sh.j2, line 2: division by zero"),
    ],
)
def test_broken_template_of_the_users_is_told_with_file_and_line(template: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "curl").mkdir()
    (tmp_path / "curl" / "script.sh.j2").write_text(template)
    done = dfrecord("render", RECORDING, "-f", "curl", "-o", "-", "--template-dir", tmp_path, packages=tmp_path)
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.fixture(scope="module")
def journeys() -> list[Journey]:
    """Journeys that between them take every template: upserts, one that finds a user, a plain one, raw bodies."""
    tenant, user = (api.read(FIXTURES / case / "recording.har") for case in ("02-provision-tenant", "03-edit-role"))
    request = RequestTemplate("POST", Text(("/x",)), (), RawBody((b"\xff", Var("base_url"))))
    raw = replace(PROVISION, steps=(*PROVISION.steps, Step("raw", "raw", StepKind.CALL, request)))
    upserted = api.plan(tenant, upsert=True, teardown=True)
    clears = Step("clear", "clear", StepKind.CALL, request, only_after_changes=True, due="clear 1")
    return [
        upserted,
        replace(upserted, steps=(*upserted.steps, Step("raw", "raw", StepKind.CALL, request, once="raw 1"), clears)),
        api.plan(user, upsert=True, teardown=True),
        api.plan(tenant),
        raw,
    ]


@pytest.mark.parametrize(
    "template",
    [str(path.relative_to(TEMPLATES)) for path in sorted(TEMPLATES.glob("*/*.j2")) if path.parent.name != "report"],
)
def test_every_template_can_be_replaced_and_is_named_when_broken(
    template: str, journeys: list[Journey], tmp_path: Path
) -> None:
    format = Path(template).parent.name
    (tmp_path / format).mkdir()
    (tmp_path / template).write_text("\n[[ nosuch ]]\n" if format == "ansible" else "\n{{ nosuch }}\n")
    broken = f"{tmp_path / template}, line 2: 'nosuch' is undefined; correct the template"
    assert any(broken == told(journey, format, tmp_path) for journey in journeys)


def told(journey: Journey, format: str, template_dir: Path) -> str | None:
    """Why the journey is not rendered."""
    try:
        api.render(journey, format, template_dir=template_dir)
    except UsageError as error:
        return str(error)
    return None


def test_users_template_takes_the_place_of_one_template_only(tmp_path: Path) -> None:
    (tmp_path / "postman").mkdir()
    (tmp_path / "postman" / "description.md.j2").write_text("Ours: {{ source | markdown }}\n")
    done = dfrecord("render", RECORDING, "-f", "postman", "-o", "-", "--template-dir", tmp_path, packages=tmp_path)
    assert '"description": "Ours: recording.har"' in done.stdout
    assert "serversWords" in done.stdout
