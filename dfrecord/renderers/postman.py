"""A journey as a Postman collection (format v2.1) with an environment file beside it.

The collection runs by itself in newman and in Postman's runner. Its own two scripts do what all requests share: before
each request, check and prepare what the environment gives (`templates/postman/before.js.j2`); after each, stop at a
failure in the server's words (`after.js.j2`). Requests only keep values of their answers (`keep.js.j2`) or find a
record (`lookup.js.j2`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from itertools import groupby
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from dfrecord.journey.model import (
    Journey,
    RawBody,
    Step,
    StepKind,
    Variable,
    VariableKind,
    variables_of_lookup,
    variables_of_step,
)
from dfrecord.journey.undo_session import undo_session
from dfrecord.renderers.postman_encoder import FORMS, Names, clean, collection_json, js, markdown, tokens
from dfrecord.renderers.postman_requests import (
    Workshop,
    base_variable,
    event,
    lookup_item,
    sent_token,
    step_item,
    teardown_item,
)
from dfrecord.renderers.registry import FunctionRenderer, OutputFile, RenderOptions
from dfrecord.renderers.residue import residue_lines
from dfrecord.renderers.templates import environment
from dfrecord.tree import Number, Text, Tree

SCHEMA = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
ENVIRONMENT_SUFFIX = ".postman_environment.json"


def render(journey: Journey, options: RenderOptions) -> tuple[OutputFile, ...]:
    """The collection, and the environment file that goes beside it."""
    collection, given = collection_json(_collection(journey, options)), collection_json(_environment(journey))
    return (
        OutputFile(_with_id(collection, "_postman_id", given).encode()),
        OutputFile(_with_id(given, "id", collection).encode(), suffix=ENVIRONMENT_SUFFIX),
    )


def _with_id(text: str, key: str, beside: str) -> str:
    """The text of a file with its id, which is made of all that the two files say: the same journey, the same ids."""
    return text.replace(f'"{key}": ""', f'"{key}": "{uuid5(NAMESPACE_URL, text + beside)}"', 1)


def step_items(journey: Journey) -> Iterator[dict[str, Any]]:
    """Each step as it stands in the collection, without its recorded answer."""
    shop = _workshop(journey, RenderOptions())
    return (step_item(replace(step, answer=None), shop) for step in journey.steps)


# ---------------------------------------------------------------- the collection


def _workshop(journey: Journey, options: RenderOptions) -> Workshop:
    return Workshop(
        journey=journey,
        names=Names(journey.variables, tokens(_recorded_texts(journey))),
        templates=environment(options.template_dir, {"js": js, "markdown": markdown}),
        token=_collection_token(journey),
        session=_session(journey),
        undo=undo_session(journey),
    )


def _collection(journey: Journey, options: RenderOptions) -> dict[str, Any]:
    shop = _workshop(journey, options)
    folders = list(_folders(journey, shop))
    items = folders if len(folders) > 1 else folders[0]["item"] if folders else []
    collection: dict[str, Any] = {
        "info": {
            "_postman_id": "",
            "name": clean(journey.title) or journey.name,
            "description": _description(journey, shop, options),
            "schema": SCHEMA,
        },
        "item": items,
        "event": [
            event("prerequest", _before(shop, tokens(_recorded_texts(journey)))),
            event(
                "test",
                shop.script(
                    "after",
                    upsert=journey.upsert,
                    teardown=journey.teardown,
                    keeps_answers=journey.keeps_answers,
                    deletes_once=journey.deletes_once,
                    secrets=_secrets(shop),
                ),
            ),
        ],
    }
    if shop.token is not None:
        value = journey.conventions.token_prefix + "{{" + shop.names[shop.token] + "}}"
        attributes = {"key": journey.conventions.token_header, "value": value, "in": "header"}
        collection["auth"] = {
            "type": "apikey",
            "apikey": [{"key": key, "value": text, "type": "string"} for key, text in attributes.items()],
        }
    kept = [variable for variable in journey.variables if _is_made(variable)]
    if kept:
        makers = {capture.variable: step.title for step in reversed(journey.steps) for capture in step.captures}
        collection["variable"] = [
            {"key": shop.names[variable.name], "value": "", "description": _made_by(variable, makers)}
            for variable in kept
        ]
    return collection


def _secrets(shop: Workshop) -> list[str]:
    """The names in the collection of what must not be told."""
    return [shop.names[variable.name] for variable in shop.journey.variables if variable.secret]


def _folders(journey: Journey, shop: Workshop) -> Iterator[dict[str, Any]]:
    """Set up (log in, lookups), the steps, log out. Long journeys get one folder per run of steps of one resource."""
    schedule = journey.schedule()
    start = 0
    while start < len(schedule) and _sets_up(schedule[start]):
        start += 1
    end = len(schedule)
    while end > start and isinstance(last := schedule[end - 1], Step) and last.kind is StepKind.LOGOUT:
        end -= 1
    middle = schedule[start:end]
    runs = [(name, list(group)) for name, group in groupby(middle, lambda part: _resource_of(part))]
    if len(middle) < 2 * len(runs):
        runs = [("Steps", middle)]
    for name, parts in (("Set up", schedule[:start]), *runs, ("Tear down", []), ("Log out", schedule[end:])):
        if name == "Tear down" and journey.teardown:
            yield {"name": name, "item": [teardown_item(shop)]}
        elif parts:
            yield {"name": clean(name), "item": [_item(part, shop) for part in parts]}


def _sets_up(part: Step | Variable) -> bool:
    return isinstance(part, Variable) or part.kind is StepKind.LOGIN


def _resource_of(part: Step | Variable) -> str:
    resource = part.resource if isinstance(part, Step) else part.lookup.resource if part.lookup else None
    return (resource or "other calls").replace("_", " ").capitalize()


def _item(part: Step | Variable, shop: Workshop) -> dict[str, Any]:
    if isinstance(part, Step):
        return step_item(part, shop)
    assert part.lookup is not None, part.name
    return lookup_item(part, part.lookup, shop)


def _collection_token(journey: Journey) -> str | None:
    """The variable that most requests send as their session token."""
    headers = [header for step in journey.steps for header in step.request.headers]
    found = Counter(token for header in headers if (token := sent_token(header, journey)) is not None)
    return found.most_common(1)[0][0] if found else None


def _recorded_texts(journey: Journey) -> Iterator[str]:
    """The recorded texts in which Postman replaces variables, without their variables."""

    def literal(text: Text) -> str:
        return "".join(part if isinstance(part, str) else "\0" for part in text.parts)

    lookups = [variable.lookup for variable in journey.variables if variable.lookup is not None]
    requests = [step.request.headers for step in journey.steps]
    for headers in (*requests, *(lookup.headers for lookup in lookups)):
        for name, value in headers:
            yield name
            yield literal(value)
    for lookup in lookups:
        yield literal(lookup.path)
    for step in journey.steps:
        yield literal(step.request.target)
        if isinstance(step.request.body, RawBody):
            parts = (part if isinstance(part, bytes) else b"\0" for part in step.request.body.parts)
            yield b"".join(parts).decode("utf-8", "replace")


# ---------------------------------------------------------------- variables


def _session(journey: Journey) -> tuple[str, ...]:
    """The captured variables that may be given instead: the session token."""
    return tuple(v.name for v in journey.variables if v.kind is VariableKind.CAPTURE and v.env)


def _is_made(variable: Variable) -> bool:
    """Whether an earlier request of the run gives the value."""
    return variable.kind in (VariableKind.CAPTURE, VariableKind.LOOKUP)


def _made_by(variable: Variable, makers: Mapping[str, str]) -> str:
    """`makers` are the titles of the steps that capture a variable first, by its name."""
    maker = variable.lookup.title if variable.lookup is not None else makers.get(variable.name)
    return markdown(f"Set by: {maker}") if maker is not None else ""


def _given(journey: Journey) -> list[Variable]:
    """The variables that an environment variable gives or may give."""
    return [variable for variable in journey.variables if variable.env]


def _needed_anyway(journey: Journey) -> set[str]:
    """What is used even when the session is given."""
    steps = [step for step in journey.steps if not journey.is_sign_on(step)]
    used = {name for step in steps for name in variables_of_step(step)}
    used |= {name for variable in journey.variables for name in variables_of_lookup(variable)}
    return used | {base_variable(journey).name}


def _dangers(journey: Journey) -> list[str]:
    return [f"{clean(step.title)} ({clean(step.danger)})" for step in journey.steps if step.danger]


def _before(shop: Workshop, literal: list[str]) -> list[str]:
    journey, names = shop.journey, shop.names
    needed, base = _needed_anyway(journey), names[base_variable(journey).name]
    variables = [
        {
            "name": names[variable.name],
            "env": variable.env,
            "type": variable.type if variable.type in ("integer", "number", "boolean") else "string",
            "required": variable.required,
            "login": variable.name not in needed,
            "initial": _default_text(variable.default),
            "optional": not variable.required and not _is_made(variable),
            **({"told": True} if variable.names_a_run and journey.keeps_notes else {}),
        }
        for variable in _given(journey)
    ]
    session = [journey.variable(name).env for name in shop.session]
    return shop.script(
        "before",
        variables=variables,
        kept=[names[variable.name] for variable in journey.variables if _is_made(variable)],
        session=session,
        dangers=_dangers(journey),
        base=base,
        base_env=base_variable(journey).env,
        in_xml=list(journey.in_xml),
        plain=sorted(names.plain | {base}),
        encoded={key: names.encoded[key] for key in sorted(names.encoded)},
        forms=[form for form in FORMS if form in {form for _, form in names.encoded.values()}],
        literal=literal,
        followers=[
            (names[v.name], v.letters.value, names[v.follows]) for v in journey.variables if v.letters is not None
        ],
        upsert=journey.upsert,
        teardown=journey.teardown,
        keeps_notes=journey.keeps_notes,
        dues=list(journey.dues),
        listed=journey.listed,
        creates_named=journey.creates_named,
        registers=journey.registers,
        secrets=_secrets(shop),
        to_undo=_envs(journey, shop.undo.needed),
        to_undo_signed_on=_envs(journey, shop.undo.needed_signed_on),
        token=names[shop.token] if shop.token else "",
        token_header=journey.conventions.token_header,
    )


def _envs(journey: Journey, names: Collection[str]) -> list[str]:
    """The environment variables of those that a teardown needs, and that of the instance."""
    return [v.env for v in journey.variables if v.env and (v.name in names or v is base_variable(journey))]


def _default_text(default: Tree) -> str | None:
    match default:
        case None:
            return None
        case bool():
            return "true" if default else "false"
        case Number(text=text):
            return text
        case str():
            return default
        case Text():
            return default.literal
    raise ValueError(f"a default must be a simple value, not {type(default).__name__}")


def _environment(journey: Journey) -> dict[str, Any]:
    values = [
        {
            "key": variable.env,
            "value": "" if variable.secret else _default_text(variable.default) or "",
            "type": "secret" if variable.secret else "default",
            "enabled": True,
        }
        for variable in _given(journey)
    ]
    if _dangers(journey):
        values.append({"key": "DF_YES", "value": "", "type": "default", "enabled": True})
    kept = ["DF_CREATED"] * journey.keeps_notes + ["DF_TEARDOWN"] * journey.teardown
    values += [{"key": key, "value": "", "type": "default", "enabled": True} for key in kept]
    return {
        "id": "",
        "name": clean(journey.title) or journey.name,
        "values": values,
        "_postman_variable_scope": "environment",
    }


# ---------------------------------------------------------------- for people


def _description(journey: Journey, shop: Workshop, options: RenderOptions) -> str:
    needed = _needed_anyway(journey)
    rows = []
    for variable in _given(journey):
        login = variable.required and variable.name not in needed and shop.session
        initial = _default_text(variable.default)
        need = "instead of logging in" if _is_made(variable) else "optional"
        if variable.required:
            need = "required, unless a session is given" if login else "required"
        elif initial is not None:
            need = "has a default"
        rows.append((variable.env, need, "secret" if variable.secret else "", markdown(variable.description)))
    template = shop.templates.get_template("postman/description.md.j2")
    return template.render(
        source=journey.source,
        entries=journey.entry_count,
        steps=len(journey.steps),
        stem=clean(options.stem).replace("`", ""),
        rows=rows,
        dangers=_dangers(journey),
        residue=residue_lines(journey.residue),
        teardown=journey.teardown,
    ).rstrip("\n")


RENDERER = FunctionRenderer(".postman_collection.json", "Postman, or newman", render)
