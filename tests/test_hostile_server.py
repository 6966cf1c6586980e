"""A server that answers anything: a run ends in one line of its own, whatever it is told. (What the words of a server
could do to a terminal, and secrets that it repeats: `tests/test_secrets.py`.)"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

import dfrecord as api
from dfrecord.errors import DfrecordError
from tests.doubles.echo import EchoServer
from tests.tools import FIXTURES, rendered

RECORDINGS = [FIXTURES / case / "recording.har" for case in ("02-provision-tenant", "03-edit-role")]
DEEP = "[" * 5000 + "]" * 5000
NOT_SO_DEEP = "[" * 900 + "]" * 900
NAMES = ("tenant_acme_files", "acme-role", "acme-app", "warehouse-reader", "partner_api")


def found(members: str) -> str:
    """Every record that is looked for is there, and has these members."""
    rows = ",".join(f'{{"name":"{name}"{members}}}' for name in NAMES)
    return f'{{"resource":[{rows}],"name":"x"{members}}}'


ODD = ("null", "5", '"x"', '{"a":1}', '[1,null,"x",[],{},{"id":null},{"id":[1]},{"id":{}},{"id":1}]', NOT_SO_DEEP)
ANSWERS = [
    *("", "null", "1", '"x"', "[]", "[null]", "{}", "<html>", "\0", DEEP, '{"id":NaN}', '{"id":1e400}'),
    *(f'{{"resource":{rows}}}' for rows in (*ODD, "[5]", '["x"]', '[{"name":"x"}]', f'[{{"id":{DEEP}}}]')),
    *(f'{{"resource":[{{"id":{id}}}],"id":{id}}}' for id in (*ODD, "9" * 6000, "-1", "true", "1.5", '"../x?y=1#z"')),
    *(
        f'{{"error":{error}}}'
        for error in (*ODD, '{"message":{"a":1},"context":[]}', '{"context":{"resource":[5,{}]}}')
    ),
    json.dumps({"error": {"message": "x" * 3_000_000}}),
    found(""),
    found(',"id":[1]'),
    *(
        found(f',"id":7,"description":{odd},"config":{odd},"role_service_access_by_role_id":{odd},"is_active":{odd}')
        for odd in ODD
    ),
]
LOGIN = {("POST", "/api/v2/system/admin/session"): (200, '{"session_token":"TOKEN-0123456789"}')}
GIVEN = {"DF_EMAIL": "a@b.c", "DF_PASSWORD": "GIVEN-0123456789", "DF_YES": "1"}


CASES = [(200, text) for text in ANSWERS if '"error"' not in text]
CASES += [(400, text) for text in ANSWERS if '"error"' in text or len(text) < 12]


def loaded(script: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(script.parent.name, script)
    assert spec is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    assert spec.loader is not None
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("recording", RECORDINGS, ids=["create", "edit"])
def test_whatever_is_answered_a_replay_tells_it(recording: Path, tmp_path: Path) -> None:
    with EchoServer(LOGIN) as server:
        for upsert in (False, True):
            journey = api.plan(api.read(recording), upsert=upsert)
            for server.default in CASES:
                replayed = api.replay(journey, server.url, GIVEN, yes=True, created_file=tmp_path / "notes")
                assert len(str(replayed.results)) < 100_000
                try:
                    api.preview(journey, server.url, GIVEN)
                except DfrecordError as error:
                    assert len(str(error)) < 30_000  # noqa: PT017


@pytest.mark.parametrize("recording", RECORDINGS, ids=["create", "edit"])
def test_whatever_is_answered_a_python_script_tells_it(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in GIVEN.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    runs: list[list[str]] = [[], ["--plan", "--verbose"]]
    with EchoServer(LOGIN) as server:
        for name, options in {"plain": [], "upsert": ["--upsert", "--teardown"]}.items():
            (tmp_path / name).mkdir()
            main = loaded(rendered(recording, "python", tmp_path / name, *options)).main
            for server.default in CASES:
                for more in [*runs, ["--teardown"]] if options else runs:
                    assert main(["--base-url", server.url, *more]) in (0, 1, 3), server.default
                    assert len(capsys.readouterr().err) < 30_000
