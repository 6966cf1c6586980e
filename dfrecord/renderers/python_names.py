"""Which Python name each variable of a journey has in the script, who holds it, and when a run needs it.

The base URL, the session token and what only the login uses belong to the client (`df.email`); captured and looked-up
values are local names; everything else a person gives is a keyword argument of the journey's function.
"""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from dfrecord.journey.model import Journey, Step, Variable, variables_of_lookup, variables_of_step
from dfrecord.journey.undo_session import UndoSession, undo_session
from dfrecord.renderers.python_encoder import string
from dfrecord.tree import Number, Tree

_BASE_URL = "base_url"
_ACCOUNT = ("email", "username", "password")
_TYPES = {"integer": "int", "number": "float", "boolean": "bool", "string": "str"}
_PARSERS = {"integer": "whole_number", "number": "number", "boolean": "boolean", "string": "str"}

# What the journey function relies on, and names too easily misread (ruff E741).
_FUNCTION_WORDS = frozenset(
    re.findall(
        r"\w+",
        """
        df answer pick pick_number locals uri as_text base64_text json_inside to_json csv_cell csv_inside xml_text
        no_xml base64 l upper lower capitalized
        str int float bool bytes object print
        """,
    )
)
# What stands beside it in the module, of Python and of Locust, and the names inside `main`.
_MODULE_WORDS = (
    _FUNCTION_WORDS
    | frozenset(dir(builtins))
    | frozenset(
        re.findall(
            r"\w+",
            """
            parsed explain part_of check_types WrongType without_statement readable printable reason_of named hidden
            forms_of form_of whole changes is_other unlike unseen row_changes taken field_changes value_changes
            differs objects_in items_of lying_in plain created with_ids completed written remembered notable
            taken_back values_taken_back rows_taken_back removed tear_down is_too_deep Unknown New KEYS PLAN_SIGNS
            whole_list CutShort having matched MATCHED
            DreamFactory StepFailed changed_since given_otherwise noted_places relations_of rows_with references
            foreign_in at_place at_ids with_new_ids new_id brought_up_to_date path_now without_place is_shy kept
            as_given within content_of OutOfBounds whole_number number boolean main annotations argparse html json os
            re sys quote unquote Any Callable Iterator lru_cache requests DefaultCookiePolicy asdict dataclass field
            ExitStack Container argv environment parser arguments token needed problems missing result shown error
            name value CREATED DANGERS SETTINGS WAITING Exact Rows Setting Waiting leave note noted prepare refuse
            rows_of tls values_of work workers_of csv events logging tag task time cache repeat responses secrets
            CatchResponseError FastHttpUser FastResponse Headers LocalRunner LocustUserAgent MasterRunner Queue
            SSLContext StopUser Thread Timeout zlib WorkerRunner create_default_context
            """,
        )
    )
)
_CLIENT_WORDS = frozenset(
    re.findall(
        r"\w+",
        """
        base_url session_token logs_in timeout verbose http self call find ensure change remove begin
        tear_down undo_headers created created_file outcomes summary wrote planning planned plan_summary predicted
        secrets hidden forget_sent dues
        """,
    )
)
_OPTION_WORDS = frozenset({"help", "base-url", "timeout", "verbose", "yes", "plan", "teardown", "created-file"})


@dataclass(frozen=True)
class Setting:
    """A value that a person gives: through the environment and, unless it is secret, through an option.

    `name` is the argument of the function or of the client. `default` is its Python literal, `default_text` the same as
    typed on a command line; both are empty when there is none. `to_undo`: a teardown needs it, `to_undo_signed_on` even
    with a session token.
    """

    name: str
    annotation: str
    env: str
    option: str
    dest: str
    parser: str
    secret: bool
    required: bool
    default: str
    default_text: str
    description: str
    only_to_log_in: bool
    to_undo: bool
    to_undo_signed_on: bool


@dataclass(frozen=True)
class Names:
    """The names of one script: of the journey's function and of Locust's user, and of what they are given.

    `session` is the variable of the session token that may be given, empty when none.
    """

    function: str
    user: str
    expressions: Mapping[str, str]
    session: str
    session_env: str
    session_required: bool
    credentials: tuple[Setting, ...]
    arguments: tuple[Setting, ...]
    results: tuple[tuple[str, str, bool], ...]
    skippable: frozenset[str]
    logs_in: bool
    undo: UndoSession

    @property
    def settings(self) -> tuple[Setting, ...]:
        """All settings but the base URL and the session token."""
        return self.credentials + self.arguments

    @property
    def told(self) -> tuple[Setting, ...]:
        """The arguments that tell one run's records from another's: those with a recorded value."""
        return tuple(setting for setting in self.arguments if setting.default and not setting.secret)

    def guard(self, step: Step) -> str:
        """The condition under which a step runs, empty when it always does."""
        return "df.logs_in" if step.name in self.skippable else ""

    def assigned(self, variable: str) -> str:
        """What the value of a captured or looked-up variable is assigned to."""
        return self.expressions[variable]


def name_variables(journey: Journey) -> Names:
    """Decide on every name of the journey's script."""
    session = journey.session
    captured = {capture.variable for step in journey.steps for capture in step.captures}
    skippable = {step.name for step in journey.steps if journey.is_sign_on(step)}
    to_log_in = {name for step in journey.steps if step.name in skippable for name in variables_of_step(step)}
    undo = undo_session(journey) if journey.teardown else UndoSession()
    always = {name for step in journey.steps if step.name not in skippable for name in variables_of_step(step)}
    always |= {name for variable in journey.variables for name in variables_of_lookup(variable)}
    always |= {variable.follows for variable in journey.variables if variable.follows}
    used = to_log_in | always

    function = _free(journey.name, _MODULE_WORDS)
    user = _free("".join(map(str.capitalize, function.split("_"))), _MODULE_WORDS)
    local, attributes, options = (
        {*_FUNCTION_WORDS, function},
        set(_CLIENT_WORDS),
        {"base_url", "timeout", "verbose", "yes", "plan", "teardown", "created_file"},
    )
    expressions: dict[str, str] = {}
    credentials, arguments = [], []
    for variable in journey.variables:
        name = variable.name
        given = bool(variable.env) and name not in captured and name in used
        only_to_log_in = name in to_log_in - always
        if name == _BASE_URL:
            expressions[name] = "df.base_url"
        elif session and name == session.name:
            expressions[name] = "df.session_token"
        elif given and (only_to_log_in or (name in _ACCOUNT and name in to_log_in) or name in undo.needed):
            own = _add(name, attributes)
            expressions[name] = f"df.{own}"
            credentials.append(_setting(variable, own, _add(name, options), only_to_log_in, undo))
        else:
            own = _add(name, local)
            expressions[name] = own
            if given:
                arguments.append(_setting(variable, own, _add(name, options), False, undo))
    return Names(
        function=function,
        user=user,
        expressions=expressions,
        session=session.name if session else "",
        session_env=session.env if session else "",
        session_required=session is not None and session.name not in captured and session.name in always,
        credentials=tuple(credentials),
        arguments=tuple(arguments),
        results=tuple(
            (expressions[v.name], _TYPES.get(v.type, "Any"), v.secret)
            for v in journey.variables
            if v.name in captured and v is not session and "session_token" not in v.name
        ),
        skippable=frozenset(skippable),
        logs_in=session is not None and session.name in captured,
        undo=undo,
    )


def _free(name: str, taken: Collection[str]) -> str:
    while name in taken or keyword.iskeyword(name):
        name += "_"
    return name


def _add(name: str, taken: set[str]) -> str:
    free = _free(name, taken)
    taken.add(free)
    return free


def _setting(variable: Variable, name: str, dest: str, only_to_log_in: bool, undo: UndoSession) -> Setting:
    option = variable.name.replace("_", "-")
    option = f"set-{option}" if option in _OPTION_WORDS else option
    default, text = _default(variable.default)
    optional = not variable.required and variable.default is None
    annotation = "float" if default.startswith("float(") else _TYPES.get(variable.type, "Any")
    return Setting(
        name=name,
        annotation=f"{annotation} | None" if optional else annotation,
        env=string(variable.env),
        option=string(f"--{option}"),
        dest=dest,
        parser=_PARSERS.get(variable.type, "parsed"),
        secret=variable.secret,
        required=variable.default is None and variable.required,
        default="None" if optional else default,
        default_text=text,
        description=variable.description,
        only_to_log_in=only_to_log_in,
        to_undo=variable.name in undo.needed,
        to_undo_signed_on=variable.name in undo.needed_signed_on,
    )


def _default(value: Tree) -> tuple[str, str]:
    """A recorded default as a Python literal, and as a string literal of what one would type; empty for none."""
    match value:
        case str():
            return string(value), string(value)
        case bool():
            return repr(value), string("true" if value else "false")
        case Number(text=text):
            plain = re.fullmatch(r"-?(0|[1-9][0-9]{0,99})(\.[0-9]{1,15})?", text)
            return text if plain else f"float({string(text)})", string(text)
    return "", ""
