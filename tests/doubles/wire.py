"""A request as the double's handlers see it, made from what came over HTTP (or from a test, in process).

Facts: system-api.md sections 4.1 (content types, empty strings become null: section 10), 4.4 (verb tunnelling).
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit
from xml.etree import ElementTree

from tests.doubles.errors import RestError
from tests.doubles.schema import Row

KINDS = {"csv": "text/csv", "xml": "application/xml", "json": "application/json"}
VERB_HEADERS = ("x-http-method", "x-http-method-override", "x-method-override")


@dataclass
class Caller:
    """Who is calling: a signed-in user, or an app's key, or both. `user` and `app` are rows of the store."""

    user: Row | None = None
    app: Row | None = None
    api_key: str = ""
    token: str = ""

    @property
    def is_admin(self) -> bool:
        return bool(self.user and self.user["is_sys_admin"])

    @property
    def user_id(self) -> int | None:
        return self.user["id"] if self.user else None


@dataclass
class Request:
    """`verb` is the effective one, `segments` the decoded path after `/api/v2`, `body` the parsed payload (None when
    empty).
    """

    verb: str
    segments: list[str]
    query: dict[str, str]
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes = b""
    body: Any = None
    trailing_slash: bool = False
    caller: Caller = field(default_factory=Caller)

    def flag(self, name: str) -> bool:
        return self.query.get(name, "").lower() in ("1", "true", "yes", "on")

    def records(self) -> Any:
        """The payload without its `resource` wrapper; a bare object counts as query options and gives nothing."""
        if isinstance(self.body, dict):
            return self.body.get("resource")
        return self.body

    def record(self) -> Row:
        return self.body if isinstance(self.body, dict) else {}


@dataclass
class Answer:
    """`body` is JSON data, or bytes sent as they are with `content_type`."""

    status: int
    body: Any
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


def parse(method: str, target: str, headers: dict[str, str], raw: bytes) -> Request:
    """A Request from the parts of an HTTP request; header names in lower case, the target as latin-1 text.

    Raises RestError 404 outside `/api`, 400 for a JSON body that does not parse.
    """
    url = urlsplit(target.encode("latin-1").decode("utf-8", "replace"))
    segments = [unquote(part) for part in url.path.split("/") if part]
    if not segments or segments[0] != "api":
        raise RestError(404, "Not found.")
    segments = segments[1:]
    if segments and segments[0][:1] == "v" and segments[0][1:].replace(".", "").isdigit():
        segments = segments[1:]
    query = dict(parse_qsl(url.query, keep_blank_values=True))
    request = Request(method.upper(), segments, query, headers, raw, None, url.path.endswith("/"))
    request.body = _payload(headers.get("content-type", ""), raw)
    if request.verb == "POST":
        tunnelled = next((headers[name] for name in VERB_HEADERS if headers.get(name)), None)
        verb = (tunnelled or query.get("method") or query.get("_method") or "POST").upper()
        request.verb = "PATCH" if verb == "MERGE" else verb
        if request.verb == "GET" and isinstance(request.body, dict):
            options = {name: value for name, value in request.body.items() if name != "resource"}
            request.query = {name: _option(value) for name, value in options.items()} | query
    return request


def _option(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _payload(content_type: str, raw: bytes) -> Any:
    kind = content_type.split(";")[0].strip().lower()
    if not raw.strip():
        return None
    if kind.startswith("multipart/"):
        given = files(content_type, raw)
        found = next((_payload(KINDS[end], data) for name, data in given if (end := _end(name))), None)
        return found if given else _emptied(_of_form(_fields(content_type, raw)))
    if kind.endswith("xml"):
        return _emptied(_of_xml(raw))
    if kind == "application/x-www-form-urlencoded":
        return _emptied(_of_form(parse_qsl(raw.decode(), keep_blank_values=True)))
    if kind == "text/csv":
        return _emptied(list(csv.DictReader(io.StringIO(raw.decode("utf-8-sig", "replace")))))
    if kind not in ("", "application/json"):
        return None
    try:
        return _emptied(json.loads(raw))
    except ValueError as error:
        if kind != "application/json":
            return None
        raise RestError(400, f"Invalid JSON payload received. {error}") from error


def files(content_type: str, raw: bytes) -> list[tuple[str, bytes]]:
    """The files of a multipart body: name and content."""
    parts = ((part.get_filename(), part.get_payload(decode=True)) for part in _parts(content_type, raw))
    return [(name, data) for name, data in parts if name and isinstance(data, bytes)]


def _fields(content_type: str, raw: bytes) -> list[tuple[str, str]]:
    parts = ((part.get_param("name", header="content-disposition"), part) for part in _parts(content_type, raw))
    return [(str(name), part.get_payload(decode=True).decode()) for name, part in parts]  # type: ignore[union-attr]


def _parts(content_type: str, raw: bytes) -> Iterator[EmailMessage]:
    message = BytesParser(policy=HTTP).parsebytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + raw)
    return message.iter_parts()  # type: ignore[return-value]


def _of_form(pairs: list[tuple[str, str]]) -> Row:
    """A flat form, or as PHP reads `resource[0][name]`: the records of a list."""
    records: dict[str, Row] = {}
    for name, value in pairs:
        if found := re.fullmatch(r"resource\[(\d+)\]\[(\w+)\]", name):
            records.setdefault(found[1], {})[found[2]] = value
    return {"resource": list(records.values())} if records else dict(pairs)


def _end(name: str) -> str | None:
    end = name.rpartition(".")[2].lower()
    return end if end in KINDS else None


def _of_xml(raw: bytes) -> Row:
    """A record's elements, or a list of records. Raises RestError 400 where it does not parse."""
    try:
        root = ElementTree.fromstring(raw)
    except ElementTree.ParseError as error:
        raise RestError(400, f"Invalid XML payload received. {error}") from error
    if all(len(element) == 0 for element in root):
        return {element.tag: element.text for element in root}
    return {"resource": [{element.tag: element.text for element in record} for record in root]}


def _emptied(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _emptied(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_emptied(item) for item in value]
    return None if value == "" else value
