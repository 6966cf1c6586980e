"""Creates whose answer is not there: the browser gave up, a gateway answered in the server's place, or the recording
lacks the body (browsers let go of large or old ones).

Whether the server did it without saying so, only the rest of the recording can tell: a later read shows a record of
that name, none before it did, and no other create made one. Then the create becomes a step like any other. That read
also tells the ids that the answer would have given.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from dfrecord.normalise.body import json_of, json_text, records_of
from dfrecord.recording.exchange import Body, Exchange
from dfrecord.system_api.catalog import Catalog
from dfrecord.tree import Array, Object, Tree

GATEWAY = (502, 503, 504)
"""Statuses that a proxy in front of the server gives, which has itself had no answer."""

NOT_RECORDED = "its answer was not recorded"

_Key = tuple[str, str]


class _Create(msgspec.Struct):
    """A create without an answer: the keys of its records in order, and the ids that later reads show for them."""

    exchange: Exchange
    sent: list[Object]
    keys: list[_Key]
    ids: dict[_Key, Tree] = msgspec.field(default_factory=dict)


def carried_out(exchanges: Sequence[Exchange], catalog: Catalog) -> dict[int, Exchange]:
    """The creates without an answer that the server did, by number, each with the ids that its answer would give.

    `exchanges` are in running order. Of a batch, only the records that the server made are left.
    """
    if not any(_is_unheard(exchange) or _is_unrecorded(exchange) for exchange in exchanges):
        return {}
    creates: list[_Create] = []
    open_keys: dict[_Key, _Create] = {}
    known: set[_Key] = set()
    for exchange in exchanges:
        location = catalog.locate(exchange.request.decoded_path)
        facts = catalog.resources.get(location.resource or "")
        if facts is None or facts.key_field is None or not facts.numbered:
            continue
        is_create = exchange.request.method == "POST" and location.record is None
        body = exchange.request.body if is_create else exchange.response.body
        tree = json_of(body)
        rows = [] if isinstance(tree, ValueError) else records_of(tree, catalog.wrapper)
        keys = [(facts.name, str(row.get(facts.key_field))) for row in rows]
        if is_create and (_is_unheard(exchange) or _is_unrecorded(exchange)):
            create = _Create(exchange, rows, keys)
            creates.append(create)
            open_keys |= {key: create for key in keys if key not in known or _is_unrecorded(exchange)}
        elif 200 <= exchange.response.status < 300:
            for key, row in zip(keys, rows, strict=True):
                if (found := open_keys.pop(key, None)) and not is_create and row.get(catalog.id) is not None:
                    found.ids[key] = row.get(catalog.id)
            known.update(keys)
    return {create.exchange.number: _answered(create, catalog) for create in creates if create.ids}


def _is_unheard(exchange: Exchange) -> bool:
    status = exchange.response.status
    return exchange.request.method == "POST" and (status <= 0 or status in GATEWAY)


def _is_unrecorded(exchange: Exchange) -> bool:
    """Whether the server did it and said so, in an answer that is not there."""
    answered = 200 <= exchange.response.status < 300
    return exchange.request.method == "POST" and answered and isinstance(json_of(exchange.response.body), ValueError)


def _answered(create: _Create, catalog: Catalog) -> Exchange:
    exchange = create.exchange
    rows = list(zip(create.sent, create.keys, strict=True))
    if _is_unrecorded(exchange):
        ids = (Object(((catalog.id, create.ids[key]),)) if key in create.ids else Object(()) for _, key in rows)
        response = replace(exchange.response, body=_wrapped(Array(tuple(ids)), catalog))
        return replace(exchange, response=response, error=exchange.error or NOT_RECORDED)
    made = [(row, create.ids[key]) for row, key in rows if key in create.ids]
    sent = _wrapped(Array(tuple(row for row, _ in made)), catalog)
    answer = _wrapped(Array(tuple(Object(((catalog.id, identifier),)) for _, identifier in made)), catalog)
    return replace(
        exchange,
        request=replace(exchange.request, body=sent),
        response=replace(exchange.response, status=201, reason="Created", body=answer),
        error=f"no answer came ({exchange.error or f'status {exchange.response.status}'})",
    )


def _wrapped(rows: Array, catalog: Catalog) -> Body:
    tree: Tree = Object(((catalog.wrapper, rows),)) if catalog.wrapper else rows
    return Body.recorded(json_text(tree).encode())
