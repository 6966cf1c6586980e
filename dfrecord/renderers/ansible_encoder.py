"""The one place where typed values become YAML that Ansible reads: recorded text, templates, and the trees of both.

Everything recorded is untrusted. Ansible evaluates a string that holds Jinja2's opening braces, or others that its
first line `#jinja2:` names. A recorded one with such a character in it carries Ansible's tag `!unsafe` and never stands
inside a template's own source: a text with variables whose literal parts could mean something to Jinja2 becomes a list
of parts, joined when the playbook runs.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import yaml

from dfrecord.journey.model import Variable, VariableKind
from dfrecord.outputs import INVISIBLE
from dfrecord.renderers.bash_encoder import Scope
from dfrecord.renderers.jq_encoder import json_parts
from dfrecord.tree import Array, Encoding, Number, Object, Text, Tree, Var


class Recorded(str):
    """Text that means itself, whatever stands in it."""

    __slots__ = ()


class Template(str):
    """Source of a Jinja2 template, made here or by the renderer."""

    __slots__ = ()


class CannotStand(Exception):
    """A tree that YAML or Ansible would alter: it has to be sent as JSON text."""


# ---------------------------------------------------------------- YAML

_MAY_MEAN_MORE = re.compile("[{#]")


class _Dumper(yaml.SafeDumper):
    """Block YAML for people: lists indented, no anchors, and no character that hides."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def write_double_quoted(self, text: str, split: bool = True) -> None:
        self.allow_unicode = not INVISIBLE.search(text)  # else all that is not ASCII is escaped
        super().write_double_quoted(text, split)
        self.allow_unicode = True


def _recorded(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    tag = "!unsafe" if _MAY_MEAN_MORE.search(text) else "tag:yaml.org,2002:str"
    return dumper.represent_scalar(tag, str(text), style='"' if INVISIBLE.search(text) else None)


def _template(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style='"')


_Dumper.add_representer(Recorded, _recorded)
_Dumper.add_representer(str, _recorded)
_Dumper.add_representer(Template, _template)


def to_yaml(value: Any, indent: int = 0) -> str:
    """The value to stand right after `key:`: a scalar on its line, a mapping or list on lines of their own."""
    text = yaml.dump(
        value, Dumper=_Dumper, width=float("inf"), allow_unicode=True, sort_keys=False, default_flow_style=False
    )
    if not isinstance(value, dict | list) or not value:
        return " " + text.removesuffix("...\n").removesuffix("\n")
    return "".join(f"\n{' ' * indent}{line}" for line in text.removesuffix("\n").split("\n"))


# ---------------------------------------------------------------- values

_EXACT = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")
_DEEPEST = 60


_FILTERS = {
    Encoding.PLAIN: "",
    Encoding.URI: " | df_uri",
    Encoding.JSON: " | df_json_inside",
    Encoding.BASE64: " | b64encode",
    Encoding.CSV: " | df_csv",
    Encoding.CSV_INSIDE: " | df_csv_inside",
    Encoding.XML: " | df_xml",
}


@dataclass
class Encoder(Scope):
    """Typed values as YAML values. `names` gives the playbook's name of each variable of the journey.

    `texts` collects the lists of parts that the task being written needs among its own variables.
    """

    names: dict[str, str] = field(default_factory=dict)
    texts: dict[str, list[Recorded | Template]] = field(default_factory=dict)

    def take_texts(self) -> dict[str, Any]:
        """What was collected; the next task starts afresh."""
        texts, self.texts = self.texts, {}
        return dict(texts)

    def reference(self, name: str, *encodings: Encoding) -> str:
        """The Jinja2 expression whose value is the variable's, as text in these encodings, the innermost first."""
        expression = self.names[name]
        type = self.variables[name].type
        if type in ("number", "boolean"):
            expression += " | to_json"
        for encoding in encodings:
            if encoding is Encoding.BASE64 or type != "integer":
                expression += _FILTERS[encoding]
        return expression

    def text(self, text: Text, *, in_header: bool = False) -> Recorded | Template:
        """A string: itself, a template, or a template that joins a list of parts."""
        literal = text.literal
        if literal is not None:
            return Recorded(literal)
        if all(is_data(part) for part in text.parts if isinstance(part, str)):
            return Template(
                "".join(part if isinstance(part, str) else self._hole(part, in_header) for part in text.parts)
            )
        return self.joined(
            Recorded(part) if isinstance(part, str) else Template(self._hole(part, in_header)) for part in text.parts
        )

    def _hole(self, var: Var, in_header: bool) -> str:
        expression = self.reference(var.name, var.encoding)
        if in_header and self.variables[var.name].kind is not VariableKind.CAPTURE:
            expression += " | df_header"  # what a person gives may be more than ASCII
        return f"{{{{ {expression} }}}}"

    def joined(self, parts: Iterable[Recorded | Template]) -> Template:
        """A template that joins parts, which the task gets among its variables."""
        name = f"df_text_{len(self.texts) + 1}"
        self.texts[name] = list(parts)
        return Template(f"{{{{ {name} | join }}}}")

    def quoted(self, name: str) -> str:
        """The expression for a name: itself in quotes, or a variable of the task where that could mean more."""
        if re.fullmatch(r"[A-Za-z0-9_. -]*", name):
            return f"'{name}'"
        return self.joined([Recorded(name)]).strip("{} ")

    def tree(self, tree: Tree, depth: int = 0) -> Any:
        """A JSON value. Raises CannotStand when YAML or Ansible would alter it."""
        if depth > _DEEPEST:
            raise CannotStand
        match tree:
            case None | bool():
                return tree
            case Number(text=text):
                return _number(text)
            case str():
                return _standing(Recorded(tree))
            case Var(name=name, encoding=Encoding.PLAIN):
                return Template(f"{{{{ {self.names[name]}{self._or_null(name)} }}}}")
            case Var():
                return self.text(Text((tree,)))
            case Text():
                return _standing(self.text(tree), *(part for part in tree.parts if isinstance(part, str)))
            case Array(items=items):
                return [self.tree(item, depth + 1) for item in items]
            case Object(members=members):
                keys = [key if isinstance(key, str) else key.literal for key, _ in members]
                named = [_standing(Recorded(key)) for key in keys if key is not None]
                if len(set(named)) < len(members):
                    raise CannotStand
                return {key: self.tree(value, depth + 1) for key, (_, value) in zip(named, members, strict=True)}
        raise TypeError(f"not a JSON value: {tree!r}")

    def _or_null(self, name: str) -> str:
        """What makes null of an optional variable that is not given."""
        variable = self.variables[name]
        optional = variable.env and variable.kind is not VariableKind.CAPTURE and not variable.required
        return " | default(none, true)" if optional and variable.default is None and variable.type == "string" else ""

    def json_text(self, tree: Tree) -> list[bytes | str]:
        """The JSON value as compact text; each `str` among the parts is an expression whose value stands there."""
        return list(json_parts(tree, self))


def is_data(part: str) -> bool:
    """Whether Jinja2 takes this literal part of a template for nothing but text, and changes nothing in it."""
    return not re.search(r"[{#\r\n]", part)


def _number(text: str) -> int | float:
    if len(text) < 4000 and _EXACT.fullmatch(text) and text != "-0":
        value = float(text) if "." in text else int(text)
        if repr(value) == text:
            return value
    raise CannotStand


def _standing(value: Any, *parts: str) -> Any:
    """The text. Raises CannotStand for half a surrogate pair, which YAML has no way to write."""
    if any(re.search("[\ud800-\udfff]", part) for part in (str(value), *parts)):
        raise CannotStand
    return value


def as_parts(content: Iterable[bytes | str]) -> tuple[list[Recorded | Template], bool]:
    """The parts of a body, and whether some of it is not text and has to go through a file.

    `bytes` are literal; what is not UTF-8 stands in Base64, from which Ansible makes the same bytes again.
    """
    parts: list[Recorded | Template] = []
    binary = False
    for part in content:
        if isinstance(part, str):
            parts.append(Template(f"{{{{ {part} }}}}"))
            continue
        try:
            parts.append(Recorded(part.decode()))
        except UnicodeDecodeError:
            parts.append(Template(f"{{{{ '{base64.b64encode(part).decode()}' | b64decode }}}}"))
            binary = True
    return parts, binary


def playbook_names(variables: Iterable[Variable]) -> dict[str, str]:
    """The playbook's name of each variable: its environment variable in lower case, else its own after `df_`."""
    names: dict[str, str] = {}
    taken = set(RESERVED)
    for variable in variables:
        name = variable.env.lower() if variable.env else f"df_{variable.name}"
        if not re.fullmatch(r"df_[a-z0-9_]+", name):
            name = f"df_{name}"
        while name in taken or name.startswith("df_text_"):
            name += "_"
        taken.add(name)
        names[variable.name] = name
    return names


RESERVED = frozenset(
    re.findall(
        r"\w+",
        """
        df_answer df_change df_created df_created_file df_dangers df_file df_for df_found df_gives df_given df_id
        df_keys
        df_logs_in df_makes df_needed df_needed_to_log_in df_needed_to_log_in_to_undo df_needed_to_run df_needed_to_undo
        df_no_log df_notes df_now df_ok df_outcome df_own
        df_pause df_path df_query df_read df_recorded df_related df_removed df_resource df_rest df_rows df_secrets
        df_taken df_teardown df_there df_changed df_unknown df_unset df_validate_certs df_wanted df_wrote df_yes
        """,
    )
)
"""The names that playbooks use themselves."""
