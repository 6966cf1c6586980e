"""What takes a change of a found record back; Python scripts carry this file's functions in them.

A run notes what it changes (`remembered`), and a teardown puts back what still is as that run left it (`taken_back`).
Secrets are never noted, so they stay as the run set them. Plain JSON throughout, as in `reconcile`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dfrecord.replaying.reconcile import differs, objects_in, taken


def remembered(changed: dict[str, Any], have: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """What to note so that sending `changed` can be taken back: {was, now, rows, merged}; empty when nothing can be.

    `wanted["undo"]` names the places that are never noted, as they hold secrets, and the fields that the server merges
    member by member. Of a relation, `was` has the rows that are sent as they were, and the ids of the others.
    """
    hidden, merged = wanted["undo"]["hidden"], wanted["undo"]["merged"]
    was: dict[str, Any] = {}
    now: dict[str, Any] = {}
    rows: dict[str, Any] = {}
    for place, value in changed.items():
        if place in wanted["rows"]:
            own = wanted["rows"][place]["id"]
            rows[place] = [own, wanted["rows"][place]["parent"]]
            sent = [row.get(own) for row in value]
            there = rows_with(own, have.get(place))
            whole_rows = [row[own] in sent and notable(row, hidden, f"{place}[]") == row for row in there]
            was[place] = [row if whole else {own: row[own]} for row, whole in zip(there, whole_rows, strict=True)]
            now[place] = [notable(row, hidden, f"{place}[]") for row in value]
        elif place in have and place not in hidden:
            old, new = have[place], value
            if place in merged and isinstance(old, dict) and isinstance(new, dict):
                old, new = notable(old, hidden, place), notable(new, hidden, place)
                old, new = [{name: part[name] for name in new if name in old} for part in (old, new)]
            if "**********" not in str(old) and (old, new) != ({}, {}):
                was[place], now[place] = old, new
    merged = [place for place in merged if isinstance(was.get(place), dict) and isinstance(now[place], dict)]
    return {"was": was, "now": now, "rows": rows, "merged": merged} if was else {}


def removed(have: dict[str, Any], again: dict[str, Any]) -> dict[str, Any]:
    """What to note so that a record which is deleted can be made anew: {key, record}; empty when it holds a secret.

    `again` names the fields of its natural key, those that the server makes, and `[id, parent]` of the rows it has.
    """
    if not again or "**********" in str(have):
        return {}
    record = {name: value for name, value in have.items() if name not in again["made"] and value is not None}
    for relation, own in again["rows"].items():
        rows = objects_in(record.pop(relation, None))
        if rows:
            record[relation] = [{name: value for name, value in row.items() if name not in own} for row in rows]
    return {"key": {name: have.get(name) for name in again["key"]}, "record": record}


def rows_with(own: str, value: Any) -> list[dict[str, Any]]:
    """The rows of a relation that have an id."""
    return [row for row in objects_in(value) if isinstance(row.get(own), int | str)]


def notable(record: dict[str, Any], hidden: list[str], place: str) -> dict[str, Any]:
    """The members of a record that may be noted: no secrets, and nothing that the server masks."""
    return {
        name: value
        for name, value in record.items()
        if f"{place}.{name}" not in hidden and "**********" not in str(value)
    }


def taken_back(note: dict[str, Any], have: dict[str, Any]) -> dict[str, Any]:
    """What to send so that a noted change is undone; what has been changed again since stays as it is."""
    back: dict[str, Any] = {}
    for place, was in note["was"].items():
        now = note["now"][place]
        if place in note["rows"]:
            own, parent = note["rows"][place]
            sent: Any = rows_taken_back(was, now, rows_with(own, have.get(place)), own, parent)
        elif place in note["merged"]:
            there = have.get(place)
            sent = values_taken_back(was, now, there if isinstance(there, dict) else {})
        else:
            back |= values_taken_back({place: was}, {place: now}, have)
            continue
        if sent:
            back[place] = sent
    return back


def changed_since(note: dict[str, Any], have: dict[str, Any]) -> list[str]:
    """Where a record is neither as the run left it nor as it was before: somebody changed it since, so it stays."""
    told = [place for place, was, now, there in noted_places(note, have) if differs(now, there) and differs(was, there)]
    return list(dict.fromkeys(told))


def noted_places(note: dict[str, Any], have: dict[str, Any]) -> Iterator[tuple[str, Any, Any, Any]]:
    """Place by place what a note says was there and was sent, and what is there now."""
    for place, was in note["was"].items():
        now, there = note["now"][place], have.get(place)
        if place in note["rows"]:
            own = note["rows"][place][0]
            old, rows = [{row[own]: row for row in rows_with(own, each)} for each in (was, there)]
            sent = [row for row in now if row.get(own) in old and row.get(own) in rows]
            yield from ((place, old[row[own]], row, rows[row[own]]) for row in sent)
        elif place in note["merged"] and isinstance(there, dict):
            yield from ((f"{place}.{name}", old, now[name], there[name]) for name, old in was.items() if name in there)
        elif place in have:
            yield place, was, now, there


def values_taken_back(was: dict[str, Any], now: dict[str, Any], have: dict[str, Any]) -> dict[str, Any]:
    """The old values where the record still has the new ones."""
    return {
        name: old
        for name, old in was.items()
        if name in have and not differs(now[name], have[name]) and differs(old, have[name])
    }


def rows_taken_back(
    was: list[dict[str, Any]], now: list[dict[str, Any]], have: list[dict[str, Any]], own: str, parent: str
) -> list[dict[str, Any]]:
    """The same for nested rows: added ones go, changed ones get their old values, removed ones are made anew."""
    old = {row[own]: row for row in was}
    there = {row[own]: row for row in have}
    added = [row for row in have if row[own] not in old]
    back = []
    for sent in now:
        before, row = old.get(sent.get(own)), there.get(sent.get(own))
        if sent.get(own) is None:
            new = taken(added, [sent])
            back += [{own: new[own], parent: None}] if new else []
        elif parent in sent and sent[parent] is None:
            if row is None and before and len(before) > 1:
                back.append({name: value for name, value in before.items() if name not in (own, parent)})
        elif row and before and not differs(sent, row):
            values = {name: before[name] for name in sent if name in before and differs(before[name], row.get(name))}
            back += [{own: row[own], **values}] if values else []
    return back
