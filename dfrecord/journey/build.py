"""From a recording to a journey: what is kept becomes steps, secrets become variables, ids are linked.

In: a `Recording` and the user's choices. Out: a `Journey`. One sweep over the kept exchanges in running order; what
each step means (kind, title) is decided here, what an id is in `link`, what a secret is in `normalise.secrets`.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from msgspec import structs

from dfrecord.journey.changes import Changes, kept_otherwise
from dfrecord.journey.kept_rows import with_kept
from dfrecord.journey.link import link, link_call
from dfrecord.journey.lookup import Sightings
from dfrecord.journey.model import (
    NOT_CREATED_HERE,
    SAME_ID,
    Answer,
    Capture,
    Journey,
    JsonBody,
    RawBody,
    RequestBody,
    RequestTemplate,
    Residue,
    ResidueKind,
    Step,
    StepKind,
    Variable,
    VariableKind,
    used_variables,
)
from dfrecord.journey.names import Namer, identifier
from dfrecord.journey.order import in_dependency_order
from dfrecord.journey.parameters import parameterise
from dfrecord.journey.references import References
from dfrecord.journey.secret_variables import SecretVariables, told_apart
from dfrecord.journey.sessions import Sessions, passwords_changed
from dfrecord.journey.table_rows import TableRows
from dfrecord.journey.teardown import teardown
from dfrecord.journey.text_body import TextKind, settled, text_kind
from dfrecord.journey.text_records import records_in
from dfrecord.journey.titles import kind_of, title_of
from dfrecord.journey.upsert import upsert
from dfrecord.normalise.asked import ASKED, with_id_asked
from dfrecord.normalise.body import each_record, json_of, json_text, only_records, parse_json, records_of
from dfrecord.normalise.headers import sent_headers, token_in_header
from dfrecord.normalise.secrets import Secrets, find, with_names_redacted
from dfrecord.normalise.select import (
    DEFAULT_FILTER,
    Decision,
    Reads,
    effective_method,
    in_running_order,
    other_instances,
    passed_over,
    select,
)
from dfrecord.recording.exchange import Body, BodyState, Exchange, Recording
from dfrecord.system_api.catalog import Catalog, Location, Resource
from dfrecord.tree import Array, Encoding, Number, Object, Text, Tree

NOT_MODIFIED = 304
"""What a browser hears of a read that it has in its cache, and a script never does."""
NULL_KEPT = "where a nested row was sent with null, it is sent with what the recorded server kept"


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """The user's choices: path prefixes to keep, which reads stay, verbatim or linked, and the journey's name.

    `parameters` are chosen stems, name to recorded text; `upsert` and `teardown` as in architecture.md section 5.
    """

    filters: tuple[str, ...] = (DEFAULT_FILTER,)
    reads: Reads = Reads.USED
    literal: bool = False
    whole_records: bool = False
    name: str = ""
    parameters: tuple[tuple[str, str], ...] = ()
    upsert: bool = False
    teardown: bool = False


def build(recording: Recording, options: PlanOptions, catalog: Catalog) -> Journey:
    """The journey that a recording shows. Raises UsageError when a chosen parameter stands nowhere."""
    secrets = find(recording.exchanges, catalog)
    recording = structs.replace(
        recording, exchanges=tuple([with_names_redacted(e, secrets) for e in recording.exchanges])
    )
    decisions, kept = select(recording, options.filters, options.reads, catalog)
    decisions += passed_over(recording)
    if not options.literal:
        kept = [structs.replace(e, request=token_in_header(e.request, catalog)) for e in kept]
    journey = _Build(recording, options, catalog, decisions, kept, secrets).run()
    if not options.literal:
        journey = parameterise(journey, dict(options.parameters), catalog)
    journey = replace(journey, steps=tuple(map(_settled, journey.steps)))
    if options.literal:
        return journey
    if options.upsert:
        journey = upsert(journey, catalog)
    return teardown(journey, catalog) if options.teardown else journey


def _settled(step: Step) -> Step:
    body, content_type = step.request.body, step.request.content_type or "application/json"
    if not isinstance(body, RawBody):
        return step
    return replace(step, request=replace(step.request, body=settled(body, content_type)))


@dataclass
class _Build:
    recording: Recording
    options: PlanOptions
    catalog: Catalog
    decisions: list[Decision]
    kept: list[Exchange]
    secrets: Secrets
    namer: Namer = field(default_factory=Namer)
    residue: list[Residue] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)

    def run(self) -> Journey:
        others = other_instances(self.recording.exchanges, self.options.filters, self.catalog)
        own = [e for e in in_running_order(self.recording.exchanges) if e.number not in others]
        order = {e.number: n for n, e in enumerate(own)}
        self.sightings = Sightings(own, self.catalog)
        self.variables = SecretVariables(self.secrets, self.catalog, self.namer, self._look_up_key)
        self.sessions = Sessions(self.kept, self.catalog, literal=self.options.literal)
        headers = (("Accept", Text(("application/json",))), self.sessions.header)
        self.references = References(self.catalog, self.sightings, self.namer, headers)
        self.rows = TableRows(self.references)
        self.changes = Changes(self.sightings, self.catalog)
        self.writes: dict[tuple[str, str], list[int]] = {}  # the updates and deletes of each record
        for exchange in self.kept:
            location = self._locate(exchange)
            if location.record and location.resource and exchange.request.method != "GET":
                self.writes.setdefault((location.resource, location.record), []).append(order[exchange.number])
        self.notes = {decision.number: decision.note for decision in self.decisions if decision.note}
        self.unchanging: set[int] = set()
        self.written: set[str] = set()  # the paths written so far that are no record's: files, say
        self._announce_creates(order)
        if told := self.sessions.begin(self.variables):
            self.residue.append(Residue(ResidueKind.UNKNOWN, told))
        if credentials := self.sessions.credentials:
            self.references.lookup_headers = (self.references.lookup_headers[0], *self._texts(credentials))
        for (name, value), _ in self.sessions.keys_of_user.most_common(1):
            self.references.lookup_headers += ((name, self.variables.text(value, Encoding.PLAIN, name)),)
        step_names = Namer()
        self.steps += self.sessions.login_added(step_names, self.variables) if self.sessions.needs_login else []
        for exchange in self.kept:
            step = self._step(exchange, order[exchange.number], step_names)
            if step is not None:
                self.steps.append(step)
        self.steps = self.rows.without_unused(self.steps)
        if not credentials and self._lookups_have_no_session():
            self.variables.session_token(None)
            self.steps[:0] = self.sessions.login_added(step_names, self.variables)
        self._explain_decisions()
        self._warn()
        return self._journey()

    def _journey(self) -> Journey:
        used = used_variables([*self.variables.all(), *self.references.variables], self.steps)
        wanted = told_apart(list(used), self.steps)
        base = Variable(
            "base_url",
            VariableKind.PARAMETER,
            env="DF_BASE_URL",
            required=True,
            description="the instance to run against, e.g. https://df.example.com",
        )
        name = identifier(self.options.name or _stem(self.recording.source), "journey")
        redact = self.secrets.redact_text
        return Journey(
            name=name,
            title=redact(self.options.name or name.replace("_", " ")),
            source=redact(re.split(r"[\\/]", self.recording.source)[-1]),
            steps=tuple(in_dependency_order(self.steps, {variable.name: variable for variable in wanted})),
            variables=(base, *(replace(v, description=redact(v.description)) for v in wanted)),
            residue=tuple(replace(r, reason=redact(r.reason)) for r in (*self.residue, *self.references.residue)),
            entry_count=self.recording.entry_count,
            literal=self.options.literal,
            secrets=self.secrets.recorded,
            conventions=self.catalog.conventions,
        )

    def _danger(self, exchange: Exchange, method: str, kind: StepKind, location: Location, tree: Tree) -> str:
        """Why the step needs consent, as far as that is not told by linking it; `tree` is its body."""
        path = exchange.request.decoded_path.rstrip("/")
        fields = [str(name) for name, _ in tree.members] if isinstance(tree, Object) else []
        if told := self.catalog.danger(method, path, exchange.request.query, location.record, fields):
            return told
        if self.options.literal and kind is StepKind.DELETE:
            return SAME_ID
        is_elsewhere = location.resource is None and self.catalog.table_in_path(path) is None
        if is_elsewhere and method in ("POST", "PUT"):
            self.written |= {path, *self._made_at(path, exchange)}
        return NOT_CREATED_HERE if is_elsewhere and method == "DELETE" and path not in self.written else ""

    def _made_at(self, path: str, exchange: Exchange) -> Iterator[str]:
        """The paths of the files and folders that a service answers to have made; it tells them from its own root."""
        service = "/".join(path.split("/")[: self.catalog.conventions.prefix.count("/") + 2])
        answer = json_of(exchange.response.body)
        for record in [] if isinstance(answer, ValueError) else records_of(answer, self.catalog.wrapper):
            if isinstance(made := record.get("path"), str):
                yield f"{service}/{made.strip('/')}"

    def _announce_creates(self, order: Mapping[int, int]) -> None:
        for exchange in self.kept:
            location, answer = self._locate(exchange), json_of(exchange.response.body)
            if (
                location.resource
                and kind_of(exchange, location, self.catalog) is StepKind.CREATE
                and not isinstance(answer, ValueError)
            ):
                self.references.announce(location.resource, answer, order[exchange.number])

    # ---------------------------------------------------------------- sessions

    def _texts(self, headers: Iterable[tuple[str, str]]) -> Iterator[tuple[str, Text]]:
        return ((name, self.variables.text(value, Encoding.PLAIN, name)) for name, value in headers)

    def _lookups_have_no_session(self) -> bool:
        """Whether ids have to be looked up for calls that themselves went without a session, with an API key, say."""
        lookups = [variable for variable in self.references.variables if variable.lookup is not None]
        has_session = any(variable.name == "session_token" for variable in self.variables.all())
        return bool(lookups) and not has_session

    def _look_up_key(self, value: str) -> str | None:
        """The variable for a secret that a read shows; none for the key that whoever looks it up has to send."""
        is_own = any(key == value for _, key in self.sessions.keys_of_user)
        return None if self.options.literal or is_own else self.references.api_key(value)

    # ---------------------------------------------------------------- one step

    def _step(self, exchange: Exchange, entry: int, names: Namer) -> Step | None:
        location = self._locate(exchange)
        kind = kind_of(exchange, location, self.catalog)
        tree = json_of(exchange.request.body)
        body_tree = None if isinstance(tree, ValueError) else tree
        exchange, asked = self._asking_for_id(exchange, location, kind)
        note, left_out, kept = self.notes.get(exchange.number, ""), "", ""
        method = effective_method(exchange, self.catalog)
        danger = self._danger(exchange, method, kind, location, body_tree)
        updates = method in ("PUT", "PATCH") or kind is StepKind.UPDATE
        if updates and not self.options.literal and not self.options.whole_records:
            body_tree = self._changes(body_tree, location, entry)
            if body_tree is None and isinstance(tree, (Object, Array)):
                if not danger:
                    self.unchanging.add(exchange.number)
                    return None
                body_tree = Object(())
            elif isinstance(tree, (Object, Array)) and (unchanged := self._count(tree) - self._count(body_tree)):
                left_out = f"{unchanged} of {self._count(tree)} records, which it does not change"
                exchange = self._of_changed(exchange, body_tree)
        title = title_of(exchange, location, kind, self.sightings, entry, self.catalog)
        answer = json_of(exchange.response.body)
        writes = kind in (StepKind.CREATE, StepKind.UPDATE) and not self.options.literal
        seen: dict[int, Object] = {}
        if writes and not isinstance(answer, ValueError):
            seen = dict(self._seen_next(answer, location, entry))
            sent, body_tree = body_tree, self._with_kept_rows(body_tree, answer, location, seen)
            kept = "" if body_tree == sent else NULL_KEPT
        step = Step(
            name=names.give(self._step_name(kind, location)),
            title=self.secrets.redact_text(title),
            kind=kind,
            resource=location.resource,
            request=self._request(exchange, body_tree, location, kind),
            captures=self._captures(answer, location, kind),
            answer=self._answer(exchange, is_comparable=not asked or "related=" not in exchange.request.query),
            danger=danger,
            notes=tuple(
                filter(None, (self.secrets.redact_text(note), left_out and f"left out: {left_out}", kept, asked))
            ),
            entry=exchange.number,
        )
        if left_out:
            self.residue.append(Residue(ResidueKind.LEFT_OUT, left_out, exchange.number, step.name))
        if self.options.literal:
            return replace(step, kind=StepKind.CALL)  # sent whatever happens, even when the session token is given
        if writes and not isinstance(tree, ValueError):
            step = replace(step, not_kept=tuple(self._not_kept(tree, location, seen)))
        if kind is StepKind.CREATE:
            step = replace(step, named_by=self.catalog.resources[location.resource or ""].key_fields)
        answered = None if isinstance(answer, ValueError) else answer
        if location.resource is None:
            step = link_call(step, exchange.request.decoded_path, entry, self.references)
            return self.rows.link(step, exchange.request.decoded_path, method, answered)
        return link(step, location, entry, answered, self.references)

    def _asking_for_id(self, exchange: Exchange, location: Location, kind: StepKind) -> tuple[Exchange, str]:
        """A create that is answered with the id of what it makes, and what is told when it was not recorded so."""
        facts = self.catalog.resources.get(location.resource or "")
        if self.options.literal or kind is not StepKind.CREATE or facts is None or not facts.numbered:
            return exchange, ""
        request = with_id_asked(exchange.request, self.catalog)
        is_asked = request is not exchange.request
        return structs.replace(exchange, request=request), ASKED if is_asked else ""

    def _captures(self, answer: Tree | ValueError, location: Location, kind: StepKind) -> tuple[Capture, ...]:
        """What the answer gives; of the first login the token also when its answer was not recorded."""
        captures = tuple(self.variables.captures(answer, location.resource, kind))
        asks_for_none = kind is not StepKind.LOGIN or self.options.literal
        if captures or asks_for_none or any(step.kind is StepKind.LOGIN for step in self.steps):
            return captures
        return (Capture(self.variables.session_token(None), (self.catalog.session.token_fields[0],)),)

    def _changes(self, tree: Tree, location: Location, entry: int) -> Tree:
        """An update's body with what it changes; None when that is nothing."""
        facts = self.catalog.resources.get(location.resource or "")
        if facts is None:
            return tree
        if isinstance(tree, Object) and (location.record or facts.single):
            changed = self.changes.of(tree, facts, location.record or "", entry)
            return changed if changed.members else None
        rows = tree.get(self.catalog.wrapper) if isinstance(tree, Object) else tree
        if not isinstance(rows, Array):
            return tree
        changed_rows = Array(tuple(row for item in rows.items if (row := self._changed_row(item, facts, entry))))
        if not changed_rows.items or not isinstance(tree, Object):
            return changed_rows if changed_rows.items else None
        return Object(tuple((k, changed_rows if v is rows else v) for k, v in tree.members))

    def _changed_row(self, row: Tree, facts: Resource, entry: int) -> Tree:
        """A record of a bulk update with what it changes, None when that is nothing."""
        own = row.get(facts.id_field or "") if isinstance(row, Object) else None
        if not isinstance(row, Object) or not isinstance(own, (Number, str)):
            return row
        changed = self.changes.of(row, facts, own.text if isinstance(own, Number) else own, entry)
        named = [member for member in row.members if member[0] == facts.id_field]
        rest = [member for member in changed.members if member[0] != facts.id_field]
        return Object((*named, *rest)) if rest else None

    def _count(self, tree: Tree) -> int:
        return len(records_of(tree, self.catalog.wrapper))

    def _of_changed(self, exchange: Exchange, changed: Tree) -> Exchange:
        """A bulk update as if it had been sent, and answered, for the records only that it changes."""
        own, id_of, wrapper = self.catalog.id, self.catalog.id_of, self.catalog.wrapper
        kept = {id_of(record.get(own)) for record in records_of(changed, wrapper)}

        def only(body: Body) -> Body:
            tree = json_of(body)
            if isinstance(tree, ValueError):
                return body
            rest = only_records(tree, wrapper, lambda record: id_of(record.get(own)) in kept)
            return Body.recorded(json_text(rest).encode())

        request = structs.replace(exchange.request, body=only(exchange.request.body))
        response = structs.replace(exchange.response, body=only(exchange.response.body))
        return structs.replace(exchange, request=request, response=response)

    def _not_kept(self, sent: Tree, location: Location, seen: Mapping[int, Object]) -> Iterator[tuple[int, str]]:
        """Where the written records, as they are seen next, are not as they were sent."""
        facts = self.catalog.resources.get(location.resource or "")
        if facts is None:
            return
        for position, record in enumerate(records_of(sent, self.catalog.wrapper)):
            yield from (
                (position, place)
                for place, *values in (kept_otherwise(record, seen[position]) if position in seen else ())
                if not any(self.catalog.is_secret(facts.name, place, value) for value in values)
                and place not in {*facts.natural_key, *facts.relations, *facts.server_made, *facts.self_keys}
            )

    def _seen_next(self, answer: Tree, location: Location, entry: int) -> Iterator[tuple[int, Object]]:
        """The written records as the recording shows them before they are written again, each with its position."""
        facts = self.catalog.resources.get(location.resource or "")
        if facts is None or facts.id_field is None:
            return
        made = [self.catalog.id_of(row.get(facts.id_field)) for row in records_of(answer, self.catalog.wrapper)]
        for position, own in enumerate([location.record] if location.record else made):
            seen = self.sightings.next(facts.name, own, entry) if own is not None else None
            writes = self.writes.get((facts.name, str(own)), ())
            next_write = bisect_right(writes, entry)
            if seen is not None and not any(write <= seen.entry for write in writes[next_write : next_write + 1]):
                yield position, seen.row

    def _with_kept_rows(self, sent: Tree, answer: Tree, location: Location, seen: Mapping[int, Object]) -> Tree:
        """A body with the nested rows as the server kept them, by its answer to it or as they are seen next."""
        facts = self.catalog.resources.get(location.resource or "")
        if facts is None:
            return sent
        answered = dict(enumerate(records_of(answer, self.catalog.wrapper)))

        def kept(position: int, record: Object) -> Object:
            for records in (answered, seen):
                if position in records:
                    record = with_kept(record, records[position], facts.relations, self.catalog)
            return record

        return each_record(sent, self.catalog.wrapper, kept)

    def _request(self, exchange: Exchange, tree: Tree, location: Location, kind: StepKind) -> RequestTemplate:
        request = exchange.request
        path = request.path if self.options.literal else self.catalog.plain_path(request.path, location)
        target = path + (f"?{request.query}" if "?" in request.url.partition("#")[0] else "")
        sent = sent_headers(request, self.catalog, as_admin=self.sessions.is_admins(exchange))
        if kind is StepKind.LOGIN:  # it ignores the token sent with it (system-api.md section 2.1)
            sent = [header for header in sent if header[0].lower() != self.catalog.session.token_header.lower()]
        headers = list(self._texts(sent))
        if not self.options.literal:
            headers = [(n, Text(("application/json",)) if n.lower() == "accept" else v) for n, v in headers]
            if exchange.number in self.sessions.without:
                headers.append(self.sessions.header)
        return RequestTemplate(
            request.method,
            self.variables.target(target),
            tuple(headers),
            self._body(exchange, tree, location, kind),
        )

    def _body(self, exchange: Exchange, tree: Tree, location: Location, kind: StepKind) -> RequestBody:
        body = exchange.request.body
        if body.state is BodyState.ABSENT:
            return None
        if kind is StepKind.LOGIN and isinstance(tree, Object):
            self.variables.credentials(tree)
        content_type = exchange.request.headers.get("Content-Type") or "application/json"
        makes_accounts = kind is StepKind.CREATE and self.catalog.names_accounts(location.resource)
        accounts: list[Object] = []
        if makes_accounts and not self.options.literal:
            is_json, wrapper = isinstance(tree, (Object, Array)), self.catalog.wrapper
            in_text = [] if is_json else records_in(RawBody((body.content,)), content_type, wrapper)
            accounts = records_of(tree, wrapper) if is_json else in_text
            self.variables.creates(accounts)
        text = text_kind(content_type)
        if text is None and location.resource and isinstance(tree, (Object, Array)):
            text = TextKind.JSON  # sent as plain text: the server looks into what names no format (system-api.md, 4.1)
        is_json = text is TextKind.JSON and not isinstance(json_of(body), ValueError)
        if is_json and not self.options.literal:
            return JsonBody(self.variables.tree(tree, location.resource))
        if accounts:
            return RawBody(tuple(self.variables.raw_accounts(body.content, accounts, location.resource or "")))
        return RawBody(tuple(self.variables.raw(body.content, Encoding.PLAIN)))

    def _answer(self, exchange: Exchange, *, is_comparable: bool) -> Answer | None:
        """What was answered; without the tree where the same request would be answered otherwise now.

        Relations have no rows in an answer without the id (system-api.md section 10).
        """
        response = exchange.response
        if exchange.error or response.status == NOT_MODIFIED:
            return None
        media_type = response.headers.get("Content-Type") or ""
        text = self.secrets.redact(response.body.content).decode("utf-8", "replace")
        try:
            tree = parse_json(text) if text and is_comparable else None
        except ValueError:
            tree = None
        text = json_text(tree) if tree is not None else text
        return Answer(response.status, self.secrets.redact_text(response.reason), media_type, text, tree)

    # ---------------------------------------------------------------- what it means

    def _locate(self, exchange: Exchange) -> Location:
        return self.catalog.locate(exchange.request.decoded_path)

    def _step_name(self, kind: StepKind, location: Location) -> str:
        plain = {StepKind.LOGIN: "log_in", StepKind.LOGOUT: "log_out"}.get(kind)
        return plain or f"{kind.value}_{location.resource or 'api'}"

    # ---------------------------------------------------------------- what is said about it

    def _explain_decisions(self) -> None:
        for decision in self.decisions:
            reason = "an update that changes nothing" if decision.number in self.unchanging else decision.reason
            if reason:
                subject = self.secrets.redact_text(decision.url)
                self.residue.append(Residue(ResidueKind.DROPPED, reason, decision.number, subject=subject))

    def _warn(self) -> None:
        for step in self.steps:
            if step.danger:
                self.residue.append(
                    Residue(ResidueKind.RISKY, f"{step.danger}; runs only with DF_YES=1", step.entry, step.name)
                )
        self.residue += passwords_changed(self.steps, self.variables.all(), self.catalog)
        origins = dict.fromkeys(e.request.origin for e in self.kept)
        for origin in list(origins)[1:]:
            reason = f"some steps were sent to {origin}, others to {next(iter(origins))}; all go to DF_BASE_URL"
            self.residue.append(Residue(ResidueKind.RISKY, reason))
        for secret in self.secrets.by_value.values():
            if not secret.everywhere and self.variables.stands_for(secret.value):
                why = "is short, an everyday word or the name beside it"
                reason = f"the recorded {secret.name} {why}: replaced in its own field only"
                self.residue.append(Residue(ResidueKind.RISKY, reason, subject=secret.name))
        for note in self.recording.notes:
            self.residue.append(Residue(ResidueKind.UNKNOWN, note))
        for step in self.steps:
            if step.resource and (fields := self.catalog.resources[step.resource].may_hold_secrets):
                reason = f"{', '.join(sorted(fields))} may hold a credential that no rule finds: look at it"
                self.residue.append(Residue(ResidueKind.RISKY, reason, step.entry, step.name))


def _stem(source: str) -> str:
    name = re.split(r"[\\/]", source)[-1]
    return re.sub(r"(\.(har|json|zip|gz|zhar|flow|mitm))+$", "", name, flags=re.IGNORECASE)
