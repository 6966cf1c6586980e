"""One origin's name in the place of another's: in every form, in pieces of any size, and nowhere else."""

from __future__ import annotations

import gzip
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy import http
from mitmproxy.test import tflow, tutils

from dfrecord.capture.renaming import Renaming, StreamRenaming
from dfrecord.capture.reverse import Inward, Outward
from dfrecord.capture.target import target_of

TO_PROXY = Renaming.between("https://df.example.com", "http://127.0.0.1:8080")
TO_TARGET = Renaming.between("http://127.0.0.1:8080", "https://df.example.com")


@pytest.mark.parametrize(
    ("written", "renamed"),
    [
        ("https://df.example.com/a", "http://127.0.0.1:8080/a"),
        ("http://df.example.com", "http://127.0.0.1:8080"),
        ("HTTPS://DF.Example.com:443/a", "HTTP://127.0.0.1:8080/a"),
        ("wss://df.example.com/ws", "ws://127.0.0.1:8080/ws"),
        ('src="//df.example.com/app.js"', 'src="//127.0.0.1:8080/app.js"'),
        (r"https:\/\/df.example.com\/a", r"http:\/\/127.0.0.1:8080\/a"),
        ("u=https%3A%2F%2Fdf.example.com%2Fa", "u=http%3A%2F%2F127.0.0.1%3A8080%2Fa"),
        ("see https://df.example.com.", "see http://127.0.0.1:8080."),
    ],
)
def test_the_origin_is_renamed_in_every_form(written: str, renamed: str) -> None:
    assert TO_PROXY.text(written) == renamed


@pytest.mark.parametrize(
    "other",
    [
        *("https://df.example.com.evil.org/", "https://df.example.community/", "https://df.example.com:8443/"),
        *("https://my-df.example.com/", "admin@df.example.com", "ftp://df.example.com/", "df.example.com"),
    ],
)
def test_other_names_stay(other: str) -> None:
    assert TO_PROXY.text(other) == other


@pytest.mark.parametrize("url", ["https://df.example.com/a?b=c", "wss://df.example.com", r"https:\/\/df.example.com"])
def test_what_the_browser_sends_back_is_what_the_server_sent(url: str) -> None:
    assert TO_TARGET.text(TO_PROXY.text(url)) == url


_PIECES = st.sampled_from(
    ["https://df.example.com", "https:", "//df.example.com", "df.", ":8443", "evil", "%3A", " ", "é"]
)


@given(st.lists(_PIECES, max_size=12), st.lists(st.integers(1, 40), min_size=1))
def test_chunks_of_any_size_give_what_the_whole_gives(pieces: list[str], sizes: list[int]) -> None:
    content = "".join(pieces).encode()
    stream, got, at = StreamRenaming(TO_PROXY), b"", 0
    while at < len(content):
        size = sizes[at % len(sizes)]
        got += stream(content[at : at + size])
        at += size
    assert got + stream(b"") == TO_PROXY.apply(content)


def exchange(
    path: str,
    head: dict[str, str] | None = None,
    *,
    sent: bytes = b"",
    answer: bytes = b"",
    coding: str = "",
    streamed: bool = True,
    size: int = 1000,
) -> http.HTTPFlow:
    """A flow through both addons, as the proxy would take it, its answer in chunks of that size."""
    target = target_of("https://df.example.com")
    headers = http.Headers(
        host="127.0.0.1:8080",
        origin="http://127.0.0.1:8080",
        content_type="application/json",
        accept_encoding="gzip, br",
    )
    request = tutils.treq(path=path.encode(), headers=headers, content=sent)
    encoded = gzip.compress(answer) if coding == "gzip" else answer
    response = tutils.tresp(headers=http.Headers(), content=None if streamed else encoded)
    response.headers.update(head or {})
    if coding:
        response.headers["content-encoding"] = coding
    flow = tflow.tflow(req=request, resp=response)
    assert flow.response is not None
    flow.request.stream = flow.response.stream = streamed
    inward, outward = Inward(target), Outward(target)
    inward.requestheaders(flow)
    inward.request(flow)
    outward.responseheaders(flow)
    if streamed:
        flow.metadata["answer"] = _streamed(flow.response.stream, encoded, size)
    outward.response(flow)
    return flow


def _streamed(stream: Any, content: bytes, size: int) -> bytes:
    """What the client gets. An empty chunk within would end the answer there (RFC 9112, 7.1)."""
    if not callable(stream):
        return content
    sent = [content[at : at + size] for at in range(0, len(content), size)]
    got = [chunk for part in [*sent, b""] for chunk in stream(part)]
    assert b"" not in got
    return b"".join(got)


def test_the_target_sees_its_own_names_and_the_browser_its_own() -> None:
    flow = exchange(
        "/login?next=http%3A%2F%2F127.0.0.1%3A8080%2F",
        {
            "location": "https://df.example.com/dist/",
            "access-control-allow-origin": "https://df.example.com",
            "content-security-policy": "upgrade-insecure-requests; connect-src https://df.example.com",
        },
    )
    assert flow.request.headers["host"] == "df.example.com"
    assert flow.request.headers["origin"] == "https://df.example.com"
    assert flow.request.path == "/login?next=https%3A%2F%2Fdf.example.com%2F"
    assert flow.response is not None
    assert flow.response.headers["location"] == "http://127.0.0.1:8080/dist/"
    assert flow.response.headers["access-control-allow-origin"] == "http://127.0.0.1:8080"
    assert flow.response.headers["content-security-policy"].strip() == "connect-src http://127.0.0.1:8080"


def test_cookies_work_over_http_and_go_back_under_their_own_names() -> None:
    cookies = ["__Host-id=1; Path=/; Secure; SameSite=None", "b=2; Domain=df.example.com; HttpOnly; SameSite=Lax"]
    flow = exchange("/")
    assert flow.response is not None
    flow.response.headers.set_all("set-cookie", cookies)
    Outward(target_of("https://df.example.com")).responseheaders(flow)
    assert flow.response.headers.get_all("set-cookie") == [
        "dfrecord-__Host-id=1; Path=/",
        "b=2; HttpOnly; SameSite=Lax",
    ]
    flow.request.headers["cookie"] = "dfrecord-__Host-id=1; b=2"
    Inward(target_of("https://df.example.com")).requestheaders(flow)
    assert flow.request.headers["cookie"] == "__Host-id=1; b=2"


PAGE = b'<script src="https://df.example.com/app.js"></script>'


@pytest.mark.parametrize("size", [1, 20, 1000])
@pytest.mark.parametrize("coding", ["", "gzip"])
def test_a_streamed_page_is_renamed(coding: str, size: int) -> None:
    head = {"content-type": "text/html", "content-length": "999"}
    flow = exchange("/dist/", head, answer=PAGE, coding=coding, size=size)
    assert flow.metadata["answer"] == b'<script src="http://127.0.0.1:8080/app.js"></script>'
    assert flow.response is not None
    assert "content-length" not in flow.response.headers
    assert "content-encoding" not in flow.response.headers


@pytest.mark.parametrize(
    ("path", "head"),
    [
        ("/api/v2/files/page.html", {"content-type": "text/html"}),
        ("/api/v2/db/_table/t", {"content-type": "application/json"}),
        ("/setup.exe", {"content-type": "application/octet-stream"}),
        ("/page.html", {"content-type": "text/html", "content-disposition": "attachment; filename=page.html"}),
    ],
)
def test_data_that_is_not_recorded_passes_as_it_is(path: str, head: dict[str, str]) -> None:
    assert exchange(path, head, answer=PAGE).metadata["answer"] == PAGE


def test_recorded_bodies_are_renamed_in_both_directions() -> None:
    flow = exchange(
        "/api/v2/system/app",
        {"content-type": "application/json"},
        sent=rb'{"url":"http:\/\/127.0.0.1:8080\/x"}',
        answer=b'{"launch_url":"https://df.example.com/x"}',
        streamed=False,
    )
    assert flow.request.content == rb'{"url":"https:\/\/df.example.com\/x"}'
    assert flow.response is not None
    assert flow.response.content == b'{"launch_url":"http://127.0.0.1:8080/x"}'
