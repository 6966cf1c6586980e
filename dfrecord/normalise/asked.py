"""What a create asks to be answered: by `fields`, a client may have left out the id that scripts know the record by.

In: the request of a create. Out: the same one, asking for the id, too (system-api.md section 4.3).
"""

from __future__ import annotations

from urllib.parse import unquote_plus

from msgspec.structs import replace

from dfrecord.recording.exchange import Request
from dfrecord.system_api.catalog import Catalog

ASKED = "it asks for the id, too, which the recorded call left out"


def with_id_asked(request: Request, catalog: Catalog) -> Request:
    """The request, the same one when its answer tells the id anyway: without `fields`, and by `*`.

    Where a name stands several times, PHP takes the last.
    """
    pairs = request.query.split("&")
    places = [n for n, pair in enumerate(pairs) if unquote_plus(pair.partition("=")[0]) == "fields"]
    if not catalog.conventions.filters or not places:
        return request
    value = pairs[places[-1]].partition("=")[2]
    names = {name.strip() for name in unquote_plus(value).split(",")} - {""}
    if not names or names & {"*", catalog.id}:
        return request
    pairs[places[-1]] += f",{catalog.id}"
    return replace(request, url=f"{request.url.partition('?')[0]}?{'&'.join(pairs)}")
