"""Several recordings into one, and one into what `dfrecord import` writes: small, and without a secret in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dfrecord.errors import SecretInOutput
from dfrecord.normalise.secrets import Secrets, content_of, find, redact_exchange, standing_in
from dfrecord.normalise.select import Decision, Reads, in_running_order, select
from dfrecord.recording.exchange import Exchange, PassedOver, Recording
from dfrecord.system_api.catalog import Catalog


def joined(recordings: Sequence[Recording]) -> Recording:
    """One recording of several, by start time, without the exchanges that stand in more than one of them."""
    if len(recordings) == 1:
        return recordings[0]
    exchanges: list[Exchange] = []
    passed_over: list[PassedOver] = []
    seen = set()
    offset = 0
    for recording in recordings:
        for exchange in recording.exchanges:
            double = (exchange.started, exchange.request.method, exchange.request.url, exchange.request.body)
            if exchange.started and double in seen:
                continue
            seen.add(double)
            exchanges.append(replace(exchange, number=exchange.number + offset))
        passed_over += [replace(entry, number=entry.number + offset) for entry in recording.passed_over]
        offset += recording.entry_count
    return Recording(
        source=" + ".join(recording.source for recording in recordings),
        exchanges=tuple(in_running_order(exchanges)),
        passed_over=tuple(passed_over),
        lost=sum(recording.lost for recording in recordings),
        notes=tuple(note for recording in recordings for note in recording.notes),
    )


def redacted(
    recording: Recording, filters: Sequence[str], catalog: Catalog, *, keep_secrets: bool
) -> tuple[list[Exchange], int]:
    """What an imported recording holds: what may become a step, and the reads that tell which record an id is.

    Returns the exchanges, secrets replaced by placeholders unless `keep_secrets`, and how many secrets were replaced.
    Raises SecretInOutput when one would still stand in them.
    """
    decisions, _ = select(recording, filters, Reads.ALL, catalog)
    wanted = {decision.number for decision in decisions if decision.kept or _tells_records(decision, catalog)}
    kept = [exchange for exchange in in_running_order(recording.exchanges) if exchange.number in wanted]
    if keep_secrets:
        return kept, 0
    secrets = find(recording.exchanges, catalog)
    result = [redact_exchange(exchange, secrets, catalog) for exchange in kept]
    for exchange in result:
        check(exchange, secrets)
    return result, len(secrets.by_value)


def _tells_records(decision: Decision, catalog: Catalog) -> bool:
    """Console noise that lists records by id and natural key is worth keeping: ids are looked up by it."""
    exchange = decision.exchange
    if exchange is None or not decision.reason.startswith("console noise"):
        return False
    facts = catalog.resources.get(catalog.locate(exchange.request.decoded_path).resource or "")
    return facts is not None and facts.id_field == "id" and facts.key_field is not None


def check(exchange: Exchange, secrets: Secrets) -> None:
    """Raises SecretInOutput when one of the secrets still stands in the exchange."""
    if standing_in(secrets.recorded, content_of(exchange)):
        raise SecretInOutput(f"entry {exchange.number}: a secret would still stand in it; nothing was written")
