"""An instance that wraps no lists (`DF_ALWAYS_WRAP_RESOURCES=false`, system-api.md 4.1), also those of a write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.doubles.server import DreamFactoryDouble
from tests.doubles.wire import Answer
from tests.render.test_http import jetbrains
from tests.states import portable
from tests.test_end_to_end import prepare
from tests.tools import EVERY_OPTION, FIXTURES, dfrecord, rendered, run, torn_down

RECORDING = FIXTURES / "02-provision-tenant" / "recording.har"


def unwrap(df: DreamFactoryDouble) -> None:
    whole = df.answer

    def bare(*request: Any) -> Any:
        answer, verb = whole(*request)
        if isinstance(answer.body, dict) and list(answer.body) == ["resource"]:
            return Answer(answer.status, answer.body["resource"]), verb
        return answer, verb

    df.answer = bare  # type: ignore[method-assign, assignment]


def given(df: DreamFactoryDouble) -> dict[str, str]:
    return {"DF_BASE_URL": df.url, "DF_EMAIL": df.email, "DF_PASSWORD": df.password}


def tenant(df: DreamFactoryDouble, whole: Any) -> Any:
    """The state, read as the double answers without the change."""
    bare, df.answer = df.answer, whole  # type: ignore[method-assign]
    state = portable(df.state())
    df.answer = bare  # type: ignore[method-assign]
    return state


@pytest.mark.parametrize("way", [*EVERY_OPTION, "replay"])
@pytest.mark.parametrize("upsert", [False, True], ids=["plain", "upsert"])
def test_a_tenant_is_made_and_undone(upsert: bool, way: str, tmp_path: Path) -> None:
    options = ["--upsert"] * upsert
    with DreamFactoryDouble(700) as wrapping, DreamFactoryDouble(700) as df:
        whole, before = df.answer, portable(df.state())
        unwrap(df)
        if way == "replay":
            notes = ["--created-file", str(tmp_path / "created.jsonl"), "--base-url"]
            dfrecord("replay", RECORDING, *options, *notes, wrapping.url, environment=given(wrapping))
            notes[1] = str(tmp_path / "others.jsonl")
            dfrecord("replay", RECORDING, *options, *notes, df.url, environment=given(df))
            assert tenant(df, whole) == portable(wrapping.state())
            dfrecord("replay", RECORDING, "--teardown", *notes, df.url, environment=given(df))
        else:
            script = rendered(RECORDING, way, tmp_path, "--teardown", *options)
            for server in (wrapping, df):
                done = run(script, way, given(server))
                assert done.returncode == 0, done.stdout + done.stderr
            assert tenant(df, whole) == portable(wrapping.state())
            done = torn_down(script, way, given(df))
            assert done.returncode == 0, done.stdout + done.stderr
        assert tenant(df, whole) == before


@pytest.mark.parametrize("fixture", ["02-provision-tenant", "03-edit-role"])
@pytest.mark.parametrize("client", ["httpyac", "jetbrains"])
def test_http_files_take_bare_arrays(client: str, fixture: str, tmp_path: Path) -> None:
    """What a create answers (02), and what a filter finds (03)."""
    script = rendered(FIXTURES / fixture / "recording.har", "http", tmp_path)
    with DreamFactoryDouble(700) as wrapping, DreamFactoryDouble(700) as df:
        whole = df.answer
        for server in (wrapping, df):
            prepare(server, fixture)
            if server is df:
                unwrap(df)
            done = run(script, "http", given(server)) if client == "httpyac" else jetbrains(script, server)
            assert done.returncode == 0, done.stdout + done.stderr
        assert tenant(df, whole) == portable(wrapping.state())
