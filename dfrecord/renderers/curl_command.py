"""One step as one curl command to paste, the way browsers' developer tools give it.

Everything that is no recorded value comes from exported variables (`$DF_…`), ids that earlier steps make included; the
command needs bash and curl, and jq where a body or an encoded text has a variable in it. Unlike the `curl` format's
script, a pasted command gives curl its values as arguments.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from dfrecord.errors import UsageError
from dfrecord.journey.defaults import with_defaults
from dfrecord.journey.model import Journey, JsonBody, RawBody, RequestBody, Step, Variable
from dfrecord.journey.model import variables_of_step as names_in
from dfrecord.renderers.bash_encoder import Scope, pasted, printf_call, quote, shell_name
from dfrecord.renderers.curl import header_parts, merged, target_parts
from dfrecord.renderers.jq_encoder import jq_program, json_parts
from dfrecord.tree import Encoding, Var

_LONGEST_ARGUMENT = 100_000  # bytes; Linux takes 131072
_FILTERS = {
    Encoding.URI: "@uri",
    Encoding.JSON: "tojson[1:-1]",
    Encoding.BASE64: "@base64",
    Encoding.CSV: r'if test("[\",\r\n]") then [.]|@csv else . end',
    Encoding.XML: r'@html|gsub("\t";"&#9;")|gsub("\n";"&#10;")|gsub("\r";"&#13;")',
}


@dataclass(frozen=True, slots=True)
class Command:
    """A command, and the variables that have to be exported before it is pasted."""

    text: str
    variables: tuple[Variable, ...]


def curl_command(journey: Journey, number: int) -> Command:
    """The command of a step, counted from 1. Raises UsageError when there is no such step, or it is no one request."""
    if not 1 <= number <= len(journey.steps):
        raise UsageError(f"--curl {number}: the journey has steps 1 to {len(journey.steps)}; see dfrecord show")
    return next(curl_commands(replace(journey, steps=(journey.steps[number - 1],))))


def curl_commands(journey: Journey) -> Iterator[Command]:
    """The command of each step. Raises UsageError for an upsert, whose steps are several requests each."""
    if journey.upsert:
        raise UsageError("--upsert: a step that looks first is several requests; leave --upsert out to see one")
    journey = with_defaults(journey)
    variables = {v.name: replace(v, env=v.env or f"DF_{v.name.upper()}", required=True) for v in journey.variables}
    scope = _Exported({name: replace(v, secret=True) for name, v in variables.items()})  # jq takes them from its `$ENV`
    for step in journey.steps:
        names = dict.fromkeys(["base_url", *names_in(step)])
        yield Command(_command(step, scope), tuple(variables[name] for name in names if name in variables))


class _Exported(Scope):
    """A scope in which a reference is what follows `$`: an environment variable, or `(jq …)` that encodes one."""

    def reference(self, name: str, *encodings: Encoding) -> str:
        """What to write after the dollar sign, inside double quotes."""
        variable = self.variables[name]
        wanted = [encoding for encoding in encodings if encoding is not Encoding.PLAIN]
        if variable.type == "integer" or not wanted:
            return shell_name(variable)
        if wanted == [Encoding.CSV_INSIDE]:
            return f'{{{shell_name(variable)}//\\"/\\"\\"}}'  # `$(…)` would take line ends from its end
        filters = "|".join([f"env.{shell_name(variable)}", *(_FILTERS[encoding] for encoding in wanted)])
        return f"(jq -rn '{filters}')"


def _command(step: Step, scope: Scope) -> str:
    request = step.request
    body = _body(request.body, scope) if request.method != "HEAD" else ""
    options = [f"-H {pasted(parts, scope)}" for parts in header_parts(request.headers)]
    if body and not any(name.lower() == "content-type" for name, _ in request.headers):
        options.append("-H Content-Type:")  # or curl calls it a form
    options += [body] if body else []
    address = pasted([Var("base_url"), *target_parts(request.target)], scope)
    return " \\\n  ".join([" ".join(["curl", *_switches(step, bool(body)), address]), *options])


def _switches(step: Step, has_body: bool) -> Iterator[str]:
    """How curl is kept from changing the request: its method, dots and brackets in its target."""
    method = step.request.method
    if method == "HEAD":
        yield "--head"
    elif method != ("POST" if has_body else "GET"):
        yield f"-X {method if re.fullmatch('[A-Z]+', method) else pasted([method])}"
    target = "".join(part for part in step.request.target.parts if isinstance(part, str))
    if re.search(r"[\[\]{}]", target):
        yield "--globoff"
    if re.search(r"/\.", target.partition("?")[0]):
        yield "--path-as-is"


def _body(body: RequestBody, scope: Scope) -> str:
    match body:
        case None:
            return ""
        case JsonBody(tree=tree):
            parts = list(json_parts(tree, scope))
            program = jq_program(tree, scope, "  ") if any(isinstance(part, str) for part in parts) else None
            if program is not None:
                source = program.source.replace("!", "\\u0021")
                return f'--data-raw "$(jq -nc {source})"'
        case RawBody():
            parts = [p if isinstance(p, bytes) else scope.reference(p.name, p.encoding) for p in body.parts]
    return _bytes(merged(parts))


def _bytes(parts: list[bytes | str]) -> str:
    """The option that sends literal bytes and references joined: as an argument where it can be one."""
    literal = b"".join(part for part in parts if isinstance(part, bytes))
    if len(literal) > _LONGEST_ARGUMENT or b"\0" in literal or not _is_text(parts):
        return f"--data-binary @<({printf_call(parts)})"
    pieces = (pasted([part.decode()]) if isinstance(part, bytes) else f'"${part}"' for part in parts)
    return f"--data-raw {''.join(pieces) or quote('')}"


def _is_text(parts: list[bytes | str]) -> bool:
    try:
        return all(part.decode() is not None for part in parts if isinstance(part, bytes))
    except UnicodeDecodeError:
        return False
