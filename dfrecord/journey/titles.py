"""What a request means to a person: the kind of step it is, and its title (`Create role acme-role`).

In: an exchange, where its path leads, and the records seen. A title is recorded text: redact it before it is shown.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_plus

from dfrecord.journey.lookup import Sightings
from dfrecord.journey.model import StepKind
from dfrecord.journey.names import label
from dfrecord.normalise.body import json_of, records_of
from dfrecord.normalise.select import effective_method
from dfrecord.recording.exchange import Exchange
from dfrecord.system_api.catalog import Catalog, Location


def kind_of(exchange: Exchange, location: Location, catalog: Catalog) -> StepKind:
    """What the request does, tunnelled verbs resolved."""
    method = effective_method(exchange, catalog)
    if method in ("GET", "HEAD"):
        return StepKind.READ
    if catalog.is_session(exchange.request.decoded_path):
        return {"POST": StepKind.LOGIN, "DELETE": StepKind.LOGOUT}.get(method, StepKind.CALL)
    facts = catalog.resources.get(location.resource or "")
    if facts is not None and facts.single and method in ("POST", "PUT", "PATCH"):
        return StepKind.UPDATE
    if facts is None or facts.id_field is None or facts.actions or catalog.is_below_record(location):
        return StepKind.CALL
    kinds = {"POST": StepKind.CREATE, "PUT": StepKind.UPDATE, "PATCH": StepKind.UPDATE, "DELETE": StepKind.DELETE}
    return kinds.get(method, StepKind.CALL)


def title_of(
    exchange: Exchange,
    location: Location,
    kind: StepKind,
    sightings: Sightings,
    entry: int,
    catalog: Catalog,
    *,
    with_ids: bool = False,
) -> str:
    """One line for a person; records are named by their natural key where `sightings` show it up to `entry`.

    A record that nothing names is told by its resource alone, `with_ids` by its id on the recorded instance.
    """
    if kind is StepKind.LOGIN:
        return "Log in as an administrator" if catalog.is_admin_session(location.resource) else "Log in"
    if kind is StepKind.LOGOUT:
        return "Log out"
    resource = label(location.resource or "")
    if kind is StepKind.CALL or not resource:
        return _call(exchange, location, sightings, entry, catalog, with_ids)
    keys = _keys(exchange, location, kind, sightings, entry, catalog, with_ids)
    if kind is StepKind.READ and not (location.record and keys):
        return f"Read the list of {resource} records"
    if len(keys) == 1:
        return f"{kind.value.capitalize()} {f'{resource} {keys[0]}' if keys[0] else _one(resource)}"
    named = list(filter(None, keys))
    others = len(keys) - len(named)
    shown = named[:5] + ["…"] * (len(named) > 5) + ([f"{others} that it does not show"] if others and named else [])
    count = f"{len(keys)} {resource} records{':' if shown else ''}" if keys else resource
    return f"{kind.value.capitalize()} {count} {', '.join(shown)}".rstrip()


def _one(resource: str) -> str:
    """A record of which no more is known: `an app record`."""
    return f"{'an' if resource[:1] in 'aeio' else 'a'} {resource} record"  # a user


def _call(
    exchange: Exchange, location: Location, sightings: Sightings, entry: int, catalog: Catalog, with_ids: bool
) -> str:
    """What is no record's write: in the catalog's words, else its verb and path."""
    method, facts = effective_method(exchange, catalog), catalog.resources.get(location.resource or "")
    record, path = location.record or "", exchange.request.decoded_path
    if record.isdecimal() and not with_ids:  # an id of the recorded instance says nothing
        path = f"{path.removesuffix(record)}…"
        owners = facts.foreign_keys.get(facts.id_field or "", ()) if facts else ()
        seen = [(owner, found) for owner in owners if (found := sightings.of(owner, record, entry))]
        names = [found.row.get(catalog.resources[owner].natural_key[0]) for owner, found in seen]
        record = next((name for name in names if isinstance(name, str)), "")
    owner, slash, below = record.partition("/")
    if owner.isdecimal() and slash and not with_ids:
        path = f"{path.removesuffix(record)}…/{below}"
    words = facts.calls.get(f"{method} {{}}" if location.record else method) if facts else None
    return words.replace("{}", record).rstrip() if words else f"{method} {path}"


def _keys(
    exchange: Exchange,
    location: Location,
    kind: StepKind,
    sightings: Sightings,
    entry: int,
    catalog: Catalog,
    with_ids: bool,
) -> list[str]:
    """The natural keys of the records a request is about; "" or the id where the recording does not show the key."""
    facts = catalog.resources[location.resource or ""]
    if facts.single:
        return []
    tree = json_of(exchange.request.body)
    records = [] if isinstance(tree, ValueError) else records_of(tree, catalog.wrapper)
    ids = [location.record] if location.record else []
    ids = ids or [own for record in records if (own := catalog.id_of(record.get(catalog.id))) and own != "0"]
    if match := re.search(r"(?:^|&)ids=([^&]*)", exchange.request.query):
        ids += re.findall(r"\d+", unquote_plus(match[1]))
    field_name = facts.natural_key[0] if facts.natural_key else "name"
    if ids and kind is not StepKind.CREATE and facts.numbered:
        seen = [sightings.named(facts.name, i, entry) for i in ids]
        unnamed = ids if with_ids else [None] * len(ids)
        keys = [s.row.get(field_name) if s else own for s, own in zip(seen, unnamed, strict=True)]
    elif location.record and not facts.numbered:
        keys = [location.record]  # the path names the record
    else:
        keys = [record.get(field_name) for record in records] or list(ids)
    return [key if isinstance(key, str) else "" for key in keys]
