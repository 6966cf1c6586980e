"""Parts of a work done by children change nothing but the time, whatever becomes of the children."""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
from collections.abc import Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from benchmarks.journeys import made
from dfrecord import forks
from dfrecord.errors import SecretInOutput
from dfrecord.forks import Part, together
from dfrecord.normalise import redact, secrets
from dfrecord.normalise.redact import redacted
from dfrecord.recording.exchange import Exchange
from dfrecord.recording.har_writer import har_chunks
from dfrecord.system_api.catalog import load
from tests.sharing import begun, children, is_left, open_files

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells how many cores there are")

PARTS = 3
HERE = os.getpid()


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """No child, no open file, and signals are heard as before."""
    before = _held()
    yield
    assert _held() == before


def _held() -> tuple[object, ...]:
    return children(), open_files(), signal.pthread_sigmask(signal.SIG_BLOCK, [])


def counted(number: int, death: str = "") -> Part:
    """A part that says who did it; a child that does it may die before, between and after what it tells."""
    if death == "before":
        die()
    known = yield ("a lone surrogate", "\ud800", number, b"\xff" * 100_000)
    if death == "between":
        die()
    if death == "raises":
        raise ArithmeticError(number)
    return [each[2] for each in known], os.getpid()


def die() -> None:
    if os.getpid() != HERE:
        os.kill(os.getpid(), signal.SIGKILL)


def test_each_part_is_done_by_another_process_and_knows_of_all() -> None:
    done = together([partial(counted, number) for number in range(PARTS)])
    assert [known for known, _ in done] == [[0, 1, 2]] * PARTS
    assert done[0][1] == os.getpid()
    assert len({process for _, process in done}) == PARTS


@pytest.mark.parametrize("death", ["before", "between"])
def test_a_part_of_a_child_that_dies_is_done_here(death: str) -> None:
    deaths = ["", death, ""]
    done = together([partial(counted, number, death) for number, death in enumerate(deaths)])
    assert [known for known, _ in done] == [[0, 1, 2]] * PARTS
    assert done[1][1] == os.getpid() != done[2][1]


@pytest.mark.parametrize("number", range(PARTS))
def test_an_error_in_a_part_is_raised_here(number: int) -> None:
    deaths = ["raises" if each == number else "" for each in range(PARTS)]
    with pytest.raises(ArithmeticError, match=str(number)):
        together([partial(counted, number, death) for number, death in enumerate(deaths)])


@pytest.mark.parametrize(("call", "number"), [("fork", errno.EAGAIN), ("fork", errno.ENOMEM), ("pipe", errno.EMFILE)])
@pytest.mark.parametrize("after", [0, 1])
def test_without_a_child_the_parts_are_done_here(
    call: str, number: int, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_before, calls = getattr(os, call), count()

    def refused() -> Any:
        if next(calls) < after * (2 if call == "pipe" else 1):
            return as_before()
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, refused)
    done = together([partial(counted, number) for number in range(PARTS)])
    assert [known for known, _ in done] == [[0, 1, 2]] * PARTS
    assert [process == os.getpid() for _, process in done] == [True, not after, True]


# ---------------------------------------------------------------- an import


def imported(cores: int, monkeypatch: pytest.MonkeyPatch) -> tuple[list[bytes], int, int]:
    """The entries, how many secrets, and how many children there were."""
    born: list[int] = []

    def fork(children: list[forks.Child], work: Any) -> None:
        born.append(1)
        as_before(children, work)

    with monkeypatch.context() as patch:
        as_before = forks.fork
        patch.setattr(forks, "fork", fork)
        patch.setattr(redact, "may_fork", lambda: cores > 1)
        patch.setattr(redact, "processes", lambda: cores)
        return *redacted(made(150), ("api",), load(), keep_secrets=False), len(born)


def test_an_import_is_the_same_from_several_processes_as_from_one(monkeypatch: pytest.MonkeyPatch) -> None:
    alone, found, none = imported(1, monkeypatch)
    assert (len(alone) >= redact._WORTH_A_CHILD, found > 0, none) == (True, True, 0)
    for cores in (2, 3, 4):
        assert imported(cores, monkeypatch) == (alone, found, cores - 1)


def test_an_import_needs_nothing_that_only_linux_has(monkeypatch: pytest.MonkeyPatch) -> None:
    alone, found, _ = imported(1, monkeypatch)
    with monkeypatch.context() as windows:
        for place, name in ((os, "sched_getaffinity"), (os, "fork"), (signal, "SIGCHLD"), (signal, "pthread_sigmask")):
            windows.delattr(place, name)
        assert redacted(made(150), ("api",), load(), keep_secrets=False) == (alone, found)


def test_a_secret_that_would_still_stand_in_a_part_of_a_child_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    last, as_before = made(150).exchanges[-1].number, secrets.redact_exchange

    def redact_all_but_the_last(exchange: Exchange, *more: Any) -> Exchange:
        return exchange if exchange.number == last else as_before(exchange, *more)

    monkeypatch.setattr(redact, "redact_exchange", redact_all_but_the_last)
    with pytest.raises(SecretInOutput, match=f"entry {last}: a secret would still stand in it"):
        imported(2, monkeypatch)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that takes a while to search, but is too small to be read by several processes."""
    path = tmp_path_factory.mktemp("recording") / "recording.har"
    path.write_bytes(b"".join(har_chunks(made(4000).exchanges)))
    return path


@pytest.mark.parametrize("after", [0, 0.02, 0.1])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_leaves_no_child_and_no_output(number: int, after: float, recording: Path, tmp_path: Path) -> None:
    process = begun(recording, str(tmp_path / "out.har"))
    time.sleep(after)
    process.send_signal(number)
    _, error = process.communicate(timeout=30)
    ended = (-number, b"") if number == signal.SIGKILL else (128 + number, b"dfrecord: stopped")
    assert (process.returncode, error.strip()) == ended
    deadline = time.monotonic() + (30 if number == signal.SIGKILL else 0)  # then they notice by themselves
    while (left := is_left(process.pid)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not left
    assert not list(tmp_path.iterdir())
