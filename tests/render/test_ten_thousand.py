"""Ten thousand hostile texts in every place that a recorded value can reach: rendered, run, and arrived byte for byte.

They stand in URLs, header names and values, body keys and values, record names (hence in step titles, function names,
comments, and defaults of parameters), raw bodies, and the file name. Another ten thousand: `DFRECORD_SEED=2 pytest …`.
"""

from __future__ import annotations

import json
import os
import random
import string
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

import pytest
from msgspec.structs import replace

from dfrecord.outputs import INVISIBLE
from dfrecord.recording.exchange import Body, Exchange, Headers, Request, Response
from dfrecord.recording.har_writer import har_chunks
from dfrecord.reporting import html_encoder
from dfrecord.system_api.catalog import load
from tests.doubles.echo import EchoServer, ReceivedRequest
from tests.report.chromium import chromium, opened
from tests.tools import EVERY_OPTION, FORMATS, rendered, run

CATALOG = load()
SEED = int(os.environ.get("DFRECORD_SEED", "1"))
REQUESTS, FIELDS = 50, 80
FEWER = {"ansible": (8, 550)}
"""Ansible starts programs for each request: fewer, with more texts in each."""
RAW_TEXTS = 1500
PAYLOADS = r"""
$(touch${IFS}CANARY)  `touch${IFS}CANARY`  ;touch${IFS}CANARY;  |touch${IFS}CANARY  '$(touch${IFS}CANARY)'  \  \\  \'
"$(touch${IFS}CANARY)"  \$(touch${IFS}CANARY)  ${x:=$(touch${IFS}CANARY)}  $((1+$(touch${IFS}CANARY)))  \"  '''  '  "
<(touch${IFS}CANARY)  !!  !$  %s  %n  %(x)s  {0}  {x}  {{base_url}}  {{$guid}}  {{DF_EMAIL}}  {%raw%}  {%endraw%}
{{7*7}}  {#  #}  <%=7%>  #{7}  ${7*7}  */  /*  //  -->  <!--  <script>  </script>  open("CANARY","w")
"+open("CANARY","w")+"  &  {open("CANARY","w")}  \x{41}  \u0041  \N{DIGIT-ONE}  "|@sh"  \(input)  \(env)  $ENV
$__loc__  @/etc/hosts  @-  -d  -K  --  --data=@x  #  #!/bin/sh  #type:  noqa  %  %%  %25  &&  ||  >  >>out  <  =  ~  *
?  require("fs").writeFileSync("CANARY","")
""".split()  # noqa: SIM905 - so that they can be read
CONTROLS = (
    "\0\x01\x07\b\t\n\v\f\r\x1b\x7f\x80\x85\xa0\xad\u200b\u200f\u2028\u2029\u202e\u2066\ufeff\ufffe\uffff\U000e0041"
)
TOKEN_CHARACTERS = string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~"


class Texts:
    """Random texts of several kinds, always the same for a seed; counts how many were given."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.given = 0

    def any(self) -> str:
        """Any Unicode text that is no lone surrogate, up to some thirty characters."""
        self.given += 1
        return "".join(self._piece() for _ in range(self._random.randrange(7)))

    def field(self) -> str:
        """The name of a field that holds no secret, which would be asked for and not sent: no word such as `pw`."""
        return next(text for text in iter(self.any, None) if not CATALOG.is_secret_name(text))

    def printable(self) -> str:
        """A header's value: visible ASCII with spaces inside."""
        self.given += 1
        pieces = (self._random.choice([*PAYLOADS, *string.printable[:95]]) for _ in range(self._random.randrange(1, 6)))
        return " ".join(pieces).strip() or "x"

    def header_name(self, number: int) -> str:
        """Every character that a header's name may have (RFC 9110, 5.6.2)."""
        self.given += 1
        return f"X-{number}-" + "".join(self._random.choices(TOKEN_CHARACTERS, k=5))

    def query_value(self) -> str:
        """Percent-encoded wholly, or only as far as browsers do it."""
        safe = self._random.choice(["", "!$&'()*+,;:@/?`{}|^[]~="])
        return quote(self.any(), safe=safe)

    def _piece(self) -> str:
        kind = self._random.randrange(6)
        if kind < 2:
            return self._random.choice(PAYLOADS)
        if kind == 2:
            return self._random.choice(CONTROLS)
        if kind == 3:
            return "".join(self._random.choices(string.printable, k=4))
        code = self._random.randrange(0x110000 if kind == 4 else 0x800)
        return chr(code) if not 0xD800 <= code < 0xE000 else "x"


def create(number: int, texts: Texts, fields: int) -> Exchange:
    """The creation of a role whose names, fields, query and headers are hostile."""
    record = {"name": f"{number} {texts.any()}", "description": texts.any()}
    record |= {texts.field() + " ": texts.any() for _ in range(fields)}
    query = "&".join(f"q{n}={texts.query_value()}" for n in range(8))
    headers = [("Content-Type", "application/json"), *((texts.header_name(n), texts.printable()) for n in range(8))]
    content = json.dumps({"resource": [record]}, ensure_ascii=number % 2 == 0).encode()
    request = Request("POST", f"http://h/api/v2/system/role?{query}", Headers(tuple(headers)), Body.recorded(content))
    made = json.dumps({"resource": [{"id": number, "name": record["name"]}]}).encode()
    answer = Headers((("Content-Type", "application/json"),))
    return Exchange(number, request, Response(201, answer, Body.recorded(made)))


def raw(number: int, content: bytes) -> Exchange:
    headers = Headers((("Content-Type", "text/plain"),))
    request = Request("POST", f"http://h/api/v2/system/custom?n={number}", headers, Body.recorded(content))
    return Exchange(number, request, Response(200, Headers(), Body.recorded(b"{}")))


def without_placeholders(exchange: Exchange) -> Exchange:
    """Headers that a `.http` file can hold: those with `{{` in them, or a comma at the end, are refused."""
    headers = Headers(
        tuple((name, value.replace("{{", "{ {").rstrip(" ,") or "x") for name, value in exchange.request.headers)
    )
    return replace(exchange, request=replace(exchange.request, headers=headers))


def compare(sent: Exchange, received: ReceivedRequest, format: str) -> None:
    target = sent.request.url.removeprefix("http://h")
    if format == "http":  # braces would be placeholders, and httpyac encodes what RFC 3986 has no place for
        assert unquote_to_bytes(received.target) == unquote_to_bytes(target)
    else:
        assert received.target == target
    if "json" in (sent.request.headers.get("content-type") or ""):
        assert json.loads(received.body) == json.loads(sent.request.body.content)
    else:
        assert received.body == sent.request.body.content
    arrived = {name.lower(): value for name, value in received.headers}
    for name, value in sent.request.headers:
        assert arrived[name.lower()] == value


@pytest.mark.parametrize("format", FORMATS)
def test_ten_thousand_hostile_texts_arrive_and_none_runs(format: str, tmp_path: Path) -> None:
    texts = Texts(SEED)
    requests, fields = FEWER.get(format, (REQUESTS, FIELDS))
    exchanges = [create(number, texts, fields) for number in range(requests)]
    if format == "http":
        exchanges = list(map(without_placeholders, exchanges))
    exchanges.append(raw(requests, "\n".join(texts.any() for _ in range(RAW_TEXTS)).encode()))
    exchanges.append(raw(requests + 1, random.Random(SEED).randbytes(20_000)))
    assert texts.given > 10_000
    recording = tmp_path / "a'b\"$(touch CANARY)`touch CANARY`{{x}} -->.har"
    recording.write_bytes(b"".join(har_chunks(exchanges)))
    script = rendered(recording, format, tmp_path, *(["--teardown"] if format in EVERY_OPTION else []))
    login = {("POST", "/api/v2/system/admin/session"): (200, '{"session_token":"t"}')}
    with EchoServer(login, default=(201, '{"resource":[{"id":4711}]}')) as echo:
        given = {"DF_BASE_URL": echo.url, "DF_EMAIL": "a@b.c", "DF_PASSWORD": "$(touch CANARY){{x}}'\""}
        done = run(script, format, given, timeout=300)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    received = echo.received[1:]
    assert len(received) == len(exchanges)
    for exchange, request in zip(exchanges, received, strict=True):
        compare(exchange, request, format)
    assert not list(tmp_path.rglob("CANARY"))


def test_ten_thousand_hostile_texts_stand_in_a_page_as_text_and_as_data(tmp_path: Path) -> None:
    texts = Texts(SEED)
    drawn = [texts.any() for _ in range(10_000)]
    shown = [INVISIBLE.sub(lambda found: f"\\u{{{ord(found[0]):x}}}", text) for text in drawn]
    paragraphs = "".join(f'<p title="{html_encoder.text(text)}">{html_encoder.text(text)}</p>' for text in drawn)
    data = f'<script type="application/json">{html_encoder.script_json(drawn)}</script>'
    file = tmp_path / "page.html"
    file.write_text(f"<!doctype html><meta charset=utf-8><body>{paragraphs}{data}", encoding="utf-8")
    with chromium() as browser, opened(browser, file) as page:
        assert page.evaluate("[...document.querySelectorAll('p')].map(p => p.textContent)") == shown
        assert page.evaluate("[...document.querySelectorAll('p')].map(p => p.title)") == shown
        assert page.evaluate("JSON.parse(document.querySelector('script').textContent)") == drawn
        assert (
            page.evaluate("document.querySelectorAll('*').length") == len(drawn) + 5
        )  # html, head, meta, body, script
