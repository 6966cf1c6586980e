"""The residue in a few lines, for the comments of a script; `dfrecord show` has all of it."""

from __future__ import annotations

from collections import Counter

from dfrecord.journey.model import Residue, ResidueKind

LINES = 24


def residue_lines(residue: tuple[Residue, ...]) -> list[str]:
    """The residue, what needs a look first, equal reasons counted together."""
    order = [ResidueKind.RISKY, ResidueKind.UNKNOWN, ResidueKind.LEFT_OUT, ResidueKind.DROPPED]
    counts = Counter((order.index(item.kind), item.reason, _subject(item)) for item in residue)
    if len(counts) > LINES:
        counts = Counter((order.index(item.kind), item.reason, "") for item in residue)
    lines = [f"{order[kind]}, {count}x: {reason}{subject}" for (kind, reason, subject), count in sorted(counts.items())]
    if len(lines) > LINES:
        rest = len(lines) - LINES
        lines = [*lines[:LINES], f"and {rest} more kinds (`dfrecord show` lists them all)"]
    return lines


def _subject(item: Residue) -> str:
    subject = item.subject or item.step or ""
    return f" ({subject})" if subject and item.kind is not ResidueKind.DROPPED else ""
