"""The residue as lines for the comments of a script: everything, each reason once with the steps that it is about."""

from __future__ import annotations

from dfrecord.journey.model import Residue, ResidueKind

_ORDER = [ResidueKind.RISKY, ResidueKind.UNKNOWN, ResidueKind.LEFT_OUT, ResidueKind.DROPPED]


def residue_lines(residue: tuple[Residue, ...]) -> list[str]:
    """The residue, what needs a look first; of entries that are no step only their number (`dfrecord show` has each)."""
    found: dict[tuple[int, str], list[str]] = {}
    for item in residue:
        found.setdefault((_ORDER.index(item.kind), item.reason), []).append(item.subject or item.step or "")
    lines: list[str] = []
    for (kind, reason), subjects in sorted(found.items()):
        named = dict.fromkeys(subject for subject in subjects if subject and _ORDER[kind] is not ResidueKind.DROPPED)
        about = f" ({', '.join(named)})" if named else ""
        lines.append(f"{_ORDER[kind]}, {len(subjects)}x: {reason}{about}")
    return lines
