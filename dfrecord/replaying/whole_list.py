"""Lists of which a server shows only so many records at once; Python scripts carry this file's function in them.

An instance cuts its lists (`DB_MAX_RECORDS_RETURNED`), and with `include_count` tells how many records there are
(system-api.md section 4.3). Without `order` they come by their key (df-core `BaseModel::selectByRequest`), so that one
which is added meanwhile comes last, and one that is deleted moves those behind it: then there are fewer than before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def whole_list(read: Callable[[int], tuple[list[Any], int]]) -> list[Any]:
    """All records of a list. `read` gives those from a place on, and how many there are in all (0: it does not say).

    Raises CutShort when they cannot all be had.
    """
    records: list[Any] = []
    total = 0
    for _ in range(1000):
        shown, count = read(len(records))
        if count < total or (records and shown[:1] == records[:1]):
            break
        records += shown
        total = count
        if not shown or len(records) >= total:
            return records
    told = f"only {len(records)} of {total} records could be read"
    raise CutShort(f"{told}: the list changes (run again), or is cut (raise DB_MAX_RECORDS_RETURNED)")


class CutShort(Exception):
    """A list could not be read to its end."""
