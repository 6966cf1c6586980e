"""Children that read ahead change nothing but the time: whatever the file, and whatever becomes of them."""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import hars
from dfrecord import forks
from dfrecord.errors import UnreadableInput
from dfrecord.recording import har_ahead, har_entries
from dfrecord.recording.exchange import Recording
from dfrecord.recording.reader import read
from dfrecord.recording.wanted import Wanted
from tests.recording.hars import entry, har_bytes
from tests.recording.test_skipping import documents
from tests.sharing import ALL_FILES, begun, children, is_left, open_files

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells how many cores there are")

CORES = {0, 1, 2}
NESTED = entry("http://h/api/v2/system/nested")
PAGE = {"startedDateTime": "2026-11-24T00:00:00.000Z", "id": "page_1", "title": "ends in {"}


@pytest.fixture
def ahead(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Files of any size are read by several processes, whatever threads the test runner has."""
    return reading_ahead(monkeypatch)


def reading_ahead(patch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    patch.setattr(har_entries, "_AT_ONCE", 0)
    patch.setattr(har_ahead, "_WORTH_IT", 0)
    patch.setattr(har_ahead, "_PARTS", 2)
    patch.setattr(har_ahead, "_AT_A_TIME", 200)
    patch.setattr(har_entries, "_TOGETHER", 300)
    patch.setattr(har_entries, "_FEW", 1)
    patch.setattr(har_ahead, "may_fork", lambda: True)
    patch.setattr(os, "sched_getaffinity", lambda process: CORES)
    return patch


wanted = Wanted(lambda url: "system" in url)


def outcome(text: bytes) -> Recording | str:
    try:
        return read(io.BytesIO(text), wanted)
    except UnreadableInput as error:
        return str(error)


def alone(text: bytes) -> Recording | str:
    """What one process reads, one entry after the other."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(har_entries, "_AT_ONCE", 0)
        patch.setattr(har_entries, "_SMALL", 0)
        patch.setattr(har_ahead, "_WORTH_IT", sys.maxsize)
        return outcome(text)


@pytest.fixture(autouse=True)
def no_child_is_left() -> Iterator[None]:
    before = children()
    yield
    assert children() <= before


# ---------------------------------------------------------------- any file


texts = st.sampled_from(["", "{", 'a{"startedDateTime":1', har_bytes(NESTED).decode(), "é漢", "a\\", '\\u007b"'])
members: st.SearchStrategy[Any] = st.sampled_from([NESTED, [NESTED, NESTED], {"entries": [NESTED]}, [PAGE, PAGE], None])


@st.composite
def entry_texts(draw: st.DrawFn) -> str:
    """An entry, its members in any order, with what looks like another in its strings and its members."""
    url = draw(st.sampled_from(["http://h/a", "http://h/api/v2/system/role", 'http://h/{"startedDateTime":']))
    content = {"size": -1, "text": draw(texts)}
    members_of_it = entry(url, response={"content": content}, _more=draw(members))
    in_order = draw(st.permutations(list(members_of_it.items()))) if draw(st.booleans()) else members_of_it.items()
    return json.dumps(dict(in_order), indent=draw(st.sampled_from([None, 2])), ensure_ascii=draw(st.booleans()))


@st.composite
def hars_of_all_kinds(draw: st.DrawFn) -> bytes:
    """A HAR with pages before or after its entries, and sometimes several lists of entries."""
    several = draw(st.lists(st.lists(entry_texts(), max_size=9), min_size=1, max_size=2))
    lists = [f'"entries": [{", ".join(texts)}]' for texts in several]
    pages = f'"pages": {json.dumps([PAGE] * 3)}'
    creator = '"creator": {"name": "WebInspector"}'
    log = ", ".join(draw(st.permutations([*lists, pages, creator])))
    return draw(st.sampled_from([b"", b"\xef\xbb\xbf", b" \n"])) + f'{{"log": {{{log}}}}}'.encode()


DAMAGE = [b"", b"\xff", b"\x01", b"\\ud800", b"NaN", b",", b'"', b"{", b"}", b"[", b"]", b"\\", b"\0", b'{"request":']
places = st.integers(0, 2**20)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A HAR with things put over what stands in it, and sometimes cut off."""
    text = draw(hars_of_all_kinds() | documents.map(str.encode))
    for place, thing in draw(st.lists(st.tuples(places, st.sampled_from(DAMAGE)), max_size=3)):
        place %= len(text)
        text = text[:place] + thing + text[place + len(thing) :]
    return text[: draw(places) % len(text)] if draw(st.booleans()) else text


@given(hars_of_all_kinds() | damaged())
@settings(max_examples=300, deadline=None)
def test_any_file_is_read_as_by_one_process(text: bytes) -> None:
    with pytest.MonkeyPatch.context() as patch:
        reading_ahead(patch)
        together = outcome(text)
    assert together == alone(text)


@given(hars_of_all_kinds() | damaged(), st.lists(places, min_size=1, max_size=3))
@settings(max_examples=200, deadline=None)
def test_it_does_not_matter_where_children_begin(text: bytes, begins: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        reading_ahead(patch)
        patch.setattr(har_entries, "parts_of", lambda array, _: sorted({place % len(array) for place in begins}))
        together = outcome(text)
    assert together == alone(text)


# ---------------------------------------------------------------- children


CALLS = har_bytes(*(entry(f"http://h/{n}" if n % 9 else f"http://h/api/v2/system/role/{n}") for n in range(300)))


@pytest.fixture
def in_turn(ahead: pytest.MonkeyPatch) -> list[int]:
    """One child, which takes all but the first part before the reader begins. Where the reader then looks itself."""
    fork, looked = forks.fork, list[int]()
    item_at, reader = har_entries._Entries.item_at, os.getpid()

    def fork_and_wait(children: list[Any], work: Callable[[BinaryIO, BinaryIO], None]) -> None:
        fork(children, work)
        os.waitid(os.P_PID, children[-1]._process, os.WEXITED | os.WNOWAIT)

    def noted(entries: har_entries._Entries, start: int) -> tuple[har_entries.Item, int]:
        if os.getpid() == reader:
            looked.append(start)
        return item_at(entries, start)

    ahead.setattr(os, "sched_getaffinity", lambda process: {0, 1})
    ahead.setattr(har_ahead, "fork", fork_and_wait)
    ahead.setattr(har_entries._Entries, "item_at", noted)
    return looked


def test_children_spare_the_reader_all_that_they_take(in_turn: list[int]) -> None:
    found = outcome(CALLS)
    assert 0 < max(in_turn) < len(CALLS) // (2 * har_ahead._PARTS) * 1.1
    assert found == alone(CALLS)


def test_damage_in_a_part_of_a_child_ends_only_an_entry(in_turn: list[int]) -> None:
    text = CALLS.replace(b'"http://h/150"', b'"http://h/150\xff"').replace(b'"http://h/250"', b'"http://h/250"]')
    found = outcome(text)
    looked = [place for place in in_turn if place > len(text) // (2 * har_ahead._PARTS) * 1.1]
    assert len(looked) == 1  # what a child tells nothing of
    assert isinstance(found, Recording)
    assert found.lost == 1
    assert found == alone(text)


def killed(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def out_of_memory(*_: object) -> None:
    raise MemoryError


def half_a_block(work: Callable[[], Iterator[bytes]], _: BinaryIO, telling: BinaryIO) -> None:
    first, second, *_more = work()
    telling.write(len(first).to_bytes(8) + first + len(second).to_bytes(8) + second[:-1])
    telling.flush()


def half_a_length(work: Callable[[], Iterator[bytes]], _: BinaryIO, telling: BinaryIO) -> None:
    telling.write(b"\0\0\0")
    telling.flush()
    killed()


@pytest.mark.parametrize(
    ("what", "instead"),
    [("_found", killed), ("_found", out_of_memory), ("_tell", half_a_block), ("_tell", half_a_length)],
)
def test_a_child_that_dies_is_done_without(what: str, instead: Callable[..., None], ahead: pytest.MonkeyPatch) -> None:
    ahead.setattr(har_ahead, what, instead)
    assert outcome(CALLS) == alone(CALLS)


@pytest.mark.parametrize(("call", "number"), [("fork", errno.EAGAIN), ("fork", errno.ENOMEM), ("pipe", errno.EMFILE)])
def test_without_a_child_it_is_read_all_the_same(call: str, number: int, ahead: pytest.MonkeyPatch) -> None:
    def refused() -> int:
        raise OSError(number, os.strerror(number))

    before = open_files()
    ahead.setattr(os, call, refused)
    assert outcome(CALLS) == alone(CALLS)
    assert open_files() == before


def test_no_child_and_no_open_file_is_left_when_the_reader_fails(ahead: pytest.MonkeyPatch) -> None:
    others = children()

    def progress(done: int, total: int) -> None:
        assert children() > others
        raise RuntimeError("stop")

    before, heard = open_files(), signal.pthread_sigmask(signal.SIG_BLOCK, [])
    ahead.setattr("dfrecord.recording.har_reader._PROGRESS_EVERY", 10)
    with pytest.raises(RuntimeError, match="stop"):
        read(io.BytesIO(CALLS), wanted, progress)
    assert open_files() == before
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == heard


@pytest.mark.parametrize("reason", ["one core", "a thread", "children of others", "a small file", "Windows"])
def test_there_are_no_children_where_they_would_not_help_or_could_harm(
    reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each reason alone; without any there are children."""
    forks: list[int] = []
    monkeypatch.setattr(har_entries, "_AT_ONCE", 0)
    monkeypatch.setattr(har_ahead, "_WORTH_IT", 10**9 if reason == "a small file" else 0)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0} if reason == "one core" else CORES)
    monkeypatch.setattr(threading, "active_count", lambda: 2 if reason == "a thread" else 1)
    monkeypatch.setattr(har_ahead, "fork", lambda *_: forks.append(1))
    before = signal.getsignal(signal.SIGCHLD)
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN if reason == "children of others" else signal.SIG_DFL)
        with monkeypatch.context() as windows:
            for place, name in (
                (os, "sched_getaffinity"),
                (os, "fork"),
                (signal, "SIGCHLD"),
                (signal, "pthread_sigmask"),
            ):
                if reason == "Windows":
                    windows.delattr(place, name)
            assert isinstance(outcome(CALLS), Recording)
        assert not forks
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        monkeypatch.setattr(har_ahead, "_WORTH_IT", 0)
        monkeypatch.setattr(os, "sched_getaffinity", lambda process: CORES)
        monkeypatch.setattr(threading, "active_count", lambda: 1)
        outcome(CALLS)
        assert forks
    finally:
        signal.signal(signal.SIGCHLD, before)


# ---------------------------------------------------------------- the command


@pytest.fixture(scope="module")
def bulky(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bulky") / "bulky.har"
    hars.bulky(path, 60_000_000)
    return path


@pytest.mark.parametrize("to_all", [True, False])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_no_child_and_says_one_line(number: int, to_all: bool, bulky: Path, tmp_path: Path) -> None:
    for after in (0, 0.005, 0.02):
        process = begun(bulky, str(tmp_path / "out.har"), ALL_FILES)
        time.sleep(after)
        (os.killpg if to_all else os.kill)(process.pid, number)
        _, error = process.communicate(timeout=30)
        assert (process.returncode, error.strip()) == (128 + number, b"dfrecord: stopped")
        assert not is_left(process.pid)
        assert not list(tmp_path.iterdir())


def test_children_end_by_themselves_when_the_reader_is_killed(bulky: Path, tmp_path: Path) -> None:
    process = begun(bulky, str(tmp_path / "out.har"), ALL_FILES)
    process.kill()
    process.communicate(timeout=30)
    deadline = time.monotonic() + 30
    while is_left(process.pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_left(process.pid)


def test_a_broken_pipe_leaves_no_child(bulky: Path) -> None:
    process = begun(bulky, "-", ALL_FILES, stdout=subprocess.PIPE)
    assert process.stdout
    process.stdout.close()
    assert (process.wait(timeout=30), is_left(process.pid)) == (128 + signal.SIGPIPE, False)


def test_memory_is_bounded_in_each_process(bulky: Path, tmp_path: Path) -> None:
    """The limit counts the interpreter and all libraries, and is well under the size of the file."""
    import resource

    limit = 48 * 1024 * 1024
    alone, together = tmp_path / "alone.har", tmp_path / "together.har"
    subprocess.run([sys.executable, "-m", "dfrecord", "import", str(bulky), "-o", str(alone), "-q"], check=True)
    process = begun(
        bulky, str(together), ALL_FILES, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    )
    _, error = process.communicate(timeout=60)
    assert process.returncode == 0, error
    assert together.read_bytes() == alone.read_bytes()
