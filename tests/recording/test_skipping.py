"""Reading skips: any file gives what `json.load` gives, damage costs only its entry, time and memory stay small."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dfrecord
from benchmarks import hars
from dfrecord.recording import har_entries
from dfrecord.recording.exchange import AllPassedOver, PassedOver, Recording
from dfrecord.recording.har_reader import read_har
from dfrecord.recording.wanted import EVERYTHING, Wanted
from tests.recording.hars import har_bytes
from tests.tools import ROOT

words = st.text(max_size=12)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | words
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3), max_leaves=6
)
urls = words.map("http://h/{}".format) | st.sampled_from(["", "data:,x", "http://h/api/v2/system/role"])
requests = st.fixed_dictionaries(
    {"url": urls},
    optional={"method": st.sampled_from(["GET", "POST"]), "postData": st.fixed_dictionaries({"text": words})},
)
responses = st.fixed_dictionaries({"status": st.integers(0, 999), "content": st.fixed_dictionaries({"text": words})})


def written(value: object) -> str:
    return json.dumps(value, ensure_ascii=False).replace("/", "\\/")


@st.composite
def objects(draw: st.DrawFn, /, **members: st.SearchStrategy[str]) -> str:
    """The text of an object with these members and others, in any order and layout; the first may stand twice."""
    others = st.tuples(words.filter(lambda name: name not in members), values.map(written))
    pairs = [(name, draw(text)) for name, text in members.items()] + draw(st.lists(others, max_size=2))
    ordered = draw(st.permutations(pairs))
    if draw(st.booleans()):
        ordered.insert(0, (next(iter(members)), draw(scalars.map(written))))
    gap, ascii_only = draw(st.sampled_from(["", " ", "\n\t", "\r\n  "])), draw(st.booleans())
    texts = [f"{json.dumps(name, ensure_ascii=ascii_only)}{gap}:{gap}{text}" for name, text in ordered]
    return "{" + gap + f"{gap},{gap}".join(texts) + gap + "}"


entries = objects(request=requests.map(written), response=responses.map(written))
arrays = st.lists(entries, max_size=4).map(lambda texts: "[" + " ,\n".join(texts) + "]")
documents = objects(log=objects(entries=arrays, creator=st.just('{"name": "dfrecord"}')))


def read_text(text: bytes, wanted: Wanted = EVERYTHING) -> Recording:
    return read_har(memoryview(text), "test.har", wanted)


def one_by_one(text: bytes, wanted: Wanted = EVERYTHING) -> Recording:
    """What is read when the file is too large to be taken at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(har_entries, "_AT_ONCE", 0)
        patch.setattr(har_entries, "_SMALL", 0)
        return read_text(text, wanted)


def some_at_a_time(text: bytes, wanted: Wanted = EVERYTHING) -> Recording:
    """What is read of such a file where its entries are small."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(har_entries, "_AT_ONCE", 0)
        patch.setattr(har_entries, "_TOGETHER", 150)
        patch.setattr(har_entries, "_FEW", 0)
        return read_text(text, wanted)


WAYS = (read_text, one_by_one, some_at_a_time)


@given(documents)
@settings(max_examples=200, deadline=None)
def test_every_well_formed_file_gives_what_json_load_gives(text: str) -> None:
    expected = []
    for entry in json.loads(text)["log"]["entries"]:
        request, response = entry["request"], entry["response"]
        sent = request.get("postData", {"text": ""})["text"]
        expected.append(
            (request["url"], request.get("method", "GET"), sent, response["status"], response["content"]["text"])
        )
    for recording in (way(text.encode()) for way in WAYS):
        assert recording.lost == 0
        assert expected == [
            (
                e.request.url,
                e.request.method,
                e.request.body.content.decode(),
                e.response.status,
                e.response.body.content.decode(),
            )
            for e in recording.exchanges
        ]


@pytest.fixture(scope="module")
def bulky(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bulky") / "bulky.har"
    hars.bulky(path, 8_000_000, share=0.1)
    return path


@pytest.mark.parametrize("how", hars.BROKEN)
def test_damage_costs_only_the_entry_it_is_in(how: str, bulky: Path) -> None:
    whole, broken = dfrecord.read(bulky), read_text(
        hars.BROKEN[how](bulky.read_bytes()), Wanted(lambda url: "system" in url)
    )
    assert len(whole.exchanges) > 5
    if how == "cut off":
        assert (len(broken.exchanges) + len(broken.passed_over), broken.lost) == (whole.entry_count - 1, 1)
    else:
        assert (broken.exchanges, broken.passed_over, broken.lost) == (whole.exchanges, whole.passed_over, 0)


def test_a_creator_after_the_entries_is_known() -> None:
    """mitmproxy's texts without charset are latin-1: what the bytes are depends on who wrote the file."""
    answer = {"status": 200, "headers": [], "content": {"size": 1, "text": "é"}}
    entry = {"request": {"url": "http://h/"}, "response": answer}
    text = json.dumps({"log": {"entries": [entry], "creator": {"name": "mitmproxy"}}}).encode()
    for recording in (way(text) for way in WAYS):
        assert recording.exchanges[0].response.body.content == "é".encode("latin-1")


A, B = '{"request": {"url": "http://h/a"}}', '{"request": {"url": "http://h/b"}}'


@pytest.mark.parametrize(
    "text",
    [
        f'{{"log": {{"entries": [{A}, {A}], "pages": [], "entries": [{B}], "comment": ""}}}}',
        f'{{"log": {{"entries": [{A}], "entries": [{A}, {A}], "entries": [{B}]}}, "x": 1}}',
        f'{{"log": {{"entries": [{A}]}}, "x": 1, "log": {{"version": "1.2", "entries": [{B}]}}}}',
        f'{{"log": {{"entries": [{A}]}}, "log": {{"entries": [{A}], "entries": [{B}]}}}}',
    ],
)
def test_of_members_that_stand_twice_the_last_one_counts(text: str) -> None:
    assert [entry["request"]["url"] for entry in json.loads(text)["log"]["entries"]] == ["http://h/b"]
    for recording in (way(text.encode()) for way in WAYS):
        assert [exchange.request.url for exchange in recording.exchanges] == ["http://h/b"]
        assert (recording.lost, recording.notes) == (0, ())


@pytest.mark.parametrize("gap", ["", " ", "\n  "])
def test_what_is_no_entry_is_counted_and_the_entries_between_keep_their_numbers(gap: str) -> None:
    elements = f",{gap}".join(["1", A, "null", "2.5", "3", "[4, 5]", B, "true", "6"])
    text = f'{{"log": {{"entries": [{gap}{elements}{gap}]}}}}'
    for recording in (way(text.encode()) for way in WAYS):
        assert [(e.number, e.request.url) for e in recording.exchanges] == [(1, "http://h/a"), (6, "http://h/b")]
        assert (recording.lost, recording.notes) == (7, ("entries 0, 2, 3, 4, 5 and 2 more: it is no JSON object",))


def test_nesting_of_what_looks_like_entries_is_no_entry() -> None:
    nested = [{"request": {"url": "http://h/no"}}] * 3
    urls = [f"http://h/{number}" for number in range(9)]
    entries = [{"request": {"url": url}, "more": nested} for url in urls]
    text = json.dumps({"log": {"entries": entries}}).encode()
    for recording in (way(text) for way in WAYS):
        assert [exchange.request.url for exchange in recording.exchanges] == urls


def fastest(*works: Callable[[], object]) -> list[float]:
    """The seconds of processor time that each work takes at best, side by side so that noise meets all alike."""
    times: list[list[float]] = [[] for _ in works]
    for _ in range(5):
        for work, taken in zip(works, times, strict=True):
            started = time.process_time()
            work()
            taken.append(time.process_time() - started)
    return [min(taken) for taken in times]


def test_bulky_files_are_skipped_many_times_faster_than_json_reads_them(bulky: Path) -> None:
    ours, peers = fastest(lambda: dfrecord.read(bulky), lambda: json.loads(bulky.read_bytes()))
    assert ours * 3 < peers


def test_many_small_entries_are_skipped_many_times_faster_than_json_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "small.har"
    hars.small(path, 1500)
    ours, peers = fastest(lambda: dfrecord.read(path), lambda: json.loads(path.read_bytes()))
    assert ours * 3 < peers


@pytest.mark.parametrize("how", hars.BROKEN)
def test_a_damaged_file_is_read_faster_than_json_reads_the_whole_one(how: str, bulky: Path, tmp_path: Path) -> None:
    path = tmp_path / "broken.har"
    path.write_bytes(hars.BROKEN[how](bulky.read_bytes()))
    ours, peers = fastest(lambda: dfrecord.read(path), lambda: json.loads(bulky.read_bytes()))
    assert ours * 1.5 < peers


def test_an_entry_that_is_passed_over_takes_little_more_than_its_url() -> None:
    length, count = 60, 20_000
    text = har_bytes(*({"request": {"url": f"http://h/{n:0{length - 9}}"}} for n in range(count)))
    tracemalloc.start()
    recordings = [way(text, Wanted(lambda url: False)) for way in WAYS]
    gc.collect()
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert [recording.entry_count for recording in recordings] == [count] * len(WAYS)
    assert taken / len(recordings) / count < length + 40


def test_entries_that_were_passed_over_are_a_sequence_of_objects() -> None:
    urls = ["http://h/a", "", "http://h/é漢\udc80"]
    entries = [PassedOver(3 * number, url) for number, url in enumerate(urls)]
    found = AllPassedOver(entries)
    assert (list(found), found[0], found[-1], found[1:]) == (entries, entries[0], entries[-1], entries[1:])
    assert found == AllPassedOver(entries) == entries
    assert found != AllPassedOver(entries[1:])
    assert AllPassedOver() == ()
    with pytest.raises(IndexError):
        found[3]


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("large") / "large.har"
    hars.bulky(path, 100_000_000)
    return path


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is enforced on Linux only")
@pytest.mark.parametrize("how", ["", *hars.BROKEN])
def test_import_holds_only_what_it_keeps(how: str, large: Path, tmp_path: Path) -> None:
    """The limit counts the interpreter and all libraries, and is well under the size of the file."""
    path, output = large, tmp_path / "small.har"
    if how:
        path = tmp_path / "broken.har"
        path.write_bytes(hars.BROKEN[how](large.read_bytes()))
    command = [sys.executable, "-m", "dfrecord", "import", str(path), "-o", str(output)]
    done = subprocess.run(["sh", "-c", 'ulimit -d 49152; exec "$@"', "sh", *command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(json.loads(output.read_bytes())["log"]["entries"]) == 24


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells how much was resident")
@pytest.mark.parametrize("cores", [1, 2])
def test_little_of_a_large_file_is_resident(cores: int, tmp_path: Path) -> None:
    path = tmp_path / "large.har"
    hars.bulky(path, 150_000_000)
    code = (
        "import os, re, dfrecord\n"
        f"os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:{cores}])\n"
        f"dfrecord.read({str(path)!r})\n"
        "print(re.search('VmHWM:\\\\s+([0-9]+) kB', open('/proc/self/status').read())[1])\n"
    )
    most = int(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, cwd=ROOT).stdout)
    assert most < 100_000
