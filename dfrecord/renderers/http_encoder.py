"""Typed values as a `.http` file has them: `{{placeholders}}`, and recorded text that none of its readers obeys.

VS Code REST Client, JetBrains and httpyac replace every `{{…}}`, and have no escape that all of them know. So recorded
text never holds one: in JSON a brace is written `\\u007b`, which JSON decodes back; in URLs it is percent-encoded; a
header with one is refused. JSON is laid out in lines that begin with a blank, a bracket or a quote, so that none of
them is a separator (`###`), a comment, an include (`< file`), a script or an assertion; other bodies lie in files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from dfrecord.errors import UsageError
from dfrecord.journey.model import Variable
from dfrecord.renderers.postman_encoder import clean, js
from dfrecord.tree import Array, Encoding, Number, Object, Text, Tree, Var

FORMS = {
    Encoding.PLAIN: "text",
    Encoding.JSON: "escaped",
    Encoding.URI: "uri",
    Encoding.BASE64: "base64",
}
_IN_JSON = {**FORMS, Encoding.PLAIN: "escaped", Encoding.JSON: "escaped_twice"}
_KEPT_IN_URL = re.compile(r"[^A-Za-z0-9._~!$&'()*+,;=:@/?%-]")
_NO_CODE = re.compile("%(?![0-9A-Fa-f]{2})")
_PLAIN_DEFAULT = re.compile(r"[^\s{}\\\"'`$<>][^{}\\\"`$]*")


@dataclass(frozen=True)
class HttpEncoder:
    """Encodes values over variables.

    `made` maps a captured or looked-up variable to the place in an answer where it stands by now. `forms` collects
    which escaped forms of the other variables are in use: name of the placeholder to variable and form.
    """

    variables: Mapping[str, Variable]
    made: dict[str, str]
    forms: dict[str, tuple[str, str]] = field(default_factory=dict)

    def placeholder(self, name: str, form: str) -> str:
        """The text that a client replaces by the variable's value, escaped for its place."""
        if name in self.made:
            return f"{{{{{self.made[name]}}}}}"
        variable = self.variables[name]
        suffix = "" if form == self.usual(variable) else f"_{form}"
        self.forms[f"{name}{suffix}"] = (name, form)
        return f"{{{{{name}{suffix}}}}}"

    def usual(self, variable: Variable) -> str:
        """The form that goes by the variable's own name."""
        if variable.env == "DF_BASE_URL":
            return "text"
        return "escaped" if variable.type == "string" else "json"

    # ---------------------------------------------------------------- JSON

    def json(self, tree: Tree, indent: int = 0) -> str:
        """A JSON value as text, over several lines."""
        inner, outer = "\n" + "  " * (indent + 1), "\n" + "  " * indent
        match tree:
            case Var(name=name, encoding=Encoding.PLAIN):
                if self.variables[name].type == "string" and self._always(name):
                    return f'"{self.placeholder(name, "escaped")}"'
                return self.placeholder(name, "json")
            case Var():
                return self._string(Text((tree,)))
            case Text():
                return self._string(tree)
            case Number(text=text):
                return text
            case Array(items=items) if items:
                return "[" + inner + f",{inner}".join(self.json(item, indent + 1) for item in items) + outer + "]"
            case Object(members=members) if members:
                pairs = (f"{self._key(key)}: {self.json(value, indent + 1)}" for key, value in members)
                return "{" + inner + f",{inner}".join(pairs) + outer + "}"
            case Array():
                return "[]"
            case Object():
                return "{}"
            case str():
                return self._string(Text((tree,)))
        return js(tree)

    def _always(self, name: str) -> bool:
        variable = self.variables[name]
        return name in self.made or variable.required or variable.default is not None or bool(variable.follows)

    def _key(self, key: str | Text) -> str:
        return self._string(key if isinstance(key, Text) else Text((key,)))

    def _string(self, text: Text) -> str:
        parts = (
            self.placeholder(part.name, _IN_JSON[part.encoding]) if isinstance(part, Var) else json_inside(part)
            for part in text.parts
        )
        return f'"{"".join(parts)}"'

    # ---------------------------------------------------------------- URL and headers

    def target(self, target: Text) -> str:
        """Path and query; what a URL cannot hold, and braces, are percent-encoded.

        Raises UsageError for a % that begins no UTF-8: httpyac sends no such URL.
        """
        literal = "".join(part for part in target.parts if isinstance(part, str))
        if _NO_CODE.search(literal) or not _is_utf8(unquote_to_bytes(literal.encode("utf-8", "surrogatepass"))):
            raise UsageError(f"format http: clients refuse the % in the URL {clean(literal)}; choose curl or python")
        return "".join(
            self.placeholder(part.name, "uri") if isinstance(part, Var) else _KEPT_IN_URL.sub(_percent, part)
            for part in target.parts
        )

    def header(self, name: str, value: Text) -> str:
        """One line. Raises UsageError when it holds what every client would replace."""
        literal = "\0".join(part for part in value.parts if isinstance(part, str))
        ends = literal.rstrip().endswith(",")  # httpyac takes it away
        if ends or "{{" in literal or "{{" in name or not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
            raise UsageError(
                f"format http: the header {clean(name)} cannot be written so that clients leave it as it is"
            )
        parts = (
            (
                self.placeholder(part.name, FORMS[part.encoding])
                if isinstance(part, Var)
                else re.sub("[\r\n\0]", " ", part)
            )
            for part in value.parts
        )
        return f"{name}: {''.join(parts).strip()}"

    # ---------------------------------------------------------------- scripts

    def js(self, tree: Tree) -> str:
        """A JSON value as a JavaScript expression of httpyac, evaluated when it runs."""
        match tree:
            case Var(name=name) if name in self.made:
                return self.made[name]
            case Var(name=name):
                return f"dfrecord.values[{js(name)}]"
            case Text(parts=parts):
                return (
                    "["
                    + ", ".join(js(part) if isinstance(part, str) else self.js(part) for part in parts)
                    + '].join("")'
                )
            case Array(items=items):
                return "[" + ", ".join(map(self.js, items)) + "]"
            case Object(members=members):
                pairs = (f"[{self.js(key)}]: {self.js(value)}" for key, value in members)
                return "{" + ", ".join(pairs) + "}"
            case Number(text=text):
                return f"JSON.parse({js(text)})"
        return js(tree)


def json_inside(text: str) -> str:
    """Recorded text as the inside of a JSON string that no client reads a placeholder in."""
    return js(text)[1:-1].replace("{", "\\u007b")


def default_line(text: str) -> str:
    """A recorded default as it may stand after `@name =`; an odd one in its escaped form."""
    return text if _PLAIN_DEFAULT.fullmatch(text) and text == clean(text) else json_inside(text)


def comment(text: str) -> str:
    """Recorded text as it may stand in a comment, or after `###`, that has words of ours before it."""
    return clean(text).replace("{{", "{ {")


def place(name: str, pointer: tuple[str | int, ...]) -> str:
    """A place in the answer of a named request, as REST Client's JSONPath and as JavaScript alike."""
    path = "".join(
        f"[{key}]" if isinstance(key, int) else f".{key}" if re.fullmatch(r"[A-Za-z_]\w*", key) else f"[{js(key)}]"
        for key in pointer
    )
    return f"{name}.response.body.${path}"


def _percent(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match.group().encode("utf-8", "surrogatepass"))


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True
