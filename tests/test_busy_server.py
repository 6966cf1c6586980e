"""A server that is too busy to take a request says when to ask again (system-api.md section 5: 429, `Retry-After`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.doubles.server import DreamFactoryDouble
from tests.doubles.wire import Answer
from tests.states import portable
from tests.tools import FIXTURES, rendered, run

ASKING_AGAIN = ["curl", "python", "postman", "ansible"]
RECORDING = FIXTURES / "02-provision-tenant" / "recording.har"


def busy(df: DreamFactoryDouble, method: str, path: str, times: int, asks: str) -> list[str]:
    """Let the server refuse so many calls; gives the list of those that it refused."""
    whole, refused = df.answer, list[str]()

    def odd(verb: str, target: str, *more: Any) -> Any:
        if (verb, target.partition("?")[0]) != (method, f"/api/v2/system/{path}") or len(refused) == times:
            return whole(verb, target, *more)
        refused.append(target)
        message = {"error": {"code": 429, "context": None, "message": "API limit(s) exceeded.", "status_code": 429}}
        return Answer(429, message, headers={"Retry-After": asks} if asks else {}), verb

    df.answer = odd  # type: ignore[method-assign, assignment]
    return refused


PAUSE = {"ansible": ["-e", "df_pause=1"]}


def environment(df: DreamFactoryDouble) -> dict[str, str]:
    return {"DF_BASE_URL": df.url, "DF_EMAIL": df.email, "DF_PASSWORD": df.password}


@pytest.mark.parametrize("options", [[], ["--upsert", "--teardown"]], ids=["plain", "upsert"])
@pytest.mark.parametrize("format", ASKING_AGAIN)
def test_a_busy_server_is_asked_again_when_it_says(format: str, options: list[str], tmp_path: Path) -> None:
    script = rendered(RECORDING, format, tmp_path, *options)
    with DreamFactoryDouble(700) as calm, DreamFactoryDouble(700) as df:
        before = portable(df.state())
        assert run(script, format, environment(calm), options=PAUSE.get(format, [])).returncode == 0
        refused, reads = busy(df, "POST", "role", 2, "1"), busy(df, "GET", "app", 1, "1") if options else []
        done = run(script, format, environment(df), options=PAUSE.get(format, []))
        assert done.returncode == 0, done.stdout + done.stderr
        assert (len(refused), len(reads)) == (2, 1 if options else 0)
        assert portable(df.state()) == portable(calm.state())
        if options:
            busy(df, "DELETE", f"role/{df.state()['role'][0]['id']}", 1, "1")
            done = run(script, format, {**environment(df), "DF_TEARDOWN": "1"}, options=PAUSE.get(format, []))
            assert done.returncode == 0, done.stdout + done.stderr
            assert portable(df.state()) == before


@pytest.mark.parametrize("asks", ["7200", ""], ids=["hours", "always"])
@pytest.mark.parametrize("format", ASKING_AGAIN)
def test_a_server_that_stays_busy_fails_the_step(format: str, asks: str, tmp_path: Path) -> None:
    script = rendered(RECORDING, format, tmp_path)
    with DreamFactoryDouble(700) as df:
        refused = busy(df, "POST", "role", 9, asks)
        done = run(script, format, environment(df), options=PAUSE.get(format, []))
        assert done.returncode != 0
        assert "429" in done.stdout + done.stderr
        assert "API limit(s) exceeded." in done.stdout + done.stderr
        assert len(refused) == (1 if asks and format != "ansible" else 4)  # a playbook cannot ask for how long
        assert [call.path for call in df.writes if call.status == 201] == ["/api/v2/system/service"]


def test_locust_asks_again_for_rows_and_counts_a_load_test_s_refusals(tmp_path: Path) -> None:
    script = rendered(RECORDING, "locust", tmp_path, "--parameter", "tenant=acme", "--teardown")
    (tmp_path / "rows.csv").write_text("tenant\nglobex\ninitech\n")
    with DreamFactoryDouble(700) as df:
        before = portable(df.state())
        refused = busy(df, "POST", "role", 2, "1")
        done = run(script, "locust", {**environment(df), "DF_ITERATIONS": "", "DF_CSV": "rows.csv"})
        said = done.stdout + done.stderr
        assert done.returncode == 0, said
        assert (len(refused), "2 of 2 done, 0 of them failed" in said) == (2, True), said
        busy(df, "DELETE", f"role/{df.state()['role'][0]['id']}", 1, "1")
        assert run(script, "locust", {**environment(df), "DF_TEARDOWN": "1"}).returncode == 0
        assert portable(df.state()) == before
        refused = busy(df, "POST", "role", 1, "1")
        done = run(script, "locust", environment(df))
        assert (done.returncode, len(refused)) == (1, 1), done.stdout + done.stderr
        assert "429" in done.stdout + done.stderr
