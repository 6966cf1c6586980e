"""How a replay reaches its instance: certificates, proxies and retries as users of `requests` expect them."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from dfrecord.errors import UsageError, WorkFailed
from dfrecord.replaying.client import Client, Connection, address_of
from dfrecord.system_api.conventions import Conventions
from tests.capture.console import self_signed

Scripted = list[tuple[int, dict[str, str]]]


class Server(ThreadingHTTPServer):
    """Answers 200, or first what is scripted; notes the request lines and when they came."""

    def __init__(self, scripted: Scripted) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.scripted, self.seen, self.times = scripted, list[str](), list[float]()

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class Handler(BaseHTTPRequestHandler):
    server: Server

    def answer(self) -> None:
        self.server.seen.append(self.requestline)
        self.server.times.append(time.monotonic())
        status, headers = self.server.scripted.pop(0) if self.server.scripted else (200, {})
        self.send_response(status)
        for name, value in {**headers, "Content-Length": "2"}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(b"{}")

    do_GET = do_POST = answer  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        return


@contextmanager
def serving(scripted: Scripted | None = None, certificate: Path | None = None) -> Iterator[Server]:
    server = Server(scripted or [])
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), 1e30])
def test_a_timeout_that_no_request_can_have_is_refused(seconds: float) -> None:
    with pytest.raises(UsageError, match="--timeout: has to be more than 0"):
        Connection(timeout=seconds)


def test_certificates_are_checked_and_options_win_over_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    certificate, own = self_signed(tmp_path)
    _, other = self_signed(tmp_path / "other")
    with serving(certificate=certificate) as server:
        url = f"https://127.0.0.1:{server.port}"
        with pytest.raises(WorkFailed, match="certificate"):
            Client(url, Connection(retries=0)).send("GET", "/")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(own))
        assert Client(url, Connection()).send("GET", "/").succeeded
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(other))
        assert Client(url, Connection(ca_file=str(own))).send("GET", "/").succeeded
        assert Client(url, Connection(insecure=True)).send("GET", "/").succeeded
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/no/such/file")
        with pytest.raises(WorkFailed, match="no/such/file"):
            Client(url, Connection(retries=0)).send("GET", "/")


def test_proxies_of_the_environment_hold_and_the_option_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as server, serving() as of_environment, serving() as given:
        url = f"http://127.0.0.1:{server.port}"
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{of_environment.port}")
        Client(url, Connection()).send("GET", "/a")
        Client(url, Connection(proxy=f"http://127.0.0.1:{given.port}")).send("GET", "/b")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        Client(url, Connection()).send("GET", "/c")
        assert of_environment.seen == [f"GET {url}/a HTTP/1.1"]
        assert given.seen == [f"GET {url}/b HTTP/1.1"]
        assert server.seen == ["GET /c HTTP/1.1"]
        with pytest.raises(WorkFailed, match=r"the proxy: .*refused$"):
            Client(url, Connection(retries=0, proxy="http://u:hidden@127.0.0.1:9")).send("GET", "/d")


@pytest.mark.parametrize("asked", ["1", "date", "soon"])
def test_a_busy_instance_is_asked_again_when_it_says(asked: str) -> None:
    header = formatdate(time.time() + 2, usegmt=True) if asked == "date" else asked
    heard: list[str] = []
    with serving([(429, {"Retry-After": header})]) as server:
        answered = Client(f"http://127.0.0.1:{server.port}", Connection(), heard.append).send("POST", "/", body=b"{}")
        waited = server.times[1] - server.times[0]
    assert answered.succeeded
    assert waited >= (0 if asked == "soon" else 0.9)
    assert [text.startswith("the instance is busy (429)") for text in heard] == ([] if asked == "soon" else [True])


def test_a_wait_of_hours_is_refused_with_its_length() -> None:
    asked = pytest.raises(WorkFailed, match="asks to wait 7200 seconds")
    with serving([(429, {"Retry-After": "7200"})]) as server, asked:
        Client(f"http://127.0.0.1:{server.port}", Connection()).send("POST", "/", body=b"{}")


def test_only_safe_requests_are_repeated_when_a_gateway_fails() -> None:
    with serving([(503, {}), (502, {})]) as server:
        instance = Client(f"http://127.0.0.1:{server.port}", Connection())
        assert instance.send("GET", "/").succeeded
        server.scripted.append((503, {"Retry-After": "1"}))
        assert instance.send("POST", "/", body=b"{}").status == 503
        assert [line.split()[0] for line in server.seen] == ["GET", "GET", "GET", "POST"]


def test_waiting_grows_from_retry_to_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr("dfrecord.replaying.client.time.sleep", waited.append)
    with serving([(503, {})] * 4) as server:
        Client(f"http://127.0.0.1:{server.port}", Connection(retries=3)).send("GET", "/")
    assert waited == sorted(waited)
    assert len(set(waited)) == len(waited) >= 2


def test_a_redirect_is_not_followed_and_says_where_it_leads() -> None:
    with serving([(301, {"Location": "https://elsewhere/"})]) as server:
        answered = Client(f"http://127.0.0.1:{server.port}", Connection()).send("POST", "/", body=b"{}")
    assert "https://elsewhere/" in answered.reason


def test_address_is_that_of_the_instance_alone() -> None:
    assert address_of("HTTPS://df.example.com/df//", Conventions()) == "HTTPS://df.example.com/df"
    for copied in ("/api/v2", "/api/v2/", "/dreamfactory/dist/#/home", "/?token=S3cret-Pass-99", ":S3cret-Pass-99@h"):
        with pytest.raises(UsageError, match="must be the address of the instance alone, without /api/v2") as told:
            address_of(f"https://df.example.com{copied}", Conventions())
        assert "S3cret-Pass-99" not in str(told.value)
    with pytest.raises(UsageError, match="must begin with http:// or https://"):
        address_of("df.example.com", Conventions())
    for wrong in ("http://df:99999", "http://df:port", "http://[::1"):
        with pytest.raises(UsageError, match="its host or port is none"):
            address_of(wrong, Conventions())
