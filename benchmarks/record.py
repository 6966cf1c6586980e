"""Measures what `dfrecord record` costs calls that are not recorded, side by side with a bare, streaming mitmdump.

    python benchmarks/record.py [--calls 100000] [--megabytes 1024]

One server, three proxies in front of it, all running all the time; blocks of calls go to them in turn, so that noise
of the machine meets all of them alike. Told as a table: median latency, peak memory (VmHWM of the process) after the
calls and after five downloads. Linux only.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import multiprocessing
import platform
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from multiprocessing.connection import Connection
from pathlib import Path

BLOCK = 1000
DOWNLOADS = 5
ADDON = Path(__file__).parent.parent / "dfrecord" / "capture" / "addon.py"
ANSWER = b"x" * 1000
CHUNK = b"\0" * 65536


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--megabytes", type=int, default=1024)
    options = parser.parse_args()
    with _server() as port, tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        proxies = {
            "bare mitmdump": stack.enter_context(_mitmdump(port, "--set", "stream_large_bodies=1")),
            "dfrecord record": stack.enter_context(_dfrecord(port, Path(folder) / "out.har")),
            "mitmdump with the addon": stack.enter_context(
                _mitmdump(port, "-s", str(ADDON), "--set", f"dfrecord_output={folder}/addon.har")
            ),
        }
        asyncio.run(_measure(proxies, options.calls, options.megabytes))


async def _measure(proxies: dict[str, tuple[int, int]], calls: int, megabytes: int) -> None:
    times: dict[str, list[float]] = {name: [] for name in proxies}
    for _ in range(max(calls // BLOCK, 1)):
        for name, (_, port) in proxies.items():
            times[name] += await _block(port)
    after_calls = {name: _peak(process) for name, (process, _) in proxies.items()}
    downloads: dict[str, list[float]] = {name: [] for name in proxies}
    for _ in range(DOWNLOADS):
        for name, (_, port) in proxies.items():
            downloads[name].append(await _download(port, megabytes))
    after_download = {name: _peak(process) for name, (process, _) in proxies.items()}
    bare, *others = proxies
    rows = [
        (
            f"median latency of {len(times[bare]):,} calls",
            {n: statistics.median(t) * 1e3 for n, t in times.items()},
            "ms",
        ),
        ("95th percentile", {n: statistics.quantiles(t, n=20)[-1] * 1e3 for n, t in times.items()}, "ms"),
        ("peak memory after them", after_calls, "MB"),
        (f"peak memory after {DOWNLOADS} downloads of {megabytes:,} MB", after_download, "MB"),
        ("median time of a download", {n: statistics.median(t) for n, t in downloads.items()}, "s"),
    ]
    print(f"Python {platform.python_version()}, mitmproxy {version('mitmproxy')}\n")
    print("| what |" + "".join(f" {name} |" for name in proxies) + "\n| --- |" + " ---: |" * len(proxies))
    for what, values, unit in rows:
        against = {name: f" ({(values[name] / values[bare] - 1) * 100:+.1f} %)" for name in others}
        print(f"| {what} |" + "".join(f" {values[n]:.2f} {unit}{against.get(n, '')} |" for n in proxies))


async def _block(port: int) -> list[float]:
    """The seconds that each call of a block took, on one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    times = []
    for _ in range(BLOCK):
        started = time.perf_counter()
        writer.write(b"GET /static/app.js HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        await reader.readexactly(len(ANSWER))
        times.append(time.perf_counter() - started)
    writer.close()
    return times


async def _download(port: int, megabytes: int) -> float:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    started = time.perf_counter()
    writer.write(b"GET /download/%d HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" % megabytes)
    await reader.readuntil(b"\r\n\r\n")
    left = megabytes * 1_000_000
    while left:
        got = await reader.read(min(left, 1 << 20))
        assert got, "the download was cut off"
        left -= len(got)
    writer.close()
    return time.perf_counter() - started


def _peak(process: int) -> float:
    """The most memory the process ever held, in MB."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    assert found
    return int(found[1]) / 1000


@contextlib.contextmanager
def _mitmdump(server: int, *options: str) -> Iterator[tuple[int, int]]:
    port = _free_port()
    command = [str(Path(sys.executable).with_name("mitmdump")), "-q", "--mode", f"reverse:http://127.0.0.1:{server}"]
    command += ["--listen-host", "127.0.0.1", "--listen-port", str(port), *options]
    with _running(command, port) as process:
        yield process, port


@contextlib.contextmanager
def _dfrecord(server: int, output: Path) -> Iterator[tuple[int, int]]:
    port = _free_port()
    command = [sys.executable, "-m", "dfrecord", "record", f"http://127.0.0.1:{server}", "-o", str(output)]
    with _running([*command, "--listen", f"127.0.0.1:{port}", "--quiet"], port) as process:
        yield process, port


@contextlib.contextmanager
def _running(command: list[str], port: int) -> Iterator[int]:
    process = subprocess.Popen(command)
    try:
        while True:
            with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
                break
            assert process.poll() is None, f"{command[0]} ended"
            time.sleep(0.1)
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@contextlib.contextmanager
def _server() -> Iterator[int]:
    """A plain HTTP server in its own process; gives its port."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=_serve, args=(theirs,), daemon=True)
    process.start()
    yield ours.recv()
    process.terminate()


def _serve(pipe: Connection) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                path = head.split(b" ")[1]
                size = int(path.rpartition(b"/")[2]) * 1_000_000 if path.startswith(b"/download/") else len(ANSWER)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n")
                writer.write(b"Content-Length: %d\r\n\r\n" % size)
                if size == len(ANSWER):
                    writer.write(ANSWER)
                    continue
                while size:
                    chunk = CHUNK[: min(size, len(CHUNK))]
                    writer.write(chunk)
                    await writer.drain()
                    size -= len(chunk)
        writer.close()

    async def serve() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(serve())


if __name__ == "__main__":
    main()
