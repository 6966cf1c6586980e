"""The secrets of a recording: found, named, replaced.

A secret is found by field knowledge (the catalog), by the name of its header, parameter or field, and by flow: a value
that was secret in one place is secret everywhere in the recording, also percent-encoded, JSON-escaped, HTML-escaped or
in base64. Each has a placeholder, equal secrets equal ones, so that a redacted recording links like the original.

Secrets shorter than six characters, plain words (`letmein`), words of the System API itself (`admin`, `password`,
`DreamFactory`), and passwords that are the name of their account, too, cannot be told from ordinary text: they are
replaced in their own field only (`Secret.everywhere` is False), and the residue says so.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator
from functools import cached_property, lru_cache
from itertools import chain

import msgspec
from msgspec.structs import replace

from dfrecord.normalise.body import json_in
from dfrecord.normalise.secret_places import AS_A_NAME, PLACEHOLDER, SHORT_CONTENT, secrets_of
from dfrecord.normalise.sought import Place, Sought
from dfrecord.normalise.written_forms import SHORTEST_FOUND_EVERYWHERE, percent_encoded, written_forms
from dfrecord.recording.exchange import Body, Exchange, Headers, Request, Response
from dfrecord.system_api.catalog import Catalog
from dfrecord.tree import Encoding, Var

_OF_NUMBERS = re.compile(r"-?[0-9][0-9.eE+-]*")
_JSON_TOKEN = re.compile(rb'"(?P<text>(?:[^"\\]|\\.)*+)"(?P<colon>\s*:)?|-?[0-9][0-9.eE+-]*')


class Secret(msgspec.Struct, frozen=True):
    """One secret value. `name` says what it is (`user_password`), `fields` the names of the fields it stood in."""

    value: str
    name: str
    placeholder: str
    everywhere: bool
    fields: frozenset[str]


class Found(msgspec.Struct, frozen=True):
    """A place where a secret stands in a text: the secret and how it is written there."""

    start: int
    end: int
    secret: Secret
    base64: bool
    escaped: bool


class Secrets:
    """All secrets of a recording, in the order in which they were first seen."""

    def __init__(self, secrets: Iterable[Secret]) -> None:
        self.by_value = {secret.value: secret for secret in secrets}

    @cached_property
    def recorded(self) -> frozenset[str]:
        """The values that must not stand in any output: all that can be told from ordinary text, placeholders not."""
        return frozenset(s.value for s in self.by_value.values() if s.everywhere and s.value != s.placeholder)

    def in_text(self, content: bytes) -> Iterator[Found]:
        """Where secrets stand in the bytes (UTF-8 text or anything else), left to right, without overlaps."""
        for start, form in self._sought.in_content(content):
            secret, is_base64 = self._forms[form]
            escaped = not is_base64 and form != secret.value.encode("utf-8", "surrogatepass")
            yield Found(start, start + len(form), secret, is_base64, escaped)

    def redact(self, content: bytes) -> bytes:
        """The bytes with every secret replaced by its placeholder; JSON stays JSON."""
        if self.may_be_numbers and content.lstrip()[:1] in (b"{", b"["):
            content = self._numbers_as_text(content)
        return self._redact(content)

    @cached_property
    def may_be_numbers(self) -> bool:
        """Whether one of the secrets may stand in a number of JSON."""
        return any(_OF_NUMBERS.fullmatch(value) for value in self.by_value)

    def _numbers_as_text(self, content: bytes) -> bytes:
        """JSON with a placeholder in quotes for each number that is or holds a secret; other bytes as they are."""
        if isinstance(json_in(content), ValueError):
            return content
        pieces, at, field = [], 0, b""
        for token in _JSON_TOKEN.finditer(content):
            written = token[0]
            if written[:1] == b'"':
                field = token["text"] if token["colon"] else b""
                continue
            known = self.by_value.get(written.decode())
            is_own = known is not None and field.decode("utf-8", "replace") in known.fields
            redacted = known.placeholder.encode() if known and (known.everywhere or is_own) else self._redact(written)
            field = b""
            if redacted != written:
                pieces += [content[at : token.start()], b'"', redacted, b'"']
                at = token.end()
        return b"".join([*pieces, content[at:]])

    def _redact(self, content: bytes) -> bytes:
        pieces, at = [], 0
        for found in self.in_text(content):
            placeholder = found.secret.placeholder.encode()
            pieces += [content[at : found.start], base64.b64encode(placeholder) if found.base64 else placeholder]
            at = found.end
        return b"".join([*pieces, content[at:]])

    def redact_text(self, text: str) -> str:
        """The text with every secret replaced by its placeholder."""
        return self.redact(text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")

    def parts(self, content: bytes, variables: dict[str, str], encoding: Encoding) -> Iterator[bytes | Var]:
        """The bytes cut at the secrets, each of those a variable (`variables`: secret value to name) so encoded.

        A secret that stands percent-encoded inside plain or JSON text keeps that encoding.
        """
        at = 0
        for found in self.in_text(content):
            if found.secret.value not in variables:
                continue
            if found.start > at:
                yield content[at : found.start]
            at = found.end
            how = Encoding.BASE64 if found.base64 else encoding
            if found.escaped and content[found.start : found.end] == percent_encoded(found.secret.value):
                how = Encoding.URI
            yield Var(variables[found.secret.value], how)
        if at < len(content):
            yield content[at:]

    @cached_property
    def _forms(self) -> dict[bytes, tuple[Secret, bool]]:
        forms: dict[bytes, tuple[Secret, bool]] = {}
        for secret in self.by_value.values():
            for form, is_base64 in written_forms(secret.value):
                if not is_base64 or secret.everywhere:
                    forms.setdefault(form, (secret, is_base64))
        return forms

    @cached_property
    def _sought(self) -> Sought:
        anywhere: list[bytes] = []
        in_fields: dict[frozenset[str], list[bytes]] = {}
        for form, (secret, _) in self._forms.items():
            (anywhere if secret.everywhere else in_fields.setdefault(secret.fields, [])).append(form)
        return Sought([Place(frozenset(anywhere)), *(_inside(fields, forms) for fields, forms in in_fields.items())])


def _inside(fields: frozenset[str], forms: Iterable[bytes]) -> Place:
    """These forms as the whole value of one of the fields: in JSON, in a URL or form, in a part of a form."""
    names = b"|".join(sorted(re.escape(name.encode()) for name in fields))
    before = rb'(?:"(?:%s)"\s*:\s*"|(?:^|[?&])(?:%s)=|name="(?:%s)"\r\n\r\n)' % (names, names, names)
    return Place(frozenset(forms), before, rb'(?=["&]|\r\n|$)')


def find(exchanges: Iterable[Exchange], catalog: Catalog) -> Secrets:
    """Every secret of the exchanges, requests and answers, in order."""
    return among(chain.from_iterable(secrets_of(exchange, catalog) for exchange in exchanges), catalog)


def among(places: Iterable[tuple[str, str, str]], catalog: Catalog) -> Secrets:
    """Every secret that stands in one of these places, in the order and form of `secrets_of`."""
    finder = SecretFinder(catalog)
    finder.add_all(places)
    return finder.secrets()


class SecretFinder:
    """Finds the secrets of exchanges that come one after the other; each placeholder stays what it was at first."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._seen: dict[str, tuple[str, int, set[str]]] = {}
        self._fields = 0
        self._counts: dict[str, int] = {}
        self._forms: dict[str, list[bytes]] = {}

    def add(self, exchange: Exchange) -> bool:
        """Takes in the secrets of one more exchange; gives whether anything in it was not known before."""
        return self.add_all(secrets_of(exchange, self._catalog))

    def add_all(self, places: Iterable[tuple[str, str, str]]) -> bool:
        """The same for the places in it."""
        known = self._fields
        for name, field, value in places:
            if value not in self._seen:
                if not value or value == self._catalog.mask or _is_lookup_reference(value):
                    continue
                self._counts[name] = self._counts.get(name, 0) + 1
                self._seen[value] = (name, self._counts[name], set())
            fields = self._seen[value][2]
            self._fields += field not in fields
            fields.add(field)
        return known != self._fields

    def secrets(self) -> Secrets:
        """All of them, in the order in which they were first seen."""
        return Secrets(self._secret(value) for value in self._seen)

    def secrets_in(self, content: bytes) -> Secrets:
        """Those that may stand in the bytes: `secrets()` for this content, in time that hardly grows with their number.

        Secrets that are looked for in their own fields only are always among them.
        """
        return _together(
            tuple(
                secret
                for secret in map(self._secret, self._seen)
                if not secret.everywhere or any(form in content for form in self._forms_of(secret.value))
            )
        )

    def _forms_of(self, value: str) -> list[bytes]:
        if value not in self._forms:
            self._forms[value] = [form for form, _ in written_forms(value)]
        return self._forms[value]

    def _secret(self, value: str) -> Secret:
        name, number, fields = self._seen[value]
        if PLACEHOLDER.fullmatch(value):
            return Secret(value, name, value, True, frozenset(fields - {AS_A_NAME}))
        placeholder = f"DFSECRET_{name}_{number}"
        is_own_name = value.lower().removeprefix("df_") in self._counts  # `user_password`, for the time being
        is_name = is_own_name or not fields.isdisjoint({"username", AS_A_NAME})  # accounts are named after things
        everywhere = not is_name and _is_unmistakable(value, self._catalog)
        return Secret(value, name, placeholder, everywhere, frozenset(fields - {AS_A_NAME}))


@lru_cache(maxsize=32)
def _together(secrets: tuple[Secret, ...]) -> Secrets:
    """Exchanges one after the other mostly hold the same secrets, and the pattern of them takes time to build."""
    return Secrets(secrets)


def _is_unmistakable(value: str, catalog: Catalog) -> bool:
    is_word = re.fullmatch(r"[A-Za-z]?[a-z]{0,9}", value) is not None
    return len(value.strip()) >= SHORTEST_FOUND_EVERYWHERE and not is_word and value.lower() not in catalog.vocabulary


def _is_lookup_reference(value: str) -> bool:
    """`{db_password}` names a lookup on the server: safe and portable (system-api.md section 6.2)."""
    return re.fullmatch(r"\{[A-Za-z0-9_.-]+\}", value) is not None


def standing_in(values: frozenset[str], content: bytes) -> bool:
    """Whether one of the secret values, in any form it may be written, stands in the bytes."""
    return any(_any_of(values).in_content(content))


@lru_cache(maxsize=32)
def _any_of(values: frozenset[str]) -> Sought:
    return Sought([Place(frozenset(form for value in values for form, _ in written_forms(value)))])


def content_of(exchange: Exchange) -> bytes:
    """All text and bytes of an exchange in which a secret may stand, one after the other."""
    request, response = exchange.request, exchange.response
    texts = (request.method, request.url, request.http_version, exchange.error, response.reason, response.http_version)
    headers = _lines(request.headers), _lines(response.headers)
    contents = request.body.content, response.body.content
    return b"\n".join(("\n".join(texts).encode("utf-8", "surrogatepass"), *headers, *contents))


@lru_cache(maxsize=256)  # a browser sends the same ones with many calls
def _lines(headers: Headers) -> bytes:
    return "\n".join([f"{name}: {value}" for name, value in headers]).encode("utf-8", "surrogatepass")


def redact_exchange(exchange: Exchange, secrets: Secrets, catalog: Catalog) -> Exchange:
    """The exchange with placeholders for secrets, without cookies and the browser's, proxies' and console's headers."""
    request, response = exchange.request, exchange.response
    return Exchange(
        exchange.number,
        Request(
            _redacted_name(request.method, secrets),
            secrets.redact_text(request.url),
            _redacted_headers(request.headers, secrets, catalog, sent=True),
            _redacted_body(request.body, secrets),
            _redacted_name(request.http_version, secrets),
        ),
        Response(
            response.status,
            _redacted_headers(response.headers, secrets, catalog, sent=False),
            _redacted_body(response.body, secrets),
            _redacted(response.reason, secrets),
            _redacted_name(response.http_version, secrets),
        ),
        exchange.started,
        exchange.milliseconds,
        _redacted(exchange.error, secrets),
    )


@lru_cache(maxsize=256)  # a browser sends the same ones with many calls
def _redacted_headers(headers: Headers, secrets: Secrets, catalog: Catalog, *, sent: bool) -> Headers:
    fields = []
    for name, value in headers:
        if name.lower() == "set-cookie" or (sent and catalog.is_dropped_header(name)):
            continue
        fields.append((_redacted_name(name, secrets), _redacted(value, secrets)))
    return Headers(tuple(fields))


@lru_cache(maxsize=256)  # a console reads the same lists again and again
def _short_redacted(secrets: Secrets, content: bytes) -> bytes:
    return secrets.redact(content)


def _redacted_body(body: Body, secrets: Secrets) -> Body:
    redact = _short_redacted if len(body.content) < SHORT_CONTENT else Secrets.redact
    content = redact(secrets, body.content)
    return body if content == body.content else Body(body.state, content)


@lru_cache(maxsize=1024)  # most headers of a recording are those of the call before
def _redacted(value: str, secrets: Secrets) -> str:
    """A value that stands alone: its placeholder when it is a secret itself, however short."""
    known = secrets.by_value.get(value)
    return known.placeholder if known else secrets.redact_text(value)


@lru_cache(maxsize=1024)
def _redacted_name(name: str, secrets: Secrets) -> str:
    """A method, a version or the name of a header: a short secret may be an ordinary one."""
    return secrets.redact_text(name)


def with_names_redacted(exchange: Exchange, secrets: Secrets) -> Exchange:
    """The exchange with placeholders for secrets where no value is expected, so that no variable can stand: in the
    method and in names of headers.
    """
    request = exchange.request
    method, headers = _redacted_name(request.method, secrets), _with_names_redacted(request.headers, secrets)
    if method == request.method and headers == request.headers:
        return exchange
    return replace(exchange, request=replace(request, method=method, headers=headers))


@lru_cache(maxsize=256)  # a browser sends the same ones with many calls
def _with_names_redacted(headers: Headers, secrets: Secrets) -> Headers:
    return Headers(tuple([(_redacted_name(name, secrets), value) for name, value in headers]))
