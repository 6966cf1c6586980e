"""Bodies that a HAR keeps as they were packed on the wire read as what they hold; those that were unpacked stay."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from dfrecord.recording.coding import LONGEST_BODY
from dfrecord.recording.exchange import NOT_RECORDED, Body, Exchange
from dfrecord.recording.har_writer import har_chunks
from tests.capture.test_large import BOMBS
from tests.recording.hars import entry, har_bytes, headers, read_bytes
from tests.test_secrets import holds_canary, recording
from tests.tools import ROOT, dfrecord

PACKING: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "x-gzip": ("X-GZip ", gzip.compress),
    "deflate": ("deflate", zlib.compress),
    "deflate without a head": ("deflate", lambda content: zlib.compress(content, wbits=-15)),
    "br": ("br", brotli.compress),
    "quick br": ("br", lambda content: brotli.compress(content, quality=1)),
    "zstd": ("zstd", lambda content: zstandard.ZstdCompressor().compress(content)),
}
JSON = "application/json"
PLACES = ["content", "postData", "content in a file", "postData in a file"]
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def told(kept: bytes, coding: str, mime_type: str = JSON, place: str = "content") -> tuple[Body, tuple[str, ...]]:
    """The body of a HAR that kept these bytes beside that Content-Encoding, and what is said of it."""
    if place.endswith("file"):
        holder = {"size": len(kept), "mimeType": mime_type, "_file": "a.bin"}
    else:
        name = "encoding" if place == "content" else "_encoding"
        holder = {"mimeType": mime_type, "text": base64.b64encode(kept).decode(), name: "base64"}
    message = {"headers": headers(Content_Type=mime_type, Content_Encoding=coding), place.split()[0]: holder}
    sent, got = ({}, message) if place.startswith("content") else (message, {})
    har = har_bytes(entry(method="POST", request=sent, response=got), creator="Fiddler")
    (exchange,) = (read := read_bytes(har, lambda name: kept)).exchanges
    return (exchange.response if got else exchange.request).body, read.notes


@given(values, st.sampled_from(sorted(PACKING)), st.sampled_from(PLACES), st.booleans())
def test_packed_json_reads_as_what_it_holds(value: object, how: str, place: str, ascii: bool) -> None:
    coding, pack = PACKING[how]
    content = json.dumps(value, ensure_ascii=ascii).encode("utf-8", "replace")
    assert told(pack(content), coding, place=place) == (Body.recorded(content), ())


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "deflate", "br", "zstd", "compress", "gzip, br", "identity", ""])
@given(st.text(), st.sampled_from([JSON, "text/html", "", "image/svg+xml"]), st.sampled_from(PLACES))
def test_text_that_was_unpacked_stays(coding: str, text: str, mime_type: str, place: str) -> None:
    content = text.encode("utf-8", "replace")
    assert told(content, coding, mime_type, place) == (Body.recorded(content), ())


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "compress"])
@pytest.mark.parametrize(
    ("content", "mime_type"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0", "image/png"),
        (b"GIF89a\x01\0\x01\0\x80\xff\0", "image/gif"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF\0", "image/jpeg"),
        (b"wOF2\0\x01\0\0\0\0\x8c", "font/woff2"),
        (b"PK\x03\x04\x14\0\0\0\x08\0\xf0", "application/zip"),
        (b"PK\x03\x04\x14\0\0\0\x08\0\xf0", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        ("{'a': 'Zürich'}".encode("latin-1"), "text/plain"),
        ("Łódź".encode("cp1250"), "text/html; charset=windows-1250"),
        ("日本".encode("utf-16"), "text/html; charset=utf-16"),
    ],
)
def test_other_bytes_that_were_unpacked_stay(content: bytes, mime_type: str, coding: str) -> None:
    assert told(content, coding, mime_type) == (Body.recorded(content), ())


@pytest.mark.parametrize("mime_type", ["application/gzip", "application/x-gzip; charset=binary"])
def test_a_packed_file_that_was_downloaded_stays(mime_type: str) -> None:
    content = gzip.compress(b"a")
    assert told(content, "gzip", mime_type) == (Body.recorded(content), ())


@pytest.mark.parametrize("how", PACKING)
@pytest.mark.parametrize("mime_type", ["application/octet-stream", "image/png", ""])
def test_packed_text_is_found_whatever_it_is_called(how: str, mime_type: str) -> None:
    coding, pack = PACKING[how]
    assert told(pack(b'{"id": 1}'), coding, mime_type)[0] == Body.recorded(b'{"id": 1}')


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "compress", "gzip, br"])
@pytest.mark.parametrize("place", PLACES)
def test_a_packed_body_that_cannot_be_unpacked_is_not_recorded_and_told(coding: str, place: str) -> None:
    long = b"".join(b'{"id": %d}' % (number * number) for number in range(999))
    packed = (zlib.compress if coding == "deflate" else brotli.compress if coding == "br" else gzip.compress)(long)
    note = f"entry 0: a body was left out: it cannot be unpacked ({coding})"
    assert told(packed[: len(packed) // 2], coding, place=place) == (NOT_RECORDED, (note,))


@pytest.mark.parametrize("coding", ["gzip", "x-gzip"])
def test_what_begins_as_packed_and_is_damaged_is_told_whatever_it_is_called(coding: str) -> None:
    note = "entry 0: a body was left out: it cannot be unpacked (gzip)"
    assert told(gzip.compress(b"{}")[:-1], coding, "application/octet-stream") == (NOT_RECORDED, (note,))


@pytest.mark.parametrize("coding", BOMBS)
def test_a_body_that_unpacks_to_too_much_is_not_recorded_and_told(coding: str) -> None:
    note = f"entry 0: a body was left out: it unpacks to more than {LONGEST_BODY // 1024**2} MB"
    assert told(BOMBS[coding](), coding) == (NOT_RECORDED, (note,))


def test_a_packed_file_in_a_recording_of_dfrecord_is_as_it_was() -> None:
    content = gzip.compress(b"{}")
    holder = {"size": 1, "text": base64.b64encode(content).decode(), "encoding": "base64"}
    got = {"headers": headers(Content_Encoding="gzip"), "content": holder}
    (exchange,) = read_bytes(har_bytes(entry(response=got), creator="dfrecord")).exchanges
    assert exchange.response.body == Body.recorded(content)


def kept_packed(exchanges: list[Exchange], how: str, folder: Path, attached: bool) -> Path:
    """These exchanges in the HAR of a program that keeps packed bodies, in base64 or in files beside it."""
    coding, pack = PACKING[how]
    har = json.loads(b"".join(har_chunks(exchanges)))
    har["log"]["creator"]["name"] = "Fiddler"
    for one in har["log"]["entries"]:
        for message, place in ((one["request"], "postData"), (one["response"], "content")):
            holder: dict[str, Any] = message.get(place, {})
            if holder.get("text"):
                message["headers"].append({"name": "Content-Encoding", "value": coding})
                packed = pack(holder.pop("text").encode())
                if attached:
                    holder["_file"] = f"{hashlib.sha1(packed).hexdigest()}.bin"  # as Playwright names them
                    (folder / holder["_file"]).write_bytes(packed)
                else:
                    holder |= {"text": base64.b64encode(packed).decode(), "encoding": "base64"}
    (folder / "packed.har").write_text(json.dumps(har))
    return folder / "packed.har"


def bodies(har: bytes) -> Iterator[str]:
    for one in json.loads(har)["log"]["entries"]:
        for holder in (one["request"].get("postData", {}), one["response"]["content"]):
            assert not {"encoding", "_encoding", "_body"} & holder.keys()
            yield holder.get("text", "")


@pytest.mark.parametrize("attached", [False, True], ids=["base64", "files"])
@pytest.mark.parametrize("how", ["gzip", "deflate", "br", "zstd"])
def test_no_secret_of_a_packed_body_is_in_any_output(how: str, attached: bool, tmp_path: Path) -> None:
    (tmp_path / "plain.har").write_bytes(b"".join(har_chunks(recording())))
    (tmp_path / "in").mkdir()
    packed = kept_packed(recording(), how, tmp_path / "in", attached)
    read = dfrecord("import", packed, "-o", "-").stdout
    assert holds_canary(read) == []
    assert list(bodies(read)) == list(bodies(dfrecord("import", tmp_path / "plain.har", "-o", "-").stdout))
    shown = dfrecord("show", packed)
    assert holds_canary(shown.stdout + shown.stderr) == []


@pytest.mark.parametrize("attached", [False, True], ids=["base64", "files"])
def test_ids_of_packed_answers_are_linked(attached: bool, tmp_path: Path) -> None:
    plain = ROOT / "examples" / "provision-tenant.har"
    exchanges = list(read_bytes(plain.read_bytes()).exchanges)
    packed = kept_packed(exchanges, "br", tmp_path, attached)
    steps = [json.loads(dfrecord("show", one, "--json").stdout)["steps"] for one in (plain, packed)]
    assert steps[0] == steps[1]  # nor is what is sent unpacked said to be packed
