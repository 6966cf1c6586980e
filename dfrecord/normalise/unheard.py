"""Creates whose answer tells no id: the browser gave up, a gateway answered in the server's place, the recording lacks
the body (browsers let go of large or old ones), or the client asked for other `fields` only.

Whether the server did it without saying so, only the rest of the recording can tell: a later read shows a record of
that name, none before it did, and no other create made one. Then the create becomes a step like any other. That read
also tells the ids that the answer would have given.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from dfrecord.normalise.body import each_record, json_of, json_text, records_of
from dfrecord.recording.exchange import Body, Exchange
from dfrecord.system_api.catalog import Catalog
from dfrecord.tree import Array, Object, Tree

GATEWAY = (502, 503, 504)
"""Statuses that a proxy in front of the server gives, which has itself had no answer."""

NOT_RECORDED = "its answer was not recorded"

_Key = tuple[str, str]


class _Create(msgspec.Struct):
    """A create without the ids: the keys of its records in order, and the ids that later reads show for them."""

    exchange: Exchange
    sent: list[Object]
    keys: list[_Key]
    ids: dict[_Key, Tree] = msgspec.field(default_factory=dict)


def carried_out(exchanges: Sequence[Exchange], catalog: Catalog) -> dict[int, Exchange]:
    """The creates that the server did without telling an id, by number, each with the ids that its answer would give.

    `exchanges` are in running order. Of a batch that nobody heard of, only the records that the server made are left.
    """
    if not any(_is_unheard(exchange) or _is_silent(exchange, catalog) for exchange in exchanges):
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
        if is_create and (_is_unheard(exchange) or _is_silent(exchange, catalog)):
            create = _Create(exchange, rows, keys)
            creates.append(create)
            open_keys |= {key: create for key in keys if key not in known or not _is_unheard(exchange)}
        elif 200 <= exchange.response.status < 300:
            for key, row in zip(keys, rows, strict=True):
                own = None if is_create or row.get(facts.key_field) is None else row.get(catalog.id)
                if (is_create or own is not None) and (found := open_keys.pop(key, None)):
                    found.ids |= {} if own is None else {key: own}
            known.update(keys)
    return {
        create.exchange.number: (_answered if _is_unheard(create.exchange) else _with_ids)(create, catalog)
        for create in creates
        if create.ids
    }


def _is_unheard(exchange: Exchange) -> bool:
    status = exchange.response.status
    return exchange.request.method == "POST" and (status <= 0 or status in GATEWAY)


def _is_silent(exchange: Exchange, catalog: Catalog) -> bool:
    """Whether the server made records with ids and said so, in an answer that is not there or shows no id."""
    facts = catalog.resources.get(catalog.locate(exchange.request.decoded_path).resource or "")
    answered = 200 <= exchange.response.status < 300
    if exchange.request.method != "POST" or not answered or facts is None or not facts.numbered:
        return False
    answer = json_of(exchange.response.body)
    return isinstance(answer, ValueError) or all(
        row.get(catalog.id) is None for row in records_of(answer, catalog.wrapper)
    )


def _with_ids(create: _Create, catalog: Catalog) -> Exchange:
    """As the server answers when it is asked for the ids, too; nothing but them where the answer is not there."""
    exchange, answer = create.exchange, json_of(create.exchange.response.body)
    ids = [((catalog.id, create.ids[key]),) if key in create.ids else () for key in create.keys]
    if not isinstance(answer, ValueError) and len(records_of(answer, catalog.wrapper)) == len(ids):
        told = each_record(answer, catalog.wrapper, lambda n, row: Object((*row.members, *ids[n])))
        body = Body.recorded(json_text(told).encode())
        return replace(exchange, response=replace(exchange.response, body=body))
    body = _wrapped(Array(tuple(map(Object, ids))), catalog)
    response = replace(exchange.response, body=body)
    return replace(exchange, response=response, error=exchange.error or NOT_RECORDED)


def _answered(create: _Create, catalog: Catalog) -> Exchange:
    """As one that was heard, with the records only that the server made."""
    exchange = create.exchange
    rows = zip(create.sent, create.keys, strict=True)
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
