"""The `http` format: a `.http` file for editors (VS Code REST Client, httpYac), run in pipelines with httpyac.

Requests are named, and later ones use places in the answers of earlier ones: `{{log_in.response.body.$.session_token}}`
is JSONPath to REST Client and JavaScript to httpyac. The file's first block is a script that only httpyac runs: it
takes the environment's values, checks answers, and finds records exactly. What a `.http` file cannot say is refused.
JetBrains' client reads neither, so a second file beside the first speaks its dialect (`http_jetbrains`).
"""

from __future__ import annotations

from typing import Any

from dfrecord.errors import UsageError
from dfrecord.journey.model import Journey, variables_of_lookup, variables_of_step
from dfrecord.renderers import http_jetbrains
from dfrecord.renderers.http_encoder import comment, place
from dfrecord.renderers.http_requests import Requests, default_text
from dfrecord.renderers.postman_encoder import clean, js
from dfrecord.renderers.registry import FunctionRenderer, OutputFile, RenderOptions
from dfrecord.renderers.residue import residue_lines
from dfrecord.renderers.templates import environment


def render(journey: Journey, options: RenderOptions) -> tuple[OutputFile, ...]:
    """The file, JetBrains' one, and one more for each body that is no JSON.

    Raises UsageError for what a `.http` file cannot do.
    """
    _refuse(journey)
    file = Requests(journey, options.stem, lambda _, name, pointer: place(name, pointer))
    requests = file.requests()
    env = environment(options.template_dir, {"js": js, "comment": comment})
    session = journey.session
    text = env.get_template("http/file.http.j2").render(
        journey=journey,
        stem=clean(options.stem),
        requests=requests,
        settings=_settings(journey),
        lines=[(name, file.line(name, *form)) for name, form in sorted(file.encoder.forms.items())],
        forms=file.encoder.forms,
        followers=[(v.name, v.letters.value, v.follows) for v in journey.variables if v.letters],
        session=session,
        session_names=file.session_names,
        dangers=[(step.title, step.danger) for step in journey.steps if step.danger],
        residue=residue_lines(journey.residue),
    )
    return (OutputFile(text.encode("utf-8")), http_jetbrains.render(journey, options), *file.bodies)


def _refuse(journey: Journey) -> None:
    reasons = {
        "--literal": (journey.literal, "clients write URLs and headers their own way"),
        "--upsert": (journey.upsert, "editors send each request as it stands, and cannot look first"),
        "--teardown": (journey.teardown, "editors keep no note of what was created"),
    }
    for option, (asked, reason) in reasons.items():
        if asked:
            raise UsageError(f"format http cannot do {option}: {reason}; choose curl, python or postman")


def _settings(journey: Journey) -> list[dict[str, Any]]:
    """The variables that the environment gives; some only to log in."""
    always = {name for step in journey.steps if not journey.is_sign_on(step) for name in variables_of_step(step)}
    always |= {name for v in journey.variables for name in variables_of_lookup(v)} | {"base_url"}
    return [
        {
            "name": variable.name,
            "env": variable.env,
            "type": variable.type,
            "required": variable.required,
            "secret": variable.secret,
            "login": variable.name not in always,
            "default": default_text(variable.default),
            "about": variable.description,
        }
        for variable in journey.variables
        if variable.env and variable is not journey.session
    ]


_NEEDS = "VS Code REST Client, JetBrains, httpYac or httpyac; without --upsert, --teardown, --literal"
RENDERER = FunctionRenderer(".http", _NEEDS, render)
