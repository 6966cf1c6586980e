"""Steps in an order in which every value exists before it is used.

The console fires calls in parallel and recordings are joined, so the recorded order is not always one (system-api.md
section 9, 10): a step that captures a value moves before the first step that needs it. All others keep their places.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dfrecord.journey.model import Step, Variable, variables_of_lookup, variables_of_step


def in_dependency_order(steps: Iterable[Step], variables: Mapping[str, Variable]) -> list[Step]:
    """The steps, each after those whose captures it needs, directly or through lookups. Linear in steps and uses."""
    steps = list(steps)
    maker: dict[str, Step] = {}
    for step in steps:
        for capture in step.captures:
            maker.setdefault(capture.variable, step)
    needs = _Needs(maker, variables)
    ordered: list[Step] = []
    placed: set[str] = set()
    for step in steps:
        todo = [step]
        waiting: set[str] = set()
        while todo:
            current = todo[-1]
            first = [other for other in needs.of(current) if other.name not in placed and other.name not in waiting]
            waiting.add(current.name)
            first = [other for other in first if other.name != current.name]
            if first and current.name not in placed:
                todo += first
                continue
            todo.pop()
            if current.name not in placed:
                placed.add(current.name)
                ordered.append(current)
    return ordered


class _Needs:
    """Which steps capture what a step uses."""

    def __init__(self, maker: Mapping[str, Step], variables: Mapping[str, Variable]) -> None:
        self._maker, self._variables = maker, variables
        self._behind: dict[str, frozenset[str]] = {}

    def of(self, step: Step) -> list[Step]:
        names = {name for used in variables_of_step(step) for name in (used, *self._lookups(used))}
        return [self._maker[name] for name in sorted(names) if name in self._maker]

    def _lookups(self, name: str) -> frozenset[str]:
        """The variables that a lookup needs, and those that they need."""
        if name not in self._behind:
            self._behind[name] = frozenset()
            direct = list(variables_of_lookup(self._variables[name])) if name in self._variables else []
            self._behind[name] = frozenset(direct).union(*(self._lookups(other) for other in direct))
        return self._behind[name]
