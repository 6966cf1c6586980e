"""Typed values into what Postman reads: JSON texts with `{{placeholders}}`, JavaScript literals, Markdown.

Postman replaces `{{name}}` in URLs, headers and bodies, again and again until nothing changes (postman-collection,
`superstring/index.js`), so no escape exists. What is done instead, and only here:

- JSON bodies: a recorded `{` that could open a placeholder is written `\\u007b`, which JSON decodes back.
- URLs, headers and raw bodies: every `{{x}}` that stands in recorded text is listed (`tokens`); the collection's first
  script gives `x` the value `{{x}}`, which therefore stays as it is, and `Names` never calls a variable like that.
- Values: each place uses a form of the variable that is escaped for it (`{{DF_PASSWORD_escaped}}` inside a JSON
  string); the same script computes the forms.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from typing import Any

import msgspec

from dfrecord.journey.model import RawBody, Variable, VariableKind
from dfrecord.tree import Array, Encoding, Number, Object, Text, Tree, Var

FORMS = ("json", "escaped", "escaped_twice", "uri", "base64", "csv", "csv_inside", "xml")
"""json: a whole JSON value · escaped: inside a JSON string · escaped_twice: inside JSON text inside a JSON string.

The others are those of `Encoding`."""

_TOKEN = re.compile(r"\{\{([^{}]*?)\}\}")  # postman-collection's REGEX_EXTRACT_VARS
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_JSON_FORMS = {
    Encoding.PLAIN: "escaped",
    Encoding.JSON: "escaped_twice",
    Encoding.URI: "uri",
    Encoding.BASE64: "base64",
}
_TEXT_FORMS = {
    Encoding.PLAIN: "",
    Encoding.JSON: "escaped",
    Encoding.URI: "uri",
    Encoding.BASE64: "base64",
    Encoding.CSV: "csv",
    Encoding.CSV_INSIDE: "csv_inside",
    Encoding.XML: "xml",
}


def tokens(texts: Iterable[str]) -> list[str]:
    """The names of all `{{name}}` in recorded texts, sorted, each once."""
    return sorted({name for text in texts for name in _TOKEN.findall(text)})


class Names:
    """What the variables of a journey are called in the collection, and which escaped forms of them are in use.

    A variable given from outside goes by its environment variable, any other by its own name. `encoded` maps each form
    in use to (name, form); `plain` holds the names that Postman puts into URLs and headers as they are.
    """

    def __init__(self, variables: Iterable[Variable], reserved: Iterable[str]) -> None:
        self.encoded: dict[str, tuple[str, str]] = {}
        self.plain: set[str] = set()
        self._variables = {variable.name: variable for variable in variables}
        self._names: dict[str, str] = {}
        taken = set(reserved)
        for variable in self._variables.values():
            given = variable.env and variable.kind is not VariableKind.CAPTURE
            name = variable.env if given else variable.name
            while taken & {name, *(f"{name}_{form}" for form in FORMS)}:
                name += "_"
            taken |= {name, *(f"{name}_{form}" for form in FORMS)}
            self._names[variable.name] = name

    def __getitem__(self, variable: str) -> str:
        return self._names[variable]

    def variable(self, name: str) -> Variable:
        """The variable of that journey name."""
        return self._variables[name]

    def form(self, variable: str, form: str) -> str:
        """The name under which `variable` stands escaped as `form` (empty: as it is)."""
        name = self._names[variable]
        if not form:
            self.plain.add(name)
            return name
        if self._same_in(variable, form):
            return name
        self.encoded[f"{name}_{form}"] = (name, form)
        return f"{name}_{form}"

    def _same_in(self, name: str, form: str) -> bool:
        """Numbers and booleans read the same in JSON and in JSON strings; whole numbers in URLs too."""
        variable = self._variables[name]
        always = variable.required or variable.default is not None or not variable.env
        safe = {"integer": 4, "boolean": 4, "number": 3}.get(variable.type, 0)
        return always and form in FORMS[:safe]


# ---------------------------------------------------------------- what is sent


def json_text(tree: Tree, names: Names, indent: int = 0) -> str:
    """A JSON tree as readable JSON text with placeholders for its variables."""
    inner, outer = "\n" + "    " * (indent + 1), "\n" + "    " * indent
    match tree:
        case Var(name=name):
            return "{{" + names.form(name, "json") + "}}"
        case Text():
            return _json_string(tree, names)
        case Number(text=text):
            return text if _NUMBER.fullmatch(text) else json.dumps(text)
        case Array(items=items) if items:
            return "[" + inner + f",{inner}".join(json_text(item, names, indent + 1) for item in items) + outer + "]"
        case Object(members=members) if members:
            lines = [
                _json_string(key if isinstance(key, Text) else Text((key,)), names)
                + ": "
                + json_text(value, names, indent + 1)
                for key, value in members
            ]
            return "{" + inner + f",{inner}".join(lines) + outer + "}"
        case Array():
            return "[]"
        case Object():
            return "{}"
        case str():
            return _json_string(Text((tree,)), names)
        case _:
            return json.dumps(tree)


def _json_string(text: Text, names: Names) -> str:
    result = ""
    for part in text.parts:
        if isinstance(part, Var):
            form = names.form(part.name, _JSON_FORMS[part.encoding])
            result = _close_brace(result) + "{{" + form + "}}"
        else:
            # JSON never escapes a brace, so one that is followed by another stands in the recorded text
            if part.startswith("{"):
                result = _close_brace(result)
            result += re.sub(r"\{(?=\{)", r"\\u007b", json.dumps(part, ensure_ascii=False)[1:-1])
    return '"' + _escape_surrogates(result) + '"'


def _close_brace(text: str) -> str:
    return text[:-1] + "\\u007b" if text.endswith("{") else text


def _escape_surrogates(text: str) -> str:
    return re.sub("[\ud800-\udfff]", lambda found: f"\\u{ord(found[0]):04x}", text)


def placeholders(text: Text, names: Names) -> str:
    """A URL or header text with placeholders for its variables."""
    return "".join(
        "{{" + names.form(part.name, _TEXT_FORMS[part.encoding]) + "}}" if isinstance(part, Var) else part
        for part in text.parts
    )


def raw_text(body: RawBody, names: Names) -> str:
    """A raw body that `is_text` as text with placeholders for its variables."""
    return placeholders(Text(tuple(part if isinstance(part, Var) else part.decode() for part in body.parts)), names)


def is_text(body: RawBody) -> bool:
    """Whether all bytes of a raw body are UTF-8."""
    try:
        return all(isinstance(part, Var) or part.decode() is not None for part in body.parts)
    except UnicodeDecodeError:
        return False


# ---------------------------------------------------------------- JavaScript


def js(value: Any) -> str:
    """A JSON-like value as a JavaScript literal of one line, without anything that hides or that Postman replaces."""
    text = json.dumps(value, ensure_ascii=False).replace("{{", "\\u007b\\u007b")
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def js_text(text: Text, names: Names) -> str:
    """A text as a JavaScript expression; its variables are read when it runs."""
    if text.literal is not None:
        return js(text.literal)
    return "[" + ", ".join(js(p) if isinstance(p, str) else _js_form(p, names) for p in text.parts) + '].join("")'


def js_tree(tree: Tree, names: Names) -> str:
    """A JSON tree as a JavaScript expression; its variables are read when it runs, with their JSON types."""
    match tree:
        case Var(name=name):
            variable = names.variable(name)
            read = _js_variable(names[name])
            made = variable.kind in (VariableKind.CAPTURE, VariableKind.LOOKUP)
            return read if made or variable.type == "string" else f"JSON.parse({read})"
        case Text():
            return js_text(tree, names)
        case Number(text=text):
            return text if _NUMBER.fullmatch(text) else js(text)
        case Array(items=items):
            return "[" + ", ".join(js_tree(item, names) for item in items) + "]"
        case Object(members=members):
            keys = [js_text(key if isinstance(key, Text) else Text((key,)), names) for key, _ in members]
            pairs = zip(keys, members, strict=True)
            return "{" + ", ".join(f"[{key}]: {js_tree(value, names)}" for key, (_, value) in pairs) + "}"
        case _:
            return js(tree)


def js_raw_part(part: bytes | Var, names: Names) -> str:
    """A part of a body as a JavaScript expression; `bytes` and `recorded` are functions of the template."""
    if isinstance(part, Var):
        return f"bytes({_js_form(part, names)})"
    return f"recorded({js(base64.b64encode(part).decode())})"


def _js_form(var: Var, names: Names) -> str:
    form = _TEXT_FORMS[var.encoding]
    return _js_variable(names.form(var.name, form) if form else names[var.name])


def _js_variable(name: str) -> str:
    return f"pm.variables.get({js(name)})"


# ---------------------------------------------------------------- for people


def clean(text: str, limit: int = 200) -> str:
    """Recorded text as one short line for a person: no control, invisible or direction-changing characters."""
    line = _UNSEEN.sub("\ufffd", " ".join(text.split()))
    return line if len(line) <= limit else line[: limit - 1] + "…"


def markdown(text: str, limit: int = 200) -> str:
    """Recorded text as one line of Markdown that shows as it is."""
    return re.sub(r"([\\`*{}\[\]<>|~#&!]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))", r"\\\1", clean(text, limit))


def collection_json(value: Any) -> str:
    """The JSON text of a file; what hides or cannot be written in UTF-8 is escaped."""
    text = re.sub(
        "[\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]",
        lambda found: f"\\u{ord(found[0]):04x}",
        json.dumps(value, ensure_ascii=False),  # not indented, for then it is not done in C
    )
    text, line = msgspec.json.format(text, indent=1), "\n"
    while line + " " in text:
        text = text.replace(line + " ", line + "\t")
        line += "\t"
    return text + "\n"
