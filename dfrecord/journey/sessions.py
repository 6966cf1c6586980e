"""Which session each call of a recording was made in: that of a login in it, of one that has to be added, or none.

In: the calls that are kept. Out: which of them go without a session that they need, the login that is lacking, the
password of who was logged in before the first one, and with what credentials records are looked up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

from dfrecord.journey.model import (
    Capture,
    JsonBody,
    RequestTemplate,
    Residue,
    ResidueKind,
    Step,
    StepKind,
    Variable,
    VariableKind,
)
from dfrecord.journey.names import Namer
from dfrecord.journey.secret_variables import SecretVariables
from dfrecord.normalise.body import json_of, records_of
from dfrecord.normalise.headers import sent_headers
from dfrecord.normalise.select import tokens_answered, tokens_sent
from dfrecord.recording.exchange import Exchange
from dfrecord.system_api.catalog import Catalog, Location
from dfrecord.tree import Object, Text, Var


class Sessions:
    """The sessions of the calls that are kept. Those of a `literal` journey are left as they were recorded.

    `as_admin`: every login is an administrator's. `needs_login`: the journey lacks the one that its first calls use.
    `without`: the numbers of the calls that get its session.
    """

    def __init__(self, kept: Sequence[Exchange], catalog: Catalog, *, literal: bool) -> None:
        self._kept, self._catalog, self._literal = kept, catalog, literal
        logins = [e for e in kept if self._is_login(e)]
        of_admins = [self._is_admins_login(e) for e in logins]
        self.as_admin = all(of_admins)
        given = {token for exchange in kept for token in tokens_answered(exchange, catalog)}
        strangers = [
            (exchange, token)
            for exchange in kept
            if not self._is_login(exchange)
            for token in tokens_sent(exchange, catalog)
            if token not in given
        ]
        anonymous = [e for e in kept if self._needs_session(e)]
        if literal:  # nothing is added: a token that no kept login gives is a secret like any other
            strangers, anonymous = [], []
        self._admins_tokens = self._tokens_of_admins()
        self._strange_tokens = [token for _, token in strangers]
        self.without = {e.number for e in anonymous}
        homeless = [exchange for exchange, _ in strangers] + anonymous
        position = {exchange.number: place for place, exchange in enumerate(kept)}
        self._first_login = position[logins[0].number] if logins else len(kept)
        self.needs_login = any(position[exchange.number] < self._first_login for exchange in homeless)
        self._looks_up_as_admin = self.as_admin or self.needs_login or of_admins[0]
        self._password_before = ""

    def begin(self, variables: SecretVariables) -> str:
        """Makes the variables of sessions that no login gives; gives what to tell of an added login, or nothing."""
        if self.needs_login:
            self._password_before = self._found_password_before(variables)
        for token in self._strange_tokens:
            variables.session_token(token)
        if not self.needs_login:
            return ""
        variables.session_token(None)
        who = "the account that logs in later" if self._password_before else "an administrator"
        told = f"the recording begins after the login: the journey logs in as {who} first"
        return told if self._catalog.session.admin_path else ""

    def login_added(self, names: Namer, variables: SecretVariables) -> list[Step]:
        """The login that the recording lacks; none on a platform where the token is given."""
        session = self._catalog.session
        if not session.admin_path:
            return []
        account = (session.identity_fields[0], Var(variables.email(None)))
        body = JsonBody(Object((account, (session.password_field, Var(self._password_before or variables.password())))))
        headers = (("Accept", Text(("application/json",))), ("Content-Type", Text(("application/json",))))
        login = Step(
            name=names.give("log_in"),
            title="Log in as an administrator",
            kind=StepKind.LOGIN,
            request=RequestTemplate("POST", Text((session.admin_path,)), headers, body),
            resource=self._catalog.locate(session.admin_path).resource,
            captures=(Capture("session_token", (session.token_fields[0],)),),
            notes=("added by dfrecord: the recording has no login that its calls use",),
        )
        return [login]

    @property
    def header(self) -> tuple[str, Text]:
        """The header with the token of the first session."""
        session = self._catalog.session
        prefix = (session.token_prefix,) if session.token_prefix else ()
        return session.token_header, Text((*prefix, Var("session_token")))

    @cached_property
    def keys_of_user(self) -> Counter[tuple[str, str]]:
        """The headers with an API key, by how many calls carry each, that choose the role of who looks records up.

        Empty when that is an administrator. What the recording makes is not among them.
        """
        if self._looks_up_as_admin or self._literal:
            return Counter()
        key_header = self._catalog.session.api_key_header.lower()
        made = {secret for exchange in self._kept for secret in self._made_secrets(exchange)}
        return Counter(
            header
            for exchange in self._kept
            if tokens_sent(exchange, self._catalog) and not self._is_login(exchange)
            for header in sent_headers(exchange.request, self._catalog, as_admin=False)
            if header[0].lower() == key_header and header[1] not in made
        )

    @cached_property
    def credentials(self) -> tuple[tuple[str, str], ...]:
        """What most calls carry that are signed on by themselves (HTTP Basic), where the journey has no session."""
        if self.needs_login or any(self._is_login(e) or tokens_sent(e, self._catalog) for e in self._kept):
            return ()
        names = {"authorization", self._catalog.session.api_key_header.lower()}
        sent = [sent_headers(exchange.request, self._catalog, as_admin=self.as_admin) for exchange in self._kept]
        given = Counter(tuple(header for header in headers if header[0].lower() in names) for headers in sent)
        signed_on = [
            headers for headers, _ in given.most_common() if any(n.lower() == "authorization" for n, _ in headers)
        ]
        return signed_on[0] if signed_on else ()

    # ---------------------------------------------------------------- one call each

    def is_admins(self, exchange: Exchange) -> bool:
        """Whether an administrator makes the call, also where others log in, too."""
        if self.as_admin:
            return True
        tokens = tokens_sent(exchange, self._catalog)
        return self._is_admins_login(exchange) or (bool(tokens) and self._admins_tokens.issuperset(tokens))

    def _tokens_of_admins(self) -> set[str]:
        """What an administrator's login gives, and what replaces it: a refresh, a new password."""
        tokens: set[str] = set()
        for exchange in self._kept:
            renews = not self._is_login(exchange) and bool(tokens.intersection(tokens_sent(exchange, self._catalog)))
            if renews or self._is_admins_login(exchange):
                tokens.update(tokens_answered(exchange, self._catalog))
        return tokens

    def _is_admins_login(self, exchange: Exchange) -> bool:
        return self._is_login(exchange) and self._catalog.is_admin_session(self._locate(exchange).resource)

    def _found_password_before(self, variables: SecretVariables) -> str:
        """The variable of the password of who was logged in before the first login, empty when that may be another.

        That is the administrator who logs in then, unless that account was made, or got its password, only before that.
        """
        until_login = self._kept[: self._first_login + 1]
        login = json_of(until_login[-1].request.body)
        path, identity = until_login[-1].request.decoded_path, self._catalog.session.identity_fields
        if path != self._catalog.session.admin_path or not isinstance(login, Object):
            return ""
        if not isinstance(login.get(identity[0]), str) or not isinstance(
            login.get(self._catalog.session.password_field), str
        ):
            return ""
        for exchange in until_login[:-1]:
            location, sent = self._locate(exchange), json_of(exchange.request.body)
            records = [] if isinstance(sent, ValueError) else records_of(sent, self._catalog.wrapper)
            changes = any("password" in str(name) for record in records for name, _ in record.members)
            if changes and exchange.request.method != "GET" and self._is_account(location):
                return ""
        return variables.begins_as(login)

    def _is_account(self, location: Location) -> bool:
        return self._catalog.names_accounts(location.resource) or self._catalog.is_own_account(location.resource)

    def _needs_session(self, exchange: Exchange) -> bool:
        """A system call that succeeded without any credential in sight: the recording program took it away."""
        if tokens_sent(exchange, self._catalog):
            return False
        location = self._locate(exchange)
        if location.resource is None or self._catalog.resources[location.resource].public:
            return False
        names = {name.lower() for name, _ in sent_headers(exchange.request, self._catalog, as_admin=True)}
        parameters = [pair.partition("=")[0] for pair in exchange.request.query.split("&")]
        credentials = {"authorization", self._catalog.session.api_key_header.lower()}
        return not names & credentials and not any(map(self._catalog.is_secret_parameter, parameters))

    def _made_secrets(self, exchange: Exchange) -> Iterator[str]:
        """The secrets that the server made in the answer to a write: API keys."""
        answer = json_of(exchange.response.body)
        facts = self._catalog.resources.get(self._locate(exchange).resource or "")
        if exchange.request.method != "GET" and facts and not isinstance(answer, ValueError):
            values = (row.get(name) for row in records_of(answer, self._catalog.wrapper) for name in facts.made_secrets)
            yield from (value for value in values if isinstance(value, str))

    def _is_login(self, exchange: Exchange) -> bool:
        return self._catalog.is_session(exchange.request.decoded_path) and exchange.request.method == "POST"

    def _locate(self, exchange: Exchange) -> Location:
        return self._catalog.locate(exchange.request.decoded_path)


def passwords_changed(steps: Iterable[Step], variables: Iterable[Variable], catalog: Catalog) -> Iterator[Residue]:
    """Steps that send the password of a login and a new one in its place."""
    settings = {v.name: v.env for v in variables if v.kind is VariableKind.SECRET}
    field, used = catalog.session.password_field, set[str]()
    for step in steps:
        body = step.request.body.tree if isinstance(step.request.body, JsonBody) else None
        if not isinstance(body, Object) or not catalog.is_own_account(step.resource):
            continue
        given = [v.name for n, v in body.members if isinstance(v, Var) and v.name in settings and field in str(n)]
        if step.kind is StepKind.LOGIN:
            used.update(given)
        elif (old := used.intersection(given)) and (new := [name for name in given if name not in old]):
            reason = (
                "it changes the password of who logs in: a later run or a teardown needs the new one "
                f"({settings[new[0]]}) as {settings[min(old)]}"
            )
            yield Residue(ResidueKind.RISKY, reason, step.entry, step.name)
