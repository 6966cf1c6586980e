"""A console in a folder of its host (`https://host/df/`): recorded as one at the root, since the folder belongs to the
instance, not to what was done.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from msgspec.structs import replace

from dfrecord.recording.exchange import Exchange, Recording
from dfrecord.system_api.catalog import Catalog


def at_root(recording: Recording, catalog: Catalog) -> Recording:
    """The recording with its API at the root of the host; a note names each folder that is left out."""
    folders: dict[str, None] = {}
    exchanges = []
    for exchange in recording.exchanges:
        url = catalog.at_root(exchange.request.url)
        if url != exchange.request.url:
            folders[_folder(exchange, url)] = None
            exchange = replace(exchange, request=replace(exchange.request, url=url))
        exchanges.append(exchange)
    if not folders:
        return recording
    notes = [f"the API lies under {folder} there: such a folder belongs into DF_BASE_URL" for folder in folders]
    return replace(recording, exchanges=tuple(exchanges), notes=(*recording.notes, *notes))


def _folder(exchange: Exchange, url: str) -> str:
    return urlsplit(exchange.request.url).path.removesuffix(urlsplit(url).path)
