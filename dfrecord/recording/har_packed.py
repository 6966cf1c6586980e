"""Bytes that a HAR kept of a body → the body, unpacked.

In: the bytes, and what the headers say of them. Out: what the server or the client meant. Nearly all programs unpack a
body and leave its Content-Encoding, some keep what was on the wire beside the same header: so only the bytes tell. What
is text already stays, and so does an image that is not packed as it is said to be; what can be unpacked is. The rest is
refused: nobody could find the secrets in it.
"""

from __future__ import annotations

import re

# What begins so is packed (RFC 1952, 2.3.1; RFC 8878, 3.1.1); of deflate and br only an attempt tells.
_BEGINNINGS = {"gzip": b"\x1f\x8b", "zstd": b"\x28\xb5\x2f\xfd"}

_TEXT_TYPE = re.compile(
    r"text/|multipart/|[/+](?:x-)?(?:(?:nd)?json|xml|yaml|javascript|ecmascript|www-form-urlencoded|graphql)\b",
    re.IGNORECASE,
)
_CONTROL = re.compile("[\0-\x08\x0e-\x1f\x7f]")  # characters that texts do not hold


class Unreadable(ValueError):
    """The body is packed, and cannot be unpacked, or not within bounds."""


def unpacked(content: bytes, coding: str, mime_type: str, charset: str) -> bytes:
    """The body; `coding` is what Content-Encoding says, `charset` "" where it is not known.

    Raises Unreadable for what unpacks to too much, what begins as packed and is damaged, and what is no text though its
    type, if there is one, says so.
    """
    if not content or _is_packed_file(mime_type, coding) or _is_plain(content, "utf-8"):
        return content
    beginning = _BEGINNINGS.get(coding)
    begins = beginning is not None and content.startswith(beginning)
    if begins or beginning is None:
        inside = _inside(content, coding)
        if inside is not None and (begins or (inside and _is_text(inside, charset))):
            return inside
    is_file = mime_type and not _TEXT_TYPE.search(mime_type)
    if begins or not (is_file or _is_text(content, charset)):
        raise Unreadable(f"it cannot be unpacked ({coding[:40]})")
    return content


def _inside(content: bytes, coding: str) -> bytes | None:
    """What was packed; None where it is not in that coding."""
    from dfrecord.recording import coding as codings  # takes a while to load, and few bodies are packed

    try:
        inside = codings.unpacked(content, coding)
    except ValueError:
        return None
    if inside is None:
        raise Unreadable(f"it unpacks to more than {codings.LONGEST_BODY // 1024**2} MB")
    return inside


def _is_packed_file(mime_type: str, coding: str) -> bool:
    """Whether what was sent is itself a file of that kind, as `application/gzip`."""
    return mime_type.partition(";")[0].strip().lower() in (f"application/{coding}", f"application/x-{coding}")


def _is_text(content: bytes, charset: str) -> bool:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return _is_plain(content, charset or "latin-1")
    return True


def _is_plain(content: bytes, charset: str) -> bool:
    """Whether it is text of that charset without control characters, of which packed bytes are full."""
    try:
        return _CONTROL.search(content.decode(charset)) is None
    except (UnicodeDecodeError, LookupError):
        return False
