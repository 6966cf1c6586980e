"""The report: one self-contained page with the timeline of a recording, each step in every form, and the residue.

The page is a small frame, a program and a style sheet of our own (`templates/report/`), and the journey as JSON in a
script element. A content security policy admits exactly those two and nothing else: no network, no other script. The
program builds what is looked at when it is looked at, so that ten thousand steps open at once.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from dfrecord.journey.model import Journey, JsonBody, RawBody, Step
from dfrecord.journey.model import variables_of_step as names_in
from dfrecord.normalise.body import json_text
from dfrecord.normalise.secret_places import PLACEHOLDER
from dfrecord.outputs import INVISIBLE
from dfrecord.pasting import argument, pasted_line
from dfrecord.recording.exchange import Exchange, Recording
from dfrecord.renderers import refuse_secrets
from dfrecord.renderers.fragments import Fragments, fragments
from dfrecord.renderers.registry import built_in
from dfrecord.renderers.templates import TEMPLATES, environment
from dfrecord.reporting import html_encoder
from dfrecord.reporting.calls import dropped_before_each_step
from dfrecord.reporting.words import RESIDUE_TITLES, export_lines, origin_of_each, sent_fields
from dfrecord.tree import Array, Number, Object, Text, Tree, Var

LONGEST_TEXT = 20_000
"""Characters of a body or a fragment that the page shows; the rest is counted."""
_PROGRAM = ("dom", "steps", "timeline", "graph", "tools", "start")


def report(recording: Recording, journey: Journey, options: Sequence[str] = (), source: str = "") -> bytes:
    """The page of a recording and the journey planned from it, as UTF-8.

    `options` are the words on `dfrecord`'s command line with which the journey was planned, `source` its INPUT (the
    recording's name otherwise), for the commands that the page gives. Raises SecretInOutput when a recorded secret
    would stand in the page, UsageError for an upsert.
    """
    env = environment(None, {"text": html_encoder.text, "script_json": html_encoder.script_json})
    style = _source("style.css")
    program = "".join(["'use strict';\n", *(_source(f"{name}.js") for name in _PROGRAM)])
    page = env.get_template("report/page.html.j2").render(
        title=journey.title,
        style=style,
        program=program,
        style_hash=_hash(style),
        program_hash=_hash(program),
        data=_data(recording, journey, [source or journey.source, *options]),
    )
    content = page.encode("utf-8")
    refuse_secrets(journey, "report", content)
    return content


def _source(name: str) -> str:
    return (TEMPLATES / "report" / name).read_text(encoding="utf-8")


def _hash(source: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}"


# ---------------------------------------------------------------- the data


def _data(recording: Recording, journey: Journey, words: Sequence[str]) -> dict[str, Any]:
    origins = origin_of_each(journey)
    made_by = {c.variable: number for number, step in enumerate(journey.steps, 1) for c in step.captures}
    exchanges: dict[int | None, Exchange] = {exchange.number: exchange for exchange in recording.exchanges}
    gaps = dropped_before_each_step(recording, journey)
    reasons = list(dict.fromkeys(call.reason for gap in gaps for call in gap))
    index = {reason: place for place, reason in enumerate(reasons)}
    return {
        "title": journey.title,
        "source": journey.source,
        "entries": journey.entry_count,
        "invisible": INVISIBLE.pattern,
        "placeholder": PLACEHOLDER.pattern,
        "steps": [
            _step(number, step, made, exchanges.get(step.entry), journey.conventions.wrapper)
            for number, (step, made) in enumerate(zip(journey.steps, fragments(journey), strict=True), 1)
        ],
        "variables": {
            variable.name: {
                "from": made_by.get(variable.name, 0),
                "origin": origins[variable.name],
                "env": variable.env or f"DF_{variable.name.upper()}",
                "looked_up": variable.lookup is not None,
                "session": variable.name == "session_token",
            }
            for variable in journey.variables
        },
        "exports": export_lines(journey.variables, needs_consent=any(step.danger for step in journey.steps)),
        "gaps": [[[c.number, c.method, c.url, c.status, index[c.reason]] for c in gap] for gap in gaps],
        "reasons": reasons,
        "residue": list(_residue(journey)),
        "commands": dict(_commands(journey, *words)),
    }


def _step(number: int, step: Step, made: Fragments, exchange: Exchange | None, wrapper: str) -> dict[str, Any]:
    answer = step.answer
    return {
        "number": number,
        "title": step.title,
        "kind": step.kind.value,
        "method": step.request.method,
        "target": _parts(step.request.target),
        "headers": [[name, _parts(value)] for name, value in step.request.headers],
        "body": _shortened(list(_body(step))),
        "sends": sent_fields(step, wrapper),
        "uses": list(dict.fromkeys(names_in(step))),
        "makes": [capture.variable for capture in step.captures],
        "danger": step.danger,
        "notes": list(step.notes),
        "entry": step.entry,
        "when": exchange.started if exchange else "",
        "milliseconds": round(exchange.milliseconds) if exchange else -1,
        "status": answer.status if answer else 0,
        "reason": answer.reason if answer else "",
        "answer": _shortened([_indented(answer.tree) if answer.tree is not None else answer.text] if answer else []),
        "curl": _fragment(made.curl),
        "python": _fragment(made.python),
        "postman": made.postman if len(made.curl) <= LONGEST_TEXT else None,
    }


def _fragment(source: str) -> str:
    return source if len(source) <= LONGEST_TEXT else ""


_Parts = list[str | dict[str, str]]


def _parts(text: Text) -> _Parts:
    """A text with its variables as `{"name": …}`."""
    return [part if isinstance(part, str) else {"name": part.name} for part in text.parts]


def _body(step: Step) -> Iterator[str | dict[str, str]]:
    match step.request.body:
        case JsonBody(tree=tree):
            yield from _pretty(tree, "\n")
        case RawBody(parts=parts):
            for part in parts:
                yield {"name": part.name} if isinstance(part, Var) else part.decode("utf-8", "backslashreplace")


def _pretty(tree: Tree, newline: str) -> Iterator[str | dict[str, str]]:
    """JSON text over several lines, variables standing in it as they are."""
    inner = f"{newline}  "
    match tree:
        case Var(name=name):
            yield {"name": name}
        case Text():
            yield '"'
            yield from (json_text(p)[1:-1] if isinstance(p, str) else {"name": p.name} for p in tree.parts)
            yield '"'
        case Array(items=items) if items:
            for place, item in enumerate(items):
                yield f"{',' if place else '['}{inner}"
                yield from _pretty(item, inner)
            yield f"{newline}]"
        case Object(members=members) if members:
            for place, (key, value) in enumerate(members):
                yield f"{',' if place else '{'}{inner}"
                yield from _pretty(key, inner)
                yield ": "
                yield from _pretty(value, inner)
            yield f"{newline}}}"
        case Number(text=text):
            yield text
        case _:
            yield json_text(tree)


def _indented(tree: Tree) -> str:
    return json_text(tree, indent=2)


def _shortened(parts: _Parts) -> dict[str, Any]:
    """The parts up to `LONGEST_TEXT` characters, neighbouring texts joined, and the length of all when cut."""
    kept: _Parts = []
    length = 0
    for part in parts:
        room = LONGEST_TEXT - length
        length += len(part) if isinstance(part, str) else 0
        if room <= 0:
            continue
        if isinstance(part, str) and kept and isinstance(last := kept[-1], str):
            kept[-1] = last + part[:room]
        else:
            kept.append(part[:room] if isinstance(part, str) else part)
    return {"parts": kept, "cut": length if length > LONGEST_TEXT else 0}


def _residue(journey: Journey) -> Iterator[dict[str, Any]]:
    numbers = {step.name: number for number, step in enumerate(journey.steps, 1)}
    for kind, title in RESIDUE_TITLES.items():
        lines = [line for line in journey.residue if line.kind is kind]
        counted = Counter((line.reason, numbers.get(line.step or "", 0)) for line in lines)
        if counted:
            rows = [[reason, step, count] for (reason, step), count in counted.items()]
            yield {"kind": kind.value, "title": title, "rows": rows}


def _commands(journey: Journey, source: str, *options: str) -> Iterator[tuple[str, str]]:
    for format in built_in().values():
        output = f"{journey.name}{format.load().ending}"
        words = ["dfrecord", "render", argument(source), "-f", format.name, "-o", output, *options]
        yield format.name, pasted_line(words)
