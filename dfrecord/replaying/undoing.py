"""What takes a change of a found record back; Python scripts carry this file's functions in them.

A run notes what it changes (`remembered`), and a teardown puts back what still is as that run left it (`taken_back`).
Secrets are never noted, so they stay as the run set them. Plain JSON throughout, as in `reconcile`.

A record that was deleted (`removed`) is made anew with another id. What pointed to it is noted as a change to null
(`references`): some databases make it null, others keep the dead id. So before anything is put back, ids in the note
become those of the new records, and dead ones in the record become null (`brought_up_to_date`). `anew` says which: the
path that a record had, and the id it has now. A place is a field path without brackets (`config.app_role_map.role_id`;
lists on the way are walked), `foreign` tells of places the lists whose ids stand there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Container, Iterator
from typing import Any
from urllib.parse import quote

from dfrecord.replaying.reconcile import differs, objects_in, taken, unlike


def remembered(changed: dict[str, Any], have: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """What to note so that sending `changed` can be taken back: {was, now, rows, merged, …}; empty when nothing can be.

    `wanted["undo"]` names the places that are never noted, as they hold secrets, the free ones that are not where they
    match `secret`, the fields that the server merges member by member, and the places of ids. Of a relation, `was` has
    the rows that are sent as they were, and the ids of the others.
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
        elif place in have and place not in hidden and not is_shy(place, have[place], value, wanted["undo"]):
            old, new = have[place], value
            if place in merged and isinstance(old, dict) and isinstance(new, dict):
                old, new = notable(old, hidden, place), notable(new, hidden, place)
                old, new = [{name: part[name] for name in new if name in old} for part in (old, new)]
            if "**********" not in str(old) and (old, new) != ({}, {}):
                was[place], now[place] = old, new
    merged = [place for place in merged if isinstance(was.get(place), dict) and isinstance(now[place], dict)]
    foreign = foreign_in(was, wanted["undo"]["foreign"])
    whole = {"whole": told} if (told := [place for place in wanted.get("whole", []) if place in was]) else {}
    return {"was": was, "now": now, "rows": rows, "merged": merged, "foreign": foreign, **whole} if was else {}


def is_shy(place: str, old: Any, new: Any, undo: dict[str, Any]) -> bool:
    """Whether the old or the new value of free text, or free JSON, may hold a secret."""
    told = json.dumps([{place: old}, {place: new}], ensure_ascii=False, separators=(",", ":"))
    return place in undo.get("free", []) and re.search(undo["secret"], told, re.IGNORECASE) is not None


def removed(have: dict[str, Any], again: dict[str, Any]) -> dict[str, Any]:
    """What to note so that a record which is deleted can be made anew: {key, id, record, foreign}, and maybe by_name.

    `again` names the fields of its natural key and its id, the places that the server makes, `[id, parent]` of the rows
    it has, and the places of ids. Empty when it may hold a secret: its JSON matches `secret`, or something is masked.
    """
    told = json.dumps(have, ensure_ascii=False, separators=(",", ":"))
    if not again or "**********" in told or (again["secret"] and re.search(again["secret"], told, re.IGNORECASE)):
        return {}
    key = {name: have.get(name) for name in again["key"]}
    record = {name: value for name, value in have.items() if value is not None}
    for place in again["made"]:
        record = without_place(record, place.split("."))
    for relation, own in again["rows"].items():
        rows = objects_in(record.pop(relation, None))
        if rows:
            record[relation] = [{name: value for name, value in row.items() if name not in own} for row in rows]
    by_name = {"by_name": again["by_name"]} if "by_name" in again else {}
    return {"key": key, "id": have.get(again["id"]), "record": record, "foreign": again["foreign"], **by_name}


def without_place(value: Any, place: list[str]) -> Any:
    """The value without what stands at a place of it; lists on the way are walked."""
    if isinstance(value, list):
        return [without_place(item, place) for item in value]
    if not isinstance(value, dict) or place[0] not in value:
        return value
    if len(place) == 1:
        return {name: item for name, item in value.items() if name != place[0]}
    return {**value, place[0]: without_place(value[place[0]], place[1:])}


def references(
    records: list[dict[str, Any]], refers: dict[str, Any], path: str, identifier: Any
) -> Iterator[dict[str, Any]]:
    """What to note about the records of a list that point to the record `path`/`identifier`, which is deleted.

    `refers` is of that list: {path, id, rows, merged, needs, foreign, …}, with the `[id, parent]` of rows.
    """
    for record in records:
        was: dict[str, Any] = {}
        now: dict[str, Any] = {}
        for place in (place for place, lists in refers["foreign"].items() if path in lists):
            top, *inside = place.split(".")
            value = record.get(top)
            if top in refers["rows"]:
                own, [field] = refers["rows"][top][0], inside
                there = [row for row in rows_with(own, value) if row.get(field) == identifier]
                if there:
                    was[top] = was.get(top, []) + there
                    now[top] = now.get(top, []) + [{own: row[own], field: None} for row in there]
            elif isinstance(value, dict):
                part = {inside[0]: value.get(inside[0])}
                left = at_place(part, inside, lambda there: None if there == identifier else there)
                if left != part and "**********" not in str(part):
                    was[top], now[top] = was.get(top, {}) | part, now.get(top, {}) | left
            elif value == identifier and not inside:
                was[top], now[top] = value, None
        if was:
            yield {
                "changed": f"{refers['path']}/{quote(str(record[refers['id']]), safe='')}",
                **{"was": was, "now": now},
                "rows": {name: own for name, own in refers["rows"].items() if name in was},
                "merged": [name for name in refers["merged"] if name in was],
                "needs": refers["needs"],
                "foreign": foreign_in(was, refers["foreign"]),
            }


def foreign_in(noted: dict[str, Any], foreign: dict[str, list[str]]) -> dict[str, list[str]]:
    """The places of ids that stand in what was noted."""
    found = {}
    for place, lists in foreign.items():
        top, *inside = place.split(".")
        if top in noted and (not isinstance(noted[top], dict) or noted[top].keys() >= set(inside[:1])):
            found[place] = lists
    return found


def at_place(value: Any, place: list[str], change: Callable[[Any], Any]) -> Any:
    """The value with what stands at a place of it changed, wherever there is such a place."""
    if isinstance(value, list):
        return [at_place(item, place, change) for item in value]
    if not place:
        return change(value)
    if not isinstance(value, dict) or place[0] not in value:
        return value
    return {**value, place[0]: at_place(value[place[0]], place[1:], change)}


def at_ids(value: Any, foreign: dict[str, list[str]], change: Callable[[Any, list[str]], Any]) -> Any:
    """The value with its ids changed; `change` gets one, and the lists that it may be of."""
    for place, lists in foreign.items():

        def changed(there: Any, lists: list[str] = lists) -> Any:
            return change(there, lists)

        value = at_place(value, place.split("."), changed)
    return value


def with_new_ids(noted: Any, foreign: dict[str, list[str]], anew: dict[str, Any]) -> Any:
    """What was noted, with the ids that records have now which were made anew."""
    return at_ids(noted, foreign, lambda id, lists: new_id(id, lists, anew, id))


def new_id(old: Any, lists: list[str], anew: dict[str, Any], otherwise: Any) -> Any:
    """The id that a record of one of the lists has now, if it was made anew."""
    return next((anew[path] for each in lists if (path := f"{each}/{quote(str(old), safe='')}") in anew), otherwise)


def brought_up_to_date(
    note: dict[str, Any], have: dict[str, Any], anew: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A note of a change and the record that it is about, after records were made anew."""
    foreign = note.get("foreign", {})
    was, now = (with_new_ids(note[when], foreign, anew) for when in ("was", "now"))
    living = at_ids(have, foreign, lambda id, lists: id if new_id(id, lists, anew, None) is None else None)
    return {**note, "was": was, "now": now}, living


def path_now(path: str, anew: dict[str, Any]) -> str:
    """Where the record is that was at this path."""
    return f"{path.rpartition('/')[0]}/{quote(str(anew[path]), safe='')}" if path in anew else path


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
            back |= values_taken_back({place: was}, {place: now}, have, note.get("whole", []))
            continue
        if sent:
            back[place] = sent
    if back:
        back |= {field: "" for field in note.get("needs", []) if field not in back and have.get(field) is None}
    return back


def changed_since(note: dict[str, Any], have: dict[str, Any]) -> list[str]:
    """Where a record is neither as the run left it nor as it was before: somebody changed it since, so it stays."""
    whole = note.get("whole", [])
    told = [
        place
        for place, was, now, there in noted_places(note, have)
        if all((unlike if place in whole else differs)(left, there) for left in (now, was))
    ]
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


def values_taken_back(
    was: dict[str, Any], now: dict[str, Any], have: dict[str, Any], whole: Container[str] = ()
) -> dict[str, Any]:
    """The old values, as the server had them, where the record still has the new ones; `whole` fields are free JSON."""
    return {
        name: old
        for name, old in was.items()
        if name in have and not (unlike if name in whole else differs)(now[name], have[name]) and old != have[name]
    }


def rows_taken_back(
    was: list[dict[str, Any]], now: list[dict[str, Any]], have: list[dict[str, Any]], own: str, parent: str
) -> list[dict[str, Any]]:
    """The same for nested rows: added ones go, changed ones get their old values, removed ones are made anew.

    Removed is a row of which only nulls were sent: its parent's id, or one that died with its record. Added ones go
    first, and changed ones follow backwards: a name that a row gets back is free by then. The one row that has its
    parent's id (a service's document) stays: the server removes none.
    """
    old = {row[own]: row for row in was}
    there = {row[own]: row for row in have}
    added = [row for row in have if row[own] not in old]
    gone, changed, anew = [], [], []
    for sent in now:
        before, row = old.get(sent.get(own)), there.get(sent.get(own))
        if sent.get(own) is None:
            new = taken(added, [sent])
            gone += [{own: new[own], parent: None}] if new and own != parent else []
        elif row is None:
            if before and len(before) > 1 and all(sent[name] is None for name in sent if name != own):
                anew.append({name: value for name, value in before.items() if name not in (own, parent)})
        elif before and not differs(sent, row):
            values = {name: before[name] for name in sent if name in before and differs(before[name], row.get(name))}
            changed += [{own: row[own], **values}] if values else []
    return gone + changed[::-1] + anew
