"""Secrets in what a run tells: hidden in every form that a text may hold them in."""

from __future__ import annotations

import base64
import html
import json
import re
import time
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfrecord.replaying.hiding import hidden

values = st.text(st.one_of(st.sampled_from("\"\\'/&<>+% =é😀\n{}?#a1"), st.characters()), min_size=4).filter(
    lambda text: len(text.strip()) > 3 and text.encode("utf-8", "ignore").decode() == text
)


def one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


FORMS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "json": lambda s: json.dumps(s)[1:-1],
    "utf8": lambda s: json.dumps(s, ensure_ascii=False)[1:-1],
    "php": lambda s: json.dumps(s)[1:-1].replace("/", "\\/"),
    "twice": lambda s: json.dumps(json.dumps(s)[1:-1])[1:-1],
    "html": html.escape,
    "php html": lambda s: html.escape(s).replace("&#x27;", "&#039;"),
    "html in json": lambda s: json.dumps(html.escape(s))[1:-1],
    "uri": lambda s: quote(s, safe=""),
    "path": quote,
    "lower": lambda s: re.sub("%..", lambda found: found[0].lower(), quote(s)),
    "form": quote_plus,
    "browser": lambda s: quote(s, safe="!$&'()*+,;:@/?`{}|^[]=\\"),
    "uri twice": lambda s: quote(quote(s, safe=""), safe=""),
}


@pytest.mark.parametrize("form", FORMS)
@settings(deadline=None)
@given(secret=values)
def test_a_secret_is_hidden_however_it_is_written(form: str, secret: str) -> None:
    written = FORMS[form](secret.strip())
    assert hidden(f"<< {written} >>", {secret: "***"}).replace(" ", "") == "<<***>>"
    if form in ("plain", "json", "html") and all(c.isprintable() or c.isspace() for c in secret):
        assert "***" in hidden(one_line(f"<< {written} >>"), {secret: "***"})


@settings(deadline=None)
@given(
    secret=values.filter(lambda text: len(text.strip().encode()) > 8), before=st.binary(max_size=9), url=st.booleans()
)
def test_a_secret_is_hidden_in_base64(secret: str, before: bytes, url: bool) -> None:
    encode = base64.urlsafe_b64encode if url else base64.b64encode
    shown = hidden(encode(before + secret.strip().encode() + b"rest").decode(), {secret: "***"})
    assert "***" in shown
    assert len(shown) <= len(before) * 4 // 3 + 7


def test_a_short_secret_is_hidden_where_it_is_all() -> None:
    assert hidden("tru", {"tru": "***"}) == "***"
    assert hidden("it is true", {"tru": "***"}) == "it is true"


@pytest.mark.parametrize("flood", ["\\", "&amp;", "%25", " ", "A", "a/", "\\u005c"])
def test_no_answer_keeps_it_busy(flood: str) -> None:
    started = time.process_time()
    hidden(flood * 200_000, {'\\"/ &%\\x y': "***", "aaaaaaaa": "***", "-----KEY\n" + "Ab/+" * 900: "***"})
    assert time.process_time() - started < 10
