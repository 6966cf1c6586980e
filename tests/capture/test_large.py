"""Answers and requests too large to keep: they pass, the recording goes on without them and says so."""

from __future__ import annotations

import gzip
import http.client
import io
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import brotli
import pytest
import zstandard
from mitmproxy.io import FlowWriter
from mitmproxy.test import tflow, tutils

import dfrecord
from dfrecord.recording.coding import LONGEST_BODY, decoded
from tests.capture.tools import Recording
from tests.doubles.raw import RawServer
from tests.test_hostile_bytes import answer, bomb

MEGABYTE = b"1" * 1024 * 1024
LONG = LONGEST_BODY // len(MEGABYTE) + 6
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNK = b"%x\r\n%s\r\n" % (len(MEGABYTE), MEGABYTE)
ANSWERS: dict[str, tuple[Iterable[bytes], int]] = {
    "known": (
        [HEAD + b"Content-Length: %d\r\n\r\n" % (LONG * len(MEGABYTE)), *[MEGABYTE] * LONG],
        LONG * len(MEGABYTE),
    ),
    "chunked": ([HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *[CHUNK] * LONG, b"0\r\n\r\n"], LONG * len(MEGABYTE)),
    "a bomb": ([answer(packed := bomb(300), b"Content-Encoding: gzip")], len(packed)),
}


def ask(address: str, method: str = "GET", body: bytes | None = None) -> int:
    """The length of the answer."""
    connection = http.client.HTTPConnection(address, timeout=60)
    connection.request(method, "/api/v2/system/role", body)
    got, length = connection.getresponse(), 0
    while piece := got.read(len(MEGABYTE)):
        length += len(piece)
    return length


def peak(process: int) -> int:
    """The most memory that the process has had, in MB."""
    status = Path(f"/proc/{process}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) // 1024


def entries(output: Path) -> list[dict[str, Any]]:
    kept: list[dict[str, Any]] = json.loads(output.read_bytes())["log"]["entries"]
    return kept


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_too_large_to_keep_passes(name: str, tmp_path: Path) -> None:
    pieces, length = ANSWERS[name]
    with RawServer(pieces) as server, Recording(server.url, tmp_path / "a.har") as recording:
        assert ask(recording.address) == length
        server.answer = [answer(b'{"resource":[]}')]
        assert ask(recording.address) == 15
        assert peak(recording.process.pid) < 500
        told = recording.end()
    large, small = entries(tmp_path / "a.har")
    assert large["response"]["content"]["_body"] == "not recorded"
    assert small["response"]["content"]["text"] == '{"resource":[]}'
    assert told.count("the answer is larger than 64 MB and not in the recording") == 1
    assert "2 calls recorded" in told


def test_the_head_of_a_chunked_answer_too_large_to_keep_is_the_browser_s(tmp_path: Path) -> None:
    """That it is too large shows only when most of it has come."""
    with RawServer() as server, Recording(server.url, tmp_path / "a.har") as recording:
        head = HEAD + b"Set-Cookie: a=1; Domain=example.com; Secure\r\n"
        head += f"Access-Control-Allow-Origin: {server.url}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        server.answer = [head, *[CHUNK] * LONG, b"0\r\n\r\n"]
        connection = http.client.HTTPConnection(recording.address, timeout=60)
        connection.request("GET", "/api/v2/system/role")
        got = connection.getresponse()
        assert len(got.read()) == LONG * len(MEGABYTE)
        assert got.headers["Set-Cookie"] == "a=1"
        assert got.headers["Access-Control-Allow-Origin"] == f"http://{recording.address}"
        recording.end()
    (kept,) = entries(tmp_path / "a.har")
    assert kept["response"]["content"]["_body"] == "not recorded"
    named = {header["name"]: header["value"] for header in kept["response"]["headers"]}
    assert named["Access-Control-Allow-Origin"] == server.url


def test_a_request_too_large_to_keep_passes_and_is_no_step(tmp_path: Path) -> None:
    with (
        RawServer([answer(b'{"resource":[{"id":7}]}')]) as server,
        Recording(server.url, tmp_path / "a.har") as recording,
    ):
        assert ask(recording.address, "POST", MEGABYTE * LONG) == 23
        assert f"Content-Length: {LONG * len(MEGABYTE)}" in server.received[0].decode()
        told = recording.end()
    assert "what was sent is larger than 64 MB and not in the recording; no script can send it" in told
    journey = dfrecord.plan(dfrecord.read(tmp_path / "a.har"))
    assert not journey.steps
    assert "its request body was not recorded" in str(journey.residue)


def zstd_bomb() -> bytes:
    made = io.BytesIO()
    with zstandard.ZstdCompressor().stream_writer(made, closefd=False) as writer:
        for _ in range(300):
            writer.write(MEGABYTE)
    return made.getvalue()


BOMBS: dict[str, Callable[[], bytes]] = {
    "gzip": lambda: bomb(300),
    "br": lambda: brotli.compress(MEGABYTE * 300, quality=1),
    "zstd": zstd_bomb,
}
PACKING: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "br": brotli.compress,
    "zstd": lambda content: zstandard.ZstdCompressor().compress(content),
    "identity": bytes,
    "rot13": bytes,
    "GZIP ": gzip.compress,
}


@pytest.mark.parametrize("coding", PACKING)
def test_what_can_be_unpacked_is(coding: str) -> None:
    content = b"".join(b"%d," % number for number in range(300_000))
    packed = PACKING[coding](content)
    message = tutils.tresp(content=packed)
    message.headers["content-encoding"] = coding
    assert decoded(message) == content
    if coding in BOMBS:
        message.raw_content = packed[: len(packed) // 2]
        assert decoded(message) in (message.raw_content, content[: len(decoded(message) or b"")])
        message.raw_content = b"nothing packed"
        assert decoded(message) == b"nothing packed"


@pytest.mark.parametrize("coding", BOMBS)
def test_a_body_in_a_flow_file_that_unpacks_to_too_much_is_not_recorded(coding: str, tmp_path: Path) -> None:
    flow = tflow.tflow(resp=tutils.tresp(content=BOMBS[coding]()))
    flow.request.url = "https://df.example.com/api/v2/system/role"
    assert flow.response is not None
    flow.response.headers["content-encoding"] = coding
    with (tmp_path / "a.flow").open("wb") as file:
        FlowWriter(file).add(flow)
    (exchange,) = dfrecord.read(tmp_path / "a.flow").exchanges
    assert exchange.response.body.state.value == "not recorded"
