"""Where secrets stand in an exchange: by the catalog's knowledge of fields, by telling names, by how a value looks."""

from __future__ import annotations

import base64
import csv
import html
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import lru_cache
from urllib.parse import parse_qsl, urlsplit

import msgspec

from dfrecord.normalise.body import Leaf, json_in, json_of, leaves
from dfrecord.normalise.multipart import parts_of
from dfrecord.normalise.named_values import is_uncommon, looks_made_up, named_values, tokens
from dfrecord.normalise.written_forms import SHORTEST_FOUND_EVERYWHERE, written_forms
from dfrecord.recording.exchange import Body, BodyState, Exchange, Headers
from dfrecord.system_api.catalog import Catalog
from dfrecord.system_api.catalog_file import SecretRule
from dfrecord.tree import Number, Object, Tree

PLACEHOLDER = re.compile(r"DFSECRET_([a-z0-9_]+)_[0-9]+")
"""What an imported recording holds in place of a secret; the group is its name."""

AS_A_NAME = ""
"""The field of a secret that is the name of the account or record, too."""

_PLACEHOLDER_BYTES = re.compile(PLACEHOLDER.pattern.encode())


def secrets_of(exchange: Exchange, catalog: Catalog) -> Iterator[tuple[str, str, str]]:
    """Name, field name and value of each secret in an exchange."""
    request, response = exchange.request, exchange.response
    path = request.decoded_path
    resource = catalog.locate(path).resource
    for headers in (request.headers, response.headers):
        yield from _in_headers(headers, catalog)
    for text in (exchange.error, response.reason):
        yield from _in_text(text, catalog)
    if "@" in request.url and (user_info := urlsplit(request.url).password):
        yield "password", "password", user_info
    if "#" in request.url:
        yield from _in_text(f"#{urlsplit(request.url).fragment}", catalog)
    of_segments = request.url.partition("?")[0].split(";")[1:] if ";" in request.url else []  # `;jsessionid=`
    for pair in (*request.query.split("&"), *of_segments):
        look = _in_short_parameter if len(pair) < _SHORT else _in_parameter
        yield from look(pair, resource, catalog)
    if catalog.is_secret_name(name := path.rstrip("/").rpartition("/")[2]):
        yield from _in_named_record(name, request.body)
        yield from _in_named_record(name, response.body)
    yield from _in_body(request.body, request.headers, resource, catalog)
    yield from _in_body(response.body, response.headers, resource, catalog)
    for content in (request.url.encode("utf-8", "surrogatepass"), request.body.content, response.body.content):
        # An imported recording holds these in place of secrets.
        for placeholder in _PLACEHOLDER_BYTES.finditer(content) if b"DFSECRET_" in content else ():
            yield placeholder.group(1).decode(), placeholder.group(1).decode(), placeholder.group().decode()


_DIGIT = re.compile("[0-9]")
_OF_A_SESSION = re.compile(r"sess|sid$|csrf|xsrf|auth", re.IGNORECASE)


@lru_cache(maxsize=256)  # a browser sends the same ones with many calls
def _in_headers(headers: Headers, catalog: Catalog) -> tuple[tuple[str, str, str], ...]:
    return tuple([found for header, value in headers for found in _in_field(header, value, catalog)])


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


def _in_parameter(pair: str, resource: str | None, catalog: Catalog) -> Iterator[tuple[str, str, str]]:
    """`pair`: name and value as they stand in a query."""
    for name, value in parse_qsl(pair, keep_blank_values=True):
        yield from _in_name(name, resource, catalog)
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


def _in_name(name: str, resource: str | None, catalog: Catalog) -> Iterator[tuple[str, str, str]]:
    """Secrets in the name of a parameter or member: all of a body, where a program took it for one."""
    if "=" in name or ":" in name:
        yield from _in_text(name, catalog)
        yield from _in_broken_json(name, resource, catalog)


@lru_cache(maxsize=1024)  # the console asks for the same fields again and again
def _in_short_parameter(pair: str, resource: str | None, catalog: Catalog) -> tuple[tuple[str, str, str], ...]:
    return tuple(_in_parameter(pair, resource, catalog))


def _in_named_record(name: str, body: Body) -> Iterator[tuple[str, str, str]]:
    """The value of a record whose own name says that it is a secret: `system/custom/stripe_secret_key`."""
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
        telling = catalog.is_secret_parameter(name.replace(".", "_"))
        if telling and not _DIGIT.search(value) and catalog.is_secret_name(value):  # `token = "X-Session-Token"`
            continue
        if telling or (inside and is_uncommon(value) and catalog.is_secret_name(f"{inside}{name}")):
            yield _identifier(name), name, value
    for cookies in _COOKIES.findall(text) if "ookie: " in text else ():
        yield from _in_header("cookie", cookies, catalog)


_COOKIES = re.compile(r"""\b(?:[Ss]et-)?[Cc]ookie: ([^\r\n"'`{}$]{6,4000})""")


def _in_free_json(text: str, catalog: Catalog) -> Iterator[tuple[str, str, str]]:
    """Secrets in a text of settings that may be called anything: headers, and what looks like a token."""
    name, colon, value = text.partition(": ")
    if colon:
        yield from _in_header(name, value, catalog)
    for token in tokens(text):
        yield "option", "options", token


def _in_body(body: Body, headers: Headers, resource: str | None, catalog: Catalog) -> Iterable[tuple[str, str, str]]:
    if body.state is not BodyState.RECORDED or not body.content:
        return ()
    look = _in_short_content if len(body.content) < SHORT_CONTENT else _in_content
    return look(body.content, headers.get("Content-Type") or "", resource, catalog)


SHORT_CONTENT = 16_000
"""Bytes: what is shorter may be remembered."""


@lru_cache(maxsize=256)  # a console reads the same lists again and again
def _in_short_content(
    content: bytes, content_type: str, resource: str | None, catalog: Catalog
) -> tuple[tuple[str, str, str], ...]:
    return tuple(_in_content(content, content_type, resource, catalog))


def _in_content(
    content: bytes, content_type: str, resource: str | None, catalog: Catalog
) -> Iterator[tuple[str, str, str]]:
    kind = content_type.lower()
    if "multipart/" in kind or (content.startswith(b"--") and b"form-data;" in content[:200]):
        yield from _in_parts(content, content_type, resource, catalog)
        return
    if any(map(kind.__contains__, ("csv", "xml", "separated", "excel"))):
        text = content.decode("utf-8-sig", "replace")
        yield from _in_table(text, resource, catalog)
        yield from _in_text(text, catalog)
        return
    tree = json_in(content)
    if not isinstance(tree, ValueError):
        yield from _in_tree(tree, resource, catalog)
    elif "form" in kind:
        for name, value in parse_qsl(content.decode("utf-8", "replace"), keep_blank_values=True):
            yield from _in_name(name, resource, catalog)
            if catalog.is_secret_parameter(name):
                yield name_of_field(catalog, resource, _innermost(name)), name, value
            else:
                yield from _in_text(value, catalog)
                yield from _in_broken_json(value, resource, catalog)
    else:
        text = content.decode("utf-8-sig", "replace")
        yield from _in_broken_json(text, resource, catalog)
        yield from _in_text(text, catalog)
        yield from _in_table(text, resource, catalog)


def _in_parts(
    content: bytes, content_type: str, resource: str | None, catalog: Catalog
) -> Iterator[tuple[str, str, str]]:
    text = content.decode("utf-8", "surrogateescape")
    first_line = text.partition("\n")[0].strip()
    for part in list(parts_of(text, content_type)) or parts_of(text, f"boundary={first_line[2:]}"):
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
        known = _known_of(leaf.resource, leaf.path, catalog)
        if known.in_name:
            yield from known.in_name
        if not isinstance(value, (str, Number)):
            continue
        applies = known.rule is not None and known.rule.applies(leaf.siblings) and not _is_name_of_value(leaf)
        named = _name_of_value(leaf, catalog) if known.is_value and not applies else ""
        if applies or named:
            field = leaf.path.rsplit(".", 1)[-1].replace("[]", "")
            written = value.text if isinstance(value, Number) else value
            called = named or name_of_field(catalog, leaf.resource, field)
            yield called, field, written
            if any(leaf.siblings.get(name) == written for name in ("name", "user", *catalog.session.identity_fields)):
                yield called, AS_A_NAME, written
        if isinstance(value, str):
            inside = "config." if known.in_config and "\n" not in value else ""  # no program
            if '"' in value and '":' in value.replace(" ", ""):
                yield from _in_broken_json(value, leaf.resource, catalog, inside)
            yield from _in_text(value, catalog, inside)
            if known.holds_tokens:
                yield from _in_free_json(value, catalog)


_REFUSAL = re.compile(r"error\.(.+\.)?context\.\w+\[\]")  # what the server says of a field that it does not take
_VALUES = ("value", "val", "default", "data")  # fields that hold what a name beside them tells
_NAMES = ("name", "key", "field", "id", "param", "parameter", "setting", "header", "variable", "property")


class _Known(msgspec.Struct, frozen=True):
    """Of a field: its rule, and whether it is the value of what a name beside it says, may hold tokens, or lies in a
    `config`; and what secrets its own name holds."""

    rule: SecretRule | None
    is_value: bool
    holds_tokens: bool
    in_config: bool
    in_name: tuple[tuple[str, str, str], ...]


@lru_cache(maxsize=4096)  # a recording has few fields, and each many times
def _known_of(resource: str | None, path: str, catalog: Catalog) -> _Known:
    rule = None if _REFUSAL.fullmatch(path) else catalog.secret_rule(resource, path)
    holds_tokens, in_name = catalog.holds_tokens(resource, path), tuple(_in_name(path, resource, catalog))
    return _Known(rule, path.endswith(_VALUES), holds_tokens, ".config." in f".{path}", in_name)


def _is_name_of_value(leaf: Leaf) -> bool:
    """Whether a field says what the value beside it is: `{"key": "X-Api-Key", "value": "…"}`."""
    is_name = leaf.path.rpartition(".")[2] in _NAMES and any(name in leaf.siblings for name in _VALUES)
    return is_name and isinstance(leaf.value, str) and not looks_made_up(leaf.value)


def _name_of_value(leaf: Leaf, catalog: Catalog) -> str:
    """What a field such as `value` is a secret of, by the name beside it or above it; empty when of none.

    `{"name": "stripe_secret_key", "value": "…"}`, `"credentials": {"user": "u", "value": "…"}`.
    """
    above, _, field = leaf.path.rpartition(".")
    names = [*map(leaf.siblings.get, _NAMES), above] if field in _VALUES else []
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


def is_console_key(value: str, catalog: Catalog) -> bool:
    """Whether this is the fixed API key of a seeded console app, or the placeholder of one."""
    placeholder = PLACEHOLDER.fullmatch(value)
    return placeholder.group(1) == "console_api_key" if placeholder else catalog.is_console_key(value)
