"""Whoever watches a recording being made: what they are told, and what of mitmproxy's log reaches them."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from dfrecord.capture.live import Call


@dataclass(frozen=True, slots=True)
class Summary:
    """How many exchanges were recorded, passed unrecorded, and could not be recorded."""

    recorded: int
    filtered_out: int
    lost: int


class Audience(Protocol):
    """Whoever watches the recording."""

    def listening(self, host: str, port: int, ca: Path | None) -> None:
        """The proxy listens; `ca` is the certificate that a browser must trust, when one must be trusted."""

    def call(self, call: Call) -> None:
        """A call was recorded."""

    def filtered_out(self, count: int) -> None:
        """So many exchanges passed unrecorded until now."""

    def note(self, line: str) -> None:
        """Something that the person should know."""

    def ended(self, summary: Summary) -> None:
        """The recording is over and its file is closed."""


class Log(logging.Handler):
    """Tells what dfrecord's own addon warns of, and failures inside mitmproxy; of its other lines the last is kept."""

    def __init__(self, audience: Audience) -> None:
        super().__init__(logging.WARNING)
        self._audience = audience
        self.last = ""

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith("dfrecord."):
            self._audience.note(record.getMessage())
            return
        self.last = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            self._audience.note(f"{self.last.partition(chr(10))[0]}: {record.exc_info[1]!r}")


@contextlib.contextmanager
def log_to(audience: Audience) -> Iterator[Log]:
    """The log that mitmproxy and the addon write to meanwhile."""
    log = Log(audience)
    loggers = [logging.getLogger("mitmproxy"), logging.getLogger("dfrecord.capture")]
    for logger in loggers:
        logger.addHandler(log)
        logger.propagate = False
    try:
        yield log
    finally:
        for logger in loggers:
            logger.removeHandler(log)
            logger.propagate = True
