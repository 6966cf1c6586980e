"""One JSON value → Python, as strictly as possible and as leniently as needed.

In: the bytes of one member of a HAR entry. Out: dicts, lists, strings and numbers. Entries in the wild hold what JSON
forbids: invalid UTF-8, lone surrogates, raw control characters, `NaN`, trailing commas (dialects/README.md, last
paragraph). Bytes that are no UTF-8 come out as surrogate escapes (PEP 383), so that a body can be given back exactly;
a lone surrogate, which no program can have sent, becomes U+FFFD.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from dfrecord.nesting import is_too_deep, lying_in

_TRAILING_COMMA = re.compile(r'("[^"\\]*+(?:\\.[^"\\]*+)*+")|,(?=\s*[}\]])', re.DOTALL)
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_LONE_SURROGATE_BUT_BYTES = re.compile("[\ud800-\udc7f\udd00-\udfff]")

_DECODER = msgspec.json.Decoder()


def decoded(raw: msgspec.Raw | memoryview) -> object:
    """The JSON value in `raw`; raises ValueError when even the lenient way cannot read it."""
    written = bytes(raw)
    try:
        value = _DECODER.decode(written)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        value = _leniently(written)
    if nests_too_deep(value, written):
        raise ValueError("nested too deeply")
    return value


def nests_too_deep(value: object, written: bytes | str, inside: Callable[[Any], Iterable[Any]] = lying_in) -> bool:
    """Whether the value nests too deep (`inside` as for `is_too_deep`), of which this is how it is written.

    To count is quick, and most values have too few brackets to be worth walking through.
    """
    if isinstance(written, str):
        brackets = written.count("[") + written.count("{")
    else:
        brackets = written.count(b"[") + written.count(b"{")
    return brackets > 50 and is_too_deep(value, inside)


def _leniently(raw: bytes) -> object:
    text = raw.decode("utf-8", "surrogateescape")
    has_bytes = _LONE_SURROGATE.search(text) is not None
    try:
        try:
            value = json.loads(text, strict=False, parse_int=_number)
        except json.JSONDecodeError:
            value = json.loads(_TRAILING_COMMA.sub(lambda m: m[1] or "", text), strict=False, parse_int=_number)
        return _without_lone_surrogates(value, _LONE_SURROGATE_BUT_BYTES if has_bytes else _LONE_SURROGATE)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _number(digits: str) -> int | float:
    # Python refuses integers of more than 4300 digits; no number that is read from a HAR has more than a few.
    return int(digits) if len(digits) < 400 else float(digits)


def _without_lone_surrogates(value: object, lone: re.Pattern[str]) -> object:
    if isinstance(value, str):
        return lone.sub("\ufffd", value)
    if isinstance(value, list):
        return [_without_lone_surrogates(item, lone) for item in value]
    if isinstance(value, dict):
        return {lone.sub("\ufffd", key): _without_lone_surrogates(item, lone) for key, item in value.items()}
    return value


def text_as_bytes(text: str) -> bytes:
    """The UTF-8 of `text`, with surrogate escapes given back as the bytes they stand for."""
    return text.encode("utf-8", "surrogateescape")


def clean(text: str) -> str:
    """`text` without surrogate escapes: each byte that was no UTF-8 becomes U+FFFD."""
    return text if text.isascii() else text_as_bytes(text).decode("utf-8", "replace")
