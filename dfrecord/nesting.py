"""How deep lists and objects may lie in one another. Decided here by a count of our own, since how deep Python itself
can go depends on who calls: what is read, sent or answered is taken or refused the same from any stack. Python and
Locust scripts and Ansible's filters carry this file's functions in them.
"""

from __future__ import annotations

from typing import Any


def lying_in(value: Any) -> list[Any]:
    """What lies in a list or an object."""
    return [*value.values()] if isinstance(value, dict) else value if isinstance(value, list) else []


def is_too_deep(value: Any, inside: Any = lying_in) -> bool:
    """Whether something lies in more than 64 lists and objects (`inside` a value): no record does."""
    level = [value]
    for _ in range(65):
        level = [item for outer in level for item in inside(outer)]
        if not level:
            return False
    return True
