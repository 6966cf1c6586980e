"""Which calls of a recording go to another instance than the journey's: the ids of two instances mean nothing together.

Two origins are one instance when a session token is known to both (a name and an address of one host, say).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from urllib.parse import urlsplit

from dfrecord.errors import UsageError
from dfrecord.recording.exchange import Exchange


def elsewhere(
    exchanges: Sequence[Exchange],
    filters: Sequence[str],
    tokens: Callable[[Exchange], Iterable[str]],
    writes: Callable[[Exchange], bool],
) -> set[int]:
    """The numbers of the calls to other instances: than the filters name, else than the one that is written to.

    Raises UsageError when several are written to, and no filter names one.
    """
    origins = dict.fromkeys(exchange.request.origin for exchange in exchanges)
    if len(origins) < 2:
        return set()
    named = {_origin(text) for text in filters if "://" in text}
    if named:
        return {exchange.number for exchange in exchanges if _origin(exchange.request.origin) not in named}
    instance = _instances(exchanges, origins, tokens)
    written = Counter(instance[e.request.origin] for e in exchanges if writes(e))
    if len(written) > 1:
        told = ", ".join(f"{origin} ({count})" for origin, count in written.items())
        example = f"--filter {next(iter(written))}/api/v2/system"
        raise UsageError(f"the recording writes to {len(written)} instances, {told}: choose one, e.g. {example}")
    calls = written or Counter(instance[exchange.request.origin] for exchange in exchanges)
    own = calls.most_common(1)[0][0]
    return {exchange.number for exchange in exchanges if instance[exchange.request.origin] != own}


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url.lower())
    port = {"http": ":80", "https": ":443"}.get(parts.scheme, "")
    return parts.scheme, parts.netloc.removesuffix(port)


def _instances(
    exchanges: Sequence[Exchange], origins: Iterable[str], tokens: Callable[[Exchange], Iterable[str]]
) -> dict[str, str]:
    """For each origin the first one that is the same instance."""
    same = {_origin(origin): origin for origin in reversed([*origins])}
    first = {origin: same[_origin(origin)] for origin in origins}
    known: dict[str, str] = {}
    for exchange in exchanges:
        for token in tokens(exchange):
            one, other = first[known.setdefault(token, exchange.request.origin)], first[exchange.request.origin]
            if one != other:
                first = {origin: one if instance == other else instance for origin, instance in first.items()}
    return first
