"""Every way in which a value may stand in a text: percent-encoded, escaped for JSON or HTML, in base64, or twice so;
or in hexadecimal digits."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Callable, Iterator
from html.entities import codepoint2name
from urllib.parse import quote, quote_plus

SHORTEST_FOUND_EVERYWHERE = 6
"""Characters or bytes: of what is shorter, one cannot tell where else it stands."""

_LEFT_UNESCAPED = (
    *("", "/", "!'()*", "*"),
    ";,/?:@&=+$!'()*#",
    *("@:$,;=?/!'()*", "@:$,;=?/+!'()*", "@:$,;!'()*", "@:$,;&=+!'()*", "@:$,;&!'*"),
    *("!$&'()*+,;:@/?`{}|^[]=\\", "!$&()*+,;:@/?`{}|^[]=\\", "!$&'()*+,;:@/|[]=\\", "!$&'()*+,;:@/?{}|^[]=\\#"),
)
"""Beside letters, digits and `-._~`: quote() alone and for paths, encodeURIComponent, forms; encodeURI; what Angular,
of which the console is made, leaves in parameters (HttpUrlEncodingCodec; `+` until version 13), what its router and
AngularJS leave in queries and in paths; and what the URL standard leaves in queries (WHATWG URL, 1.3: of special
schemes without the apostrophe), paths and fragments."""


def percent_encoded(value: str) -> bytes:
    """In UTF-8, with everything escaped but `A-Z a-z 0-9 - . _ ~` (RFC 3986, 2.3)."""
    return quote(value, safe="", errors="surrogatepass").encode()


def written_forms(value: str) -> Iterator[tuple[bytes, bool]]:
    """Every way the value may stand in a text, with whether that is base64; of a very long one the usual ways."""
    if len(value) > _LONGEST_IN_ALL_FORMS:
        yield from _usual_forms(value)
        return
    csv_form = value.replace('"', '""')
    html_forms, with_units = _html_forms(value), set(_json_with_units(value))
    texts = {csv_form, *with_units}
    for form in html_forms:
        texts.update(_json_forms(form))
    escaped = {*_percent_forms(value), *(text.encode("utf-8", "surrogatepass") for text in texts)}
    in_json = {_json(value, ascii_only).replace("/", slash) for ascii_only in (False, True) for slash in ("/", "\\/")}
    percent_forms = {quote(value, safe="", errors="surrogatepass"), quote_plus(value, errors="surrogatepass")}
    longer = {*html_forms, *with_units} if len(value) <= _LONGEST_TWICE else set()
    twice = {_json(form, False) for form in in_json}
    for form in {csv_form, *in_json, *twice, *percent_forms, *longer}:
        escaped.update(_parameter_forms(form))  # and that again in a URL or a form
    plain = value.encode("utf-8", "surrogatepass")
    if len(plain) >= SHORTEST_FOUND_EVERYWHERE:
        escaped.update((plain.hex().encode(), plain.hex().upper().encode()))
    yield from ((form, False) for form in sorted(escaped))
    if len(plain) >= SHORTEST_FOUND_EVERYWHERE:
        yield from ((form, True) for form in sorted(set(_base64_forms(value))))


_LONGEST_IN_ALL_FORMS = 4000  # more than private keys and tokens have; of what is longer all of them cost too much
_LONGEST_TWICE = 80  # passwords and keys; the many forms of a whole session token would cost more than they find


def _usual_forms(value: str) -> Iterator[tuple[bytes, bool]]:
    written = {value, html.escape(value), value.replace('"', '""')}
    for form in (_json(value, False), _json(value, True)):
        written.update((form, form.replace("/", "\\/"), _json(form, False)))
    written.update((quote(value, safe="", errors="surrogatepass"), quote_plus(value, errors="surrogatepass")))
    yield from ((form.encode("utf-8", "surrogatepass"), False) for form in sorted(written))
    plain = value.encode("utf-8", "surrogatepass")
    yield from ((digits.encode(), False) for digits in (plain.hex(), plain.hex().upper()))
    for alphabet in (base64.b64encode, base64.urlsafe_b64encode):
        yield from ((form, True) for form in _alignments(plain, alphabet))


def _html_forms(value: str) -> set[str]:
    """The text as it is, and HTML-escaped: with or without the quotes, by name or number, also the accented letters, or
    each character."""
    quoted = html.escape(value)
    forms = {quoted.replace("&#x27;", mark) for mark in ("&#x27;", "&#039;", "&#39;", "&apos;")}
    forms |= {quoted.replace("&#x27;", "&#39;").replace("&quot;", "&#34;"), html.escape(value, quote=False), value}
    named = "".join(f"&{codepoint2name[ord(c)]};" if ord(c) in codepoint2name else c for c in value)
    forms |= {
        "".join(f"&#{mark}{ord(c):{digits}};" for c in value) for mark, digits in (("", "d"), ("x", "x"), ("x", "X"))
    }
    return forms | {named.replace("'", mark) for mark in ("'", "&#039;", "&#x27;")}


def _parameter_forms(text: str) -> Iterator[bytes]:
    """Percent-encoded as encodeURIComponent and Angular do, and as forms are; with digits of both cases."""
    encoded = (quote(text, safe=unescaped, errors="surrogatepass") for unescaped in ("!'()*", "@:$,;=?/!'()*"))
    for written in (*encoded, quote_plus(text, errors="surrogatepass")):
        yield written.encode()
        yield re.sub(r"%[0-9A-F]{2}", lambda match: match.group().lower(), written).encode()


def _percent_forms(value: str) -> Iterator[bytes]:
    """Percent-encoded in every usual way: they differ in what they leave as it is, in the space, and in the digits."""
    for unescaped in _LEFT_UNESCAPED:
        form = quote(value, safe=unescaped, errors="surrogatepass")
        for tilde in (form, form.replace("~", "%7E")):
            for written in (tilde, tilde.replace("%20", "+")):
                yield written.encode()
                yield re.sub(r"%[0-9A-F]{2}", lambda match: match.group().lower(), written).encode()


def _json(text: str, ascii_only: bool) -> str:
    return json.dumps(text, ensure_ascii=ascii_only)[1:-1]


def _json_forms(text: str) -> Iterator[str]:
    """The text as it is, and JSON-escaped: once in both styles, with escaped slashes as PHP writes them, and twice."""
    for form in (text, _json(text, False), _json(text, True)):
        yield from (form, form.replace("/", "\\/"), _json(form, False))


_UNITS = [{ord(mark): f"\\u{ord(mark):04{digits}}" for mark in "\"'&<>"} for digits in "xX"]


def _json_with_units(text: str) -> Iterator[str]:
    """JSON as PHP frameworks write it, safe inside HTML: quotes, `&` and angle brackets as \\u0022 and the like."""
    for form in (_json(text, False), _json(text, True)):
        for units in _UNITS:
            written = form.replace('\\"', '"').translate(units)
            yield from (written, written.replace("/", "\\/"))


def _base64_forms(value: str) -> Iterator[bytes]:
    """The value in base64, as it is or as it stands in JSON, alone and as the inside of a longer text at each of the
    three alignments; and that in a URL, in JSON of PHP, or in base64 again."""
    for text in {value, _json(value, False), _json(value, True)}:
        for alphabet in (base64.b64encode, base64.urlsafe_b64encode):
            for encoded in _alignments(text.encode("utf-8", "surrogatepass"), alphabet):
                yield from (encoded, encoded.replace(b"/", b"\\/"), encoded.replace(b"+", b"%2B"))
                yield from _parameter_forms(encoded.decode())
    if len(value) <= _LONGEST_TWICE:
        for inside in set(_alignments(value.encode("utf-8", "surrogatepass"), base64.b64encode)):
            yield from _alignments(inside, base64.b64encode)


def _alignments(plain: bytes, alphabet: Callable[[bytes], bytes]) -> Iterator[bytes]:
    yield alphabet(plain)
    for shift in range(3):
        encoded = alphabet(b"\0" * shift + plain)
        start = 0 if shift == 0 else 4
        end = len(encoded) - (4 if (shift + len(plain)) % 3 else 0)
        if end - start >= 8:
            yield encoded[start:end]
