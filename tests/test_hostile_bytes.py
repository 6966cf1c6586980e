"""A server that writes what no server should: a run takes it for what it is, or ends in one line."""

from __future__ import annotations

import gzip
import os
import re
import resource
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event

import pytest

from dfrecord.errors import WorkFailed
from dfrecord.replaying.client import Client, Connection
from tests.doubles.raw import RawServer
from tests.tools import FAILED, FIXTURES, FORMATS, ROOT, rendered, run

USER = FIXTURES / "01-create-user" / "recording.har"
GIVEN = {"DF_EMAIL": "a@b.c", "DF_PASSWORD": "GIVEN-0123456789", "DF_USER_PASSWORD": "USER-0123456789"}
RECORD = b'{"session_token":"TOKEN-0123456789","resource":[{"id":7}]}'
RUNS = ["replay", "python", "curl", "locust"]


def answer(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    framed = any(header.startswith((b"Content-Length", b"Transfer")) for header in headers)
    length = [] if framed else [b"Content-Length: %d" % len(body)]
    return b"\r\n".join([b"HTTP/1.1 " + status, *headers, *length, b"Connection: close", b"", body])


def bomb(megabytes: int) -> bytes:
    made, block = zlib.compressobj(1, wbits=31), bytes(1024 * 1024)
    return b"".join(made.compress(block) for _ in range(megabytes)) + made.flush()


UNDERSTOOD = {
    "a BOM": answer(b"\xef\xbb\xbf" + RECORD),
    "packed, though nobody asked": answer(gzip.compress(RECORD), b"Content-Encoding: gzip"),
    "packed the other way": answer(zlib.compress(RECORD), b"Content-Encoding: deflate"),
    "packed without a head": answer(zlib.compress(RECORD, wbits=-15), b"Content-Encoding: deflate"),
    "cookies": answer(RECORD, b"Set-Cookie: session=1; Path=/", b"Set-Cookie: session=2"),
}
REFUSED = {
    "packed as nothing": answer(RECORD, b"Content-Encoding: gzip"),
    "packed in a way nobody asked for": answer(RECORD, b"Content-Encoding: br"),
    "less than it says": answer(RECORD, b"Content-Length: 9999"),
    "chunks of no size": answer(b"zz\r\n" + RECORD, b"Transfer-Encoding: chunked"),
    "no HTTP": b"SSH-2.0-OpenSSH\r\n",
    "nothing": b"",
}


def sent(
    script: str, url: str, folder: Path, preexec_fn: Callable[[], None] | None = None
) -> subprocess.CompletedProcess[str]:
    """Log in and create the user, in one of the ways there are."""
    if script != "replay":
        file = folder / FORMATS[script]
        file = file if file.exists() else rendered(USER, script, folder)
        return run(file, script, {**GIVEN, "DF_BASE_URL": url}, preexec_fn=preexec_fn)
    command = [sys.executable, "-m", "dfrecord", "replay", str(USER), "--base-url", url]
    command += ["--created-file", str(folder / "notes")]
    env = {**os.environ, **GIVEN}
    return subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=60, preexec_fn=preexec_fn)


@pytest.mark.parametrize("script", RUNS)
def test_what_can_be_understood_is(script: str, tmp_path: Path) -> None:
    for name, written in UNDERSTOOD.items():
        with RawServer([written]) as server:
            done = sent(script, server.url, tmp_path)
            assert len(server.received) == 3, (name, done.stdout, done.stderr)
            assert "TOKEN-0123456789" in server.received[1].decode(), name
            assert b"Cookie:" not in b"".join(server.received)


@pytest.mark.parametrize("script", RUNS)
def test_what_cannot_be_is_told_in_a_line(script: str, tmp_path: Path) -> None:
    for name, written in REFUSED.items():
        with RawServer([written]) as server:
            done = sent(script, server.url, tmp_path)
            assert (done.returncode, len(server.received)) == (1, 1), (name, done.stderr)
            assert "no answer from" in done.stderr, name
            assert "Traceback" not in done.stderr


@pytest.mark.parametrize("script", RUNS)
def test_a_packed_answer_that_is_cut_off_is_none(script: str, tmp_path: Path) -> None:
    with RawServer([answer(gzip.compress(RECORD)[:-12], b"Content-Encoding: gzip")]) as server:
        done = sent(script, server.url, tmp_path)
        assert (done.returncode, len(server.received)) == (1, 1), done.stderr
        assert "failed" in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("script", [*RUNS, "postman"])
def test_nothing_follows_a_redirect(script: str, tmp_path: Path) -> None:
    """Neither the password in the body nor a token in a header ever reaches another server."""
    with RawServer() as other, RawServer() as server:
        elsewhere = b"Location: %s/api/v2/system/user" % other.url.encode()
        server.answer = [answer(b"", elsewhere, status=b"307 Temporary Redirect")]
        done = sent(script, server.url, tmp_path)
        assert (done.returncode, len(server.received), other.received) == (1, 1, []), done.stderr
        assert "307" in done.stderr + done.stdout


ENDLESS = {
    "a body that drips": b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n",
    "chunks that drip": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    "a head that drips": b"HTTP/1.1 200 OK\r\nX-Long: ",
}
SHORTER = {
    "python": ("time.monotonic() + 300 ", "time.monotonic() + 1 "),
    "curl": ("max-time = 300", "max-time = 1"),
    "locust": ("Timeout(300,", "Timeout(1,"),
    "ansible": ("timeout: 300 ", "timeout: 6 "),  # its modules take a while to start
}


def drip(head: bytes) -> Iterator[bytes]:
    """This, and then a byte now and then, by which no socket times out."""
    yield head
    for _ in range(400):
        Event().wait(0.1)
        yield b"1\r\nx\r\n" if b"chunked" in head else b"x"


@pytest.mark.parametrize("script", SHORTER)
def test_a_script_does_not_wait_for_ever(script: str, tmp_path: Path) -> None:
    file = rendered(USER, script, tmp_path)
    source = file.read_text()
    assert source.count(SHORTER[script][0]) == 1
    file.write_text(source.replace(*SHORTER[script]))
    for name, head in ENDLESS.items():
        begun = time.monotonic()
        with RawServer(drip(head)) as server:
            done = sent(script, server.url, tmp_path)
            assert (done.returncode, len(server.received)) == (FAILED.get(script, 1), 1), (name, done.stderr)
        assert time.monotonic() - begun < 30, name
        assert "Traceback" not in done.stderr + done.stdout
        assert re.search("no answer from|(?i:timed out)|exceeded", done.stderr + done.stdout), done.stdout


@pytest.mark.parametrize("name", ENDLESS)
def test_a_replay_does_not_wait_for_ever(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dfrecord.replaying.client.LONGEST_TRANSFER", 1.0)
    with RawServer(drip(ENDLESS[name])) as server, pytest.raises(WorkFailed, match="the answer takes too long"):
        Client(server.url, Connection()).send("GET", "/api/v2/system/role")
    assert len(server.received) == 1


@pytest.mark.parametrize("script", ["python", "curl", "locust"])
def test_a_script_takes_no_more_of_an_answer_than_64_mb(script: str, tmp_path: Path) -> None:
    long = [answer(b"", b"Content-Length: 99999999"), *(b"1" * 1024 * 1024 for _ in range(90))]
    for written in ([answer(bomb(300), b"Content-Encoding: gzip")], long):
        with RawServer(written) as server:
            done = sent(script, server.url, tmp_path, preexec_fn=in_bounds)
            assert (done.returncode, len(server.received)) == (1, 1), done.stderr
            assert "the answer is longer than 64 MB" in done.stderr
            assert "Traceback" not in done.stderr


def in_bounds() -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (400 * 1024 * 1024, 400 * 1024 * 1024))


@pytest.mark.parametrize(
    ("written", "told"),
    [
        (answer(bomb(300), b"Content-Encoding: gzip"), "the answer is longer than 64 MB"),
        (answer(gzip.compress(bomb(1)), b"Content-Encoding: gzip, gzip"), "not asked for: gzip, gzip"),
        (answer(b"x", b"Content-Encoding: br"), "not asked for: br"),
    ],
    ids=["bomb", "twice", "other"],
)
def test_a_replay_takes_no_more_memory_than_an_answer_may_have(written: bytes, told: str, tmp_path: Path) -> None:
    with RawServer([written]) as server:
        done = sent("replay", server.url, tmp_path, preexec_fn=in_bounds)
        assert done.returncode == 1
        assert told in done.stderr, done.stderr
