"""A recording while it is made: exchanges come in as they end, a HAR without secrets grows on disk.

In: exchanges under the filter. Out: a file that is a valid HAR at every moment and holds no secret that the rules
recognise at that moment, and for each exchange a `Call`, what a person is told about it. When an exchange shows that a
value is secret which stood unrecognised in an earlier one, the earlier ones are written again.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from dfrecord.errors import UsageError
from dfrecord.journey.lookup import Sightings
from dfrecord.journey.model import StepKind
from dfrecord.journey.titles import kind_of, title_of
from dfrecord.normalise.body import json_of, records_of
from dfrecord.normalise.redact import check
from dfrecord.normalise.secrets import SecretFinder, content_of, redact_exchange, standing_in
from dfrecord.normalise.select import error_message, wanted_by
from dfrecord.recording.exchange import Exchange
from dfrecord.recording.har_writer import HarWriter
from dfrecord.system_api.catalog import Catalog, Location
from dfrecord.tree import Number

_IDS_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Call:
    """One recorded exchange in words, without secrets. `failure` says why it was refused or failed, if it was."""

    started: str
    title: str
    status: int
    milliseconds: float
    failure: str = ""


class LiveRecording:
    """Writes exchanges to `path` as they end. Raises OSError when the file cannot be made, UsageError for a filter.

    With `redact` off the file holds secrets and is readable by its owner only.
    """

    def __init__(self, path: Path, filters: Sequence[str], catalog: Catalog, *, redact: bool = True) -> None:
        self.path = path
        self.redact = redact
        self._catalog = catalog
        self.filter(filters)
        self._finder = SecretFinder(self._catalog)
        self._unmistakable: frozenset[str] = frozenset()
        self._sightings = Sightings((), self._catalog)
        self._writer = HarWriter(path, private=not redact)
        self.count = 0

    def filter(self, filters: Sequence[str]) -> None:
        """From now on keeps what lies under these path prefixes. Raises UsageError when one is no path."""
        for prefix in filters:
            if "://" in prefix or "?" in prefix:
                raise UsageError(f"filter {prefix!r}: is not a path after the host; write it like api/v2/system")
        self._wanted = wanted_by(filters, self._catalog)

    def wants(self, method: str, url: str) -> bool:
        """Whether an exchange with this request belongs into the recording: under the filter, or a session call."""
        return method.upper() not in ("OPTIONS", "TRACE", "CONNECT") and self._wanted(url)

    def append(self, exchange: Exchange) -> Call:
        """Adds an exchange; it is on disk when this returns.

        Raises OSError when it cannot be written and SecretInOutput when a secret would still stand in it; the file
        then stays as it was.
        """
        exchange = replace(exchange, number=self.count)
        discovered = self._finder.add(exchange)
        secrets = self._finder.secrets_in(content_of(exchange))
        redacted = redact_exchange(exchange, secrets, self._catalog)
        if self.redact:
            if discovered:
                self._redact_again()
            check(redacted, secrets)
        self._writer.append(redacted if self.redact else exchange)
        self.count += 1
        return self._call(redacted)

    def close(self) -> None:
        """Closes the file; it is complete already."""
        self._writer.close()

    def _redact_again(self) -> None:
        """Takes secrets that are known only now out of what is on disk."""
        unmistakable = self._finder.secrets().recorded
        new, self._unmistakable = unmistakable - self._unmistakable, unmistakable
        if new and standing_in(new, content := self._writer.content()):
            from dfrecord.recording.reader import read

            secrets = self._finder.secrets_in(content)
            exchanges = read(io.BytesIO(content)).exchanges
            self._writer.rewrite(redact_exchange(exchange, secrets, self._catalog) for exchange in exchanges)

    def _call(self, exchange: Exchange) -> Call:
        self._sightings.add(exchange, self.count)
        location = self._catalog.locate(exchange.request.decoded_path)
        kind = kind_of(exchange, location, self._catalog)
        title = title_of(exchange, location, kind, self._sightings, self.count, self._catalog, with_ids=True)
        title = title if kind is StepKind.CALL else title[:1].lower() + title[1:]
        status = exchange.response.status
        if kind is StepKind.CREATE and status < 300 and (made := _made(exchange, location, self._catalog)):
            more = ", …" if len(made) > _IDS_SHOWN else ""
            title = f"{title} → {', '.join(made[:_IDS_SHOWN])}{more}"
        failure = exchange.error if status <= 0 else error_message(exchange) if status >= 400 else ""
        return Call(exchange.started, title, status, exchange.milliseconds, failure)


def _made(exchange: Exchange, location: Location, catalog: Catalog) -> list[str]:
    """The ids that the answer to a create gives."""
    answer = json_of(exchange.response.body)
    id_field = catalog.resources[location.resource or ""].id_field
    if isinstance(answer, ValueError) or id_field is None:
        return []
    ids = [record.get(id_field) for record in records_of(answer, catalog.wrapper)]
    return [i.text if isinstance(i, Number) else i for i in ids if isinstance(i, Number | str)]
