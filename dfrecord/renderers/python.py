"""The `python` format: one readable file with inline metadata (PEP 723) that needs nothing but `requests`.

In comes a journey, out goes a script with a small `DreamFactory` client, one function named after the journey, and a
`main`. This module decides what stands where and hands the templates in `templates/python/` source fragments that
`python_encoder` made; `python_names` settles which Python name each variable has and which of them a run needs.
"""

from __future__ import annotations

import inspect
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from dfrecord import nesting
from dfrecord.journey import text_escapes
from dfrecord.journey.model import (
    Capture,
    Journey,
    JsonBody,
    RawBody,
    RequestBody,
    RequestTemplate,
    Step,
    StepKind,
    Variable,
    VariableKind,
    Wanted,
)
from dfrecord.journey.text_body import TextKind, text_kind
from dfrecord.journey.text_records import records_in
from dfrecord.journey.undo_session import UndoSession
from dfrecord.renderers import python_encoder
from dfrecord.renderers.python_encoder import PythonEncoder, string
from dfrecord.renderers.python_format import LINE_LENGTH, formatted
from dfrecord.renderers.python_names import Names, Setting, name_variables
from dfrecord.renderers.registry import FunctionRenderer, OutputFile, RenderOptions
from dfrecord.renderers.residue import residue_lines
from dfrecord.renderers.templates import environment
from dfrecord.replaying import bounded, hiding, kept, predicted, reconcile, undoing, whole_list
from dfrecord.tree import Array, Object, Text, Var

# The second line is long itself, so that no linter finds the first one useless (ruff RUF100).
_LONG_LINES = """\
# ruff: noqa: E501
# Recorded values stay on one line each, however long they are, so that they can be searched for.
"""
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2

# What requests and urllib3 leave as it is: no dot or empty segments, and of %XX only upper case that does not stand
# for an unreserved character. Everything else they rewrite (urllib3/util/url.py, requests/utils.py requote_uri).
_UNTOUCHED = re.compile(
    r"(?:/(?!\.{1,2}(?:[/?]|$))(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%(?!2D|2E|3\d|4[1-9A-F]|5[0-9A]|5F|6[1-9A-F]|7[0-9A]|7E)"
    r"[0-9A-F]{2})+)+/?(?:\?(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%(?!2D|2E|3\d|4[1-9A-F]|5[0-9A]|5F|6[1-9A-F]|7[0-9A]|7E)"
    r"[0-9A-F]{2})+)?"
)
_FORBIDDEN_IN_TARGET = re.compile("[^\x21-\x7e]")


@dataclass(frozen=True, slots=True)
class Call:
    """One line of the journey function, as source fragments: a step's `call`, or a lookup's `find`."""

    method: str
    arguments: tuple[str, ...]
    title: str = ""
    guard: str = ""
    keeps_token: bool = False  # a login that runs even with a session token given does not replace that token
    notes: tuple[str, ...] = ()
    captures: tuple[tuple[str, str], ...] = ()  # target of the assignment, what of the answer is taken
    result: str = ""
    hides: tuple[str, ...] = ()  # the names it gives to secrets
    labels: tuple[str, ...] = ()  # a short name, and what kind of call it is


def render(journey: Journey, options: RenderOptions) -> tuple[OutputFile, ...]:
    """The script, executable, as UTF-8. Raises UsageError when a user's template does not make valid Python."""
    source = script(journey, options, "python", plans=not journey.literal, counts_steps=False)
    return (OutputFile(source.encode("utf-8"), executable=True),)


def script(journey: Journey, options: RenderOptions, language: str, **more: Any) -> str:
    """The journey as a Python program of that folder of templates, formatted; `more` is for its own templates.

    Every such program has the same client and the same journey function; what differs is how a program is started
    (`start`, `script`) and how a request is sent (`send`). Raises UsageError as `render` does.
    """
    names = name_variables(journey)
    encoder = PythonEncoder(names.expressions, {variable.name: variable.type for variable in journey.variables})
    body = _Body(journey, names, encoder, plans=bool(more.get("plans")))
    calls = body.calls()
    told = names.told if language == "python" else ()  # other programs name each of their runs anew
    env = environment(
        options.template_dir,
        {
            "string": string,
            "title": python_encoder.title,
            "comment": python_encoder.comment,
            "docstring": python_encoder.docstring,
            "help": python_encoder.help_text,
        },
    )
    exact = any(_needs_exact_sending(step.request, literal=journey.literal) for step in journey.steps)
    source = env.get_template(f"{language}/script.py.j2").render(
        journey=journey,
        list_rows=_tuple(journey.conventions.rows),
        language=language,
        function=names.function,
        result="".join(word.capitalize() for word in names.function.split("_")) + "Result",
        calls=calls,
        names=names,
        signature=_signature(names.arguments),
        environment_table=environment_table(more.pop("rows", None) or environment_rows(journey, names)),
        parsers={setting.parser for setting in names.settings if not setting.secret},
        token_header=body.token_header,
        token_value=body.token_value,
        exact=exact,
        as_given=_as_given() if exact else "",
        bounded=functions_of(bounded),
        helpers=encoder.helpers,
        has_json=any(isinstance(step.request.body, JsonBody) or step.wanted for step in journey.steps),
        token_fields=_renewed(journey) if more.get("plans") else [],
        has_csv=any(text_kind(step.request.content_type) is TextKind.TABLE for step in journey.steps),
        tells_records=any(argument.startswith("records=") for call in calls for argument in call.arguments),
        has_captures=any(call.captures for call in calls),
        has_lookups=any(call.method == "find" for call in calls),
        shows_target=any("shown=" in argument for call in calls for argument in call.arguments),
        dangers=[(step.title, step.danger) for step in journey.steps if step.danger],
        once=[(step.once, step.title) for step in journey.steps if step.once],
        residue=residue_lines(journey.residue),
        undo_logins=[body.step(step) for step in names.undo.logins],
        undo_logouts=[body.step(step) for step in names.undo.logouts],
        undo_headers=body.undo_headers(names.undo),
        needed_when=_needed_when(names.settings, undoes=journey.teardown),
        followers=_followers(journey, names),
        letters=_letters(journey),
        hides=any(variable.secret for variable in journey.variables),
        hiding=functions_of(hiding),
        kept=functions_of(kept),
        nesting=functions_of(nesting),
        text_escapes=functions_of(text_escapes) if any(hasattr(text_escapes, name) for name in encoder.helpers) else "",
        in_xml=[string(env) for env in journey.in_xml],
        reconcile=functions_of(reconcile),
        predicted=functions_of(predicted),
        undoing=functions_of(undoing),
        whole_list=functions_of(whole_list),
        puts_back=body.puts_back,
        keys={
            text.partition("?")[0]: step.named_by
            for step in journey.steps
            if (text := step.request.target.literal) and step.named_by
        },
        told=told,
        told_values=_told_values(told),
        teardown_signature=_signature(told),
        **more,
    )
    return _with_long_lines(formatted(source))


def step_calls(journey: Journey) -> Iterator[Call]:
    """The call of each step, for showing it alone."""
    names = name_variables(journey)
    body = _Body(journey, names, PythonEncoder(names.expressions, {v.name: v.type for v in journey.variables}))
    return (body.step(step) for step in journey.steps)


def _acts_as(step: Step) -> str:
    """What a plan has to be told of a call: that it writes no record, or the verb that it stands for."""
    method = step.request.method
    verbs = {StepKind.UPDATE: ("PUT", "PATCH"), StepKind.DELETE: ("DELETE",), StepKind.CREATE: ("POST",)}
    if step.kind in verbs:
        return "" if method in verbs[step.kind] else verbs[step.kind][0]
    return "" if method in ("GET", "HEAD") else "CALL"


def _renewed(journey: Journey) -> list[str]:
    """The fields of answers from which a session token is taken, when a run goes on with another than its first."""
    header = journey.conventions.token_header
    sent = (value for step in journey.steps for name, value in step.request.headers if name == header)
    tokens = {var.name for value in sent for var in value.variables}
    captures = [capture for step in journey.steps for capture in step.captures if capture.variable in tokens]
    several = len({capture.variable for capture in captures}) > 1
    return sorted({str(capture.pointer[-1]) for capture in captures}) if several else []


def _with_long_lines(text: str) -> str:
    """The formatted script, with a word to linters when lines of it are long."""
    if any(_width(line) > LINE_LENGTH for line in text.splitlines()):
        text = text.replace("# ///\n", f"# ///\n{_LONG_LINES}", 1)
    return text


def _width(line: str) -> int:
    """The columns a line takes at most: linters count wide characters twice."""
    return len(line) + sum(not character.isascii() for character in line)


class _Body:
    """Turns the schedule of a journey into calls."""

    def __init__(self, journey: Journey, names: Names, encoder: PythonEncoder, *, plans: bool = False) -> None:
        self._journey, self._names, self._encoder = journey, names, encoder
        self._plans_calls = plans and not journey.upsert
        self.puts_back = plans and journey.upsert and journey.teardown
        self._token = self._usual_token_header()
        self.token_header = string(self._token[0]) if self._token else ""
        self.token_value = ""
        if self._token:
            expression = {**names.expressions, names.session: "self.session_token"}
            self.token_value = PythonEncoder(expression, encoder.types).text(self._token[1])

    def _usual_token_header(self) -> tuple[str, Text] | None:
        """The header that carries the session token in most requests; the client sends it by itself."""
        if self._journey.literal or not self._names.session:
            return None
        requests = [step.request.headers for step in self._journey.steps]
        requests += [variable.lookup.headers for variable in self._journey.variables if variable.lookup]
        found = Counter(
            header
            for headers in requests
            for header in headers
            if [var.name for var in header[1].variables] == [self._names.session]
        )
        return found.most_common(1)[0][0] if found else None

    def calls(self) -> list[Call]:
        """What runs, in order."""
        return [self.step(item) if isinstance(item, Step) else self._lookup(item) for item in self._journey.schedule()]

    def step(self, step: Step) -> Call:
        """A step as a call."""
        request, wanted = step.request, step.wanted
        notes = list(step.notes)
        title = self._encoder.text(_cleaned(step.heading)) if step.heading else python_encoder.title(step.title)
        body = self._body(request.body)
        if wanted is None:
            method, arguments = "call", [title, string(request.method), self._target(request.target)]
            if shown := self._shown_target(request.target):
                arguments.append(f"shown={shown}")
            arguments += [body] if body else []
        else:
            method, arguments = self._wanted(step, wanted, title)
        arguments += [f"makes={string(step.makes)}"] if step.makes else []
        arguments += [f"once={string(step.once)}"] if step.once else []
        arguments += ["may_be_gone=True"] if step.may_be_gone else []
        if step.once and step.captures:
            places = (f"({_pointer(capture.pointer)},)" for capture in step.captures)
            arguments.append(f"keeps=[{', '.join(places)}]")
        arguments += [f"due={string(step.due)}"] if step.due else []
        if not self._journey.literal and (step.resource or "").endswith("_session"):
            arguments.append("signs_on=True")
        elif self._plans_calls and (acts_as := _acts_as(step)):
            arguments.append(f"acts_as={string(acts_as)}")
        if self._plans_calls and step.kind in (StepKind.CREATE, StepKind.UPDATE, StepKind.DELETE):
            arguments += self._told_records(step)
        headers = [(name, value) for name, value in request.headers if _TOKEN.fullmatch(name)]
        notes += [f"header {name} cannot be sent" for name, _ in request.headers if not _TOKEN.fullmatch(name)]
        if self._journey.literal:
            if headers:
                pairs = ", ".join(f"({string(name)}, {self._header(value)})" for name, value in headers)
                arguments.append(f"headers=[{pairs}]")
        else:
            arguments += self._changed_headers(headers, body.startswith("json="), step.kind)
        kept = [self._names.assigned(c.variable) for c in step.captures if self._journey.variable(c.variable).secret]
        guard = self._names.guard(step) or ("df.wrote" if step.only_after_changes and not step.due else "")
        return Call(
            method=method,
            arguments=tuple(arguments),
            title=step.title,
            guard=guard,
            keeps_token=(step.kind is StepKind.LOGIN or self._journey.literal) and not guard,
            notes=tuple(notes),
            captures=tuple((self._names.assigned(capture.variable), self._taken(capture)) for capture in step.captures),
            hides=tuple(name for name in kept if name != "df.session_token"),
            labels=tuple(dict.fromkeys([step.name, step.kind.value, *([step.resource] if step.resource else [])])),
        )

    def _told_records(self, step: Step) -> list[str]:
        """What a plan has to be told of a body that is no JSON: its records; those of a CSV it reads itself."""
        body, media_type = step.request.body, step.request.content_type
        if not isinstance(body, RawBody) or text_kind(media_type) is TextKind.TABLE:
            return []
        found = records_in(body, media_type, self._journey.conventions.wrapper)
        is_one = len(found) == 1 and step.kind is not StepKind.CREATE and step.request.target.variables
        records = found[0] if is_one else Array(tuple(found))
        return [f"records={'[]' if python_encoder.is_large(records) else self._encoder.tree(records)}"]

    def _taken(self, capture: Capture) -> str:
        function = "pick_number" if self._journey.variable(capture.variable).type == "integer" else "pick"
        return f"{function}(answer, {_pointer(capture.pointer)})"

    def _wanted(self, step: Step, wanted: Wanted, title: str) -> tuple[str, list[str]]:
        """The method and arguments of a step that says what shall be true."""
        target = self._target(step.request.target)
        document = self._encoder.tree(wanted.document if self.puts_back else wanted.compared)
        if step.kind is StepKind.DELETE:
            named = [f"there={self._names.expressions[wanted.record]} is not None"] if wanted.record else []
            again = wanted.document.get("again")
            named += [f"again={self._encoder.tree(again)}"] if again and self.puts_back else []
            return "remove", [title, target, *named]
        if step.kind is StepKind.UPDATE:
            return "change", [title, target, document]
        return "ensure", [title, string(step.resource or ""), string(step.request.method), target, document]

    def _body(self, body: RequestBody) -> str:
        """The `json=` or `body=` argument, empty for no body; a null or an unreadably large tree is given as bytes."""
        match body:
            case RawBody():
                return f"body={self._encoder.raw(body)}"
            case JsonBody(tree=tree) if tree is None or python_encoder.is_large(tree):
                return f"body={self._encoder.json_text(tree)}"
            case JsonBody(tree=tree):
                return f"json={self._encoder.tree(tree)}"
        return ""

    def _target(self, target: Text) -> str:
        """The target with what HTTP forbids in it percent-encoded."""
        parts = tuple(
            (
                _FORBIDDEN_IN_TARGET.sub(_percent, part if self._journey.literal else part.replace("#", "%23"))
                if isinstance(part, str)
                else part
            )
            for part in target.parts
        )
        return self._encoder.text(Text(parts))

    def _shown_target(self, target: Text) -> str:
        """What the log shows instead of a target that holds a secret, empty when it holds none."""
        if not any(self._journey.variable(var.name).secret for var in target.variables):
            return ""
        parts = (part if isinstance(part, str) else "***" for part in target.parts)
        return python_encoder.title("".join(parts))

    def _header(self, value: Text) -> str:
        """A header value without the line ends and outer blanks that HTTP forbids."""
        parts = [re.sub("[\r\n\0]", " ", part) if isinstance(part, str) else part for part in value.parts]
        if parts and isinstance(first := parts[0], str):
            parts[0] = first.lstrip(" \t")
        if parts and isinstance(last := parts[-1], str):
            parts[-1] = last.rstrip(" \t")
        return self._encoder.text(Text(tuple(part for part in parts if part)))

    def _changed_headers(self, headers: list[tuple[str, Text]], is_json: bool, kind: StepKind | None) -> list[str]:
        """The `headers=` argument: what differs from the headers that the client sends by itself."""
        wanted: dict[str, tuple[str, list[Text]]] = {}
        for name, value in headers:
            wanted.setdefault(name.lower(), (name, []))[1].append(value)
        usual = {"accept": ("Accept", Text(("application/json",)))}
        if is_json:
            usual["content-type"] = ("Content-Type", Text(("application/json",)))
        if self._token:
            usual[self._token[0].lower()] = self._token
        changed = [
            f"{string(name)}: {self._header(_joined(values))}"
            for key, (name, values) in wanted.items()
            if key not in usual or usual[key][1] != _joined(values)
        ]
        for key, (name, _) in usual.items():
            may_stay = key == "accept" or (kind is StepKind.LOGIN and self._token and key == self._token[0].lower())
            if key not in wanted and not may_stay:
                changed.append(f"{string(name)}: None")
        return [f"headers={{{', '.join(changed)}}}"] if changed else []

    def undo_headers(self, undo: UndoSession) -> str:
        """What a teardown sends besides the headers that the client sends by itself, as a dict; empty for nothing."""
        return "".join(self._changed_headers(list(undo.headers), False, None)).removeprefix("headers=")

    def _lookup(self, variable: Variable) -> Call:
        lookup = variable.lookup
        assert lookup is not None
        match = {field: self._encoder.tree(value) for field, value in lookup.match}
        pairs = ", ".join(f"{string(field)}: {value}" for field, value in match.items())
        arguments = [
            python_encoder.title(lookup.title),
            string(lookup.resource),
            self._target(lookup.path),
            f"{{{pairs}}}",
        ]
        if lookup.newer:
            newer = (self._encoder.tree(Object(key)) for key in lookup.newer)
            arguments.append(f"newer=({', '.join(newer)},)")
        if lookup.optional:
            arguments.append("optional=True")
        if lookup.rows != self._journey.conventions.rows:
            arguments.append(f"rows={_tuple(lookup.rows)}")
        if lookup.pick != self._journey.conventions.id:
            arguments.append(f"pick={string(lookup.pick)}")
        if lookup.nth is not None:
            arguments.append(f"nth={lookup.nth}")
        if lookup.alike:
            arguments.append(f"alike={lookup.alike}")
        arguments += self._changed_headers(list(lookup.headers), False, None)
        return Call(
            "find",
            tuple(arguments),
            lookup.title,
            result=self._names.assigned(variable.name),
            hides=(self._names.assigned(variable.name),) if variable.secret else (),
            labels=(f"find_{variable.name}", VariableKind.LOOKUP.value, lookup.resource),
        )


def _cleaned(text: Text) -> Text:
    """A heading with its recorded parts made harmless; the blanks beside a variable stay."""
    return Text(tuple(python_encoder.visible(part) if isinstance(part, str) else part for part in text.parts))


def _letters(journey: Journey) -> list[str]:
    """The functions that the following variables need."""
    kinds = {variable.letters.value for variable in journey.variables if variable.letters}
    return sorted(kinds | ({"upper"} if "capitalized" in kinds else set()), reverse=True)


def _followers(journey: Journey, names: Names) -> list[tuple[str, str, str]]:
    """Each variable that is another one in other letters: its name, the function, the other's name."""
    return [
        (names.expressions[variable.name], variable.letters.value, names.expressions[variable.follows])
        for variable in journey.variables
        if variable.letters
    ]


def functions_of(module: ModuleType) -> str:
    """The functions of a module as they stand there: scripts and replay compare, and plan, alike."""
    source = inspect.getsource(module)
    return source[source.index("\ndef ") + 1 :]


def _needed_when(settings: tuple[Setting, ...], *, undoes: bool) -> list[tuple[str, list[Setting]]]:
    """What must be given, by the condition under which it must ("" always); `undoes`: the script can tear down."""
    groups: dict[str, list[Setting]] = {}
    for setting in settings:
        if setting.required:
            of_run = "not token" if setting.only_to_log_in else ""
            of_undo = "" if setting.to_undo_signed_on else "not token"
            if undoes and not setting.to_undo:
                condition = " and ".join(filter(None, ("not arguments.teardown", of_run)))
            elif undoes and of_run != of_undo:
                condition = "arguments.teardown or not token" if of_run else "not arguments.teardown or not token"
            else:
                condition = of_run
            groups.setdefault(condition, []).append(setting)
    return sorted(groups.items())


def _told_values(told: tuple[Setting, ...]) -> str:
    """The dict of what tells a run's records from another's: environment variable to value and recorded value."""
    return "{" + ", ".join(f"{s.env}: ({s.name}, {s.default})" for s in told) + "}"


def _signature(settings: tuple[Setting, ...]) -> str:
    """The parameters of the journey function; those with a default can stand anywhere, as all are keyword-only."""
    arguments = [
        f"{argument.name}: {argument.annotation}" + (f" = {argument.default}" if argument.default else "")
        for argument in settings
    ]
    return ", ".join(["df: DreamFactory", *(["*", *arguments] if arguments else [])])


def environment_rows(journey: Journey, names: Names, *, options: bool = True) -> list[tuple[str, str, str]]:
    """Each environment variable, whether it is needed, and what to know about it, with its command-line option."""

    def told(*facts: str, option: str) -> str:
        return ", ".join(filter(None, [*facts, f"or {option}" if options and option else ""]))

    rows = [("DF_BASE_URL", "required", told("the instance", option="--base-url"))]
    for setting in names.settings:
        need = "required" if setting.required else f"default {setting.default_text}" if setting.default else "optional"
        if setting.required and setting.only_to_log_in:
            need = f"required unless {names.session_env} is set"
        option = "" if setting.secret else setting.option.strip('"')
        facts = told("secret" if setting.secret else "", setting.description, option=option)
        rows.append((setting.env.strip('"'), need, facts))
    if names.session:
        need = "required" if names.session_required else "optional"
        rows.append((names.session_env, need, "secret, a session token to use instead of logging in"))
    if any(step.danger for step in journey.steps):
        rows.append(("DF_YES", "required", told("1 to agree to the dangerous steps", option="--yes")))
    if journey.teardown:
        undo = "1 to delete what earlier runs created here instead"
        rows.append(("DF_TEARDOWN", "optional", told(undo, option="--teardown")))
    if journey.keeps_notes:
        rows.append(("DF_CREATED", f"default {journey.name}.created.jsonl", "the file that notes what runs create"))
    return rows


def environment_table(rows: list[tuple[str, str, str]]) -> list[tuple[str, str]]:
    """Each environment variable, padded, and what to know about it."""
    width = max(len(name) for name, _, _ in rows)
    return [(name.ljust(width), f"{need}; {facts}" if facts else need) for name, need, facts in rows]


def _joined(values: list[Text]) -> Text:
    """Several values of one header as one (RFC 9110, 5.3)."""
    parts: list[str | Var] = []
    for value in values:
        parts += [", ", *value.parts] if parts else value.parts
    return Text(tuple(parts))


def _tuple(texts: tuple[str, ...]) -> str:
    return f"({''.join(f'{string(text)},' for text in texts)})"


def _pointer(pointer: tuple[str | int, ...]) -> str:
    return ", ".join(str(key) if isinstance(key, int) else string(key) for key in pointer)


def _percent(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match.group().encode("utf-8", "surrogatepass"))


def _as_given() -> str:
    """What sends targets as given; only here, for it imports requests."""
    from dfrecord.replaying import as_given

    return functions_of(as_given)


def _needs_exact_sending(request: RequestTemplate, *, literal: bool) -> bool:
    """Whether requests or urllib3 would change what is sent: the target; and, where every byte is wanted, the method's
    case, or repeated headers."""
    target = "".join(part if isinstance(part, str) else "x" for part in request.target.parts)
    names = [name.lower() for name, _ in request.headers]
    repeats = len(set(names)) < len(names)
    return (literal and (repeats or not request.method.isupper())) or not _UNTOUCHED.fullmatch(target)


RENDERER = FunctionRenderer(".py", "Python 3.11 or later, requests", render)
