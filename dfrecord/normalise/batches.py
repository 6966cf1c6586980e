"""The part of a refused batch that the server did carry out: batches are not atomic (system-api.md section 10).

A batch names its records in its body or, one change for all or a delete, in `ids`. The answer tells of each, in order,
as far as the server came.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import parse_qsl, quote, unquote_plus

from msgspec.structs import replace

from dfrecord.normalise.body import json_of, json_text
from dfrecord.recording.exchange import Body, Exchange
from dfrecord.system_api.catalog import Catalog
from dfrecord.tree import Array, Object, Tree


def carried_part(exchange: Exchange, method: str, catalog: Catalog) -> tuple[Exchange, str] | None:
    """The batch of only those records that the server took, as answered with success, and how many those are.

    `method` is the verb the server acted on. None when it took none, or gave them up again.
    """
    options = dict(parse_qsl(exchange.request.query))
    if options.get("rollback", "").lower() in ("true", "1"):
        return None
    request = exchange.request
    sent = json_of(request.body)
    listed = sent.get(catalog.wrapper) if isinstance(sent, Object) else sent
    records = listed.items if isinstance(listed, Array) else ()
    ids = options["ids"].split(",") if method != "POST" and "ids" in options else []
    count = len(ids or records)
    rows = _outcomes(json_of(exchange.response.body), catalog)[:count]
    done = [n for n, row in enumerate(rows) if isinstance(row, Object) and row.get(catalog.id) is not None]
    if not done:
        return None
    if ids:
        request = replace(request, url=_with_ids(request.url, [ids[n] for n in done]))
    else:
        request = replace(request, body=_wrapped([records[n] for n in done], catalog))
    status, reason = (201, "Created") if method == "POST" else (200, "OK")
    answer = _wrapped([rows[n] for n in done], catalog)
    response = replace(exchange.response, status=status, reason=reason, body=answer)
    return replace(exchange, request=request, response=response), f"of {count} records the server took {len(done)}"


def _outcomes(answer: Tree | ValueError, catalog: Catalog) -> Sequence[Tree]:
    """What the answer to a refused batch tells of each record: the id, or an error."""
    error = answer.get("error") if isinstance(answer, Object) else None
    context = error.get("context") if isinstance(error, Object) else None
    rows = context.get(catalog.wrapper) if isinstance(context, Object) else None
    return rows.items if isinstance(rows, Array) else ()


def _wrapped(rows: Sequence[Tree], catalog: Catalog) -> Body:
    return Body.recorded(json_text(Object(((catalog.wrapper, Array(tuple(rows))),))).encode())


def _with_ids(url: str, ids: Sequence[str]) -> str:
    path, _, query = url.partition("?")
    pairs = [pair.partition("=") for pair in query.split("&")]
    named = quote(",".join(ids), safe=",")
    return f"{path}?" + "&".join(f"{n}={named}" if unquote_plus(n) == "ids" else n + eq + v for n, eq, v in pairs)
