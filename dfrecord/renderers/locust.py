"""The `locust` format: the journey as a Locust user, for load tests and for thousands of tenants from a CSV file.

The client and the journey function are those of the `python` format, sending through Locust's FastHttpUser. What is
Locust's own lies in `templates/locust/`: every step counts under its name, an iteration is the whole journey, and the
master hands out the iterations, so that each row of a file is run once however many workers there are.
"""

from __future__ import annotations

from dataclasses import replace

from dfrecord.journey.model import Journey
from dfrecord.renderers.python import environment_rows, script
from dfrecord.renderers.python_names import Names, name_variables
from dfrecord.renderers.registry import FunctionRenderer, OutputFile, RenderOptions


def render(journey: Journey, options: RenderOptions) -> tuple[OutputFile, ...]:
    """The locustfile, as UTF-8. Raises UsageError when a user's template does not make valid Python."""
    steps = tuple(replace(step, once="", due="") for step in journey.steps)  # an iteration notes no calls
    journey = replace(journey, steps=steps)
    names = name_variables(journey)
    kinds = [step.kind.value for step in journey.steps] + [step.resource for step in journey.steps if step.resource]
    source = script(
        journey,
        options,
        "locust",
        plans=False,
        counts_steps=True,
        rows=_rows(journey, names),
        user=names.user,
        tags=sorted({names.function, *kinds}),
        odd_methods=any(not step.request.method.isupper() for step in journey.steps),
        has_names=any(setting.default_text and setting.parser == "str" for setting in names.settings),
    )
    return (OutputFile(source.encode("utf-8")),)


def _rows(journey: Journey, names: Names) -> list[tuple[str, str, str]]:
    """Each environment variable, whether it is needed, and what to know about it."""
    rows = [row for row in environment_rows(journey, names, options=False) if row[0] != "DF_TEARDOWN"]
    rows += [
        ("DF_ITERATIONS", "optional", "so many iterations by all users together, then the run ends"),
        ("DF_CSV", "optional", "a file with columns for what is above (tenant for DF_TENANT): each row is run once"),
        ("DF_UNIQUE", "optional", "0 for names as given or recorded, without a suffix for each iteration"),
        ("DF_WAIT", "default 0", "the seconds that a user waits between two iterations"),
    ]
    if journey.teardown:
        rows.append(("DF_TEARDOWN", "optional", "each: an iteration deletes in the end what it created"))
        rows.append(("", "", "1: the run deletes what earlier runs created here instead"))
    return rows


RENDERER = FunctionRenderer(".locust.py", "Locust, on one machine or many", render)
