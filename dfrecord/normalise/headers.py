"""The request headers that a step sends: what matters to the server, without the browser's, proxies' and console's own.

Which headers those are is catalog knowledge (system-api.md section 3).
"""

from __future__ import annotations

from urllib.parse import unquote_plus

from msgspec.structs import replace

from dfrecord.normalise.secret_places import is_console_key
from dfrecord.recording.exchange import Headers, Request
from dfrecord.system_api.catalog import Catalog


def sent_headers(request: Request, catalog: Catalog, *, as_admin: bool) -> list[tuple[str, str]]:
    """The headers worth sending again, in order, with duplicates; the session's own under the names of the catalog.

    HTTP/2 has all names in lower case. Empty credentials are left out. An administrator passes every check on the
    session token alone, so the API key beside it is left out, and so is the console's own public key; for anybody else
    the key chooses the role (system-api.md sections 2.2 and 2.3).
    """
    api_key, token = catalog.session.api_key_header.lower(), catalog.session.token_header.lower()
    named = {api_key: catalog.session.api_key_header, token: catalog.session.token_header}
    has_token = bool(request.headers.get(token))
    kept = []
    for name, value in request.headers:
        lowered = name.lower()
        if catalog.is_dropped_header(name) or (lowered in ("authorization", api_key, token) and not value.strip()):
            continue
        if lowered == api_key and as_admin and (has_token or is_console_key(value, catalog)):
            continue
        kept.append((named.get(lowered, name), value))
    return kept


def token_in_header(request: Request, catalog: Catalog) -> Request:
    """The request with a session token of its query in its header, where a token there does not win over it anyway.

    A header is not logged by servers and proxies, and what a step sends besides its recorded request has it, too
    (system-api.md section 2.2).
    """
    address, question, query = request.url.partition("?")
    pairs = [pair.partition("=") for pair in query.split("&")]
    tokens = [unquote_plus(value) for name, _, value in pairs if name in catalog.session.token_fields]
    if not question or not any(tokens):
        return request
    rest = "&".join("".join(pair) for pair in pairs if pair[0] not in catalog.session.token_fields)
    url = f"{address}?{rest}" if rest else address
    sent = [request.headers.get(catalog.session.token_header), request.headers.get("Authorization")]
    if any(sent):
        return replace(request, url=url)
    carried = (catalog.session.token_header, catalog.session.token_prefix + tokens[0])
    kept = [header for header in request.headers if header[0].lower() != carried[0].lower()]
    return replace(request, url=url, headers=Headers((*kept, carried)))
