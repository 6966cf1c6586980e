"""Secrets in requests become variables: captured where an earlier answer gave them, asked for otherwise.

`SecretVariables` knows, at each moment of the sweep over the kept exchanges, which variable stands for which secret
value. Credentials of a login are the parameters `email` and `password`; session tokens are captured from logins.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from dfrecord.journey.model import Capture, Step, StepKind, Variable, VariableKind, variables_of_step
from dfrecord.journey.names import Namer
from dfrecord.normalise.body import Leaf, field_path, leaves
from dfrecord.normalise.secret_places import name_of_field
from dfrecord.normalise.secrets import Secrets
from dfrecord.system_api.catalog import Catalog
from dfrecord.tree import Array, Encoding, Number, Object, Text, Tree, Var


def told_apart(variables: Sequence[Variable], steps: Iterable[Step]) -> list[Variable]:
    """The variables; of secrets that would be described alike, each with the title of the step that needs it first."""
    secrets = {variable.name: variable.description for variable in variables if variable.kind is VariableKind.SECRET}
    alike = Counter(secrets.values())
    several = {name for name, description in secrets.items() if alike[description] > 1}
    longer: dict[str, str] = {}
    for step in steps if several else ():
        for name in several.intersection(variables_of_step(step)):
            longer.setdefault(name, f"{secrets[name]} ({step.title})")
    clear = Counter(longer.values())
    return [
        replace(variable, description=longer[variable.name]) if clear[longer.get(variable.name, "")] == 1 else variable
        for variable in variables
    ]


class SecretVariables:
    """The variables that stand for secrets, for one journey."""

    def __init__(self, secrets: Secrets, catalog: Catalog, namer: Namer, look_up: Callable[[str], str | None]) -> None:
        """`look_up` gives the variable for a secret that the target itself holds (an app's API key), or None."""
        self._secrets, self._catalog, self._namer, self._look_up = secrets, catalog, namer, look_up
        self._names: dict[str, str] = {}
        self._record_names: dict[tuple[str, str], str] = {}
        self._variables: dict[str, Variable] = {}
        self._emails: dict[str, str] = {}  # by account, in lower case
        self._made: dict[str, tuple[str, str]] = {}  # accounts that steps create: the password, and its variable
        self._own_password = ("", "")  # those of the account that logged in last, where a step created it
        self._identity: dict[str, Tree] = {}
        self._token_is_captured = False

    def all(self) -> list[Variable]:
        """Every variable made so far, in order."""
        return list(self._variables.values())

    def stands_for(self, value: str) -> bool:
        """Whether a request of the journey needs this secret."""
        return value in self._names

    # ------------------------------------------------------------ variables

    def session_token(self, token: str | None) -> str:
        """The variable of the first session token, which may also be given in the environment."""
        if "session_token" not in self._variables:
            given = not self._catalog.session.admin_path
            about = "the token of who is to act" if given else "a session token to use instead of logging in"
            name = self._namer.give("session_token")
            self._variables[name] = Variable(
                name, VariableKind.CAPTURE, env="DF_SESSION_TOKEN", secret=True, required=given, description=about
            )
        if token is not None:
            self._names[token] = "session_token"
        return "session_token"

    def email(self, value: str | None) -> str:
        """The variable for the account that logs in; each account has its own."""
        account = (value or "").lower()
        if account in self._emails:
            return self._emails[account]
        name = self._namer.give("email")
        self._emails[account] = name
        about = "the account that logs in"
        self._variables[name] = Variable(
            name, VariableKind.PARAMETER, env=_env(name), required=True, description=about, recorded=account
        )
        return name

    def password(self) -> str:
        """The variable for the password of a login that the recording does not hold."""
        return self._secret_variable("password", "the password of that account")

    def begins_as(self, body: Object) -> str:
        """Note that the session before the first login is that login's account; gives the variable of its password."""
        self.credentials(body)
        self._emails[""] = next(iter(self._emails.values()))
        return self._names[str(body.get(self._catalog.session.password_field))]

    def creates(self, records: Iterable[Object]) -> None:
        """Note the accounts that a step creates, before `tree` replaces their passwords."""
        for record in records:
            for account in self._accounts(dict(record.members)):
                self._made.setdefault(account, ("", ""))

    def _accounts(self, record: Mapping[Any, Tree]) -> Iterator[str]:
        """What a person of this record may log in as."""
        values = (record.get(field) for field in self._catalog.session.identity_fields)
        yield from (value.lower() for value in values if isinstance(value, str) and value)

    def credentials(self, body: Object) -> None:
        """Note the account and the password of a login, before `tree` replaces them.

        One that a step creates logs in by the names and the password which it got there.
        """
        fields = self._catalog.session.identity_fields
        self._identity = {key: value for key, value in body.members if key in fields and isinstance(key, str)}
        password = body.get(self._catalog.session.password_field)
        email = next((value for value in self._identity.values() if isinstance(value, str) and value), None)
        known = email is not None and email.lower() in self._emails
        made = next((self._made[account] for account in self._accounts(self._identity) if account in self._made), None)
        self._own_password = made if made and not known else ("", "")
        if made and not known:
            self._identity = {}
        elif email is not None:
            self.email(email)
        if password == self._own_password[0]:
            return
        if isinstance(password, str) and password not in self._names:
            self._names[password] = self._secret_variable("password", "the password of that account")

    def captures(self, answer: Tree | ValueError, resource: str | None, kind: StepKind) -> Iterator[Capture]:
        """Captures of the secrets that the server made in this answer: session tokens, API keys."""
        if isinstance(answer, ValueError) or kind is StepKind.READ:
            return
        for leaf in leaves(answer, resource, self._catalog):
            is_token = leaf.path in self._catalog.session.token_fields
            if not isinstance(leaf.value, str) or not (is_token or self._is_made(leaf)):
                continue
            known = self._names.get(leaf.value)
            if known is not None and not (known == "session_token" and kind is StepKind.LOGIN):
                continue
            if is_token and kind is StepKind.LOGIN and not self._token_is_captured:
                self._token_is_captured = True
                name = self.session_token(leaf.value)
            elif leaf.value in self._secrets.by_value and known is None:
                name = self._namer.give("session_token" if is_token else f"{leaf.resource}_{leaf.path}")
                self._names[leaf.value] = name
                about = "the new session token" if is_token else "the API key that the server made"
                self._variables[name] = Variable(name, VariableKind.CAPTURE, secret=True, description=about)
            else:
                continue
            yield Capture(name, leaf.pointer)

    def _is_made(self, leaf: Leaf) -> bool:
        known = self._catalog.resources.get(leaf.resource or "")
        return known is not None and leaf.path in known.made_secrets

    def name_for(self, value: str) -> str:
        """The variable for a secret value, made when there is none yet."""
        if value not in self._names:
            secret = self._secrets.by_value[value]
            about = f"the {secret.name.replace('_', ' ')} that the recording used"
            self._names[value] = self._look_up(value) or self._secret_variable(secret.name, about)
        return self._names[value]

    def _secret_variable(self, wish: str, about: str) -> str:
        name = self._namer.give(wish)
        self._variables[name] = Variable(
            name, VariableKind.SECRET, env=_env(name), secret=True, required=True, description=about
        )
        return name

    def _record_secret(self, resource: str | None, path: str, value: str) -> str:
        """The variable for a secret field. A record's password that equals the login's is still a value of its own."""
        known = self._names.get(value)
        own = self._catalog.is_own_account(resource)
        if own and value == self._own_password[0]:
            return self._own_password[1]
        if (
            own
            or known is None
            or known not in self._variables  # an API key that is looked up
            or self._variables[known].kind is VariableKind.CAPTURE
            or not known.startswith("password")
        ):
            return self.name_for(value)
        wish = name_of_field(self._catalog, resource, path.rsplit(".", 1)[-1].replace("[]", ""))
        if (wish, value) not in self._record_names:
            self._record_names[(wish, value)] = self._secret_variable(wish, f"{path} of the {resource}")
        return self._record_names[(wish, value)]

    # ------------------------------------------------------------ requests

    def target(self, target: str) -> Text:
        """Path and query with secrets as percent-encoded variables."""
        return Text(tuple(self._strings(target, Encoding.URI)))

    def text(self, value: str, encoding: Encoding, header: str) -> Text:
        """A header value with secrets as variables; the whole value when the header as such is a credential."""
        if value in self._secrets.by_value and self._catalog.is_secret_header(header):
            return Text((Var(self.name_for(value), encoding),))
        scheme, space, credentials = value.partition(" ")
        if header.lower() == "authorization" and credentials in self._secrets.by_value:
            return Text((scheme + space, Var(self.name_for(credentials), encoding)))
        return Text(tuple(self._strings(value, encoding)))

    def raw(self, content: bytes, encoding: Encoding) -> Iterator[bytes | Var]:
        """A body's bytes with secrets as variables."""
        for found in self._secrets.in_text(content):
            self.name_for(found.secret.value)
        yield from self._secrets.parts(content, self._names, encoding)

    def raw_accounts(self, content: bytes, records: Iterable[Object], resource: str) -> Iterator[bytes | Var]:
        """The bytes of a body that creates these accounts; their passwords are their own, as in `tree`."""
        field, own = self._catalog.session.password_field, dict[str, str]()
        for record in records:
            password = record.get(field)
            if isinstance(password, str) and password in self._secrets.by_value:
                own[password] = self._record_secret(resource, field, password)
                self._made |= dict.fromkeys(self._accounts(dict(record.members)), (password, own[password]))
        for found in self._secrets.in_text(content):
            own.setdefault(found.secret.value, self._names.get(found.secret.value) or self.name_for(found.secret.value))
        yield from self._secrets.parts(content, own, Encoding.PLAIN)

    def tree(self, tree: Tree, resource: str | None) -> Tree:
        """A JSON body with secrets, and a login's account, as variables."""
        return self._tree(tree, resource, "", {})

    def _strings(self, text: str, encoding: Encoding) -> Iterator[str | Var]:
        content = text.encode("utf-8", "surrogatepass")
        for part in self.raw(content, encoding):
            yield part if isinstance(part, Var) else part.decode("utf-8", "surrogatepass")

    def _tree(self, tree: Tree, resource: str | None, path: str, siblings: dict[str, Tree]) -> Tree:
        match tree:
            case Object(members=members):
                beside = {key: value for key, value in members if isinstance(key, str)}
                return Object(
                    tuple((self._key(key), self._member(key, value, resource, path, beside)) for key, value in members)
                )
            case Array(items=items):
                return Array(tuple(self._tree(item, resource, f"{path}[]", siblings) for item in items))
            case str() | Number():
                return self._leaf(tree, resource, path, siblings)
            case _:
                return tree

    def _member(self, key: str | Text, value: Tree, resource: str | None, path: str, beside: dict[str, Tree]) -> Tree:
        name = key if isinstance(key, str) else ""
        if not path and name == self._catalog.wrapper and isinstance(value, Array):
            return Array(tuple(self._tree(item, resource, "", {}) for item in value.items))
        relation = self._catalog.child(resource, name) if not path else None
        if relation is None:
            return self._tree(value, resource, field_path(path, name), beside)
        rows = value.items if isinstance(value, Array) else None
        if rows is not None:
            return Array(tuple(self._tree(row, relation.resource, "", beside) for row in rows))
        return self._tree(value, relation.resource, "", beside)

    def _key(self, key: str | Text) -> str | Text:
        parts = tuple(self._strings(key, Encoding.PLAIN)) if isinstance(key, str) else ()
        return Text(parts) if any(isinstance(part, Var) for part in parts) else key

    def _leaf(self, leaf: str | Number, resource: str | None, path: str, siblings: Mapping[str, Tree]) -> Tree:
        text = leaf.text if isinstance(leaf, Number) else leaf
        account = self._emails.get(text.lower()) if self._identity.get(path) == leaf else None
        if account and self._catalog.is_own_account(resource):
            return Var(account)
        rule = self._catalog.secret_rule(resource, path)
        if text in self._secrets.by_value and rule is not None and rule.applies(siblings):
            name = self._record_secret(resource, path, text)
            if path == self._catalog.session.password_field and not self._catalog.is_own_account(resource):
                made = [account for account in self._accounts(siblings) if account in self._made]
                self._made |= dict.fromkeys(made, (text, name))
            return Var(name)
        if isinstance(leaf, Number) and not self._secrets.may_be_numbers:
            return leaf
        parts = tuple(self._strings(text, Encoding.PLAIN))
        if not any(isinstance(part, Var) for part in parts):
            return leaf
        return (
            parts[0]
            if len(parts) == 1 and isinstance(parts[0], Var) and parts[0].encoding is Encoding.PLAIN
            else Text(parts)
        )


def _env(name: str) -> str:
    return f"DF_{name.upper()}"
