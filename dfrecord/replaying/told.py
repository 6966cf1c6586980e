"""Runs and plans told: lines for a terminal, JSON for programs, JUnit XML for pipelines.

The JSON forms are versioned: `dfrecord-replay/1` and `dfrecord-plan/1`, described by docs/replay.schema.json and
docs/plan.schema.json. Within version 1 members may be added, never changed or taken away.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

from dfrecord.outputs import plain
from dfrecord.replaying.planned import Action, Plan
from dfrecord.replaying.results import Outcome, Replayed, StepResult

_COLOURS = {
    Outcome.FAILED: "red",
    Outcome.DIFFERS: "yellow",
    Outcome.CREATED: "green",
    Outcome.CHANGED: "green",
    Outcome.DELETED: "green",
}
_SIGNS = {
    Action.CREATE: "+",
    Action.CHANGE: "~",
    Action.DELETE: "-",
    Action.CALL: ">",
    Action.RESEND: "=",
    Action.REFUSED: "!",
    Action.UNREACHED: "·",
}
_PLAN_COLOURS = {
    Action.CREATE: "green",
    Action.CHANGE: "yellow",
    Action.DELETE: "red",
    Action.CALL: "cyan",
    Action.REFUSED: "red",
}
_WHY = {Action.RESEND: "sent again, changes nothing", Action.UNREACHED: "not reached"}


def result_lines(result: StepResult, total: int) -> Iterator[tuple[str, str | None]]:
    """The lines of one result, each with its colour."""
    number = f"[{result.number}/{total}]" if result.number else "[look up]" if result.name != "tear_down" else "[undo]"
    more = f": {result.message}" if result.message else ""
    seconds = f" ({result.seconds * 1000:.0f} ms)" if result.outcome is not Outcome.SKIPPED else ""
    yield plain(f"{number} {result.title}: {result.outcome.value}{more}{seconds}"), _COLOURS.get(result.outcome)
    for difference in result.differences:
        yield plain(f"      {difference.place}"), None
        yield plain(f"    - {difference.recorded}"), "red"
        yield plain(f"    + {difference.found}"), "green"


def summary(replayed: Replayed, again: str) -> str:
    """What the run came to, in a line or two; `again` is the command that started it, to go on with."""
    if replayed.stopped_at:
        how = "stopped at" if replayed.unsure else "stopped before" if replayed.interrupted else "failed at"
        at = f"{replayed.stopped_at}{', which may have been done' if replayed.unsure else ''}"
        return f"{how} step {at}; go on with: {again} --from {replayed.stopped_at}"
    if replayed.interrupted:
        return f"stopped before the end; start again with: {again}"
    steps = [result for result in replayed.results if result.number]
    count = len(steps) or len(replayed.results)
    told = f"{count} step{'s' if count != 1 else ''}"
    differing = {result.number for result in steps if result.outcome is Outcome.DIFFERS}
    if differing or not replayed.ok:
        failed = "" if replayed.ok or differing else ", but what they wrote could not be read again"
        return f"{told}{failed or f', {len(differing)} differ from the recording (- recorded, + found)'}"
    written = {result.outcome for result in steps} - {Outcome.SKIPPED, Outcome.DONE}
    if written == {Outcome.UNCHANGED}:
        return f"unchanged: {told}, nothing was written"
    return f"{told}, all as recorded"


def run_account(replayed: Replayed) -> dict[str, Any]:
    """The run as JSON-ready data."""
    return {
        "format": "dfrecord-replay/1",
        "journey": replayed.journey,
        "base_url": replayed.base_url,
        "ok": replayed.ok,
        "stopped_at": replayed.stopped_at or None,
        "interrupted": replayed.interrupted,
        "unsure": replayed.unsure,
        "steps": [
            {
                "number": result.number or None,
                "name": result.name,
                "title": result.title,
                "outcome": result.outcome.value,
                "seconds": round(result.seconds, 6),
                "message": result.message,
                "differences": [
                    {"place": d.place, "recorded": d.recorded, "found": d.found} for d in result.differences
                ],
            }
            for result in replayed.results
        ],
    }


def plan_account(plan: Plan) -> dict[str, Any]:
    """The plan as JSON-ready data."""
    return {
        "format": "dfrecord-plan/1",
        "base_url": plan.base_url,
        "create": plan.count(Action.CREATE),
        "change": plan.count(Action.CHANGE),
        "delete": plan.count(Action.DELETE),
        "call": plan.count(Action.CALL),
        "resend": plan.count(Action.RESEND),
        "refused": plan.count(Action.REFUSED),
        "not_reached": plan.count(Action.UNREACHED),
        "writes": plan.writes,
        "steps": [
            {
                "number": step.step,
                "action": step.action.value,
                "title": step.title,
                "reason": step.reason,
                "fields": [{"name": f.name, "old": f.old, "new": f.new} for f in step.fields],
            }
            for step in plan.steps
        ],
    }


def plan_lines(plan: Plan) -> list[tuple[str, str | None]]:
    """The plan for people, each line with its colour: what would become of each record, field by field, and the sum."""
    lines: list[tuple[str, str | None]] = []
    for step in plan.steps:
        if step.action is Action.NONE:
            continue
        why = step.reason or _WHY.get(step.action, "")
        line = f"{_SIGNS[step.action]} {step.title}{f': {why}' if why else ''}"
        lines.append((f"  {plain(line)}", _PLAN_COLOURS.get(step.action)))
        for change in step.fields:
            old = "" if step.action is Action.CREATE else f"{_shown(change.old)} → "
            lines.append((f"      {plain(change.name)}: {old}{_shown(change.new)}", None))
    return [*lines, ("" if plan.changes else "Nothing to change.", None), (plan.summary, None)]


def _shown(value: Any) -> str:
    text = plain(json.dumps(value, ensure_ascii=False))
    return text if len(text) <= 200 else f"{text[:199]}…"


def junit_xml(replayed: Replayed) -> bytes:
    """The run as a JUnit test suite: a test case a step, differences as failures, refused steps as errors."""
    results = [result for result in replayed.results if result.number or result.outcome is Outcome.FAILED]
    suite = ElementTree.Element(
        "testsuite",
        name=_xml(replayed.journey),
        tests=str(len(results)),
        failures=str(sum(r.outcome is Outcome.DIFFERS for r in results)),
        errors=str(sum(r.outcome is Outcome.FAILED for r in results)),
        skipped=str(sum(r.outcome is Outcome.SKIPPED for r in results)),
        time=f"{sum(r.seconds for r in results):.3f}",
    )
    for result in results:
        case = ElementTree.SubElement(
            suite, "testcase", classname=_xml(replayed.journey), name=_xml(f"{result.number}. {result.title}")
        )
        case.set("time", f"{result.seconds:.3f}")
        if result.outcome is Outcome.SKIPPED:
            ElementTree.SubElement(case, "skipped", message=_xml(result.message))
        elif result.outcome is Outcome.FAILED:
            ElementTree.SubElement(case, "error", message=_xml(result.message))
        elif result.differences:
            failure = ElementTree.SubElement(case, "failure", message=f"{len(result.differences)} differences")
            lines = [f"{d.place}\n- {d.recorded}\n+ {d.found}" for d in result.differences]
            failure.text = _xml("\n".join(lines))
    document: bytes = ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True)
    return document


def _xml(text: str) -> str:
    """Lines without the characters that XML 1.0 cannot hold, or that could steer the terminal of who reads it."""
    return "\n".join(map(plain, text.split("\n")))
