"""The way back: what a run notes, so that it can be undone later, the newest first.

Each create tells under which path its records stand: they are deleted again. An upsert reads a record before it
changes or deletes it, so it can note what was there too, and that is put back; what must not be noted is told here.
What was called is left as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from dfrecord.journey.model import (
    Array,
    Journey,
    Object,
    Residue,
    ResidueKind,
    Step,
    StepKind,
    Tree,
    Variable,
    Wanted,
    variables_of_tree,
)
from dfrecord.journey.undo_session import undo_session
from dfrecord.normalise.body import field_path
from dfrecord.system_api.catalog import Catalog, Resource

NOT_UNDONE = "the teardown does not undo this step"
MADE_ANEW = "the teardown makes anew what this step deletes: with another id: what referred to it has to be set again"
ACTS = "of several accounts, the teardown acts as the one that logs in here"
NOT_MADE_ANEW = "the teardown does not bring back what this step deletes"
NOT_PUT_BACK = "the teardown does not put back the old value, which may be a secret that a run does not note"


def teardown(journey: Journey, catalog: Catalog) -> Journey:
    """The journey with `Step.makes` on every create, what may be noted on every wanted state, and what is not undone.

    Comes after `upsert`, if that is wanted.
    """
    variables = {variable.name: variable for variable in journey.variables}
    steps: list[Step] = []
    residue: list[Residue] = []
    for step in journey.steps:
        made = replace(step, makes=_path(step, catalog)) if step.kind is StepKind.CREATE else step
        facts = catalog.resources.get(step.resource or "")
        again = _again(facts, catalog) if step.kind is StepKind.DELETE and step.wanted and facts else None
        if step.wanted and again:
            document = Object((*step.wanted.document.members, ("again", again)))
            made = replace(made, wanted=replace(step.wanted, document=document))
        elif step.wanted and facts and step.kind is not StepKind.DELETE:
            hidden = tuple(dict.fromkeys(_never_noted(step.wanted, facts, catalog, variables)))
            made = replace(made, wanted=_with_undo(step.wanted, hidden, facts))
            if hidden and step.kind is StepKind.UPDATE:
                reason = f"{', '.join(hidden)}: {NOT_PUT_BACK}"
                residue.append(Residue(ResidueKind.UNKNOWN, reason, step.entry, step.name))
        if again or _lasts(made, catalog):
            reason = NOT_UNDONE if step.kind is not StepKind.DELETE else MADE_ANEW if again else NOT_MADE_ANEW
            residue.append(Residue(ResidueKind.UNKNOWN, reason, step.entry, step.name))
        steps.append(made)
    if sum(step.kind is StepKind.LOGIN for step in journey.steps) > 1:
        residue += [Residue(ResidueKind.UNKNOWN, ACTS, s.entry, s.name) for s in undo_session(journey).logins[:1]]
    return replace(journey, steps=tuple(steps), residue=(*journey.residue, *residue), teardown=True)


def _path(step: Step, catalog: Catalog) -> str:
    return (catalog.resources[step.resource].path or "") if step.resource else ""


def _lasts(step: Step, catalog: Catalog) -> bool:
    """Whether a step changes something that a teardown leaves as it is."""
    if step.kind in (StepKind.CALL, StepKind.CREATE):
        is_action = step.resource is not None and catalog.resources[step.resource].actions
        return not step.makes and step.request.method != "GET" and not is_action
    return step.kind is StepKind.DELETE or (step.kind is StepKind.UPDATE and step.wanted is None)


# ---------------------------------------------------------------- what may be noted


def _again(facts: Resource, catalog: Catalog) -> Object | None:
    """How a deleted record can be made anew, None when its secrets or its name would be missing.

    It gets back the rows of its own; a row that is another's stays where it is and would be made twice (a user's role
    in an app, seen from the role).
    """
    keeps_secrets = any(rule.path not in facts.made_secrets and not rule.when for rule in facts.secrets)
    if keeps_secrets or facts.may_hold_secrets or not facts.numbered or facts.key_field is None:
        return None
    rows = [
        (name, Array((catalog.resources[relation.resource].id_field or catalog.id, relation.parent_key)))
        for name, relation in facts.relations.items()
        if catalog.owns(facts, relation)
    ]
    made = tuple(sorted(facts.server_made | facts.made_secrets | {catalog.id}))
    return Object((("key", Array((facts.key_field,))), ("made", Array(made)), ("rows", Object(tuple(rows)))))


def _with_undo(wanted: Wanted, hidden: tuple[str, ...], facts: Resource) -> Wanted:
    undo = Object((("hidden", Array(hidden)), ("merged", Array(tuple(sorted(facts.merged))))))
    return replace(wanted, document=Object((*wanted.document.members, ("undo", undo))))


def _never_noted(wanted: Wanted, facts: Resource, catalog: Catalog, variables: Mapping[str, Variable]) -> Iterator[str]:
    """The places of a wanted state whose value, or the one before it, may be a secret.

    A place is a field, a member of a field that the server merges, or a field of a nested row.
    """
    rule = _Rule(catalog, variables)
    record, rows = wanted.document.get("record"), wanted.document.get("rows")
    assert isinstance(record, Object)
    assert isinstance(rows, Object)
    for field, value in _named(record):
        if field in facts.merged and isinstance(value, Object):
            inside = ((field_path(field, name), item, value) for name, item in _named(value))
            yield from (place for place, item, beside in inside if rule.hides(place, item, beside, facts))
        elif rule.hides(field, value, record, facts):
            yield field
    for relation, given in _named(rows):
        child = catalog.resources[facts.relations[relation].resource]
        entries = given.get("rows") if isinstance(given, Object) else None
        for entry in entries.items if isinstance(entries, Array) else ():
            row = entry.get("row") if isinstance(entry, Object) else None
            for field, value in _named(row) if isinstance(row, Object) else ():
                if isinstance(row, Object) and rule.hides(field, value, row, child):
                    yield f"{relation}[].{field}"


class _Rule:
    """What is a secret, by variable, by the catalog's table and by name."""

    def __init__(self, catalog: Catalog, variables: Mapping[str, Variable]) -> None:
        self._catalog, self._variables = catalog, variables

    def hides(self, place: str, value: Tree, beside: Object, facts: Resource) -> bool:
        """Whether the value at a place of a record may be a secret; `beside` is the object that it stands in."""
        if any(self._variables[name].secret for name in variables_of_tree(value)) or place in facts.may_hold_secrets:
            return True
        if any(rule.path.startswith((f"{place}.", f"{place}[")) for rule in facts.secrets):
            return True
        rule = self._catalog.secret_rule(facts.name, place)
        return (rule is not None and rule.applies(dict(_named(beside)))) or self._holds_one(place, value, facts)

    def _holds_one(self, above: str, value: Tree, facts: Resource) -> bool:
        if isinstance(value, Array):
            return any(self._holds_one(f"{above}[]", item, facts) for item in value.items)
        return isinstance(value, Object) and any(
            self.hides(field_path(above, name), item, value, facts) for name, item in _named(value)
        )


def _named(record: Object) -> Iterator[tuple[str, Tree]]:
    return ((key, value) for key, value in record.members if isinstance(key, str))
