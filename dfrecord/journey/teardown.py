"""The way back: each create tells under which path its records stand, so that a run can note and later delete them.

Only what a run itself created is ever deleted, the newest first; what it found, changed or called is left as it is.
"""

from __future__ import annotations

from dataclasses import replace

from dfrecord.journey.model import Journey, Residue, ResidueKind, Step, StepKind
from dfrecord.system_api.catalog import Catalog


def teardown(journey: Journey, catalog: Catalog) -> Journey:
    """The journey with `Step.makes` on every create, and a residue of what a teardown cannot undo."""
    steps = tuple(
        replace(step, makes=_path(step, catalog)) if step.kind is StepKind.CREATE else step for step in journey.steps
    )
    lasting = [step for step in steps if _lasts(step, catalog)]
    residue = tuple(
        Residue(ResidueKind.UNKNOWN, "the teardown does not undo this step", step.entry, step.name) for step in lasting
    )
    return replace(journey, steps=steps, residue=(*journey.residue, *residue), teardown=True)


def _path(step: Step, catalog: Catalog) -> str:
    return (catalog.resources[step.resource].path or "") if step.resource else ""


def _lasts(step: Step, catalog: Catalog) -> bool:
    """Whether a step changes something that is not a record of its own."""
    if step.kind in (StepKind.CALL, StepKind.CREATE):
        is_action = step.resource is not None and catalog.resources[step.resource].actions
        return not step.makes and step.request.method != "GET" and not is_action
    return step.kind in (StepKind.UPDATE, StepKind.DELETE)
