"""Random changes of the access rows of one role, most of them alike: the same rows in the end on another server.

Rows differ by little (verbs, filters), so that one often becomes what another is, was or will be.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from dfrecord.recording.exchange import Recording
from tests.doubles.server import DreamFactoryDouble
from tests.recorder import RecordedSession
from tests.states import portable
from tests.test_graphs import EXAMPLES, RELATION, ROW, check_ends

Draw = Callable[..., Any]
Rows = list[dict[str, Any]]

FILTERS = st.sampled_from(["", "", "a", "b"]).map(
    lambda tenants: [{"name": "tenant", "operator": "=", "value": tenant} for tenant in tenants]
)


def new_rows(most: int, masks: Sequence[int] = (1, 1, 3)) -> st.SearchStrategy[Rows]:
    """Rows for the services that are always there, by name, most of them for one."""
    row = st.builds(
        lambda service, mask, filters: {**ROW, "service_id": service, "verb_mask": mask, "filters": filters},
        *(st.sampled_from(["db", "db", "files"]), st.sampled_from(masks), FILTERS),
    )
    return st.lists(row, max_size=most)


def with_ids(session: RecordedSession, rows: Rows) -> Rows:
    """The rows with the ids that the services have on this server."""
    own = {row["name"]: row["id"] for row in session.call("GET", "system/service?fields=id,name")["resource"]}
    return [{**row, "service_id": own[row["service_id"]]} for row in rows]


def create_role(session: RecordedSession, name: str, rows: Rows) -> int:
    [own] = session.create("role", {"name": name, "is_active": True, RELATION: with_ids(session, rows)})
    return own


class Editor:
    """Draws what an administrator does to the rows of a role, made by the journey or `found`, and does it."""

    def __init__(self, session: RecordedSession, draw: Draw, *, found: bool) -> None:
        self.s, self.draw, self.found, self.added = session, draw, found, 0
        session.call("GET", "system/service?fields=id,name")  # what rows point to is seen
        roles = {row["name"]: row["id"] for row in session.call("GET", "system/role?fields=id,name")["resource"]}
        own = roles["found"] if found else create_role(session, "made", draw(new_rows(3)))
        self.path = f"system/role/{own}"

    def read(self) -> Rows:
        rows: Rows = self.s.call("GET", f"{self.path}?related={RELATION}")[RELATION]
        return rows

    def new_rows(self, masks: Sequence[int] = (1, 3)) -> Rows:
        return with_ids(self.s, self.draw(new_rows(2, masks)))

    def save(self) -> None:
        """As the console does: all rows, as they were read but for what is changed, and new ones."""
        sent = []
        for row in self.read():
            changes: list[dict[str, Any]] = [{}, {}, {"verb_mask": self.draw(st.sampled_from([1, 3, 7]))}]
            changes += [{"filters": self.draw(FILTERS)}, {"role_id": None}]
            sent.append({**row, **self.draw(st.sampled_from(changes))})
        self.s.call("PUT", self.path, {RELATION: sent + self.new_rows()})

    def add(self) -> None:
        """Without a look at the rows; to a found role none that it has, as an upsert takes that for the one."""
        self.added += 1  # no update is like the one before: of two equal ones the console means one
        rows = self.new_rows((9, 9, 10) if self.found else (1, 3))
        self.s.call("PATCH", self.path, {RELATION: rows, "description": f"{self.added}"})

    def change(self) -> None:
        """Rows one after the other, each by its id alone; what the others are is known from the one look before."""
        rows = self.read()
        for row in self.draw(st.lists(st.sampled_from(rows), unique_by=id, max_size=3)) if rows else ():
            change = self.draw(st.sampled_from([{"role_id": None}, {"verb_mask": 1}, {"verb_mask": 15}]))
            self.s.call("PATCH", self.path, {RELATION: [{"id": row["id"], **change}]})


@pytest.mark.parametrize("upsert", [False, True], ids=["plain", "upsert"])
@pytest.mark.parametrize("way", EXAMPLES)
def test_rows_that_are_alike_end_as_recorded(way: str, upsert: bool, tmp_path_factory: pytest.TempPathFactory) -> None:
    @settings(
        max_examples=EXAMPLES[way],
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.reuse, Phase.generate],
    )
    @given(data=st.data())
    def end_as_recorded(data: st.DataObject) -> None:
        folder = tmp_path_factory.mktemp("rows")
        with DreamFactoryDouble() as recorded, DreamFactoryDouble(id_offset=500) as target:
            rows = data.draw(new_rows(3))
            create_role(RecordedSession(recorded), "found", rows)
            create_role(RecordedSession(target), "found", rows[::-1])
            editor = Editor(RecordedSession(recorded), data.draw, found=data.draw(st.booleans()))
            for _ in range(data.draw(st.integers(1, 4))):
                data.draw(st.sampled_from([editor.save, editor.save, editor.add, editor.change]))()
            recording = Recording("rows.har", tuple(editor.s.exchanges))
            check_ends(way, folder, recording, recorded, target, upsert=upsert, seen=portable)

    end_as_recorded()
