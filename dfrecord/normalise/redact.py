"""Several recordings into one, and one into what `dfrecord import` writes: small, and without a secret in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import chain
from typing import TypeVar

from msgspec.structs import replace

from dfrecord.errors import SecretInOutput
from dfrecord.forks import Part, may_fork, processes, together
from dfrecord.normalise.secret_places import secrets_of
from dfrecord.normalise.secrets import Secrets, among, content_of, redact_exchange, standing_in
from dfrecord.normalise.select import Decision, Reads, in_running_order, select
from dfrecord.recording.exchange import AllPassedOver, Exchange, Recording
from dfrecord.recording.har_writer import entry_bytes
from dfrecord.system_api.catalog import Catalog

_SAME_TIME = timedelta(seconds=1)
_WORTH_A_CHILD = 250  # exchanges

T = TypeVar("T")


def joined(recordings: Sequence[Recording]) -> Recording:
    """One recording of several, by start time, without the exchanges that stand in more than one of them.

    Two programs that saw the same exchange disagree by milliseconds about when it began. A recording and what was made
    of it by redacting agree about that, but not about what it held.
    """
    if len(recordings) == 1:
        return recordings[0]
    exchanges: list[Exchange] = []
    passed_over = AllPassedOver()
    seen = _Seen()
    offset = 0
    for recording in recordings:
        new = [exchange for exchange in recording.exchanges if not seen.take(exchange)]
        exchanges += [replace(exchange, number=exchange.number + offset) for exchange in new]
        for exchange in new:
            seen.add(exchange)
        for entry in recording.passed_over:
            passed_over.add(entry.number + offset, entry.url)
        offset += recording.entry_count
    return Recording(
        source=" + ".join(recording.source for recording in recordings),
        exchanges=tuple(in_running_order(exchanges)),
        passed_over=passed_over,
        lost=sum(recording.lost for recording in recordings),
        notes=tuple(note for recording in recordings for note in recording.notes),
    )


class _Seen:
    """The exchanges of earlier recordings, each to be found again once."""

    def __init__(self) -> None:
        self._by_content: dict[tuple[object, ...], list[datetime]] = {}
        self._by_moment: Counter[tuple[object, ...]] = Counter()

    def add(self, exchange: Exchange) -> None:
        """Keeps one, if it is known when it began."""
        if (started := _time(exchange.started)) is not None:
            self._by_content.setdefault(_content(exchange), []).append(started)
            self._by_moment[*_call(exchange), started] += 1

    def take(self, exchange: Exchange) -> bool:
        """Whether it is here; from now on it is not."""
        started = _time(exchange.started)
        if started is None:
            return False
        alike = self._by_content.get(_content(exchange), [])
        found = next((time for time in alike if abs(time - started) <= _SAME_TIME), None)
        moment = (*_call(exchange), started if found is None else found)
        if found is None and not self._by_moment[moment]:
            return False
        if found is not None:
            alike.remove(found)
        self._by_moment[moment] -= 1
        return True


def _call(exchange: Exchange) -> tuple[object, ...]:
    return exchange.request.method, exchange.request.url, exchange.response.status


def _content(exchange: Exchange) -> tuple[object, ...]:
    return *_call(exchange), exchange.request.body, exchange.response.body


def _time(started: str) -> datetime | None:
    """The moment, None when it is not known or without its zone."""
    try:
        time = datetime.fromisoformat(started)
    except ValueError:
        return None
    return time if time.tzinfo is not None else None


def redacted(
    recording: Recording, filters: Sequence[str], catalog: Catalog, *, keep_secrets: bool
) -> tuple[list[bytes], int]:
    """What an imported recording holds: what may become a step, and the reads that tell which record an id is.

    Returns the exchanges as entries of a HAR (`har_of`), secrets replaced by placeholders unless `keep_secrets`, and
    how many secrets were replaced. Raises SecretInOutput when one would still stand in them.
    """
    decisions, _ = select(recording, filters, Reads.ALL, catalog)
    wanted = {decision.number for decision in decisions if decision.kept or _tells_records(decision, catalog)}
    kept = [exchange for exchange in in_running_order(recording.exchanges) if exchange.number in wanted]
    if keep_secrets:
        return [entry_bytes(exchange) for exchange in kept], 0
    count = processes() if len(kept) >= _WORTH_A_CHILD and may_fork() else 1
    pairs = zip(_cut(recording.exchanges, count), _cut(kept, count), strict=True)
    done = together([partial(_redacted, searched, written, catalog) for searched, written in pairs])
    return [entry for entries, _ in done for entry in entries], done[0][1]


def _cut(items: Sequence[T], count: int) -> list[Sequence[T]]:
    return [items[len(items) * n // count : len(items) * (n + 1) // count] for n in range(count)]


def _redacted(searched: Sequence[Exchange], written: Sequence[Exchange], catalog: Catalog) -> Part:
    """One of the parts of a recording: the entries that are written of it, and how many secrets all parts hold."""
    places = yield [place for exchange in searched for place in secrets_of(exchange, catalog)]
    secrets = among(chain.from_iterable(places), catalog)
    entries: list[bytes] = []
    for exchange in written:
        result = redact_exchange(exchange, secrets, catalog)
        check(result, secrets)
        entries.append(entry_bytes(result))
    return entries, len(secrets.by_value)


def _tells_records(decision: Decision, catalog: Catalog) -> bool:
    """Console noise that lists records by id and natural key is worth keeping: ids are looked up by it."""
    exchange = decision.exchange
    if exchange is None or not decision.reason.startswith("console noise"):
        return False
    facts = catalog.resources.get(catalog.locate(exchange.request.decoded_path).resource or "")
    return facts is not None and facts.numbered and facts.key_field is not None


def check(exchange: Exchange, secrets: Secrets) -> None:
    """Raises SecretInOutput when one of the secrets still stands in the exchange."""
    if standing_in(secrets.recorded, content_of(exchange)):
        raise SecretInOutput(f"entry {exchange.number}: a secret would still stand in it; nothing was written")
