"""What a run notes of the answer to a call that no later run sends; Python scripts and playbooks carry this, too."""

from __future__ import annotations

from typing import Any


def kept(answer: Any, places: list[tuple[str | int, ...]]) -> Any:
    """The answer with nothing but what stands at these places (keys and positions); None where one has no value."""
    if () in places:
        return answer
    parts = {}
    for key in dict.fromkeys(place[0] for place in places):
        try:
            part = kept(answer[key], [place[1:] for place in places if place[0] == key])
        except (KeyError, IndexError, TypeError):
            part = None
        if part is None:
            return None
        parts[key] = part
    return [parts.get(position) for position in range(len(answer))] if isinstance(answer, list) else parts
