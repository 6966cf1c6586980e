"""Scripts of the `locust` format, run by Locust: one process, and a master with two workers, against the double."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import dfrecord
from tests.doubles.echo import EchoServer
from tests.doubles.server import DreamFactoryDouble
from tests.render.journeys import literal, raw_step
from tests.states import portable
from tests.test_end_to_end import environment
from tests.tools import FIXTURES, rendered

TENANT = FIXTURES / "02-provision-tenant" / "recording.har"
BASE = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled tenant with one word as its parameter, which can be undone."""
    return rendered(TENANT, "locust", tmp_path_factory.mktemp("locust"), "--parameter", "tenant=acme", "--teardown")


@pytest.fixture
def df() -> Iterator[DreamFactoryDouble]:
    with DreamFactoryDouble(id_offset=1000) as double:
        yield double


def locust(
    script: Path, folder: Path, df: DreamFactoryDouble, *options: str, **given: str
) -> subprocess.CompletedProcess[str]:
    """Run the script in one process, or as many as the options say."""
    command = [sys.executable, "-m", "locust", "-f", str(script), "--headless", *options]
    env = {**BASE, **environment(df), **given}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=180)


def tenants(df: DreamFactoryDouble) -> dict[str, list[str]]:
    """The names of what the journey creates, on the server."""
    state = df.state()
    return {
        "service": sorted(row["name"] for row in state["service"] if row["name"].startswith("tenant_")),
        "role": sorted(row["name"] for row in state["role"]),
        "app": sorted(row["name"] for row in state["app"] if row["name"].endswith("-app")),
    }


def table(folder: Path, *lines: str) -> str:
    (folder / "tenants.csv").write_text("\n".join(lines) + "\n", encoding="utf-8-sig")
    return "tenants.csv"


class Cluster:
    """A master and its workers; whatever still runs in the end is killed."""

    def __init__(self, script: Path, folder: Path, df: DreamFactoryDouble, **given: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = str(free.getsockname()[1])
        self.command = [sys.executable, "-m", "locust", "-f", str(script), "--headless"]
        self.folder, self.env = folder, {**BASE, **environment(df)}
        master = [*self.command, "--master", "--master-bind-port", self.port, "--expect-workers", "2", "-u6", "-r6"]
        self.master = self._start(master, {**self.env, **given})
        self.workers: list[subprocess.Popen[str]] = []

    def add_worker(self, without: str = "") -> subprocess.Popen[str]:
        env = {name: value for name, value in self.env.items() if name != without}
        self.workers.append(self._start([*self.command, "--worker", "--master-port", self.port], env))
        return self.workers[-1]

    def _start(self, command: list[str], env: dict[str, str]) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        return subprocess.Popen(command, cwd=self.folder, env=env, stdout=pipe, stderr=subprocess.STDOUT, text=True)

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *error: object) -> None:
        for process in (self.master, *self.workers):
            process.kill()
            process.communicate()


# ---------------------------------------------------------------- several processes


def test_each_row_of_a_file_is_run_once_over_two_workers(script: Path, tmp_path: Path, df: DreamFactoryDouble) -> None:
    names = sorted(f"t{number}" for number in range(200))
    rows = table(tmp_path, "tenant", *names)
    with Cluster(script, tmp_path, df, DF_CSV=rows) as cluster:
        workers = [cluster.add_worker() for _ in range(2)]
        told, _ = cluster.master.communicate(timeout=180)
        assert cluster.master.returncode == 0, told
        assert [worker.wait(60) for worker in workers] == [0, 0]
    assert "200 of 200 done, 0 of them failed" in told
    assert tenants(df) == {
        "service": sorted(f"tenant_{name}_files" for name in names),
        "role": sorted(f"{name}-role" for name in names),
        "app": sorted(f"{name}-app" for name in names),
    }
    assert len([call for call in df.writes if call.method == "POST"]) == 200 * 3
    notes = [json.loads(line) for line in (tmp_path / "recording.created.jsonl").read_text().splitlines()]
    assert len({note["created"] for note in notes}) == 200 * 3

    undone = locust(script, tmp_path, df, DF_TEARDOWN="1")
    assert undone.returncode == 0, undone.stderr
    assert tenants(df) == {"service": [], "role": [], "app": []}


def test_worker_that_is_lost_ends_the_run_and_its_rows_are_named(
    script: Path, tmp_path: Path, df: DreamFactoryDouble
) -> None:
    rows = table(tmp_path, "tenant", *(f"t{number}" for number in range(100_000, 103_000)))
    with Cluster(script, tmp_path, df, DF_CSV=rows) as cluster:
        lost = cluster.add_worker()
        cluster.add_worker()
        while len(df.log) < 50:
            assert cluster.master.poll() is None
            time.sleep(0.05)
        lost.kill()
        for worker in cluster.workers[1:]:
            time.sleep(5)
            worker.kill()
        told, _ = cluster.master.communicate(timeout=120)
        assert cluster.master.returncode == 1, told
    assert "failed: its worker is gone; it may be half done" in told


def test_worker_that_lacks_a_variable_ends_the_run_before_anything_is_sent(
    script: Path, tmp_path: Path, df: DreamFactoryDouble
) -> None:
    with Cluster(script, tmp_path, df, DF_ITERATIONS="4") as cluster:
        for _ in range(2):
            cluster.add_worker(without="DF_PASSWORD")
        told, _ = cluster.master.communicate(timeout=120)
        assert cluster.master.returncode == 2, told
    assert "set DF_PASSWORD first; nothing was sent" in told
    assert df.log == []


# ---------------------------------------------------------------- one process


def test_users_do_not_collide_and_every_step_counts_under_its_name(
    script: Path, tmp_path: Path, df: DreamFactoryDouble
) -> None:
    done = locust(script, tmp_path, df, "-u1000", "-r1000", "--json", DF_ITERATIONS="1000")
    assert done.returncode == 0, done.stderr
    assert all(len(set(names)) == 1000 for names in tenants(df).values())
    stats = {(row["method"], row["name"]): row for row in json.loads(done.stdout)}
    assert stats.keys() == {
        ("POST", "log_in"),
        ("POST", "create_service"),
        ("POST", "create_role"),
        ("POST", "create_app"),
        ("journey", "recording"),
    }
    assert {(row["num_requests"], row["num_failures"]) for row in stats.values()} == {(1000, 0)}


def test_load_test_that_cleans_up_leaves_nothing_also_when_a_step_fails(
    script: Path, tmp_path: Path, df: DreamFactoryDouble
) -> None:
    taken = json.dumps({"resource": [{"name": "acme-app", "type": "0"}]}).encode()
    df.call("POST", "/api/v2/system/app", taken)
    before = portable(df.state())
    given = {"DF_ITERATIONS": "3", "DF_TEARDOWN": "each"}
    assert locust(script, tmp_path, df, "-u3", "-r3", **given).returncode == 0
    failed = locust(script, tmp_path, df, "-u1", "--json", DF_UNIQUE="0", **given)
    assert failed.returncode == 1
    stats = {(row["method"], row["name"]): row for row in json.loads(failed.stdout)}
    assert stats["POST", "create_app"]["num_failures"] == stats["journey", "recording"]["num_failures"] == 3
    assert stats["POST", "create_role"]["num_failures"] == 0
    assert "1 (of 3) failed: Create app acme-app: 400" in failed.stderr
    assert "UNIQUE constraint failed: app.name" in failed.stderr
    after = portable(df.state())
    assert {name: after[name] for name in ("service", "role", "app")} == {
        name: before[name] for name in ("service", "role", "app")
    }


def test_run_without_end_ends_by_time_and_cleans_up(script: Path, tmp_path: Path, df: DreamFactoryDouble) -> None:
    done = locust(script, tmp_path, df, "-u4", "-r4", "-t2s", DF_TEARDOWN="each", DF_WAIT="0.01")
    assert done.returncode == 0, done.stderr
    assert len([call for call in df.writes if call.method == "DELETE"]) > 3
    assert tenants(df) == {"service": [], "role": [], "app": []}


def test_row_that_fails_is_named_and_the_others_are_done(script: Path, tmp_path: Path, df: DreamFactoryDouble) -> None:
    rows = table(tmp_path, "DF_TENANT", "one", '"o\'$(x), {y}"', "one", "TWO")
    done = locust(script, tmp_path, df, "-u1", DF_CSV=rows)
    assert done.returncode == 1
    assert "3 (of 4) failed: Create service tenant_one_files: 400" in done.stderr
    assert "2 (of 4) failed: Create service tenant_o'$(x), {y}_files: 400" in done.stderr
    assert "4 of 4 done, 2 of them failed" in done.stderr
    assert tenants(df)["role"] == ["TWO-role", "one-role"]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (("tenant,plan", "a,b"), "no column 'plan' is known: choose of "),
        (("tenant", "a", "b,c"), "line 3: 2 fields, but 1 columns"),
        (("email,tenant", "a@b.c,x", ",y"), "line 3: email is empty"),
        (("tenant,DF_TENANT", "a,b"), "a column stands there twice"),
        (("tenant", '"a'), "unexpected end of data; save it as CSV in UTF-8"),
        (("tenant",), "no rows below the line of column names"),
    ],
)
def test_table_that_cannot_be_used_is_told_with_its_line(
    lines: tuple[str, ...], words: str, script: Path, tmp_path: Path, df: DreamFactoryDouble
) -> None:
    done = locust(script, tmp_path, df, DF_CSV=table(tmp_path, *lines))
    assert done.returncode == 2
    assert words in done.stderr
    assert "nothing was sent" in done.stderr
    assert "Traceback" not in done.stderr
    assert df.log == []


def test_columns_take_the_place_of_variables_and_what_is_missing_is_named(
    script: Path, tmp_path: Path, df: DreamFactoryDouble
) -> None:
    rows = table(tmp_path, "email,tenant", f"{df.email},x")
    missing = locust(script, tmp_path, df, DF_CSV=rows, DF_EMAIL="", DF_PASSWORD="")
    assert missing.returncode == 2
    assert "set DF_PASSWORD first\nnothing was sent" in missing.stderr
    assert df.log == []
    assert locust(script, tmp_path, df, DF_CSV=rows, DF_EMAIL="").returncode == 0
    assert tenants(df)["app"] == ["x-app"]


def test_redirect_is_not_followed_but_told(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_bytes(dfrecord.render(literal(raw_step("GET", "/x")), "locust")[0].content)
    with EchoServer({("GET", "/x"): (302, "{}")}, headers={"Location": "/elsewhere"}) as echo:
        command = [sys.executable, "-m", "locust", "-f", "script.py", "--headless"]
        env = {**BASE, "DF_BASE_URL": echo.url, "DF_ITERATIONS": "1"}
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "redirected to /elsewhere, which is not followed" in done.stderr
    assert [received.target for received in echo.received] == ["/x"]


def test_generated_locustfile_is_clean_under_black_ruff_and_mypy(tmp_path: Path) -> None:
    scripts = []
    for name, options in {"plain": (), "literal": ("--literal",), "full": ("--upsert", "--teardown")}.items():
        scripts.append(rendered(TENANT, "locust", tmp_path, *options).rename(tmp_path / f"{name}.py"))
    black = ["black", "--check", "-q", "--line-length", "88", *map(str, scripts)]
    ruff = ["ruff", "check", "--isolated", "--select", "E,F,I,UP,B", *map(str, scripts)]
    mypy = ["mypy", "--strict", "--allow-untyped-calls", "--scripts-are-modules", *map(str, scripts)]
    for tool in (black, ruff, mypy):
        done = subprocess.run([sys.executable, "-m", *tool], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
