"""Which exchanges become steps, and why the others do not.

In: the exchanges of a recording. Out: one `Decision` for each, in running order. The facts (noise, session resources,
verb tunnelling) come from the catalog; the order of the rules below is the order in which a reason is given.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from enum import Enum
from functools import lru_cache
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec
from msgspec.structs import replace

from dfrecord.errors import UsageError
from dfrecord.normalise.batches import carried_part
from dfrecord.normalise.body import json_of
from dfrecord.normalise.instances import elsewhere
from dfrecord.normalise.unheard import carried_out
from dfrecord.recording.exchange import Body, BodyState, Exchange, Headers, Recording
from dfrecord.recording.wanted import Wanted
from dfrecord.system_api.catalog import Catalog
from dfrecord.tree import Array, Object, Tree

SHOWN_LATER = "a later read shows what it made"
DEFAULT_FILTER = "api/v2/system"
LONGEST_MESSAGE = 20_000
"""Characters of what a server says that are told."""
STATEMENT = r"\s?\((?:Connection: [^()]*, )?SQL: [\s\S]*"
"""What a database's error ends with: the reason stands before it; in it the ids and values of one instance. Scripts
leave it out, too: Python, jq and JavaScript read it alike."""


class Reads(Enum):
    """Which reads stay: those a later step needs, all of them, or none."""

    USED = "used"
    ALL = "all"
    NONE = "none"


class Decision(msgspec.Struct, frozen=True):
    """What becomes of one entry. `exchange` is None when the reader passed it over; `reason` is empty when kept."""

    number: int
    url: str
    exchange: Exchange | None
    reason: str = ""
    note: str = ""

    @property
    def kept(self) -> bool:
        """Whether the entry becomes a step."""
        return not self.reason


def wanted_by(filters: Sequence[str], catalog: Catalog, root: Callable[[str], str] = lambda url: url) -> Wanted:
    """What the readers are asked for: what may be kept, or is needed to understand what is kept.

    `root` takes the folder off that the API lies under.
    """
    prefixes = _prefixes(filters, catalog)
    sessions = [_segments(path) for path in catalog.session.paths]
    words = {path[-1] if path else "" for path in (*prefixes, *sessions)}

    def judge(url: str) -> bool:
        path = _path_of(root(url))
        return is_under(path, prefixes) or catalog.is_session(path)

    return Wanted(judge, (*words, "%"))


def is_under(path: str, prefixes: Iterable[tuple[str, ...]]) -> bool:
    """Whether a percent-decoded path lies under one of the prefixes, segment by segment, without regard to case."""
    segments = _segments(path)
    return any(segments[: len(prefix)] == prefix for prefix in prefixes)


def effective_method(exchange: Exchange, catalog: Catalog) -> str:
    """The verb the server acted on, tunnelled verbs resolved."""
    request = exchange.request
    if request.method != "POST":
        return request.method
    return catalog.method_override(_by_lower_name(request.headers), request.query) or "POST"


@lru_cache(maxsize=256)  # a browser sends the same ones with many calls
def _by_lower_name(headers: Headers) -> Mapping[str, str]:
    return {name.lower(): value for name, value in headers}


def select(
    recording: Recording, filters: Sequence[str], reads: Reads, catalog: Catalog
) -> tuple[list[Decision], list[Exchange]]:
    """Decide on every exchange. Returns the decisions in running order, and the kept exchanges in that order.

    Running order is the order of the start times where all are known (browsers write parallel calls as they finish).
    """
    prefixes = _prefixes(filters, catalog)
    exchanges = in_running_order(recording.exchanges)
    others = other_instances(exchanges, filters, catalog)
    unheard = carried_out([exchange for exchange in exchanges if exchange.number not in others], catalog)
    decisions = [
        (
            Decision(exchange.number, exchange.request.url, exchange, f"a call to {exchange.request.origin}")
            if exchange.number in others
            else _decide(exchange, unheard.get(exchange.number), prefixes, catalog)
        )
        for exchange in exchanges
    ]
    decisions = _drop_reads(decisions, reads, catalog)
    decisions = _drop_repeats(decisions, catalog)
    decisions = _drop_unused_logins(decisions, prefixes, catalog)
    return decisions, [d.exchange for d in decisions if d.kept and d.exchange is not None]


def other_instances(exchanges: Sequence[Exchange], filters: Sequence[str], catalog: Catalog) -> set[int]:
    """The numbers of the calls under the filters that go to other instances. Raises UsageError (`elsewhere`)."""
    if len({exchange.request.origin for exchange in exchanges}) < 2:  # nearly always
        return set()
    prefixes = _prefixes(filters, catalog)
    calls = [e for e in exchanges if is_under(e.request.decoded_path, prefixes) or catalog.is_session(e.request.path)]

    def writes(exchange: Exchange) -> bool:
        is_write = effective_method(exchange, catalog) in ("POST", "PUT", "PATCH", "DELETE")
        return is_write and 200 <= exchange.response.status < 300 and not catalog.is_session(exchange.request.path)

    return elsewhere(calls, filters, lambda e: [*tokens_sent(e, catalog), *tokens_answered(e, catalog)], writes)


def passed_over(recording: Recording) -> list[Decision]:
    """Why the entries that were not read are no steps."""
    return [
        Decision(entry.number, _place_of(entry.url), None, _outside_reason(entry.url))
        for entry in recording.passed_over
    ]


def _place_of(url: str) -> str:
    """The URL without what may hold a secret, since nobody looks for one there: credentials, query and fragment."""
    if not url[:5].lower().startswith("http"):
        return f"{url.partition(':')[0][:20]}:…"
    place = url.partition("?")[0].partition("#")[0]
    if "@" in place:
        scheme, _, rest = place.partition("://")
        host, slash, path = rest.partition("/")
        return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"
    return place


def in_running_order(exchanges: Sequence[Exchange]) -> list[Exchange]:
    """The exchanges by start time when all of them give one with its zone, else as they are."""
    times = start_times(exchanges)
    if times is None:
        return list(exchanges)
    order = sorted(range(len(times)), key=times.__getitem__)
    return [exchanges[place] for place in order]


def start_times(exchanges: Sequence[Exchange]) -> list[datetime] | None:
    """When each exchange began; None unless all of them say so with its zone."""
    try:
        times = [datetime.fromisoformat(exchange.started) for exchange in exchanges]
    except ValueError:
        return None
    return None if any(time.tzinfo is None for time in times) else times


def _decide(exchange: Exchange, done: Exchange | None, prefixes: list[tuple[str, ...]], catalog: Catalog) -> Decision:
    """`done` is the exchange as it was carried out, of a create whose answer nobody heard or that tells no id."""
    request, response = exchange.request, exchange.response
    path = request.decoded_path
    decision = Decision(exchange.number, request.url, exchange)
    in_filter = is_under(path, prefixes)
    if not in_filter and not catalog.is_session(path):
        return replace(decision, reason=_outside_reason(request.url))
    if request.method in ("OPTIONS", "TRACE", "CONNECT"):
        return replace(decision, reason="preflight: the browser's own question")
    if done is not None:
        return replace(decision, exchange=done, note=done.error and f"{done.error}; {SHOWN_LATER}")
    if response.status <= 0:
        return replace(decision, reason=f"failed or cancelled: {exchange.error or 'no answer came'}")
    if response.status >= 400:
        partial = carried_part(exchange, effective_method(exchange, catalog), catalog)
        if partial is None:
            return replace(decision, reason=f"error answer {response.status}: {error_message(exchange)}")
        done, count = partial
        return replace(decision, exchange=done, note=f"{count}: {error_message(exchange)}")
    if request.body.state is BodyState.NOT_RECORDED:
        return replace(decision, reason="its request body was not recorded, so it cannot be sent again")
    method = effective_method(exchange, catalog)
    if 300 <= response.status < 400 and response.status != 304:
        return replace(decision, reason=f"redirected ({response.status})")
    if method in ("GET", "HEAD") and (why := catalog.noise(path, request.query)):
        return replace(decision, reason=f"console noise: {why}")
    return decision


def _drop_reads(decisions: list[Decision], reads: Reads, catalog: Catalog) -> list[Decision]:
    def is_read(decision: Decision) -> bool:
        return decision.exchange is not None and effective_method(decision.exchange, catalog) in ("GET", "HEAD")

    def is_write(decision: Decision) -> bool:
        return not is_read(decision) and not catalog.is_session(_path_of(decision.url))

    if reads is Reads.ALL or (reads is Reads.USED and not any(d.kept and is_write(d) for d in decisions)):
        return decisions
    why = "read that no later step needs" if reads is Reads.USED else "read (--reads none)"
    return [replace(d, reason=why) if d.kept and is_read(d) else d for d in decisions]


def _drop_repeats(decisions: list[Decision], catalog: Catalog) -> list[Decision]:
    """Two equal updates in a row are one: "Save & Clear Cache" sends the same PUT twice (system-api.md section 10).

    What began at the same moment and was answered alike is one entry that the file holds twice.
    """
    result: list[Decision] = []
    previous: tuple[str, str, Body] | None = None
    seen: dict[tuple[object, ...], Decision] = {}
    for decision in decisions:
        if decision.kept and decision.exchange is not None:
            request, response = decision.exchange.request, decision.exchange.response
            moment, answer = decision.exchange.started, (response.status, response.body)
            whole = (moment, request.method, request.url, request.body, *answer)
            if seen.setdefault(whole, decision) is not decision and moment:
                result.append(replace(decision, reason="the same entry as one before it"))
                continue
            this = (request.method, request.url, request.body)
            if this == previous and effective_method(decision.exchange, catalog) in ("PUT", "PATCH"):
                decision = replace(decision, reason="the same update as the one before it")
            previous = this
        result.append(decision)
    return result


def _drop_unused_logins(decisions: list[Decision], prefixes: list[tuple[str, ...]], catalog: Catalog) -> list[Decision]:
    """Session calls outside the filter stay only when a kept step depends on their token."""
    kept = [decision.exchange for decision in decisions if decision.kept and decision.exchange is not None]
    outside = [exchange for exchange in kept if not is_under(exchange.request.decoded_path, prefixes)]
    if not outside:
        return decisions
    numbers = {exchange.number for exchange in outside}
    used = {token for each in kept if each.number not in numbers for token in tokens_sent(each, catalog)}
    unused = {
        each.number
        for each in outside
        if used.isdisjoint([*tokens_sent(each, catalog), *tokens_answered(each, catalog)])
    }
    return [
        replace(d, reason="session call that no kept step depends on") if d.number in unused else d for d in decisions
    ]


def tokens_sent(exchange: Exchange, catalog: Catalog) -> list[str]:
    """The session tokens a request carries: header, bearer authorization, query (system-api.md section 2.2)."""
    request = exchange.request
    tokens = [*request.headers.get_all(catalog.session.token_header)]
    tokens += [value[7:] for value in request.headers.get_all("Authorization") if value.lower().startswith("bearer ")]
    tokens += [value for name, value in parse_qsl(request.query) if name in catalog.session.token_fields]
    return [token for token in tokens if token]


def tokens_answered(exchange: Exchange, catalog: Catalog) -> list[str]:
    """The session tokens an answer carries."""
    tree = json_of(exchange.response.body)
    if not isinstance(tree, Object):
        return []
    values = [tree.get(name) for name in catalog.session.token_fields]
    return [value for value in values if isinstance(value, str) and value]


def error_message(exchange: Exchange) -> str:
    """The server's own words for a refusal, each failing record's reason included; the status text when it has none."""
    tree = json_of(exchange.response.body)
    return refusal(None if isinstance(tree, ValueError) else tree, exchange.response.reason)


def refusal(answer: Tree, reason: str, sent: Sequence[str] = ()) -> str:
    """The server's own words in the JSON of an answer, each failing record's included; `reason` when it has none.

    `sent` are the names of the records that were sent, in order.
    """
    error = answer.get("error") if isinstance(answer, Object) else None
    if not isinstance(error, Object):
        return reason or "no message"
    messages = [_message(error)]
    context = error.get("context")
    failed = context.get("resource") if isinstance(context, Object) else None
    for number, record in enumerate(failed.items if isinstance(failed, Array) else ()):
        if isinstance(record, Object) and record.get("message") is not None:
            name = f"record {number + 1} ({sent[number]}): " if number < len(sent) else ""
            messages.append(name + _message(record))
    return " ".join(" ".join(messages).split())[:LONGEST_MESSAGE]


def _message(error: Object) -> str:
    message = error.get("message")
    return re.sub(STATEMENT, "", html.unescape(message)) if isinstance(message, str) else "no message"


def _outside_reason(url: str) -> str:
    path = _path_of(url)
    if not url.lower().startswith(("http:", "https:")):
        return "not an HTTP request"
    if "/api/" not in path + "/":
        return "static file or page, not an API call"
    return "outside the filter"


def _path_of(url: str) -> str:
    try:
        return unquote(urlsplit(url).path)
    except ValueError:
        return ""


def _prefixes(filters: Sequence[str], catalog: Catalog) -> list[tuple[str, ...]]:
    """The paths of the filters, segment by segment; a filter may name the instance, too. Raises UsageError."""
    return [_segments(catalog.at_root(_path_of_filter(prefix))) for prefix in filters]


def _path_of_filter(prefix: str) -> str:
    if "://" not in prefix:
        return f"/{prefix}"
    try:
        return urlsplit(prefix).path
    except ValueError:
        raise UsageError(f"--filter {prefix}: is no address; write it like https://host/api/v2/system") from None


@lru_cache(maxsize=128)  # as many as urlsplit remembers
def _segments(path: str) -> tuple[str, ...]:
    return tuple([segment.lower() for segment in path.split("/") if segment])
