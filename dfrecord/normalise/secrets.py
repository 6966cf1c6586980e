"""The secrets of a recording: found, named, replaced.

A secret is found by field knowledge (the catalog), by the name of its header, parameter or field, and by flow: a value
that was secret in one place is secret everywhere in the recording, also percent-encoded, JSON-escaped, HTML-escaped or
in base64. Each has a placeholder, equal secrets equal ones, so that a redacted recording links like the original.

Secrets shorter than six characters, plain words (`letmein`), and words of the System API itself (`admin`, `password`,
`DreamFactory`) cannot be told from ordinary text: they are replaced in their own field only (`Secret.everywhere` is
False), and the residue says so.
"""

from __future__ import annotations

import base64
import csv
import html
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from html.entities import codepoint2name
from urllib.parse import parse_qsl, quote, quote_plus, urlsplit

from dfrecord.normalise.body import Leaf, json_of, leaves
from dfrecord.normalise.multipart import parts_of
from dfrecord.normalise.named_values import is_uncommon, looks_made_up, named_values, tokens
from dfrecord.normalise.sought import Place, Sought
from dfrecord.recording.exchange import Body, BodyState, Exchange, Headers
from dfrecord.system_api.catalog import Catalog, SecretRule
from dfrecord.tree import Encoding, Number, Object, Tree, Var

PLACEHOLDER = re.compile(r"DFSECRET_([a-z0-9_]+)_[0-9]+")
_PLACEHOLDER_BYTES = re.compile(PLACEHOLDER.pattern.encode())
SHORTEST_FOUND_EVERYWHERE = 6
_OF_NUMBERS = re.compile(r"-?[0-9][0-9.eE+-]*")
_JSON_TOKEN = re.compile(rb'"(?P<text>(?:[^"\\]|\\.)*+)"(?P<colon>\s*:)?|-?[0-9][0-9.eE+-]*')


@dataclass(frozen=True, slots=True)
class Secret:
    """One secret value. `name` says what it is (`user_password`), `fields` the names of the fields it stood in."""

    value: str
    name: str
    placeholder: str
    everywhere: bool
    fields: frozenset[str]


@dataclass(frozen=True, slots=True)
class Found:
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

    @property
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
        if isinstance(json_of(Body.recorded(content)), ValueError):
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
            if found.escaped and content[found.start : found.end] == _uri(found.secret.value):
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
    finder = SecretFinder(catalog)
    for exchange in exchanges:
        finder.add(exchange)
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
        known = self._fields
        for name, field, value in _secrets_of(exchange, self._catalog):
            if not value or value == self._catalog.mask or _is_lookup_reference(value):
                continue
            if value not in self._seen:
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
        placeholder = value if PLACEHOLDER.fullmatch(value) else f"DFSECRET_{name}_{number}"
        everywhere = _is_unmistakable(value, self._catalog) and fields != {
            "username"
        }  # accounts are named after things
        return Secret(value, name, placeholder, everywhere, frozenset(fields))


@lru_cache(maxsize=32)
def _together(secrets: tuple[Secret, ...]) -> Secrets:
    """Exchanges one after the other mostly hold the same secrets, and the pattern of them takes time to build."""
    return Secrets(secrets)


def _is_unmistakable(value: str, catalog: Catalog) -> bool:
    is_word = re.fullmatch(r"[A-Za-z]?[a-z]{0,9}", value) is not None
    return len(value.strip()) >= SHORTEST_FOUND_EVERYWHERE and not is_word and value.lower() not in catalog.vocabulary


def standing_in(values: frozenset[str], content: bytes) -> bool:
    """Whether one of the secret values, in any form it may be written, stands in the bytes."""
    return any(_any_of(values).in_content(content))


@lru_cache(maxsize=32)
def _any_of(values: frozenset[str]) -> Sought:
    return Sought([Place(frozenset(form for value in values for form, _ in written_forms(value)))])


def is_console_key(value: str, catalog: Catalog) -> bool:
    """Whether this is the fixed API key of a seeded console app, or the placeholder of one."""
    placeholder = PLACEHOLDER.fullmatch(value)
    return placeholder.group(1) == "console_api_key" if placeholder else catalog.is_console_key(value)


def content_of(exchange: Exchange) -> bytes:
    """All text and bytes of an exchange in which a secret may stand, one after the other."""
    request, response = exchange.request, exchange.response
    headers = [f"{name}: {value}" for name, value in (*request.headers, *response.headers)]
    texts = [request.url, *headers, exchange.error, response.reason]
    parts = [text.encode("utf-8", "surrogatepass") for text in texts]
    return b"\n".join([*parts, request.body.content, response.body.content])


def redact_exchange(exchange: Exchange, secrets: Secrets, catalog: Catalog) -> Exchange:
    """The exchange with placeholders for secrets, without cookies and the browser's, proxies' and console's headers."""
    request, response = exchange.request, exchange.response

    def headers(original: Headers, *, sent: bool) -> Headers:
        fields = []
        for name, value in original:
            if name.lower() == "set-cookie" or (sent and catalog.is_dropped_header(name)):
                continue
            known = secrets.by_value.get(value)
            fields.append((name, known.placeholder if known else secrets.redact_text(value)))
        return Headers(tuple(fields))

    def body(original: Body) -> Body:
        return replace(original, content=secrets.redact(original.content))

    return replace(
        exchange,
        error=secrets.redact_text(exchange.error),
        request=replace(
            request,
            url=secrets.redact_text(request.url),
            headers=headers(request.headers, sent=True),
            body=body(request.body),
        ),
        response=replace(
            response,
            headers=headers(response.headers, sent=False),
            body=body(response.body),
            reason=secrets.redact_text(response.reason),
        ),
    )


# ---------------------------------------------------------------- where secrets are found


def _secrets_of(exchange: Exchange, catalog: Catalog) -> Iterator[tuple[str, str, str]]:
    """Name, field name and value of each secret in an exchange."""
    request, response = exchange.request, exchange.response
    resource = catalog.locate(request.decoded_path).resource
    for header, value in (*request.headers, *response.headers):
        yield from _in_field(header, value, catalog)
    for text in (exchange.error, response.reason):
        yield from _in_text(text, catalog)
    user_info = urlsplit(request.url).password
    if user_info:
        yield "password", "password", user_info
    if "#" in request.url:
        yield from _in_text(f"#{urlsplit(request.url).fragment}", catalog)
    for pair in request.query.split("&"):
        for name, value in parse_qsl(pair):
            if catalog.is_secret_parameter(name):
                yield _identifier(name), name, value
                written = pair.partition("=")[2]
                if written.encode("utf-8", "surrogatepass") not in dict(written_forms(value)):  # `%73ecret`
                    yield _identifier(name), name, written
            else:
                if looks_made_up(value) and catalog.is_secret_name(f"config.{name}"):  # `?key=`, `?auth=`
                    yield _identifier(name), name, value
                yield from _in_text(value, catalog)
                yield from _in_broken_json(value, resource, catalog)
    yield from _in_named_record(request.decoded_path, request.body, catalog)
    yield from _in_named_record(request.decoded_path, response.body, catalog)
    yield from _in_body(request.body, request.headers, resource, catalog)
    yield from _in_body(response.body, response.headers, resource, catalog)
    for content in (request.url.encode("utf-8", "surrogatepass"), request.body.content, response.body.content):
        # An imported recording holds these in place of secrets.
        for placeholder in _PLACEHOLDER_BYTES.finditer(content) if b"DFSECRET_" in content else ():
            yield placeholder.group(1).decode(), placeholder.group(1).decode(), placeholder.group().decode()


_DIGIT = re.compile("[0-9]")
_OF_A_SESSION = re.compile(r"sess|sid$|csrf|xsrf|auth", re.IGNORECASE)


@lru_cache(maxsize=1024)  # most headers of a recording are those of the call before
def _in_field(header: str, value: str, catalog: Catalog) -> tuple[tuple[str, str, str], ...]:
    return *_in_header(header, value, catalog), *_in_text(value, catalog)


def _in_header(header: str, value: str, catalog: Catalog) -> Iterator[tuple[str, str, str]]:
    lowered = header.lower()
    if lowered in ("cookie", "set-cookie"):
        for pair in re.split("[;,]", value):
            name, _, content = pair.strip().partition("=")
            is_session = _OF_A_SESSION.search(name) and len(content) >= SHORTEST_FOUND_EVERYWHERE
            if (
                is_session
                or catalog.is_secret_name(name)
                or (len(content) >= 20 and " " not in content and "@" not in content)
                or looks_made_up(content)
            ):
                yield _identifier(name), name, content
    elif lowered in ("authorization", "proxy-authorization"):
        scheme, _, credentials = value.partition(" ")
        if scheme.lower() == "basic":
            yield "basic_credentials", header, credentials
            decoded = base64.b64decode(credentials + "==", validate=False).decode("utf-8", "replace")
            if ":" in decoded:
                yield "password", "password", decoded.split(":", 1)[1]
        else:
            name = "session_token" if scheme.lower() == "bearer" else "authorization"
            yield name, header, credentials or scheme
    elif lowered == catalog.session.api_key_header.lower():
        yield "console_api_key" if is_console_key(value, catalog) else "api_key", header, value
    elif catalog.is_secret_header(header) or (looks_made_up(value) and catalog.is_secret_name(f"config.{header}")):
        yield _identifier(re.sub(r"^x-(dreamfactory-)?", "", lowered)), header, value


def _in_named_record(path: str, body: Body, catalog: Catalog) -> Iterator[tuple[str, str, str]]:
    """The value of a record whose own name says that it is a secret: `system/custom/stripe_secret_key`."""
    name = path.rstrip("/").rpartition("/")[2]
    if not catalog.is_secret_name(name):
        return
    tree = json_of(body)
    value = tree.get("value") if isinstance(tree, Object) else tree
    if isinstance(value, str):
        yield _identifier(name), "value", value


def _in_text(text: str, catalog: Catalog, inside: str = "") -> Iterable[tuple[str, str, str]]:
    """`inside`: where in a record the text stands, up to the dot: `config.`, when it is no program."""
    return (_in_short_text if len(text) < _SHORT else _in_any_text)(text, catalog, inside)


_SHORT = 200


@lru_cache(maxsize=4096)  # answers list the same records again and again
def _in_short_text(text: str, catalog: Catalog, inside: str) -> tuple[tuple[str, str, str], ...]:
    return tuple(_in_any_text(text, catalog, inside))


def _in_any_text(text: str, catalog: Catalog, inside: str) -> Iterator[tuple[str, str, str]]:
    for name, value in named_values(text, words=bool(inside)):
        telling = catalog.is_secret_parameter(name)
        if telling and not _DIGIT.search(value) and catalog.is_secret_name(value):  # `token = "X-Session-Token"`
            continue
        if telling or (inside and is_uncommon(value) and catalog.is_secret_name(f"{inside}{name}")):
            yield _identifier(name), name, value


def _in_free_json(text: str, catalog: Catalog) -> Iterator[tuple[str, str, str]]:
    """Secrets in a text of settings that may be called anything: headers, and what looks like a token."""
    name, colon, value = text.partition(": ")
    if colon:
        yield from _in_header(name, value, catalog)
    for token in tokens(text):
        yield "option", "options", token


def _in_body(body: Body, headers: Headers, resource: str | None, catalog: Catalog) -> Iterator[tuple[str, str, str]]:
    if body.state is not BodyState.RECORDED or not body.content:
        return
    kind = (headers.get("Content-Type") or "").lower()
    if "multipart/" in kind:
        yield from _in_parts(body.content, headers.get("Content-Type") or "", resource, catalog)
        return
    if any(word in kind for word in ("csv", "xml", "separated", "excel")):
        text = body.content.decode("utf-8-sig", "replace")
        yield from _in_table(text, resource, catalog)
        yield from _in_text(text, catalog)
        return
    tree = json_of(body)
    if not isinstance(tree, ValueError):
        yield from _in_tree(tree, resource, catalog)
    elif "form" in kind:
        for name, value in parse_qsl(body.content.decode("utf-8", "replace"), keep_blank_values=True):
            if catalog.is_secret_parameter(name):
                yield name_of_field(catalog, resource, _innermost(name)), name, value
            else:
                yield from _in_text(value, catalog)
                yield from _in_broken_json(value, resource, catalog)
    else:
        text = body.content.decode("utf-8-sig", "replace")
        yield from _in_broken_json(text, resource, catalog)
        yield from _in_text(text, catalog)
        yield from _in_table(text, resource, catalog)


def _in_parts(
    content: bytes, content_type: str, resource: str | None, catalog: Catalog
) -> Iterator[tuple[str, str, str]]:
    text = content.decode("utf-8", "surrogateescape")
    for part in parts_of(text, content_type):
        inner = text[part.start : part.end].encode("utf-8", "surrogateescape")
        if catalog.is_secret_parameter(part.name):
            name = _innermost(part.name)
            called = name_of_field(catalog, resource, name) if catalog.names_accounts(resource) else _identifier(name)
            yield called, part.name, inner.decode("utf-8", "replace")
        headers = Headers((("Content-Type", part.media_type),) if part.media_type else ())
        yield from _in_body(Body.recorded(inner), headers, resource, catalog)


def _innermost(field: str) -> str:
    """The name of a form's field in a list: `password` of `resource[0][password]`."""
    return next((part for part in reversed(re.split(r"[\[\]]+", field)) if part and not part.isdigit()), field)


def _in_broken_json(
    text: str, resource: str | None, catalog: Catalog, inside: str = ""
) -> Iterator[tuple[str, str, str]]:
    """Secrets among the members of what looks like JSON but is none, or stands as text inside a string."""
    for name, written in re.findall(r'"([^"\\]{1,80})"\s*:\s*"((?:[^"\\]|\\.)*)"', text):
        if catalog.is_secret_parameter(name) or (inside and catalog.is_secret_name(f"{inside}{name}")):
            try:
                yield name_of_field(catalog, resource, name), name, json.loads(f'"{written}"')
            except ValueError:
                yield name_of_field(catalog, resource, name), name, written


_MARKUP = re.compile(r"<!--|<!\[CDATA\[|<(/?)(?:[\w.-]++:)?+([\w.-]++)[^<>]*+>")
_ENDS = {"<!--": "-->", "<![CDATA[": "]]>"}
_TAG = re.compile(r"<[\w.:-]++(\s[^<>]*+)>")
_ATTRIBUTE = re.compile(r"""\s(?:[\w.-]+:)?([\w.-]+)\s*=\s*(?:"([^"<>]*)"|'([^'<>]*)')""")


def _in_table(text: str, resource: str | None, catalog: Catalog) -> Iterator[tuple[str, str, str]]:
    """Secrets of a user import: columns of CSV, elements and attributes of XML (system-api.md section 4.1)."""
    if "<" in text:
        yield from _in_elements(text, resource, catalog)
    for tag in _TAG.findall(text):
        for name, double, single in _ATTRIBUTE.findall(tag):
            if catalog.secret_rule(resource, name):
                yield name_of_field(catalog, resource, name), name, html.unescape(double or single)
    if "<" not in text.partition("\n")[0]:
        csv.field_size_limit(max(csv.field_size_limit(), len(text)))  # or a long column hides the secret beside it
        delimiter = max(",;\t|", key=re.split(r"[\r\n]", text, maxsplit=1)[0].count)
        for row in csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter):
            for name, value in row.items():
                if isinstance(name, str) and isinstance(value, str) and catalog.secret_rule(resource, name.strip()):
                    yield name_of_field(catalog, resource, name.strip()), name.strip(), value


def _in_elements(text: str, resource: str | None, catalog: Catalog) -> Iterator[tuple[str, str, str]]:
    """The texts inside elements with a telling name, however deep: `<password><value>…</value></password>`."""
    elements = _Open()
    at, missing = 0, set[str]()
    while mark := _MARKUP.search(text, at):
        yield from _in_element(html.unescape(text[at : mark.start()]), elements.telling, resource, catalog)
        at = mark.end()
        if end := _ENDS.get(mark[0]):
            closes = -1 if end in missing else text.find(end, at)
            if closes < 0:
                missing.add(end)
                continue
            if end == "]]>":
                yield from _in_element(text[at:closes], elements.telling, resource, catalog)
            at = closes + len(end)
        elif mark[1]:
            elements.close(mark[2])
        elif not mark[0].endswith("/>"):
            elements.open(mark[2], telling=catalog.secret_rule(resource, mark[2]) is not None)
    yield from _in_element(html.unescape(text[at:]), elements.telling, resource, catalog)


def _in_element(value: str, name: str, resource: str | None, catalog: Catalog) -> Iterator[tuple[str, str, str]]:
    if name and value.strip():
        yield name_of_field(catalog, resource, name), name, value.strip() if "\n" in value else value


class _Open:
    """The open elements of a text of XML; an end without its beginning is passed over."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._telling: list[tuple[int, str]] = []
        self._counts: Counter[str] = Counter()

    @property
    def telling(self) -> str:
        """The innermost one that has a telling name, empty when there is none."""
        return self._telling[-1][1] if self._telling else ""

    def open(self, name: str, *, telling: bool) -> None:
        if telling:
            self._telling.append((len(self._names), name))
        self._names.append(name)
        self._counts[name] += 1

    def close(self, name: str) -> None:
        while self._counts[name]:
            last = self._names.pop()
            self._counts[last] -= 1
            if self._telling and self._telling[-1][0] == len(self._names):
                self._telling.pop()
            if last == name:
                return


def _in_tree(tree: Tree, resource: str | None, catalog: Catalog) -> Iterator[tuple[str, str, str]]:
    for leaf in leaves(tree, resource, catalog):
        value = leaf.value
        if not isinstance(value, (str, Number)):
            continue
        known = _known_of(leaf.resource, leaf.path, catalog)
        applies = known.rule is not None and known.rule.applies(leaf.siblings)
        named = _name_of_value(leaf, catalog) if known.is_value and not applies else ""
        if applies or named:
            field = leaf.path.rsplit(".", 1)[-1].replace("[]", "")
            written = value.text if isinstance(value, Number) else value
            yield named or name_of_field(catalog, leaf.resource, field), field, written
        if isinstance(value, str):
            inside = "config." if known.in_config and "\n" not in value else ""  # no program
            if '"' in value and '":' in value.replace(" ", ""):
                yield from _in_broken_json(value, leaf.resource, catalog, inside)
            yield from _in_text(value, catalog, inside)
            if known.holds_tokens:
                yield from _in_free_json(value, catalog)


_REFUSAL = re.compile(r"error\.(.+\.)?context\.\w+\[\]")  # what the server says of a field that it does not take
_VALUES = ("value", "default", "data")  # fields that hold what a `name` beside them tells


@dataclass(frozen=True, slots=True)
class _Known:
    """Of a field: its rule, and whether it is the value of what a name beside it says, may hold tokens, or lies in a
    `config`."""

    rule: SecretRule | None
    is_value: bool
    holds_tokens: bool
    in_config: bool


@lru_cache(maxsize=4096)  # a recording has few fields, and each many times
def _known_of(resource: str | None, path: str, catalog: Catalog) -> _Known:
    rule = None if _REFUSAL.fullmatch(path) else catalog.secret_rule(resource, path)
    return _Known(rule, path.endswith(_VALUES), catalog.holds_tokens(resource, path), ".config." in f".{path}")


def _name_of_value(leaf: Leaf, catalog: Catalog) -> str:
    """What a field such as `value` is a secret of, by the name beside it or above it; empty when of none.

    `{"name": "stripe_secret_key", "value": "…"}`, `"credentials": {"user": "u", "value": "…"}`.
    """
    above, _, field = leaf.path.rpartition(".")
    name = leaf.siblings.get("name")
    names = [name, above] if field in _VALUES else []
    return next(
        (
            _identifier(each.rpartition(".")[2])
            for each in names
            if each and isinstance(each, str) and catalog.is_secret_name(each)
        ),
        "",
    )


def name_of_field(catalog: Catalog, resource: str | None, field: str) -> str:
    """What a secret field is called: the session's own fields plainly, others after their resource."""
    if resource is None or catalog.is_own_account(resource):
        return "session_token" if field in catalog.session.token_fields else _identifier(field)
    plain = field.startswith(resource) or field in catalog.resources[resource].made_secrets
    return _identifier(field if plain else f"{resource}_{field}")


def _identifier(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower()).strip("_") or "secret"


def _is_lookup_reference(value: str) -> bool:
    """`{db_password}` names a lookup on the server: safe and portable (system-api.md section 6.2)."""
    return re.fullmatch(r"\{[A-Za-z0-9_.-]+\}", value) is not None


# ---------------------------------------------------------------- how a value may be written


_LEFT_UNESCAPED = ("", "/", "!'()*", "*", ";,/?:@&=+$!'()*#", "!$&'()*+,;:@/?`{}|^[]=\\", "!$&()*+,;:@/?`{}|^[]=\\")
"""Beside letters, digits and `-._~`: quote() alone and for paths, encodeURIComponent, forms, encodeURI, and what the
URL standard leaves in a query (WHATWG URL, 1.3: of special schemes without the apostrophe)."""


def _uri(value: str) -> bytes:
    return quote(value, safe="", errors="surrogatepass").encode()


def written_forms(value: str) -> Iterator[tuple[bytes, bool]]:
    """Every way the value may stand in a text, with whether that is base64; of a very long one the usual ways."""
    if len(value) > _LONGEST_IN_ALL_FORMS:
        yield from _usual_forms(value)
        return
    csv_form = value.replace('"', '""')
    texts = {csv_form, *_json_with_units(value)}
    for form in _html_forms(value):
        texts.update(_json_forms(form))
    escaped = {*_percent_forms(value), *(text.encode("utf-8", "surrogatepass") for text in texts)}
    in_json = {_json(value, ascii_only).replace("/", slash) for ascii_only in (False, True) for slash in ("/", "\\/")}
    for form in (*in_json, csv_form, _uri(value).decode(), quote_plus(value, errors="surrogatepass")):
        escaped.update(_parameter_forms(form))  # and that again in a URL or a form
    yield from ((form, False) for form in sorted(escaped))
    if len(value.encode("utf-8", "surrogatepass")) >= SHORTEST_FOUND_EVERYWHERE:
        yield from ((form, True) for form in sorted(set(_base64_forms(value))))


_LONGEST_IN_ALL_FORMS = 4000  # more than private keys and tokens have; of what is longer all of them cost too much


def _usual_forms(value: str) -> Iterator[tuple[bytes, bool]]:
    written = {value, html.escape(value), value.replace('"', '""')}
    for form in (_json(value, False), _json(value, True)):
        written.update((form, form.replace("/", "\\/"), _json(form, False)))
    written.update((quote(value, safe="", errors="surrogatepass"), quote_plus(value, errors="surrogatepass")))
    yield from ((form.encode("utf-8", "surrogatepass"), False) for form in sorted(written))
    plain = value.encode("utf-8", "surrogatepass")
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
    """Percent-encoded as encodeURIComponent does, and as forms are; with digits of both cases."""
    encoded = quote(text, safe="!'()*", errors="surrogatepass")
    for written in (encoded, quote_plus(text, errors="surrogatepass")):
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


_LONGEST_TWICE = 80  # passwords and keys; the many forms of a whole session token would cost more than they find


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
