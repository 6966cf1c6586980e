"""Secrets in what a run tells: hidden in every form that a text may hold them in."""

from __future__ import annotations

import base64
import html
import json
import os
import re
import subprocess
import time
from collections.abc import Callable
from html.entities import codepoint2name
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfrecord.replaying.hiding import hidden
from tests.tools import ROOT

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
    "angular": lambda s: quote(s, safe="@:$,;=?/+!'()*"),
    "browser": lambda s: quote(s, safe="!$&'()*+,;:@/?`{}|^[]=\\"),
    "named html": lambda s: "".join(f"&{codepoint2name[ord(c)]};" if ord(c) in codepoint2name else c for c in s),
    "entities": lambda s: "".join(f"&#{ord(c)};" for c in s),
    "hex entities": lambda s: "".join(f"&#x{ord(c):04X};" for c in s),
    "csv": lambda s: s.replace('"', '""'),
    "csv in form": lambda s: quote_plus(s.replace('"', '""')),
    "json in uri": lambda s: quote(json.dumps(s)[1:-1], safe=""),
    "utf8 json in browser": lambda s: quote(json.dumps(s, ensure_ascii=False)[1:-1], safe="!'()*"),
    "php json in form": lambda s: quote_plus(json.dumps(s)[1:-1].replace("/", "\\/")),
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


@pytest.mark.parametrize("written", [json.dumps, lambda s: json.dumps(s, ensure_ascii=False), FORMS["php"]])
@settings(deadline=None)
@given(secret=values.filter(lambda text: len(text.strip().encode()) > 8), in_url=st.booleans())
def test_a_secret_is_hidden_in_base64_of_json(written: Callable[[str], str], secret: str, in_url: bool) -> None:
    encoded = base64.b64encode(f'{{"password": {written(secret.strip())}, "x": 1}}'.encode()).decode() + "=" * in_url
    shown = hidden(quote(encoded, safe="") if in_url else encoded, {secret: "***"})
    assert "***" in shown
    assert len(shown) <= 30


def test_a_short_secret_is_hidden_where_it_is_all() -> None:
    assert hidden("tru", {"tru": "***"}) == "***"
    assert hidden("it is true", {"tru": "***"}) == "it is true"


@pytest.mark.parametrize("flood", ["\\", "&amp;", "%25", " ", "A", "a/", "\\u005c"])
def test_no_answer_keeps_it_busy(flood: str) -> None:
    started = time.process_time()
    hidden(flood * 200_000, {'\\"/ &%\\x y': "***", "aaaaaaaa": "***", "-----KEY\n" + "Ab/+" * 900: "***"})
    assert time.process_time() - started < 10


# ---------------------------------------------------------------- the same in jq and JavaScript

SECRETS = ["S3cr\"t é&+/x<'9?>~", 'back\\slash "" 😀/ü\tend', "plain-Word_12345", "Zk81Zk81&", "?>~?>~Zk8?>~"]
ENCODED: dict[str, Callable[[str], str]] = {
    "base64": lambda s: base64.b64encode(f"ab{s}".encode()).decode(),
    "base64 in form": lambda s: quote_plus(base64.b64encode(f"a{s}".encode()).decode()),
    "base64 of json": lambda s: base64.b64encode(json.dumps({"password": s}).encode()).decode(),
    "base64 of utf8 json": lambda s: quote(
        base64.b64encode(json.dumps({"p": s}, ensure_ascii=False).encode()), safe=""
    ),
    "base64 of php json": lambda s: base64.b64encode(FORMS["php"](s).encode()).decode(),
}


def jq_hides(text: str, secret: str) -> str:
    script = (ROOT / "templates/curl/telling.sh.j2").read_text(encoding="utf-8")
    program = script.partition("--join-output '\n")[2].partition("' --args")[0]
    command = ["jq", "--raw-input", "--slurp", "--join-output", program, "--args", "SECRET"]
    done = subprocess.run(command, input=text.encode(), env={**os.environ, "SECRET": secret}, capture_output=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


def javascript_hides(text: str, secret: str) -> str:
    program = (ROOT / "templates/postman/hiding.js.j2").read_text(encoding="utf-8")
    program += "const {text, secret} = JSON.parse(require('fs').readFileSync(0));"
    program += "process.stdout.write(hidden(text, {SECRET: secret}));"
    given = json.dumps({"text": text, "secret": secret}).encode()
    done = subprocess.run(["node", "-e", program], input=given, capture_output=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("hides", [jq_hides, javascript_hides])
def test_its_twins_hide_the_same(hides: Callable[[str, str], str], secret: str) -> None:
    texts = {form: f"<< {write(secret)} >>" for form, write in {**FORMS, **ENCODED}.items()}
    for form, text in texts.items():
        assert hides(text, secret) == hidden(text, {secret: "(SECRET)"}), form
        assert "SECRET" in hidden(text, {secret: "(SECRET)"}), form
