"""The body of a HAR request or response → the bytes that were on the wire, or an honest "not recorded".

In: `postData` or `content` as the program wrote it, with the headers and sizes beside it. Out: a Body, and a sentence
for the person when something had to be left out. A HAR holds text, so bytes are found by evidence: each way in which
the text can have been made from bytes is a candidate, and the one whose length is the recorded length is right.
`Content-Length` (without a content encoding) is the best length; sizes are believed only from programs that count
bytes. What was kept as bytes may still be packed: `har_packed`. Facts: table in `har_reader`.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable

import msgspec

from dfrecord.recording.attachments import Attachments, Refused
from dfrecord.recording.exchange import ABSENT, NOT_RECORDED, Body, Headers
from dfrecord.recording.har_params import rebuilt
from dfrecord.recording.lenient import text_as_bytes

_BODYLESS_METHODS = {"GET", "HEAD", "OPTIONS", "TRACE", "DELETE", "CONNECT"}
_BYTE_COUNTERS = {"webinspector", "mitmproxy"}

_CHARSET = re.compile(r"charset\s*=\s*\"?'?\s*([\w.:-]+)", re.IGNORECASE | re.ASCII)
# Only encodings of text that are linear and have no side effects: a recording names its charset itself.
_KNOWN_CHARSET = re.compile(
    r"(?:us-?ascii|utf-?8|utf-?16(?:le|be)?|utf-16-(?:le|be)|iso-?8859-?\d+|latin-?\d|(?:windows|cp)-?12\d\d|koi8-[ru]|"
    r"shift[_-]jis|sjis|euc-(?:jp|kr)|gb2312|gbk|gb18030|big5)",
    re.IGNORECASE,
)


_TEXT = {"identity", "none", "plain", "text"}  # how programs say that a text is no base64


class Found(msgspec.Struct, frozen=True):
    """A body, and what a person should know about how it was found ("" when nothing)."""

    body: Body
    note: str = ""


class Facts(msgspec.Struct, frozen=True):
    """What stands around a body: `size` is the recorded size in bytes, -1 when unknown."""

    method: str
    headers: Headers
    creator: str
    size: int
    attachments: Attachments
    status: int = 200

    @property
    def content_length(self) -> int | None:
        """The length of the body's bytes as the header tells it; None when it tells nothing about them."""
        value = (self.headers.get("content-length") or "").strip()
        if not (value.isascii() and value.isdigit()):
            return None
        if self.coding or self.headers.get("transfer-encoding"):
            return None
        return int(value) if len(value) < 19 else None

    @property
    def coding(self) -> str:
        """How the body was packed on the wire, as the header tells it, e.g. `gzip`; "" when it was not."""
        coding = (self.headers.get("content-encoding") or "").strip().lower().removeprefix("x-")
        return "" if coding == "identity" else coding

    @property
    def says_nonempty(self) -> bool:
        """Whether the headers say that there was a body with something in it."""
        value = (self.headers.get("content-length") or "").strip()
        return value.isascii() and value.isdigit() and value.strip("0") != ""

    def charset(self, mime_type: str) -> str:
        """The declared charset of the body, "" when none is declared or it is not a known one."""
        for declared in (self.headers.get("content-type") or "", mime_type):
            match = _CHARSET.search(declared)
            if match:
                return match[1] if _KNOWN_CHARSET.fullmatch(match[1]) else ""
        return ""


def request_body(post: dict[str, object] | None, facts: Facts) -> Found:
    """The body of a request from its `postData` (None when there is no such member)."""
    if post is None:
        return Found(_unwritten(facts))
    special = _special(post, facts)
    if special:
        return special
    text = post.get("text")
    if facts.creator == "dfrecord" and isinstance(text, str):
        return Found(Body.recorded(text_as_bytes(text)))
    if isinstance(text, str) and text:
        return _request_text(text, _string(post, "mimeType"), facts)
    params = post.get("params")
    if isinstance(params, list) and params:
        mime_type = _string(post, "mimeType") or facts.headers.get("content-type") or ""
        content = rebuilt(params, mime_type, facts.content_length, encoded=facts.creator == "webinspector")
        if content is None:
            return Found(
                NOT_RECORDED, "the request body was recorded only as parameters, from which it cannot be rebuilt"
            )
        return Found(Body.recorded(content), "the request body was rebuilt from its recorded parameters")
    if facts.says_nonempty or facts.size > 0 or facts.headers.get("transfer-encoding"):
        return Found(NOT_RECORDED)
    if facts.method.upper() in _BODYLESS_METHODS and facts.content_length is None:
        return Found(ABSENT)
    return Found(Body.recorded(b""))


def _unwritten(facts: Facts) -> Body:
    """Without `postData`: whether there was a body that the program did not write down."""
    if facts.creator == "dfrecord":
        return ABSENT
    content_type = (facts.headers.get("content-type") or "").lower()
    if (
        facts.says_nonempty
        or facts.size > 0
        or facts.headers.get("transfer-encoding")
        or content_type.startswith("multipart/")
    ):
        return NOT_RECORDED
    return ABSENT if facts.content_length is None else Body.recorded(b"")


def _request_text(text: str, mime_type: str, facts: Facts) -> Found:
    lengths = [facts.content_length]
    if facts.creator in _BYTE_COUNTERS:
        lengths.append(facts.size)
    multipart = mime_type.lower().startswith("multipart/")
    charsets = [facts.charset(mime_type)]
    if multipart and facts.creator == "firefox":
        charsets = ["latin-1"]  # a string of bytes: dialects/firefox-netmonitor.har, the upload
    content = _bytes_of(text, charsets, lengths)
    if "\ufffd" in text:
        length = facts.content_length
        if length != len(content) and (multipart or length is not None):
            return Found(NOT_RECORDED, "the request body was recorded as damaged text, its bytes are lost")
    return Found(Body.recorded(content))


def response_body(content: dict[str, object] | None, body_size: int, facts: Facts) -> Found:
    """The body of a response from its `content`; `body_size` is its `bodySize`, `facts.size` that of the content."""
    if content is None:
        content = {}
    special = _special(content, facts)
    if special:
        return special
    text = content.get("text")
    if facts.creator == "dfrecord":
        return Found(Body.recorded(text_as_bytes(text)) if isinstance(text, str) else ABSENT)
    if facts.status <= 0 or facts.status in (204, 304) or 100 <= facts.status < 200 or facts.method.upper() == "HEAD":
        return Found(ABSENT)  # a 304 with text shows what the cache held: it was never sent
    if not isinstance(text, str):
        return Found(_untold_content(content, body_size, facts))
    if not text:
        missing = facts.says_nonempty or facts.size > 0
        return Found(NOT_RECORDED if missing else Body.recorded(b""))
    lengths = [facts.content_length]
    if facts.creator == "mitmproxy":
        compression = content.get("compression")
        lengths.append(facts.size + (compression if isinstance(compression, int) else 0))
    elif facts.creator in _BYTE_COUNTERS:
        lengths.append(facts.size)
    return Found(Body.recorded(_bytes_of(text, [facts.charset(_string(content, "mimeType"))], lengths)))


def _untold_content(content: dict[str, object], body_size: int, facts: Facts) -> Body:
    """Content without text: empty only where the wire says so; otherwise it was left out or thrown away."""
    if facts.content_length == 0:
        return Body.recorded(b"")
    if facts.says_nonempty or facts.size > 0 or body_size > 0:
        return NOT_RECORDED
    if facts.size == 0 and not content.get("comment"):
        return Body.recorded(b"")
    return NOT_RECORDED


def _special(holder: dict[str, object], facts: Facts) -> Found | None:
    """Bodies told by dfrecord's own marks, by `_file`, or by an encoding; None for plain text."""
    if holder.get("_body") == NOT_RECORDED.state.value:
        return Found(NOT_RECORDED)
    name, text = holder.get("_file"), holder.get("text")
    if isinstance(name, str) and not text:
        try:
            content = _as_sent(facts.attachments(name), holder, facts)
        except Refused as refused:
            return Found(NOT_RECORDED, f"a body was left out: {refused}")
        return _kept(content, holder, facts)
    if text is not None and not isinstance(text, str):
        return Found(NOT_RECORDED, "a body was left out: it does not stand there as text")
    encoding = holder.get("encoding") or holder.get("_encoding")
    if not encoding or not isinstance(text, str):
        return None
    named = encoding.strip().lower() if isinstance(encoding, str) else ""
    if named != "base64":
        return None if named in _TEXT or _KNOWN_CHARSET.fullmatch(named) else _unknown(encoding)
    if not text:
        return None
    try:
        content = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return Found(NOT_RECORDED, "a body was left out: its base64 is broken")
    return _kept(content, holder, facts)


def _as_sent(content: bytes, holder: dict[str, object], facts: Facts) -> bytes:
    """Playwright stores text as UTF-8 whatever charset it came in (dialects/pw-attach.zip, `text-latin1`)."""
    charset = facts.charset(_string(holder, "mimeType"))
    if not charset or facts.content_length in (None, len(content)):
        return content
    try:
        return _bytes_of(content.decode("utf-8"), [charset], [facts.content_length])
    except UnicodeDecodeError:
        return content


def _unknown(encoding: object) -> Found:
    return Found(NOT_RECORDED, f"a body was left out: its encoding {str(encoding)[:40]!r} is not known")


def _kept(content: bytes, holder: dict[str, object], facts: Facts) -> Found:
    """The body of bytes that were kept as such; ABSENT where no response has one (for a 204, Playwright and Firefox
    write empty base64).
    """
    if facts.creator == "dfrecord":
        return Found(Body.recorded(content))
    if facts.status <= 0 or facts.status in (204, 304) or facts.method.upper() == "HEAD":
        return Found(ABSENT)
    if not facts.coding:
        return Found(Body.recorded(content))
    from dfrecord.recording.har_packed import Unreadable, unpacked  # most recordings hold no such bodies

    mime_type = facts.headers.get("content-type") or _string(holder, "mimeType")
    try:
        return Found(Body.recorded(unpacked(content, facts.coding, mime_type, facts.charset(mime_type))))
    except Unreadable as reason:
        return Found(NOT_RECORDED, f"a body was left out: {reason}")


def _bytes_of(text: str, charsets: Iterable[str], lengths: Iterable[int | None]) -> bytes:
    """The bytes that `text` was made from: the candidate with a recorded length, else the most likely one."""
    if text.isascii():
        return text.encode("ascii")
    likely = [name for charset in charsets if charset for name in _spellings(charset)]
    candidates = [content for name in [*likely, "utf-8", "latin-1"] if (content := _encoded(text, name)) is not None]
    if not candidates:
        return text_as_bytes(text)
    # Browsers take a byte order mark away: the bytes may be three longer than the text.
    candidates.append(b"\xef\xbb\xbf" + text_as_bytes(text))
    for length in lengths:
        for content in candidates:
            if len(content) == length:
                return content
    return candidates[0]


def _spellings(charset: str) -> list[str]:
    # To a browser, ISO 8859-1 and ASCII are windows-1252 (WHATWG Encoding, 4.2); to mitmproxy they are themselves.
    western = charset.lower().replace("_", "-") in {"iso-8859-1", "iso8859-1", "latin1", "latin-1", "us-ascii", "ascii"}
    return ["latin-1", "cp1252"] if western else [charset]


def _encoded(text: str, charset: str) -> bytes | None:
    try:
        return text.encode(charset)
    except (UnicodeEncodeError, LookupError):
        return None


def _string(holder: dict[str, object], name: str) -> str:
    value = holder.get(name)
    return value if isinstance(value, str) else ""
