"""Inputs made to hurt: each is read or refused in seconds, in bounded memory and disk, and touches no other file."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import resource
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from dfrecord.recording.attachments import Attachments, Refused, folder_attachments, sibling_attachments
from dfrecord.recording.reader import read
from tests.tools import FIXTURES, ROOT

MEGABYTE = 1024 * 1024


def entry(url: str = "/api/v2/system/role", *, headers: str = "", sent: str = "", kind: str = "x") -> dict[str, object]:
    """An entry of a HAR with a Cookie header and a request body."""
    fields = [{"name": "Cookie", "value": headers}, {"name": "Content-Type", "value": kind}]
    request = {
        "method": "POST",
        "url": f"http://h{url}",
        "headers": fields,
        "postData": {"mimeType": kind, "text": sent},
    }
    return {"request": request, "response": {"status": 200, "headers": [], "content": {"text": "{}"}}}


def har(*entries: object) -> bytes:
    return json.dumps({"log": {"entries": entries}}).encode()


def zip_of(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


def bomb(bits: int, head: bytes = b"") -> bytes:
    """Six hundred megabytes of zeros in one."""
    made = zlib.compressobj(1, wbits=bits)
    block = bytes(16 * MEGABYTE)
    return made.compress(head) + b"".join(made.compress(block) for _ in range(38)) + made.flush()


def nested(wraps: int, content: bytes) -> bytes:
    for _ in range(wraps):
        content = gzip.compress(content)
    return content


HOSTILE: dict[str, Callable[[], bytes]] = {
    "gzip bomb": lambda: bomb(31),
    "zlib bomb": lambda: bomb(15),
    "gzip bomb that begins like a HAR": lambda: bomb(31, b'{"log":{"entries":["'),
    "gzip in gzip in gzip": lambda: nested(40, b"{}"),
    "a hundred thousand gzip members": lambda: gzip.compress(b"") * 100_000 + gzip.compress(har()),
    "zip bomb": lambda: zip_of("har.har", bytes(100 * MEGABYTE)),
    "zip in zip": lambda: zip_of("a.har", zip_of("b.har", zip_of("c.har", zip_of("d.har", zip_of("e.har", b"{}"))))),
    "a million brackets": lambda: b'{"log":{"entries":[' + b"[" * MEGABYTE,
    "a deep entry": lambda: b'{"log":{"entries":[' + b'{"request":' * 200_000 + b"1" + b"}" * 200_000 + b"]}}",
    "deep JSON in a body": lambda: har(entry(sent="[" * MEGABYTE, kind="application/json")),
    "deep closed JSON in a body": lambda: har(entry(sent="[" * 100_000 + "]" * 100_000, kind="application/json")),
    "only quotes": lambda: b'{"log":{"entries":[' + b'"' * MEGABYTE,
    "only backslashes": lambda: b'{"log":{"entries":["' + b"\\" * MEGABYTE,
    "only entry starts": lambda: b'{"log":{"entries":[' + b'{"request":' * 300_000,
    "huge numbers": lambda: har({**entry(), "time": 1}).replace(b'"time": 1', b'"time": ' + b"9" * MEGABYTE),
    "a huge number in a body": lambda: har(entry(sent='{"id":' + "9" * MEGABYTE + "}", kind="application/json")),
    "a huge status": lambda: har(entry()).replace(b'"status": 200', b'"status": 1e309'),
    "a cookie without an end": lambda: har(entry(headers="a" * MEGABYTE)),
    "a tag without an end": lambda: har(entry(sent="<" + "a" * MEGABYTE, kind="application/xml")),
    "tags without an end": lambda: har(entry(sent="<a>" * 300_000, kind="application/xml")),
    "names without an end": lambda: har(entry(sent='name="a"\r\n\r\n' * 80_000, kind="multipart/form-data")),
    "members without an end": lambda: har(entry(sent='"a":"' * 200_000, kind="application/json")),
    "a million parameters": lambda: har(entry("/api/v2/system/role?" + "a&" * 500_000)),
    "a long path": lambda: har(entry("/api/v2/system/role" + "/a" * 300_000)),
    "flows of no length": lambda: b"0:0:" * 100_000,
    "a flow longer than the file": lambda: b"999999999999:1:",
    "an entry of every kind": lambda: har(*([None, 1, "x", [], {}, {"request": []}, {"request": {"url": {}}}] * 5_000)),
}


def in_bounds() -> None:
    """For the child: a minute of work, half a gigabyte of memory, files of 600 MB."""
    resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
    resource.setrlimit(resource.RLIMIT_DATA, (512 * MEGABYTE, 512 * MEGABYTE))
    resource.setrlimit(resource.RLIMIT_FSIZE, (600 * MEGABYTE, 600 * MEGABYTE))


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE)
def test_hostile_input_is_read_or_refused(make: Callable[[], bytes], tmp_path: Path) -> None:
    path = tmp_path / "input.har"
    path.write_bytes(make())
    command = [sys.executable, "-m", "dfrecord", "import", str(path), "-o", str(tmp_path / "out.har")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, preexec_fn=in_bounds, timeout=300)
    assert done.returncode in (0, 2), done.stderr[-2000:]
    assert b"Traceback" not in done.stderr
    assert b"unexpected" not in done.stderr, done.stderr[-2000:]
    assert {file.name for file in tmp_path.iterdir()} <= {"input.har", "out.har"}


@pytest.mark.parametrize("megabytes", [64, 80, 96, 112])
def test_memory_that_ends_while_the_output_is_made_is_told(megabytes: int, tmp_path: Path) -> None:
    """Of 200,000 parameters; msgspec crashes when it has to make the bytes that it gives larger."""
    path = tmp_path / "input.har"
    path.write_bytes(har(entry(url="/api/v2/system/role?" + "&".join(f"a{n}=b{n}" for n in range(200_000)))))

    def in_little_memory() -> None:
        resource.setrlimit(resource.RLIMIT_DATA, (megabytes * MEGABYTE, megabytes * MEGABYTE))

    command = [sys.executable, "-m", "dfrecord", "import", str(path), "-o", str(tmp_path / "out.har")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, preexec_fn=in_little_memory, timeout=300)
    assert done.returncode == 1
    assert done.stderr == "dfrecord: there is not enough memory for what is in the input or in an answer\n"


def test_white_space_before_a_recording_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "input.har").write_bytes(b" \r\n\t" * MEGABYTE + har(entry()))
    assert len(read(tmp_path / "input.har").exchanges) == 1


def test_too_little_memory_is_told_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "input.har"
    path.write_bytes(
        har(entry(sent=json.dumps({"resource": [{"name": "x" * 40 * MEGABYTE}]}), kind="application/json"))
    )

    def in_little_memory() -> None:
        resource.setrlimit(resource.RLIMIT_DATA, (192 * MEGABYTE, 192 * MEGABYTE))

    command = [sys.executable, "-m", "dfrecord", "render", str(path), "-f", "python", "-o", str(tmp_path / "out.py")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, preexec_fn=in_little_memory, timeout=300)
    assert done.returncode == 1
    assert done.stderr == "dfrecord: there is not enough memory for what is in the input or in an answer\n"
    assert {file.name for file in tmp_path.iterdir()} == {"input.har"}


def test_a_large_body_in_an_archive_is_left_out(tmp_path: Path) -> None:
    told = entry()
    told["response"] = {"status": 200, "headers": [], "content": {"mimeType": "text/plain", "_file": "a.txt"}}
    told["request"] = {"method": "POST", "url": "http://h/api/v2/system/role", "postData": {"_file": "a.txt"}}
    with zipfile.ZipFile(tmp_path / "input.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("har.har", har(told))
        archive.writestr("a.txt", bytes(65 * MEGABYTE))
    recording = read(tmp_path / "input.zip")
    [exchange] = recording.exchanges
    assert not exchange.response.body.content
    assert recording.notes == ("entry 0: a body was left out: the file 'a.txt' in the archive is too large",)


@pytest.mark.parametrize("attachments", [folder_attachments, sibling_attachments])
def test_a_file_that_many_entries_name_does_not_fill_the_memory(
    attachments: Callable[[Path, int], Attachments], tmp_path: Path
) -> None:
    content = b"a body of an answer"
    name = f"{hashlib.sha1(content).hexdigest()}.txt"
    (tmp_path / name).write_bytes(content)
    read_body = attachments(tmp_path, 2 * len(content))
    assert [read_body(name), read_body(name)] == [content, content]
    with pytest.raises(Refused, match="too large, alone or with the bodies before it"):
        read_body(name)


def test_files_beside_a_recording_have_a_budget(tmp_path: Path) -> None:
    told = entry()
    told["response"] = {"status": 200, "headers": [], "content": {"mimeType": "text/plain", "_file": "zeros.txt"}}
    (tmp_path / "har.har").write_bytes(har(*[told] * 9))
    with (tmp_path / "zeros.txt").open("wb") as file:
        file.truncate(64 * MEGABYTE)
    recording = read(tmp_path)
    assert [len(exchange.response.body.content) for exchange in recording.exchanges] == [64 * MEGABYTE] * 8 + [0]
    assert "entry 8: a body was left out" in recording.notes[0]


@pytest.mark.parametrize(
    "name",
    [
        "../secret",
        "/etc/hostname",
        "link",
        "folder/../../secret",
        "pipe",
        "/dev/zero",
        "folder",
        "a\0b",
        "",
        "sub\\..\\x",
    ],
)
def test_a_body_file_is_read_from_inside_the_recording_only(name: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("outside")
    folder = tmp_path / "recording"
    (folder / "folder").mkdir(parents=True)
    (folder / "link").symlink_to(tmp_path / "secret")
    os.mkfifo(folder / "pipe")
    document = json.loads((FIXTURES / "dialects" / "pw-embed.har").read_bytes())
    told = document["log"]["entries"][1]
    told["response"]["content"] = {"mimeType": "text/plain", "size": 7, "_file": name}
    told["request"]["postData"] = {"mimeType": "text/plain", "text": "", "_file": name}
    document["log"]["entries"] = [told]
    (folder / "har.har").write_text(json.dumps(document))
    [exchange] = read(folder).exchanges
    assert not exchange.request.body.content
    assert not exchange.response.body.content
