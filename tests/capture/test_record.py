"""`dfrecord record` as a program: how it ends, what it leaves behind, what it refuses, whom it lets pass."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import pty
import random
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.capture.console import BIG, Console, self_signed
from tests.capture.tools import Recording
from tests.doubles.server import DreamFactoryDouble
from tests.tools import ROOT, dfrecord

CALLS = 1000
KILLS = 20
CLIENTS = 4
ENDS = (signal.SIGINT, signal.SIGTERM)


@pytest.fixture
def double() -> Iterator[DreamFactoryDouble]:
    with DreamFactoryDouble() as running:
        yield running


def get(address: str, path: str, **headers: str) -> tuple[int, bytes]:
    """One call, status and body."""
    connection = http.client.HTTPConnection(address, timeout=30)
    connection.request("GET", path, headers=headers)
    got = connection.getresponse()
    return got.status, got.read()


def urls(output: Path) -> list[str]:
    """The paths in a recording, which must be a valid HAR."""
    entries = json.loads(output.read_bytes())["log"]["entries"]
    return [re.sub(r"^https?://[^/]+", "", entry["request"]["url"]) for entry in entries]


# ---------------------------------------------------------------- never loses


@pytest.mark.parametrize(
    ("number", "attempt"),
    [*((signal.SIGKILL, n) for n in range(KILLS)), *((number, n) for number in ENDS for n in range(KILLS, KILLS + 2))],
)
def test_a_signal_in_a_burst_leaves_a_har_with_every_exchange_that_had_ended(
    number: int, attempt: int, double: DreamFactoryDouble, tmp_path: Path
) -> None:
    output = tmp_path / "tenant.har"
    after = random.Random(attempt).randint(1, CALLS - 1)
    answered: list[str] = []
    with Recording(double.url, output, "--quiet", variables={"TMPDIR": str(tmp_path)}) as recording:
        address = _listening(recording)
        reached = threading.Event()

        def client(first: int) -> None:
            connection = http.client.HTTPConnection(address, timeout=30)
            with contextlib.suppress(OSError, http.client.HTTPException):  # the proxy goes away under it
                for n in range(first, CALLS, CLIENTS):
                    path = f"/api/v2/system/environment?call={n}"
                    connection.request("GET", path)
                    connection.getresponse().read()
                    answered.append(path)
                    if len(answered) >= after:
                        reached.set()

        clients = [threading.Thread(target=client, args=(first,)) for first in range(CLIENTS)]
        for thread in clients:
            thread.start()
        assert reached.wait(60)
        recording.process.send_signal(number)
        for thread in clients:
            thread.join()
        assert recording.process.wait(30) == (0 if number in ENDS else -number)
        assert not recording.text, "what the end cuts off is no news"
    recorded = urls(output)
    assert len(answered) < CALLS, "the burst was over before the signal"
    assert set(answered) <= set(recorded)
    assert len(recorded) == len(set(recorded)) <= len(answered) + CLIENTS


def _listening(recording: Recording) -> str:
    """Where a quiet recording listens, as the system tells."""
    for _ in range(600):
        assert recording.process.poll() is None, recording.text
        sockets = Path(f"/proc/{recording.process.pid}/net/tcp").read_text().splitlines()[1:]
        inodes = {fields[9]: fields[1] for line in sockets if (fields := line.split())[3] == "0A"}
        for descriptor in Path(f"/proc/{recording.process.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                inode = re.match(r"socket:\[(\d+)\]", str(descriptor.readlink()))
                if inode and inode[1] in inodes:
                    return f"127.0.0.1:{int(inodes[inode[1]].split(':')[1], 16)}"
        time.sleep(0.05)
    raise AssertionError("it never listened")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_recording_and_the_next_commands_are_told(
    number: int, double: DreamFactoryDouble, tmp_path: Path
) -> None:
    output = tmp_path / "tenant.har"
    with Recording(double.url, output) as recording:
        get(recording.address, "/api/v2/system/environment")
        get(recording.address, "/dist/logo.png")
        told = recording.end(number)
    assert "1 call recorded, 1 filtered out" in told
    for command in ("dfrecord show", "dfrecord render", "dfrecord replay"):
        assert f"{command} {output}" in told
    assert [path.name for path in tmp_path.iterdir()] == ["tenant.har"]


def test_ctrl_c_twice_is_safe(double: DreamFactoryDouble, tmp_path: Path) -> None:
    output = tmp_path / "tenant.har"
    with Recording(double.url, output) as recording:
        get(recording.address, "/api/v2/system/environment")
        for _ in range(5):
            recording.process.send_signal(signal.SIGINT)
            time.sleep(0.02)
        recording.end()
    assert len(urls(output)) == 1


def test_it_ends_by_itself_after_the_duration(double: DreamFactoryDouble, tmp_path: Path) -> None:
    with Recording(double.url, tmp_path / "tenant.har", "--duration", "1") as recording:
        assert recording.process.wait(30) == 0
    assert urls(tmp_path / "tenant.har") == []


def test_it_goes_on_when_nobody_reads_what_it_says(double: DreamFactoryDouble, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "dfrecord", "record", double.url, "-o", str(tmp_path / "a.har"), "--listen", "0"]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE)
    assert process.stderr is not None
    address = re.search(rb"open http://([\d.:]+)/", process.stderr.readline())
    process.stderr.close()
    assert address is not None
    for _ in range(2):
        assert get(address[1].decode(), "/api/v2/system/environment")[0] == 200
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    assert len(urls(tmp_path / "a.har")) == 2


def fake_browser(folder: Path, *lines: str) -> Path:
    """A program that the recording takes for a browser, with its arguments in a file."""
    program = folder / "browser"
    program.write_text("\n".join(["#!/bin/sh", f'printf "%s\\n" "$@" > {folder}/arguments', *lines]))
    program.chmod(0o755)
    return program


def test_closing_the_browser_ends_the_recording_and_nothing_of_it_is_left(
    double: DreamFactoryDouble, tmp_path: Path
) -> None:
    output, temporary = tmp_path / "tenant.har", tmp_path / "temporary"
    temporary.mkdir()
    # What a browser leaves running may go on writing into its profile.
    writing = 'profile="${1#--user-data-dir=}"; while sleep 0.01; do mkdir -p "$profile"; echo >>"$profile/log"; done &'
    browser: list[str | Path] = ["--mode", "browser", "--browser", fake_browser(tmp_path, writing, "sleep 0.3; exit 0")]
    with Recording(double.url, output, *browser, variables={"TMPDIR": str(temporary)}) as recording:
        assert recording.process.wait(30) == 0
    assert urls(output) == []
    assert list(temporary.iterdir()) == []


def test_a_browser_that_cannot_work_is_told_in_its_own_words(double: DreamFactoryDouble, tmp_path: Path) -> None:
    browser = fake_browser(tmp_path, "echo 'no protocol specified' >&2", "exit 3")
    with Recording(double.url, tmp_path / "a.har", "--mode", "browser", "--browser", browser) as recording:
        recording.process.wait(30)
        told = recording.end(code=1)
    assert "the browser ended with exit code 3: no protocol specified" in told


@pytest.mark.parametrize("display", ["", ":7"])
def test_without_a_display_the_browser_has_no_window(display: str, double: DreamFactoryDouble, tmp_path: Path) -> None:
    variables = {"DISPLAY": display, "WAYLAND_DISPLAY": ""}
    options: list[str | Path] = ["--mode", "browser", "--browser", fake_browser(tmp_path, "exit 0")]
    with Recording(double.url, tmp_path / "a.har", *options, variables=variables) as recording:
        recording.process.wait(30)
        told = recording.end()
    assert ("no display" in told) is (display == "")
    assert ("--headless=new" in (tmp_path / "arguments").read_text().split()) is (display == "")


def test_a_full_disk_is_told_once_and_the_browser_goes_on(double: DreamFactoryDouble, tmp_path: Path) -> None:
    """The size of files is limited for the process, which fails a write as a full disk does."""
    output = tmp_path / "tenant.har"
    with Recording(double.url, output, file_size=8192) as recording:
        answers = [get(recording.address, f"/api/v2/system/environment?call={n}")[0] for n in range(20)]
        told = recording.end(code=1)
    assert answers == [200] * 20
    assert told.count("cannot be written") == 1
    kept = len(urls(output))
    assert 0 < kept < 20
    assert f"{20 - kept} of 20 calls could not be recorded" in told


# ---------------------------------------------------------------- what it refuses


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["df.example.com"], "is not an http or https URL"),
        (["ftp://df.example.com"], "is not an http or https URL"),
        (["https://df.example.com:port"], "write it like"),
        (["https://admin:pw@df.example.com"], "must not hold a user name"),
        (["https://df.example.com", "--listen", "here"], "is not HOST:PORT"),
        (["https://df.example.com", "--listen", "::1"], "in brackets"),
        (["https://df.example.com", "--mode", "browser", "--browser", "/nowhere/chromium"], "is not a program"),
        (["https://df.example.com", "--upstream-proxy", "proxy:3128"], "--upstream-proxy"),
        (["https://df.example.com", "--filter", "https://df.example.com/api"], "is not a path"),
        (["https://df.example.com", "--ca-file", "{folder}/existing.har"], "existing.har"),
        (["https://df.example.com", "-o", "/nowhere/at/all.har"], "cannot be written"),
        (["https://df.example.com", "-o", "/dev/full", "--force"], "cannot be written"),
        (["https://df.example.com", "-o", "{folder}/circle.har"], "Too many levels of symbolic links"),
        (["https://df.example.com", "-o", "{folder}/existing.har"], "--force"),
        (["https://df.example.com", "--duration", "0"], "--duration: has to be more than 0"),
        (["https://df.example.com", "--duration", "nan"], "--duration: has to be more than 0"),
    ],
)
def test_what_cannot_be_recorded_is_refused_in_one_line(arguments: list[str], words: str, tmp_path: Path) -> None:
    (tmp_path / "existing.har").write_text("{}")
    (tmp_path / "circle.har").symlink_to("circle.har")
    output = ["-o", str(tmp_path / "new.har"), "--listen", "127.0.0.1:0", "--duration", "1"]
    given = [argument.format(folder=tmp_path) for argument in arguments]
    done = dfrecord("record", *output, *given, code=2)
    assert done.stderr.decode().count("\n") == 1
    assert words in done.stderr.decode()
    assert (tmp_path / "existing.har").read_text() == "{}"


def test_a_taken_port_is_one_line_and_nothing_is_replaced(double: DreamFactoryDouble, tmp_path: Path) -> None:
    taken = ["--listen", double.url.removeprefix("http://")]
    old, new = tmp_path / "old.har", tmp_path / "new.har"
    old.write_text("{}")
    for output, *force in ((new,), (old, "--force")):
        done = dfrecord("record", double.url, *taken, "-o", output, *force, code=2)
        assert done.stderr.decode().count("\n") == 1
        assert "address already in use; choose another place with --listen" in done.stderr.decode()
    assert old.read_text() == "{}"
    assert not new.exists()


def test_an_existing_file_is_replaced_with_force(double: DreamFactoryDouble, tmp_path: Path) -> None:
    output = tmp_path / "tenant.har"
    output.write_text("{}")
    with Recording(double.url, output, "--force") as recording:
        get(recording.address, "/api/v2/system/environment")
        recording.end()
    assert len(urls(output)) == 1


# ---------------------------------------------------------------- secrets and openness are told


def test_secrets_that_are_kept_are_warned_of(double: DreamFactoryDouble, tmp_path: Path) -> None:
    output = tmp_path / "tenant.har"
    with Recording(double.url, output, "--keep-secrets") as recording:
        get(recording.address, "/api/v2/system/environment", **{"X-DreamFactory-API-Key": "0123456789abcdef"})
        told = recording.end()
    assert "in clear" in told
    assert "0123456789abcdef" in output.read_text()
    assert output.stat().st_mode & 0o777 == 0o600


def test_listening_for_others_is_warned_of(double: DreamFactoryDouble, tmp_path: Path) -> None:
    with Recording(double.url, tmp_path / "a.har", "--listen", "0.0.0.0:0", "--duration", "0.5") as recording:
        assert recording.process.wait(30) == 0
        told = recording.end()
    assert "warning: everybody who can reach 0.0.0.0" in told
    assert "open http://127.0.0.1:" in told


# ---------------------------------------------------------------- the target


@pytest.mark.parametrize("mode", ["reverse", "proxy"])
def test_a_target_that_cannot_be_reached_is_told_to_the_user_and_the_browser(mode: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        origin = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with Recording(origin, tmp_path / "a.har", "--mode", mode, home=tmp_path) as recording:
        status, page = get(recording.address, ("" if mode == "reverse" else origin) + "/api/v2/system/environment")
        told = recording.end()
    assert (status, b"Connect call failed" in page) == (502, True)
    assert f"dfrecord: {origin}: cannot be reached" in told
    assert "1 call recorded (1 refused or failed)" in told


def test_a_target_that_sends_browsers_elsewhere_is_told(double: DreamFactoryDouble, tmp_path: Path) -> None:
    with Console(double) as console, Recording(console.origin, tmp_path / "a.har") as recording:
        get(recording.address, "/", accept="text/html")  # a redirect to itself
        get(recording.address, "/moved", accept="text/html,*/*")
        told = recording.end()
    assert told.count("sends the browser to") == 1
    assert f"{console.origin} sends the browser to https://df.example.com, where nothing is recorded" in told


@pytest.mark.parametrize("mode", ["reverse", "proxy"])
def test_a_folder_that_the_target_lies_in_is_no_part_of_the_recording(
    mode: str, double: DreamFactoryDouble, tmp_path: Path
) -> None:
    with Console(double) as console:
        url = f"{console.origin}/df/dist/index.html"
        with Recording(url, tmp_path / "a.har", "--mode", mode, home=tmp_path) as recording:
            before = "" if mode == "reverse" else console.origin
            for path in ("/df/api/v2/system/environment?a=/df/", "/api/v2/system/environment", "/other/api/v2/system"):
                get(recording.address, before + path)
            told = recording.end()
    assert urls(tmp_path / "a.har") == ["/api/v2/system/environment?a=/df/", "/api/v2/system/environment"]
    assert "the API lies under /df," in told
    assert "2 calls recorded, 1 filtered out" in told


def test_an_ipv6_address_is_listened_on(double: DreamFactoryDouble, tmp_path: Path) -> None:
    with Recording(double.url, tmp_path / "a.har", "--listen", "[::1]:0") as recording:
        assert get(recording.address, "/api/v2/system/environment")[0] == 200
        recording.end()
    assert urls(tmp_path / "a.har") == ["/api/v2/system/environment"]


# ---------------------------------------------------------------- TLS and other hosts


def test_an_untrusted_certificate_is_explained_and_insecure_accepts_it(
    double: DreamFactoryDouble, tmp_path: Path
) -> None:
    certificate, _ = self_signed(tmp_path)
    with Console(double, certificate) as console:
        with Recording(console.origin, tmp_path / "a.har") as recording:
            assert get(recording.address, "/api/v2/system/environment")[0] == 502
            assert "--ca-file" in recording.end()
        with Recording(console.origin, tmp_path / "b.har", "--insecure") as recording:
            assert get(recording.address, "/api/v2/system/environment")[0] == 200
            recording.end()
    assert len(urls(tmp_path / "b.har")) == 1


def test_in_proxy_mode_the_tls_of_other_hosts_is_not_opened(double: DreamFactoryDouble, tmp_path: Path) -> None:
    certificate, ca = self_signed(tmp_path)
    trusting = ssl.create_default_context(cafile=str(ca))
    with (
        Console(double, certificate) as other,
        Recording(double.url, tmp_path / "a.har", "--mode", "proxy", home=tmp_path) as recording,
    ):
        connection = http.client.HTTPSConnection(recording.address, context=trusting, timeout=30)
        host, port = other.origin.removeprefix("https://").split(":")
        connection.set_tunnel(host, int(port))
        connection.request("GET", "/big")  # the handshake fails unless the certificate is the server's own
        assert connection.getresponse().read() == BIG
        recording.end()
    assert urls(tmp_path / "a.har") == []


@pytest.mark.parametrize("mode", ["reverse", "proxy"])
def test_an_upstream_proxy_is_used_with_its_credentials(mode: str, double: DreamFactoryDouble, tmp_path: Path) -> None:
    with UpstreamProxy() as upstream:
        url = f"http://user:p%40ss@127.0.0.1:{upstream.port}"
        options = ["--upstream-proxy", url, "--mode", mode]
        with Recording(double.url, tmp_path / "a.har", *options, home=tmp_path) as recording:
            path = "/api/v2/system/environment"
            assert get(recording.address, path if mode == "reverse" else double.url + path)[0] == 200
            recording.end()
    assert urls(tmp_path / "a.har") == ["/api/v2/system/environment"]
    assert f"Basic {base64.b64encode(b'user:p@ss').decode()}" in upstream.heads[0]
    assert double.url.removeprefix("http://") in upstream.heads[0]


def test_websockets_pass_and_are_not_recorded(tmp_path: Path) -> None:
    """The frames of an echoing server come back; the path is one that would be recorded."""
    server = socket.create_server(("127.0.0.1", 0))

    def echo() -> None:
        connection, _ = server.accept()
        while not connection.recv(65536).endswith(b"\r\n\r\n"):
            pass
        connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        frame = connection.recv(65536)
        connection.sendall(b"\x81\x02" + bytes(a ^ b for a, b in zip(frame[2:6], frame[6:8], strict=False)))

    threading.Thread(target=echo, daemon=True).start()
    url = f"http://127.0.0.1:{server.getsockname()[1]}"
    with Recording(url, tmp_path / "a.har") as recording:
        host, port = recording.address.split(":")
        with socket.create_connection((host, int(port)), timeout=30) as client:
            client.sendall(
                b"GET /api/v2/system/events HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
            )
            assert client.recv(65536).startswith(b"HTTP/1.1 101")
            client.sendall(b"\x81\x82abcd" + bytes([ord("h") ^ ord("a"), ord("i") ^ ord("b")]))
            assert client.recv(65536).startswith(b"\x81\x02hi")  # the closing frame may come along
        recording.end()
    assert urls(tmp_path / "a.har") == []


class UpstreamProxy:
    """A proxy that tunnels, and forwards what is asked in plain; `heads` are the requests that it got."""

    def __init__(self) -> None:
        self.heads: list[str] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]

    def __enter__(self) -> UpstreamProxy:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed at the end
            while True:
                client, _ = self._server.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(65536)
        self.heads.append(head.decode())
        where = head.split()[1].removeprefix(b"http://").split(b"/")[0].decode()
        host, _, port = where.partition(":")
        server = socket.create_connection((host, int(port)))
        if head.startswith(b"CONNECT"):
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            server.sendall(head.replace(f"http://{where}".encode(), b"", 1))
        threading.Thread(target=_pump, args=(server, client), daemon=True).start()
        _pump(client, server)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)


# ---------------------------------------------------------------- the terminal


def test_on_a_terminal_there_is_a_table_with_a_counter(double: DreamFactoryDouble, tmp_path: Path) -> None:
    output = str(tmp_path / "a.har")
    command = [sys.executable, "-m", "dfrecord", "record", double.url, "-o", output, "--listen", "127.0.0.1:0"]
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": "80"}
    process = subprocess.Popen(command, cwd=ROOT, stderr=theirs, env=environment)
    os.close(theirs)
    shown = b""
    while not (address := re.search(rb"open http://([\d.:]+)/", shown)):
        shown += os.read(ours, 4096)
    get(address[1].decode(), "/api/v2/system/role%1B%5B31m")
    get(address[1].decode(), "/logo.png")
    get(address[1].decode(), "/api/v2/system/environment")
    process.send_signal(signal.SIGINT)
    with contextlib.suppress(OSError):  # the terminal is gone when the process is
        while more := os.read(ours, 4096):
            shown += more
    assert process.wait(30) == 0
    text = shown.decode()
    assert "TIME" in text
    assert "2 recorded · 1 refused or failed · 1 filtered out · Ctrl-C ends" in text
    assert "\x1b[1;31m" in text, "a refused call stands out"
    assert "No session token (JWT) or API Key detected" in text, "and says why, on a narrow terminal, too"
    assert r"role\u001b[31m" in text, "recorded text cannot steer the terminal"
    assert text.count("\x1b[?25h") == text.count("\x1b[?25l"), "the cursor comes back"


def test_quiet_says_nothing(double: DreamFactoryDouble, tmp_path: Path) -> None:
    with Recording(double.url, tmp_path / "a.har", "--quiet", "--duration", "0.5") as recording:
        assert recording.process.wait(30) == 0
        assert recording.end() == ""
