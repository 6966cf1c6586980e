"""Six programs recorded the same session; the readers give the same exchanges, but for what a program really lost."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from dfrecord.recording.exchange import ABSENT, NOT_RECORDED, Body, Exchange, Recording
from dfrecord.recording.reader import read
from dfrecord.recording.wanted import Wanted
from tests.recording.hars import DIALECTS, FIXTURES

FILES = (
    "chrome-devtools.har",
    "firefox-netmonitor.har",
    "pw-embed.har",
    "pw-attach.zip",
    "mitm-reverse.har",
    "mitm.flow",
)
API = "http://127.0.0.1:8765/api/v2/system/"
ROLE = (
    '{"id": 5, "name": "rôle-é漢😀", "description": "say \\"hi\\" \\\\ / </script>\u2028 end", '
    '"is_active": true, "created_date": "2026-07-30 15:20:11"}'
)


@dataclass(frozen=True)
class Seen:
    """What must be the same in every dialect."""

    method: str
    path: str
    status: int
    sent: Body
    got: Body | None  # None: only its length is compared, see below


def of(recording: Recording) -> list[Seen]:
    """The session on the API server; preflights, the favicon and the other two origins are not in every dialect."""
    exchanges = [e for e in recording.exchanges if e.request.url.startswith(API)]
    return [
        Seen(e.request.method, e.request.url[len(API) :], e.response.status, e.request.body, e.response.body)
        for e in exchanges
    ]


def by_path(name: str, path: str, status: int | None = None) -> Exchange:
    found = [
        e
        for e in read(DIALECTS / name).exchanges
        if e.request.url.endswith(path) and status in (None, e.response.status)
    ]
    return found[-1]


@pytest.fixture(scope="module")
def wire() -> list[Seen]:
    """The truth: the flow file keeps bytes as they were."""
    return of(read(DIALECTS / "mitm.flow"))


def test_the_session_has_all_its_calls(wire: list[Seen]) -> None:
    assert len(wire) == 22


@pytest.mark.parametrize("name", FILES)
def test_every_dialect_gives_the_same_exchanges(name: str, wire: list[Seen]) -> None:
    seen = of(read(DIALECTS / name))
    assert len(seen) == len(wire)
    multipart, cached = "package?import=1", "etag"
    for mine, truth in zip(seen, wire, strict=True):
        assert (mine.method, mine.path) == (truth.method, truth.path)
        if truth.path == multipart or (truth.path == cached and truth.status == 304):
            continue
        assert mine == truth, truth.path


@pytest.mark.parametrize("name", FILES)
def test_multipart_is_exact_or_said_to_be_lost(name: str) -> None:
    sent = by_path(name, "package?import=1").request.body
    if name.startswith(("chrome", "pw")):
        assert sent == NOT_RECORDED
        return
    declared = by_path(name, "package?import=1").request.headers.get("content-length")
    assert declared == str(len(sent.content))
    assert 'filename="bïn 漢.bin"'.encode() in sent.content
    assert b"\r\n\x00\x01\x02\xff\xfe\r\n" in sent.content


@pytest.mark.parametrize("name", FILES)
def test_a_304_has_no_body_and_only_playwright_hides_it(name: str) -> None:
    second = by_path(name, "/etag")
    if name.startswith("pw"):
        assert (second.response.status, second.response.body) == (200, Body.recorded(b'{"etag": true}'))
    else:
        assert (second.response.status, second.response.body) == (304, ABSENT)


@pytest.mark.parametrize("name", FILES)
def test_bodies_are_the_bytes_that_the_server_sent(name: str) -> None:
    assert by_path(name, "text-latin1").response.body.content == "café £".encode("latin-1")
    assert by_path(name, "blob.bin").response.body.content == bytes(range(256)) * 4
    assert len(by_path(name, "static/app.js").response.body.content) == 3000
    assert by_path(name, "raw-text").request.body.content == "pläin body".encode()
    assert by_path(name, "role/5?gzip=1").response.body.content == by_path(name, "role/5", 200).response.body.content
    assert "rôle-é漢😀".encode() in by_path(name, "role/5?gzip=1").response.body.content


@pytest.mark.parametrize("name", FILES)
def test_the_query_is_as_sent(name: str) -> None:
    url = by_path(name, "plus=x+y&empty").request
    assert url.query.endswith("filter=name%20like%20%22%25caf%C3%A9%25%22&limit=10&a=1&a=2&plus=x+y&empty")


@pytest.mark.parametrize("name", FILES)
def test_both_set_cookie_headers_stay(name: str) -> None:
    cookies = by_path(name, "/cookies").response.headers.get_all("set-cookie")
    assert cookies == ["a=1; Path=/", "b=2; Path=/; Expires=Wed, 01 Jan 2031 00:00:00 GMT"]


@pytest.mark.parametrize("name", FILES)
def test_empty_and_absent_bodies_are_told_apart(name: str) -> None:
    assert by_path(name, "empty200").response.body == Body.recorded(b"")
    assert by_path(name, "/redirect").response.body == Body.recorded(b"")
    deleted = by_path(name, "role/5", 204)
    assert (deleted.request.body, deleted.response.body) == (ABSENT, ABSENT)


@pytest.mark.parametrize("name", FILES[:4])
def test_a_refused_connection_has_no_status_and_no_body(name: str) -> None:
    refused = by_path(name, "/refused")
    assert refused.response.status <= 0
    assert refused.response.body == ABSENT
    # Firefox 153 does not say why.
    assert refused.error == ("" if name.startswith("firefox") else "net::ERR_UNSAFE_PORT")


@pytest.mark.parametrize(
    ("name", "preflights"),
    [("chrome-devtools.har", 2), ("firefox-netmonitor.har", 1), ("pw-embed.har", 0), ("mitm.flow", 0)],
)
def test_preflights_are_kept_for_the_next_stage_to_drop(name: str, preflights: int) -> None:
    assert sum(e.request.method == "OPTIONS" for e in read(DIALECTS / name).exchanges) == preflights


def test_hardump_and_flow_file_of_one_proxy_agree_in_everything() -> None:
    dumped, flows = read(DIALECTS / "mitm-reverse.har").exchanges, read(DIALECTS / "mitm.flow").exchanges
    for one, other in zip(dumped, flows, strict=True):
        assert (one.request, one.response, one.number) == (other.request, other.response, other.number)


def test_an_unpacked_attachment_folder_reads_like_its_zip(tmp_path: Path) -> None:
    with zipfile.ZipFile(DIALECTS / "pw-attach.zip") as archive:
        archive.extractall(tmp_path)
    packed = read(DIALECTS / "pw-attach.zip")
    assert read(tmp_path).exchanges == packed.exchanges
    assert read(tmp_path / "har.har").exchanges == packed.exchanges


@pytest.mark.parametrize(
    ("case", "entries", "failed"),
    [
        ("01-create-user", 108, 5),
        ("02-provision-tenant", 134, 4),
        ("02-provision-tenant-mitmproxy", 144, 0),
        ("03-edit-role", 95, 4),
        ("06-messy", 897, 46),
    ],
)
def test_console_recordings_are_read_whole(case: str, entries: int, failed: int) -> None:
    recording = read(FIXTURES / case / "recording.har")
    assert (recording.entry_count, recording.lost, recording.notes) == (entries, 0, ())
    assert sum(e.response.status <= 0 for e in recording.exchanges) == failed
    api = [e for e in recording.exchanges if "/api/" in e.request.url and e.response.status > 0]
    # The bodies of answers outside /api/ were taken out of these files: they are not recorded, and not empty.
    assert all(e.response.body.content for e in api)
    others = [e for e in recording.exchanges if "/api/" not in e.request.url and e.response.status == 200]
    assert all(e.response.body == NOT_RECORDED for e in others)


def test_unwanted_entries_are_passed_over_undecoded() -> None:
    recording = read(FIXTURES / "06-messy" / "recording.har", wanted=Wanted(lambda url: "/api/v2/system" in url))
    assert recording.entry_count == 897
    assert {e.number for e in recording.exchanges}.isdisjoint(p.number for p in recording.passed_over)
    assert all("/api/v2/system" in e.request.url for e in recording.exchanges)
    assert not any("/api/v2/system" in p.url for p in recording.passed_over)
