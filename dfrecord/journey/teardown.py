"""The way back: what a run notes, so that it can be undone later, the newest first.

Each create tells under which path its records stand: they are deleted again. An upsert reads a record before it
changes or deletes it, so it can note what was there too, and that is put back; what must not be noted is told here.
A deleted record is made anew with another id, and what pointed to it points to it again (`replaying.undoing`). What was
called is left as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from dfrecord.journey.model import (
    Journey,
    JsonBody,
    Residue,
    ResidueKind,
    Step,
    StepKind,
    Variable,
    Wanted,
    variables_of_tree,
)
from dfrecord.journey.own_accounts import OwnAccounts
from dfrecord.journey.undo_session import undo_session
from dfrecord.normalise.body import field_path, records_of
from dfrecord.system_api.catalog import Catalog, Resource
from dfrecord.tree import Array, Encoding, Object, Text, Tree, Var

NOT_UNDONE = "the teardown does not undo this step"
MADE_ANEW = "the teardown makes anew what this step deletes, with another id, and points to that what pointed to it"
ACTS = "of several accounts, the teardown acts as the one that logs in here"
NAMED_MADE_ANEW = "the teardown makes anew what this step deletes"
WITHOUT_SECRETS = "; only where it holds no secret, which no run notes"
NOT_MADE_ANEW = "the teardown does not bring back what this step deletes"
NOT_PUT_BACK = "the teardown does not put back the old value, which may be a secret that a run does not note"
FREE_PUT_BACK = "the teardown puts back the old value only where it, and the new one, look like no secret"
ROW_NOT_PUT_BACK = "the teardown brings back a row that is removed here only where it holds no secret"
ROW_STAYS = "the teardown leaves it where there was none, as the server removes none"
OF_ANOTHER = "the teardown does not put back the old value, as it acts as another account"


def teardown(journey: Journey, catalog: Catalog) -> Journey:
    """The journey with `Step.makes` on every create, what may be noted on every wanted state, and what is not undone.

    Comes after `upsert`, if that is wanted.
    """
    variables = {variable.name: variable for variable in journey.variables}
    deleted = dict.fromkeys(step.resource for step in journey.steps if step.resource and _removes(step))
    can_come_back = {name: again for name in deleted if (again := _again(catalog.resources[name], catalog))}
    ids = _Ids(catalog, frozenset(can_come_back))
    accounts, session = OwnAccounts(catalog, variables), undo_session(journey)
    accounts.told(journey.steps)
    acts_as = accounts.of(session.headers)
    admin_path = journey.conventions.admin_path
    as_admin = any((login.request.target.literal or "").partition("?")[0] == admin_path for login in session.logins)
    anew = {name: ids.with_places(catalog.resources[name], again) for name, again in can_come_back.items()}
    steps: list[Step] = []
    residue: list[Residue] = []
    for step in journey.steps:
        made = replace(step, makes=_path(step, catalog)) if step.kind is StepKind.CREATE else step
        facts = catalog.resources.get(step.resource or "")
        again = anew.get(step.resource or "") if _removes(step) else None
        if step.wanted and again:
            made = replace(made, wanted=_with(step.wanted, "again", again))
        elif step.wanted and facts and step.kind is not StepKind.DELETE:
            account = accounts.of(step.request.headers) if facts.own_account else acts_as
            record = _record_of(account, facts, journey, catalog) if as_admin and account != acts_as else None
            is_anothers = account != acts_as and not record
            never = _fields(step.wanted) if is_anothers else _never_noted(step.wanted, facts, catalog, variables)
            hidden = tuple(dict.fromkeys(never))
            merged = Array(tuple(sorted(facts.merged)))
            free = tuple(name for name in _fields(step.wanted) if name in facts.may_hold_secrets and name not in hidden)
            members: list[tuple[str, Tree]] = [("hidden", Array(hidden)), ("merged", merged)]
            members += [("free", Array(free)), ("secret", catalog.looks_secret(facts))] if free else []
            members += [("at", record)] if record else []
            undo = Object((*members, ("foreign", ids.of_wanted(facts, step.wanted))))
            made = replace(made, wanted=_with(step.wanted, "undo", undo))
            for fields, why in ((hidden, OF_ANOTHER if is_anothers else NOT_PUT_BACK), (free, FREE_PUT_BACK)):
                if fields and step.kind is StepKind.UPDATE:
                    reason = f"{', '.join(fields)}: {why}"
                    residue.append(Residue(ResidueKind.UNKNOWN, reason, step.entry, step.name))
            if step.kind is StepKind.UPDATE and (kept := _never_removed(step.wanted, facts, catalog)):
                residue.append(Residue(ResidueKind.UNKNOWN, f"{', '.join(kept)}: {ROW_STAYS}", step.entry, step.name))
            if shy := _removed_with_secrets(step.wanted, facts, catalog):
                reason = f"{', '.join(shy)}: {ROW_NOT_PUT_BACK}"
                residue.append(Residue(ResidueKind.UNKNOWN, reason, step.entry, step.name))
        if again or _lasts(made, catalog):
            made_anew = NAMED_MADE_ANEW if again and again.get("by_name") else MADE_ANEW
            made_anew += (
                WITHOUT_SECRETS if again and facts and (again.get("secret") or _may_hide(facts, catalog)) else ""
            )
            reason = NOT_UNDONE if step.kind is not StepKind.DELETE else made_anew if again else NOT_MADE_ANEW
            residue.append(Residue(ResidueKind.UNKNOWN, reason, step.entry, step.name))
        steps.append(made)
    if sum(step.kind is StepKind.LOGIN for step in journey.steps) > 1:
        residue += [Residue(ResidueKind.UNKNOWN, ACTS, s.entry, s.name) for s in session.logins[:1]]
    gives = given_to_others(journey, catalog)
    return replace(journey, steps=tuple(steps), residue=(*journey.residue, *residue), teardown=True, gives=gives)


def given_to_others(journey: Journey, catalog: Catalog) -> dict[str, dict[str, tuple[str, str]]]:
    """What `Journey.gives` tells: such rows go before the record, as they would point to nothing without it."""
    gives: dict[str, dict[str, tuple[str, str]]] = {}
    for step in journey.steps:
        facts = catalog.resources.get(step.resource or "")
        if facts is None or not facts.path or not facts.numbered:
            continue
        for name in _named_in(step, catalog.wrapper).intersection(facts.relations):
            relation = facts.relations[name]
            if relation.nested and not catalog.owns(facts, relation):
                own = catalog.resources[relation.resource].id_field or catalog.id
                gives.setdefault(facts.path, {})[name] = (own, relation.parent_key)
    return {path: dict(sorted(relations.items())) for path, relations in gives.items()}


def _named_in(step: Step, wrapper: str) -> set[str]:
    """The relations and fields of the records that a step creates or changes."""
    if step.wanted:
        return set(step.wanted.relations)
    body = step.request.body if step.kind in (StepKind.CREATE, StepKind.UPDATE) else None
    records = records_of(body.tree, wrapper) if isinstance(body, JsonBody) else []
    return {name for record in records for name, _ in _named(record)}


def _record_of(account: str, facts: Resource, journey: Journey, catalog: Catalog) -> Text | None:
    """Where an administrator changes the profile of another account: the path of its record, if that is looked up."""
    lookup = next((variable.lookup for variable in journey.variables if variable.name == account), None)
    if not facts.single or lookup is None or not catalog.names_accounts(lookup.resource):
        return None
    return Text((f"{catalog.resources[lookup.resource].path}/", Var(account, Encoding.URI)))


def _fields(wanted: Wanted) -> Iterator[str]:
    record = wanted.document.get("record")
    return (name for name, _ in _named(record)) if isinstance(record, Object) else iter(())


def _removes(step: Step) -> bool:
    return step.kind is StepKind.DELETE and step.wanted is not None


def _with(wanted: Wanted, name: str, value: Object) -> Wanted:
    return replace(wanted, document=Object((*wanted.document.members, (name, value))))


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
    """How a deleted record can be made anew, None when its name, or a secret that the server never shows, is missing.

    It gets back the rows of its own; a row that is another's stays where it is and would be made twice (a user's role
    in an app, seen from the role).
    """
    secrets = [rule.path for rule in facts.secrets if rule.path not in facts.made_secrets and not rule.when]
    is_account = facts.own_account or any("." not in path for path in secrets)
    is_named = facts.numbered or facts.id_field == facts.key_field
    if is_account or not facts.natural_key or not is_named:
        return None
    made = sorted(
        {place.replace("[]", "") for place in facts.server_made | facts.made_secrets | facts.self_keys | {catalog.id}}
    )
    return Object(
        (
            ("key", Array(facts.key_fields)),
            ("id", facts.id_field),
            ("made", Array(tuple(made))),
            ("secret", catalog.looks_secret(facts) if secrets or facts.may_hold_secrets else ""),
            ("rows", _rows(facts, catalog)),
            *((("by_name", "path" if facts.create_by_name else "list"),) if not facts.numbered else ()),
        )
    )


def _may_hide(facts: Resource, catalog: Catalog) -> bool:
    """Whether the server may mask something of a record or its own rows, such as the value of a private lookup."""
    own = [catalog.resources[each.resource] for each in facts.relations.values() if catalog.owns(facts, each)]
    return any(rule.path not in each.made_secrets for each in (facts, *own) for rule in each.secrets)


def _rows(facts: Resource, catalog: Catalog) -> Object:
    """The relations whose rows are the record's own, with `[id, parent]` of the rows."""
    return Object(
        tuple(
            (name, Array((catalog.resources[relation.resource].id_field or catalog.id, relation.parent_key)))
            for name, relation in facts.relations.items()
            if catalog.owns(facts, relation)
        )
    )


class _Ids:
    """Where the ids of records stand that a teardown may make anew; `anew` are their resources."""

    def __init__(self, catalog: Catalog, anew: frozenset[str]) -> None:
        self._catalog, self._anew = catalog, anew

    def with_places(self, facts: Resource, again: Object) -> Object:
        """How a record of this resource is made anew, with the places of ids in it and where others point to it."""
        return Object((*again.members, ("foreign", self._places(facts)), ("refers", self._referring(facts))))

    def of_wanted(self, facts: Resource, wanted: Wanted) -> Object:
        """The places of ids in what a wanted state sets."""
        parts = [wanted.document.get(part) for part in ("record", "rows")]
        named = {name for part in parts if isinstance(part, Object) for name, _ in part.members}
        return Object(tuple(member for member in self._places(facts).members if _top(member) in named))

    def _places(self, facts: Resource) -> Object:
        """Each place of ids in a record and its rows, with the lists whose ids stand there."""
        own = list(facts.foreign_keys.items())
        for name, relation in facts.relations.items():
            if relation.nested:
                keys = self._catalog.resources[relation.resource].foreign_keys
                own += [(f"{name}[].{field}", to) for field, to in keys.items() if field != relation.parent_key]
        found = []
        for place, targets in own:
            lists = tuple(self._catalog.resources[name].path or "" for name in targets if name in self._anew)
            found += [(place.replace("[]", ""), Array(lists))] if lists else []
        return Object(tuple(found))

    def _referring(self, facts: Resource) -> Array:
        """The lists whose records or rows may point to one of this resource, and where."""
        found = []
        for other in self._catalog.resources.values():
            if not other.numbered or not other.path:
                continue
            rows = dict(_rows(other, self._catalog).members)
            others_rows = other.relations.keys() - rows
            places = [
                member
                for member in self._places(other).members
                if _top(member) not in others_rows | other.server_made and not _beside_secrets(str(member[0]), other)
            ]
            if any(isinstance(lists, Array) and facts.path in lists.items for _, lists in places):
                used = set(map(_top, places))
                members: tuple[tuple[str, Tree], ...] = (
                    ("path", other.path),
                    ("id", other.id_field),
                    ("rows", Object(tuple(member for member in rows.items() if member[0] in used))),
                    ("merged", Array(tuple(sorted(other.merged & used)))),
                    ("needs", Array(other.needed_in_updates)),
                    ("foreign", Object(tuple(places))),
                    *((("optional", True),) if other.optional else ()),
                )
                found.append(Object(members))
        return Array(tuple(found))


def _top(member: tuple[object, Tree]) -> str:
    """The field of the record that a place begins with."""
    return str(member[0]).partition(".")[0]


def _beside_secrets(place: str, facts: Resource) -> bool:
    """Whether what is noted of the place, the list that it is in, may hold a secret."""
    top = ".".join(place.split(".")[:2])
    return any(rule.path.startswith(f"{top}[") for rule in facts.secrets) or top in facts.may_hold_secrets


def _never_noted(wanted: Wanted, facts: Resource, catalog: Catalog, variables: Mapping[str, Variable]) -> Iterator[str]:
    """The places of a wanted state whose value, or the one before it, may be a secret.

    A place is a field, a member of a field that the server merges, or a field of a nested row.
    """
    rule = _Rule(catalog, variables)
    record = wanted.document.get("record")
    assert isinstance(record, Object)
    for field, value in _named(record):
        if field in facts.merged and isinstance(value, Object):
            inside = ((field_path(field, name), item, value) for name, item in _named(value))
            yield from (place for place, item, beside in inside if rule.hides(place, item, beside, facts))
        elif field in facts.may_hold_secrets:  # each run looks at the values
            yield from [field] if any(variables[name].secret for name in variables_of_tree(value)) else []
        elif rule.hides(field, value, record, facts):
            yield field
    for relation, row in _rows_of(wanted):
        child = catalog.resources[facts.relations[relation].resource]
        for field, value in _named(row) if row else ():
            if row and rule.hides(field, value, row, child):
                yield f"{relation}[].{field}"


def _removed_with_secrets(wanted: Wanted, facts: Resource, catalog: Catalog) -> list[str]:
    """The relations of which rows are removed that may hold a secret."""
    relations = dict.fromkeys(relation for relation, row in _rows_of(wanted) if row is None)
    return [name for name in relations if catalog.resources[facts.relations[name].resource].secrets]


def _never_removed(wanted: Wanted, facts: Resource, catalog: Catalog) -> list[str]:
    """The relations whose one row has the id of its parent, a service's document, say: no update takes it away."""
    relations = dict.fromkeys(relation for relation, row in _rows_of(wanted) if row)
    told = ((name, facts.relations[name]) for name in relations)
    return [name for name, relation in told if catalog.resources[relation.resource].id_field == relation.parent_key]


def _rows_of(wanted: Wanted) -> Iterator[tuple[str, Object | None]]:
    """Each nested row of a wanted state, None for one that is to go, with its relation."""
    rows = wanted.document.get("rows")
    assert isinstance(rows, Object)
    for relation, given in _named(rows):
        entries = given.get("rows") if isinstance(given, Object) else None
        for entry in entries.items if isinstance(entries, Array) else ():
            row = entry.get("row") if isinstance(entry, Object) else None
            yield relation, row if isinstance(row, Object) else None


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
