"""What the fuzzer starts from: the first exchanges of each fixture, in every wrapping that the readers know."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FIXTURES = Path(__file__).parent.parent / "tests" / "fixtures"


def recordings() -> Iterator[bytes]:
    """Small recordings of every dialect; what is large in them is shortened, so that mutations hit what matters."""
    for path in sorted(FIXTURES.glob("dialects/*.har")):
        document = json.loads(path.read_bytes())
        entries = [entry for entry in document["log"]["entries"] if "/api/" in entry["request"]["url"]]
        for entry in entries[:24]:
            yield _har(document, [_essence(entry)])
    yield from _wrapped(_har(document, [_essence(entry) for entry in entries[:2]]))
    yield _first_flow((FIXTURES / "dialects" / "mitm.flow").read_bytes())
    yield from FLOWS


def _har(document: dict[str, Any], entries: list[Any]) -> bytes:
    har = {"log": {"creator": document["log"].get("creator"), "entries": entries}}
    return json.dumps(har, ensure_ascii=False, separators=(",", ":")).encode()


def _essence(entry: dict[str, Any]) -> dict[str, Any]:
    """What the reader looks at, with the headers that mean something to it."""
    kept = {key: value for key, value in entry.items() if key in ("startedDateTime", "time", "request", "response")}
    for message in (kept["request"], kept["response"]):
        telling = ("content-", "transfer-", "authorization", "x-dreamfactory")
        message["headers"] = [h for h in message["headers"] if h["name"].lower().startswith(telling)]
        for name in ("cookies", "queryString", "headersSize", "redirectURL"):
            message.pop(name, None)
    return kept


def _first_flow(flows: bytes) -> bytes:
    length, colon, _ = flows.partition(b":")
    return flows[: len(length) + len(colon) + int(length) + 1]


def _wrapped(har: bytes) -> Iterator[bytes]:
    yield gzip.compress(har)
    yield zlib.compress(har)
    yield har.decode().encode("utf-16")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("har.har", har)
    yield archive.getvalue()


# One flow file of a plain tnetstring, for mutations of its lengths.
FLOWS = (b"9:3:abc;3:x},", b"2:0:}", b"12:4:type;4:http;}")


def write(folder: Path) -> None:
    """One file a seed, as libFuzzer takes them."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, content in enumerate(recordings()):
        (folder / f"seed-{number:03}").write_bytes(content)
