"""`dfrecord import` of several inputs: joined by time, each exchange once, whatever they are wrapped in."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from dfrecord.recording.exchange import Exchange
from dfrecord.recording.har_writer import har_chunks
from dfrecord.recording.reader import read
from tests.tools import FIXTURES, ROOT, dfrecord

WHOLE = FIXTURES / "02-provision-tenant" / "recording.har"


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str]]:
    return imported(tmp_path_factory.mktemp("whole"), WHOLE)


def imported(folder: Path, *inputs: Path) -> list[tuple[str, str]]:
    """Start and URL of what an import of the inputs holds."""
    dfrecord("import", *inputs, "-o", folder / "joined.har")
    entries = json.loads((folder / "joined.har").read_bytes())["log"]["entries"]
    return [(entry["request"]["method"], entry["request"]["url"]) for entry in entries]


def write(path: Path, exchanges: Sequence[Exchange]) -> Path:
    path.write_bytes(b"".join(har_chunks(exchanges)))
    return path


def parts(folder: Path) -> list[Path]:
    """The recording in three overlapping parts, the last first by name; one notes its times in another zone's way."""
    folder.mkdir()
    exchanges = read(WHOLE).exchanges
    third = len(exchanges) // 3
    elsewhere = [replace(e, started=e.started.replace("Z", "+00:00")) for e in exchanges[third - 2 : 2 * third + 2]]
    return [
        write(folder / "a-end.har", exchanges[2 * third :]),
        write(folder / "b-middle.har", elsewhere),
        write(folder / "c-begin.har", exchanges[:third]),
    ]


def test_several_inputs_are_joined_by_time_without_doubles(expected: list[tuple[str, str]], tmp_path: Path) -> None:
    assert imported(tmp_path, *parts(tmp_path / "in")) == expected


def test_a_folder_is_all_its_recordings(expected: list[tuple[str, str]], tmp_path: Path) -> None:
    end, middle, _ = parts(tmp_path / "in")
    (tmp_path / "in" / "b-middle.har.gz").write_bytes(gzip.compress(middle.read_bytes()))
    middle.unlink()
    (tmp_path / "in" / "notes.txt").write_text("not a recording")
    shutil.copy(end, tmp_path / "in" / ".a-end.har.swp.har")
    assert imported(tmp_path, tmp_path / "in") == expected


def test_an_archive_is_all_its_recordings(expected: list[tuple[str, str]], tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "in.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for part in parts(tmp_path / "in"):
            archive.write(part, f"session/{part.name}")
    assert imported(tmp_path, tmp_path / "in.zip") == expected


@pytest.mark.parametrize("ending", ["tar", "tar.gz"])
def test_a_tar_archive_is_all_its_recordings(ending: str, expected: list[tuple[str, str]], tmp_path: Path) -> None:
    with tarfile.open(tmp_path / f"in.{ending}", "w:gz" if ending == "tar.gz" else "w") as archive:
        for part in parts(tmp_path / "in"):
            archive.add(part, f"session/{part.name}")
    assert imported(tmp_path, tmp_path / f"in.{ending}") == expected


def test_folders_and_archives_within_a_folder_are_opened(expected: list[tuple[str, str]], tmp_path: Path) -> None:
    end, middle, begin = parts(tmp_path / "in")
    with zipfile.ZipFile(tmp_path / "in" / "two.zip", "w") as archive:
        for part in (end, middle):
            archive.write(part, part.name)
            part.unlink()
    for folder in ("day one", ".hidden"):
        (tmp_path / "in" / folder).mkdir()
        shutil.copy(begin, tmp_path / "in" / folder / "begin.har")
    begin.unlink()
    shutil.copy(FIXTURES / "03-edit-role" / "recording.har", tmp_path / "in" / ".hidden")
    assert imported(tmp_path, tmp_path / "in") == expected


def test_a_recording_and_what_was_imported_of_it_are_one(expected: list[tuple[str, str]], tmp_path: Path) -> None:
    dfrecord("import", WHOLE, "-o", tmp_path / "redacted.har")
    for inputs in ((WHOLE, tmp_path / "redacted.har"), (tmp_path / "redacted.har", WHOLE)):
        assert imported(tmp_path, *inputs) == expected


def test_one_session_that_two_programs_recorded_is_there_once(tmp_path: Path) -> None:
    exchanges = read(WHOLE).exchanges
    late = [replace(e, started=e.started[:-1] + "450Z") for e in exchanges]
    one, two = write(tmp_path / "one.har", exchanges), write(tmp_path / "two.har", late)
    assert imported(tmp_path, one, two) == imported(tmp_path, one)


def test_the_same_call_made_twice_in_one_recording_stays_twice(tmp_path: Path) -> None:
    exchanges = read(WHOLE).exchanges
    exchange = next(e for e in exchanges if e.request.method == "GET" and "/system/role?" in e.request.url)
    other = next(e for e in exchanges if e.request.url.endswith("/api/v2/system/service"))
    one, two = write(tmp_path / "one.har", [exchange, exchange]), write(tmp_path / "two.har", [other])
    assert len(imported(tmp_path, one, two)) == 2 + 1


def test_an_input_whose_reading_fails_is_named(tmp_path: Path) -> None:
    """As on a broken disk; it was told of standard output."""
    done = dfrecord("import", "/proc/self/mem", "-o", tmp_path / "out.har", code=2)
    assert done.stderr == b"dfrecord: /proc/self/mem: cannot be read: Input/output error\n"


@pytest.mark.parametrize("how", ["zip", "tar.gz"])
def test_the_recordings_of_an_archive_share_what_it_may_unpack_to(how: str, tmp_path: Path) -> None:
    """Three of 200 MB in half a megabyte: each alone might be."""
    content = b'{"log":{"entries":[' + b" " * 200_000_000 + b"]}}"
    archive = tmp_path / f"in.{how}"
    if how == "zip":
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
            for name in "abc":
                zipped.writestr(f"{name}.har", content)
    else:
        with tarfile.open(archive, "w:gz") as tar:
            for name in "abc":
                member = tarfile.TarInfo(f"{name}.har")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    done = dfrecord("import", archive, "-o", tmp_path / "out.har", code=2)
    assert f"{archive}/c.har: unpacks to more than" in done.stderr.decode()


@pytest.mark.parametrize("length", [2, 11, 60])
@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_what_is_cut_off_at_its_beginning_is_unreadable(
    pack: Callable[[bytes], bytes], length: int, tmp_path: Path
) -> None:
    (tmp_path / "cut.har").write_bytes(pack(WHOLE.read_bytes())[:length])
    done = dfrecord("import", tmp_path / "cut.har", "-o", tmp_path / "out.har", code=2)
    assert done.stderr.startswith(f"dfrecord: {tmp_path / 'cut.har'}: ".encode())


def test_zeros_are_no_archive_that_takes_hours(tmp_path: Path) -> None:
    with (tmp_path / "zeros.har").open("wb") as file:
        file.truncate(10_000_000_000)
    command = [sys.executable, "-m", "dfrecord", "import", str(tmp_path / "zeros.har"), "-o", str(tmp_path / "out.har")]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, timeout=30).returncode == 2


def test_a_folder_or_archive_without_recordings_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with zipfile.ZipFile(tmp_path / "empty.zip", "w") as archive:
        archive.writestr("readme.txt", "nothing")
    with tarfile.open(tmp_path / "empty.tar", "w") as tar:
        tar.add(tmp_path / "empty", "empty")
    for source in ("empty", "empty.zip", "empty.tar"):
        done = dfrecord("import", tmp_path / source, "-o", tmp_path / "out.har", code=2)
        assert "no HAR file" in done.stderr.decode()
