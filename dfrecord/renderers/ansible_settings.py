"""What a playbook takes from outside: its variables, which of them a run needs, and how they are checked first."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from dfrecord.journey.model import Journey, Variable, VariableKind, variables_of_lookup, variables_of_step
from dfrecord.journey.undo_session import UndoSession
from dfrecord.journey.values import as_text
from dfrecord.renderers.ansible_encoder import Encoder, Recorded, Template

_TYPES = {
    "boolean": ("boolean", "true or false"),
    "integer": ("integer", "a whole number"),
    "number": ("number", "a number"),
}
"""The test of Jinja2 that a value of a type passes, and what to call it."""
_ENVIRONMENT = "lookup('ansible.builtin.env', '{}')"


class Settings:
    """The variables of a journey that come from outside a run."""

    def __init__(self, journey: Journey, encoder: Encoder, undo: UndoSession) -> None:
        self._journey, self._names, self._encoder = journey, encoder.names, encoder
        self._given = [variable for variable in journey.variables if variable.env]
        self._session = journey.session
        steps = [(journey.is_sign_on(step), set(variables_of_step(step))) for step in journey.steps]
        self._used = {name for signs, names in steps if not signs for name in names} | {"base_url"}
        self._used |= {name for variable in journey.variables for name in variables_of_lookup(variable)}
        self._to_log_in = {name for signs, names in steps if signs for name in names}
        self._undo = undo

    def table(self) -> list[tuple[str, str]]:
        """The environment variables, all of one width, and what to say about each."""
        rows = [(v.env, _about(v)) for v in self._given]
        if any(step.danger for step in self._journey.steps):
            rows.append(("DF_YES", "1: go ahead with the steps that need your consent"))
        if self._journey.teardown:
            rows.append(("DF_TEARDOWN", "1: delete what earlier runs created instead"))
        if self._journey.keeps_notes:
            rows.append(
                ("DF_CREATED", f"the file that notes what runs create (default: {self._journey.name}.created.jsonl)")
            )
        width = max((len(name) for name, _ in rows), default=0)
        return [(name.ljust(width), about.strip()) for name, about in rows]

    def recorded(self) -> dict[str, Any]:
        """The recorded values that hold where nothing is given."""
        values: dict[str, Any] = {
            self._names[v.name]: self._encoder.tree(v.default) for v in self._given if v.default is not None
        }
        if self._journey.keeps_notes:
            values["df_created_file"] = Recorded(f"{self._journey.name}.created.jsonl")
        return values

    def definitions(self) -> dict[str, Any]:
        """The variables of the play."""
        values = {self._names[v.name]: self._definition(v) for v in self._given}
        values |= {
            self._names[v.name]: Template(f"{{{{ {self._names[v.follows]} | df_letters('{v.letters.value}') }}}}")
            for v in self._journey.variables
            if v.letters is not None
        }
        if any(step.danger for step in self._journey.steps):
            values["df_yes"] = _from_environment("DF_YES")
        if self._journey.teardown:
            values["df_teardown"] = _from_environment("DF_TEARDOWN", " == '1'")
        if self._journey.keeps_notes:
            values["df_created_file"] = _from_environment("DF_CREATED", " | default(df_recorded.df_created_file, true)")
        if self._journey.sends_once or self._journey.dues:
            names = {v.env: self._names[v.name] for v in self._given if v.names_a_run}
            pairs = ", ".join(f"'{env}': [{name}, df_recorded.{name}]" for env, name in names.items())
            values["df_for"] = Template(f"{{{{ {{{pairs}}} | df_given_otherwise }}}}")
        return values

    def _definition(self, variable: Variable) -> Template:
        name = self._names[variable.name]
        default = f"df_recorded.{name}" if variable.default is not None else ""
        if variable.type != "string":
            arguments = f"'{variable.type}', '{variable.env}'" + (f", {default}" if default else "")
            return _from_environment(variable.env, f" | df_typed({arguments})")
        if variable.env == "DF_BASE_URL":
            return _from_environment(variable.env, " | regex_replace('/+$', '')")
        return _from_environment(variable.env, f" | default({default}, true)" if default else "")

    # ---------------------------------------------------------------- what a run needs

    def needed(self) -> dict[str, Any]:
        """What every run needs."""
        return self._values([v for v in self._given if v.env == "DF_BASE_URL"] or [])

    def needed_to_run(self) -> dict[str, Any]:
        """What a run needs that does not only delete what earlier ones created."""
        needed = [v for v in self._given if v.required and v.name in self._used and v.env != "DF_BASE_URL"]
        captured = {capture.variable for step in self._journey.steps for capture in step.captures}
        if self._session and self._session.name in self._used and self._session.name not in captured:
            needed.append(self._session)
        return self._values(needed)

    def needed_to_log_in(self) -> dict[str, Any]:
        """What it needs where no session token is given."""
        return self._required(self._to_log_in - {"base_url"})

    def needed_to_undo(self) -> dict[str, Any]:
        """What a run needs that deletes what earlier ones created."""
        return self._required(self._undo.needed_signed_on)

    def needed_to_log_in_to_undo(self) -> dict[str, Any]:
        """What that needs where no session token is given."""
        return self._required(self._undo.needed)

    def _required(self, names: Collection[str]) -> dict[str, Any]:
        return self._values([v for v in self._given if v.required and v.name in names])

    def _values(self, variables: list[Variable]) -> dict[str, Any]:
        return {v.env: Template(f"{{{{ {self._names[v.name]} }}}}") for v in variables}

    def unset(self) -> Template:
        """The names of what is needed and not set."""
        token = self._names[self._session.name] if self._session else "false"
        run, log_in = "df_needed_to_run", "df_needed_to_log_in"
        if self._journey.teardown:
            run = f"df_needed_to_undo if df_teardown else {run}"
            log_in = f"df_needed_to_log_in_to_undo if df_teardown else {log_in}"
        return Template(f"{{{{ df_needed | combine({run}) | combine({{}} if {token} else {log_in}) | df_missing }}}}")

    def checks(self) -> list[dict[str, Any]]:
        """What must be true of what is set, and what to say otherwise."""
        checks: list[tuple[str, str, str]] = []
        if any(v.env == "DF_BASE_URL" for v in self._given):
            good = r"{{ df_base_url is match('https?://[^\s/]+') and df_base_url is not search('[\s]|/$') }}"
            checks.append(("DF_BASE_URL", good, "DF_BASE_URL must begin with http:// or https:// and hold no spaces"))
            alone = f"{{{{ df_base_url is not search('[?#@]|{re.escape(self._journey.conventions.prefix)}/*$') }}}}"
            checks.append(("DF_BASE_URL", alone, f"DF_BASE_URL {self._journey.conventions.address_rule}"))
        for variable in self._given:
            if variable.type != "string" and variable.kind is not VariableKind.CAPTURE:
                name, test, words = self._names[variable.name], *_TYPES[variable.type]
                checks.append(
                    (
                        variable.env,
                        f"{{{{ {name} is none or {name} is {test} }}}}",
                        f"{variable.env} must be {words} (with -e: in JSON)",
                    )
                )
            elif variable.env in self._journey.in_xml:
                good = f"{{{{ not ({self._names[variable.name]} | df_no_xml) }}}}"
                checks.append((variable.env, good, f"{variable.env} holds a control character, which XML cannot hold"))
        if self._journey.keeps_notes:
            message = "{{ df_created_file }}: cannot be written; set DF_CREATED to another file"
            checks.append(("DF_CREATED", "{{ not (df_created_file | df_unwritable) }}", message))
        return [{"name": name, "good": Template(good), "message": Template(message)} for name, good, message in checks]

    def facts(self, *, wrote: bool) -> dict[str, Any]:
        """What a run notes about itself as it begins."""
        facts: dict[str, Any] = {}
        if self._session:
            facts["df_logs_in"] = Template(f"{{{{ not {self._names[self._session.name]} }}}}")
        if wrote:
            facts["df_wrote"] = False
        return facts


def _from_environment(name: str, then: str = "") -> Template:
    return Template(f"{{{{ {_ENVIRONMENT.format(name)}{then} }}}}")


def _about(variable: Variable) -> str:
    words = ["secret"] * variable.secret
    if variable.kind is VariableKind.CAPTURE:
        words.append("optional")
    elif not variable.required:
        words.append("optional" if variable.default is None else f"default: {as_text(variable.default)}")
    return variable.description + (f" ({', '.join(words)})" if words else "")
