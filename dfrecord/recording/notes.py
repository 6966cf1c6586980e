"""Sentences for the person about what a reader had to repair or leave out, few enough to be read."""

from __future__ import annotations

# A damaged file of 100,000 entries has one story to tell, not 100,000.
_MOST_PER_SENTENCE = 5


class Notes:
    """Collects sentences; the same sentence about several entries is told once, with their numbers."""

    def __init__(self) -> None:
        self._entries: dict[str, list[int]] = {}
        self._counts: dict[str, int] = {}

    def add(self, sentence: str, number: int | None = None, count: int = 1) -> None:
        """Notes `sentence`, about so many entries from the one with that number on, or about the whole input."""
        line = " ".join(sentence.split())[:300]
        if line not in self._counts and len(self._counts) >= 100:
            line = "other entries could not be read or had to be repaired"
        self._counts[line] = self._counts.get(line, 0) + count
        numbers = self._entries.setdefault(line, [])
        if number in numbers:  # its request and its answer
            self._counts[line] -= 1
        elif number is not None:
            numbers += range(number, number + count)[: _MOST_PER_SENTENCE - len(numbers)]

    def sentences(self) -> tuple[str, ...]:
        """Every sentence once, e.g. `entries 3, 7 and 12 more: its JSON is broken`."""
        return tuple(self._sentence(line, count) for line, count in self._counts.items())

    def _sentence(self, line: str, count: int) -> str:
        numbers = self._entries[line]
        if not numbers:
            return line
        listed = ", ".join(str(number) for number in numbers)
        more = f" and {count - len(numbers)} more" if count > len(numbers) else ""
        return f"{'entry' if count == 1 else 'entries'} {listed}{more}: {line}"
