"""Which Python name each variable of a journey has in the script, and which variables a run needs.

The base URL, the account, its password and the session token belong to the client; captured and looked-up values are
local names; everything else is a keyword argument of the journey's function.
"""

from __future__ import annotations

import builtins
import keyword
from collections.abc import Mapping
from dataclasses import dataclass

from dfrecord.journey.model import (
    Journey,
    Step,
    StepKind,
    Variable,
    VariableKind,
    variables_of_lookup,
    variables_of_step,
)
from dfrecord.renderers.python_encoder import string

_CLIENT = {"base_url": "df.base_url", "email": "df.email", "password": "df.password"}
_SCRIPT_WORDS = {
    *("df", "answer", "argparse", "base64", "html", "http", "json", "main", "os", "pick", "requests", "sys", "uri"),
    *(
        "as_text",
        "base64_text",
        "dataclass",
        "field",
        "json_inside",
        "to_json",
        "urlsplit",
        "quote",
        "Any",
        "annotations",
    ),
    *("asdict", "arguments", "missing", "parser", "result", "dangers"),
}
_TYPES = {"integer": "int", "number": "float", "boolean": "bool", "string": "str"}


@dataclass(frozen=True)
class Argument:
    """A keyword argument of the function, which is also an option or an environment variable of the script."""

    name: str
    annotation: str
    env: str
    option: str
    secret: bool
    description: str


@dataclass(frozen=True)
class Names:
    """The names of one script. `session` is the variable of the session token that may be given, empty when none."""

    function: str
    expressions: Mapping[str, str]
    session: str
    arguments: tuple[Argument, ...]
    results: tuple[tuple[str, str, bool], ...]
    logs_in: bool
    account: tuple[str, ...]
    environment: tuple[Variable, ...]
    account_always_needed: bool

    def guard(self, step: Step) -> str:
        """The condition under which a step runs, empty when it always does."""
        return "df.logs_in" if is_skipped_with_token(step, self.session) else ""

    def assigned(self, variable: str) -> str:
        """What the value of a captured or looked-up variable is assigned to."""
        return self.expressions[variable]


def is_skipped_with_token(step: Step, session: str) -> bool:
    """Whether the step is left out when the session token is given: the login that captures it, and every logout."""
    if not session:
        return False
    captured = {capture.variable for capture in step.captures}
    return step.kind is StepKind.LOGOUT or (step.kind is StepKind.LOGIN and captured == {session})


def name_variables(journey: Journey) -> Names:
    """Decide on every name of the journey's script."""
    session = next((v.name for v in journey.variables if v.kind is VariableKind.CAPTURE and v.env), "")
    expressions = {
        variable.name: (
            "df.session_token" if variable.name == session else _CLIENT.get(variable.name) or _local(variable.name)
        )
        for variable in journey.variables
    }
    given = [v for v in journey.variables if v.env and v.name not in _CLIENT and v.name != session]
    skipped = [step for step in journey.steps if is_skipped_with_token(step, session)]
    always = {name for step in journey.steps if step not in skipped for name in variables_of_step(step)}
    always |= {name for variable in journey.variables for name in variables_of_lookup(variable)}
    account = tuple(v.name for v in journey.variables if v.name in ("email", "password"))
    return Names(
        function=_local(journey.name),
        expressions=expressions,
        session=session,
        arguments=tuple(_argument(variable) for variable in given),
        results=tuple(
            (expressions[v.name], _TYPES[v.type], v.secret)
            for v in journey.variables
            if v.kind is VariableKind.CAPTURE and "session_token" not in v.name
        ),
        logs_in=bool(skipped),
        account=account,
        environment=tuple(v for v in journey.variables if v.env),
        account_always_needed=any(name in always for name in account),
    )


def _argument(variable: Variable) -> Argument:
    return Argument(
        name=_local(variable.name),
        annotation=_TYPES[variable.type],
        env=string(variable.env),
        option=string("--" + variable.name.replace("_", "-")),
        secret=variable.secret,
        description=variable.description,
    )


def _local(name: str) -> str:
    taken = name in _SCRIPT_WORDS or keyword.iskeyword(name) or keyword.issoftkeyword(name) or hasattr(builtins, name)
    return f"{name}_" if taken else name
