"""A server that writes what no server should: a run takes it for what it is, or ends in one line."""

from __future__ import annotations

import gzip
import os
import resource
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.doubles.raw import RawServer
from tests.tools import FIXTURES, FORMATS, ROOT, rendered, run

USER = FIXTURES / "01-create-user" / "recording.har"
GIVEN = {"DF_EMAIL": "a@b.c", "DF_PASSWORD": "GIVEN-0123456789", "DF_USER_PASSWORD": "USER-0123456789"}
RECORD = b'{"session_token":"TOKEN-0123456789","resource":[{"id":7}]}'
RUNS = ["replay", "python", "curl"]


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
    "cookies": answer(RECORD, b"Set-Cookie: session=1; Path=/", b"Set-Cookie: session=2"),
}
REFUSED = {
    "packed as nothing": answer(RECORD, b"Content-Encoding: gzip"),
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
        return run(file if file.exists() else rendered(USER, script, folder), script, {**GIVEN, "DF_BASE_URL": url})
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


@pytest.mark.parametrize("script", [*RUNS, "postman"])
def test_nothing_follows_a_redirect(script: str, tmp_path: Path) -> None:
    """Neither the password in the body nor a token in a header ever reaches another server."""
    with RawServer() as other, RawServer() as server:
        elsewhere = b"Location: %s/api/v2/system/user" % other.url.encode()
        server.answer = [answer(b"", elsewhere, status=b"307 Temporary Redirect")]
        done = sent(script, server.url, tmp_path)
        assert (done.returncode, len(server.received), other.received) == (1, 1, []), done.stderr
        assert "307" in done.stderr + done.stdout


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
