"""The claim of the project: a recording, rendered and run on another instance, gives the recorded end state.

Every fixture with a recorded state goes through every format; the double's ids differ from the recorded ones.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.doubles.server import DreamFactoryDouble
from tests.states import portable
from tests.tools import FAILED, FIXTURES, FORMATS, dfrecord, rendered, run

CASES = sorted(path.parent.name for path in FIXTURES.glob("*/state.json"))
GRID = [(case, format) for case in CASES for format in FORMATS]
SECRETS = {"DF_USER_PASSWORD": "Another!pass-word-16"}


def environment(df: DreamFactoryDouble) -> dict[str, str]:
    return {"DF_BASE_URL": df.url, "DF_EMAIL": df.email, "DF_PASSWORD": df.password, "DF_YES": "1", **SECRETS}


def prepare(df: DreamFactoryDouble, case: str) -> None:
    before = FIXTURES / case / "before.json"
    if before.exists():
        df.apply(json.loads(before.read_text()))


@pytest.mark.parametrize(("case", "format"), GRID)
def test_script_gives_the_recorded_end_state_on_a_server_with_other_ids(case: str, format: str, tmp_path: Path) -> None:
    script = rendered(FIXTURES / case / "recording.har", format, tmp_path)
    with DreamFactoryDouble(id_offset=1000) as df:
        prepare(df, case)
        done = run(script, format, environment(df))
        assert done.returncode == 0, done.stdout + done.stderr
        assert portable(df.state()) == portable(json.loads((FIXTURES / case / "state.json").read_text()))


@pytest.mark.parametrize("format", FORMATS)
def test_script_of_the_imported_recording_does_the_same(format: str, tmp_path: Path) -> None:
    small = tmp_path / "small.har"
    dfrecord("import", FIXTURES / "03-edit-role" / "recording.har", "-o", small)
    script = rendered(small, format, tmp_path)
    with DreamFactoryDouble(id_offset=77) as df:
        prepare(df, "03-edit-role")
        done = run(script, format, environment(df))
        assert done.returncode == 0, done.stdout + done.stderr
        recorded = json.loads((FIXTURES / "03-edit-role" / "state.json").read_text())
        assert portable(df.state()) == portable(recorded)


@pytest.mark.parametrize("format", FORMATS)
def test_same_input_gives_the_same_bytes(format: str, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        rendered(FIXTURES / "06-messy" / "recording.har", format, tmp_path / name)
    for file in filter(Path.is_file, (tmp_path / "a").rglob("*")):
        assert file.read_bytes() == (tmp_path / "b" / file.relative_to(tmp_path / "a")).read_bytes()


@pytest.mark.parametrize("format", FORMATS)
def test_missing_lookup_stops_before_anything_changes(format: str, tmp_path: Path) -> None:
    script = rendered(FIXTURES / "06-messy" / "recording.har", format, tmp_path)
    with DreamFactoryDouble(id_offset=5) as df:
        done = run(script, format, environment(df))
        assert done.returncode == FAILED.get(format, 1)
        assert "legacy_rws" in done.stdout + done.stderr
        assert df.writes == []


@pytest.mark.parametrize("format", FORMATS)
def test_dangerous_step_needs_consent(format: str, tmp_path: Path) -> None:
    script = rendered(FIXTURES / "06-messy" / "recording.har", format, tmp_path)
    with DreamFactoryDouble(id_offset=5) as df:
        prepare(df, "06-messy")
        done = run(script, format, {k: v for k, v in environment(df).items() if k != "DF_YES"})
        assert done.returncode != 0
        assert "DF_YES" in done.stdout + done.stderr
        assert df.writes == []
