"""Whatever wraps or breaks a HAR: what is whole in it is read, what is lost is counted, nothing crashes."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
import zlib
from pathlib import Path

import pytest
from haralyzer import HarParser
from hypothesis import given, settings
from hypothesis import strategies as st

from dfrecord.errors import UnreadableInput
from dfrecord.recording.exchange import Body, BodyState, Exchange, Headers, Request, Response
from dfrecord.recording.har_writer import HarWriter, har_chunks
from dfrecord.recording.reader import read
from tests.tools import FIXTURES

SOURCE = FIXTURES / "dialects" / "firefox-netmonitor.har"


def whole() -> bytes:
    return SOURCE.read_bytes()


def zipped(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "wrap",
    [
        gzip.compress,
        zlib.compress,
        lambda content: zipped("any name.har", content),
        lambda content: b"\xef\xbb\xbf" + content,
        lambda content: content.decode().encode("utf-16"),
        lambda content: content.decode().encode("utf-32"),
        lambda content: gzip.compress(b"\xef\xbb\xbf" + content),
    ],
)
def test_a_wrapped_har_reads_like_the_plain_one(wrap: object, tmp_path: Path) -> None:
    assert callable(wrap)
    path = tmp_path / "wrapped"
    path.write_bytes(wrap(whole()))
    assert read(path).exchanges == read(SOURCE).exchanges


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.77, 0.9, 0.999])
def test_complete_entries_of_a_truncated_har_are_kept_and_the_rest_is_counted(share: float, tmp_path: Path) -> None:
    path = tmp_path / "cut.har"
    path.write_bytes(whole()[: int(len(whole()) * share)])
    cut, complete = read(path), read(SOURCE)
    assert cut.exchanges == complete.exchanges[: len(cut.exchanges)]
    assert cut.lost >= 1 or len(cut.exchanges) == len(complete.exchanges)
    assert share < 0.3 or cut.exchanges


def test_an_archive_with_attached_bodies_reads_like_the_embedded_har() -> None:
    attached, embedded = read(FIXTURES / "dialects" / "pw-attach.zip"), read(FIXTURES / "dialects" / "pw-embed.har")
    assert [(e.request.method, e.request.body, e.response.status) for e in attached.exchanges] == [
        (e.request.method, e.request.body, e.response.status) for e in embedded.exchanges
    ]


def test_a_body_file_outside_the_archive_is_never_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("outside")
    folder = tmp_path / "archive"
    folder.mkdir()
    document = json.loads((FIXTURES / "dialects" / "pw-embed.har").read_bytes())
    entry = document["log"]["entries"][0]
    for place in ("../secret.txt", str(secret)):
        entry["response"]["content"] = {"size": 7, "mimeType": "text/plain", "_file": place}
        (folder / "har.har").write_text(json.dumps({"log": {"entries": [entry]}}))
        assert b"outside" not in read(folder).exchanges[0].response.body.content


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"   ",
        b"[]",
        b"{}",
        b'{"log":{}}',
        b'{"log":{"entries":5}}',
        b"null",
        b"hello",
        b"\x89PNG\r\n\x1a\n" + bytes(100),
        bytes(range(256)) * 10,
        b"\x1f\x8b broken gzip",
        b"PK\x03\x04 broken zip",
        zipped("readme.txt", b"no har"),
    ],
)
def test_what_is_no_recording_is_refused_in_one_line(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "input"
    path.write_bytes(content)
    with pytest.raises(UnreadableInput) as refused:
        read(path)
    assert "\n" not in str(refused.value)
    assert "input" in str(refused.value)


def test_a_zip_archive_with_nothing_in_it_holds_no_har(tmp_path: Path) -> None:
    path = tmp_path / "empty.zip"
    zipfile.ZipFile(path, "w").close()
    with pytest.raises(UnreadableInput, match="the zip archive holds no HAR file"):
        read(path)


@pytest.mark.parametrize(
    "entry",
    ["null", "5", "{}", '{"request":null}', '{"request":{"method":5,"url":[]}}', '{"request":{"url":"http://h/a"}}'],
)
def test_a_broken_entry_costs_only_itself(entry: str, tmp_path: Path) -> None:
    good = json.dumps(json.loads(whole())["log"]["entries"][0])
    path = tmp_path / "mixed.har"
    path.write_text(f'{{"log":{{"entries":[{entry},{good}]}}}}')
    assert read(path).exchanges[-1].request == read(SOURCE).exchanges[0].request


text = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)
names = st.from_regex(r"[A-Za-z][A-Za-z-]{0,10}", fullmatch=True)
bodies = st.one_of(
    st.just(Body()),
    st.just(Body(BodyState.NOT_RECORDED)),
    st.binary(max_size=50).map(Body.recorded),
    text.map(lambda value: Body.recorded(value.encode())),
)
headers = st.lists(st.tuples(names, text.map(str.strip)), max_size=4).map(lambda fields: Headers(tuple(fields)))


@given(st.lists(st.tuples(headers, bodies, headers, bodies, text), max_size=3))
@settings(max_examples=150, deadline=None)
def test_what_the_writer_writes_the_reader_reads(
    drawn: list[tuple[Headers, Body, Headers, Body, str]],
) -> None:
    exchanges = [
        Exchange(
            number,
            Request("POST", "http://h/api/v2/system/role?a=%c3%a9&a&b=1", sent, body),
            Response(200, received, answer, reason),
            "2026-11-23T23:08:36.503Z",
            12.5,
        )
        for number, (sent, body, received, answer, reason) in enumerate(drawn)
    ]
    stream = io.BytesIO(b"".join(har_chunks(exchanges)))
    assert list(read(stream).exchanges) == exchanges


def test_other_programs_read_what_is_written() -> None:
    exchanges = read(SOURCE).exchanges
    entries = HarParser(json.loads(b"".join(har_chunks(exchanges)))).har_data["entries"]
    assert [
        (entry["request"]["method"], entry["request"]["url"], entry["response"]["status"]) for entry in entries
    ] == [(exchange.request.method, exchange.request.url, exchange.response.status) for exchange in exchanges]


def test_the_file_is_a_valid_har_after_every_append(tmp_path: Path) -> None:
    path = tmp_path / "growing.har"
    exchanges = read(SOURCE).exchanges
    with HarWriter(path) as writer:
        for count, exchange in enumerate(exchanges, 1):
            writer.append(exchange)
            assert len(json.loads(path.read_bytes())["log"]["entries"]) == count
    assert read(path).exchanges == exchanges


def test_a_lone_surrogate_is_written_so_that_it_can_be_read() -> None:
    """Found by `fuzz.journeys`: msgspec refuses its escape."""
    exchange = Exchange(0, Request("GET", "http://h/a"), Response(200, reason="\ud800"))
    written = b"".join(har_chunks([exchange]))
    assert json.loads(written)["log"]["entries"][0]["response"]["statusText"] == "\ud800"
    assert read(io.BytesIO(written)).exchanges[0].response.reason == "\ufffd"
