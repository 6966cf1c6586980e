"""A request body that was recorded only as `postData.params` → its bytes, where that can be done without guessing.

In: the list of parameters. Out: bytes, or None. chrome-har writes JSON bodies so: one parameter a member, a list as
several parameters of the same name, so that a list of one and a bare value look alike. `Content-Length` tells them
apart; without it only what can have one meaning is rebuilt. Fact: chrome-har `lib/entryFromRequestWillBeSent.js`,
`toNameValuePairs`.
"""

from __future__ import annotations

import json
from itertools import islice, product
from urllib.parse import quote, quote_plus

# 2^10 ways to read ten parameters as a list or not; beyond that nobody could say which is right.
_MOST_READINGS = 1024


def rebuilt(params: list[object], mime_type: str, length: int | None, encoded: bool) -> bytes | None:
    """The body with `length` bytes (None: unknown) that these parameters describe; `encoded`: as sent."""
    pairs = [(p.get("name"), p.get("value")) for p in params if isinstance(p, dict)]
    if len(pairs) != len(params):
        return None
    kind = mime_type.split(";")[0].strip().lower()
    if kind == "application/json" or kind.endswith("+json"):
        return _taken_for_a_name(pairs, length) or _json(pairs, length)
    if kind == "application/x-www-form-urlencoded":
        return _form(pairs, length, encoded)
    return None


def _form(pairs: list[tuple[object, object]], length: int | None, encoded: bool) -> bytes | None:
    texts = [(str(name), "" if value is None else str(value)) for name, value in pairs]
    raw = "&".join(f"{name}={value}" for name, value in texts).encode("utf-8", "replace")
    plus = "&".join(f"{_plus(name)}={_plus(value)}" for name, value in texts).encode()
    percent = "&".join(f"{_percent(name)}={_percent(value)}" for name, value in texts).encode()
    candidates = [raw, plus, percent] if encoded else [plus, percent, raw]
    if length is None:
        return candidates[0]
    return next((content for content in candidates if len(content) == length), None)


def _plus(text: str) -> str:
    return quote_plus(text, safe="*-._", errors="replace")


def _percent(text: str) -> str:
    return quote(text, safe="*-._~!'()", errors="replace")


def _taken_for_a_name(pairs: list[tuple[object, object]], length: int | None) -> bytes | None:
    """The JSON that is the only parameter's name, since the program looked for a form in it."""
    [name, value], *others = pairs
    if others or value or not isinstance(name, str) or not name.lstrip().startswith(("{", "[")):
        return None
    content = name.encode("utf-8", "replace")
    return content if length in (None, len(content)) else None


def _json(pairs: list[tuple[object, object]], length: int | None) -> bytes | None:
    members: dict[str, list[object]] = {}
    for name, value in pairs:
        members.setdefault(str(name), []).append(value)
    single = [name for name, values in members.items() if len(values) == 1]
    readings = islice(product((False, True), repeat=len(single)), _MOST_READINGS)
    found: list[bytes] = []
    for reading in readings:
        as_list = dict(zip(single, reading, strict=True))
        body = {name: values if as_list.get(name, True) else values[0] for name, values in members.items()}
        content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        if length is None:
            # Without a length, an object may as well have been a list of one (`resource`): only plain values are sure.
            return None if any(isinstance(members[name][0], dict) for name in single) else content
        if len(content) == length:
            found.append(content)
    return found[0] if len(found) == 1 else None
