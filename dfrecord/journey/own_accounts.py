"""Whose session each call of a journey is made in, and so whose profile a step reads or writes.

A profile has no id in its path: it is the record of the account that is signed on, also where the journey itself made
that account, or writes its record, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from dfrecord.journey.defaults import recorded_value
from dfrecord.journey.model import JsonBody, Step, StepKind, Variable, variables_of_tree
from dfrecord.journey.writes import Write
from dfrecord.system_api.catalog import Catalog
from dfrecord.tree import Object, Text, Tree, Var

Part = Step | Write


@dataclass
class OwnAccounts:
    """Follows the parts of a journey in their order. An account is told by its record, which a step made or a lookup
    finds, else by the name or the variable that it logs in by, else by its credential.
    """

    catalog: Catalog
    variables: Mapping[str, Variable]
    of_token: dict[str, str] = field(default_factory=dict)
    """The account of each session, by the variable of its token."""
    _records: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for variable in self.variables.values():
            if variable.lookup and self.catalog.names_accounts(variable.lookup.resource):
                keys = (variable.lookup.match, *variable.lookup.newer)
                self._records |= {name: variable.name for key in keys for name in self._names(Object(key))}

    def told(self, parts: Iterable[Part]) -> list[Part]:
        """The parts, with the account in each write of something of the account's own."""
        return [self._told(part) for part in parts]

    def of(self, headers: Iterable[tuple[str, Text]]) -> str:
        """The account that a request with these headers is sent as; empty when they carry no credential."""
        sent = ("authorization", self.catalog.session.token_header.lower())
        names = [var.name for name, value in headers if name.lower() in sent for var in value.variables]
        return next((self.of_token.get(name, name) for name in names), "")

    def _told(self, part: Part) -> Part:
        step = part.step if isinstance(part, Write) else part
        tokens = [c.variable for c in step.captures if c.pointer[-1] in self.catalog.session.token_fields]
        account = self._of_login(step) if step.kind is StepKind.LOGIN else self.of(step.request.headers)
        self.of_token |= {token: account or token for token in tokens}
        if not isinstance(part, Write):
            return part
        if part.facts.own_account:
            return replace(part, account=account)
        if self.catalog.names_accounts(part.facts.name):
            self._records |= {name: part.subject for name in self._names(part.record) if self._is_known(part)}
        return part

    def _is_known(self, write: Write) -> bool:
        """Whether the journey made the account that it writes, or finds it."""
        return write.step.kind is StepKind.CREATE or write.subject in self._records.values()

    def _of_login(self, step: Step) -> str:
        """By the names that the recorded answer shows, as a login may be by another one than a record is found by."""
        body = step.request.body.tree if isinstance(step.request.body, JsonBody) else None
        shown = step.answer.tree if step.answer else None
        names = [name for told in (shown, body) if isinstance(told, Object) for name in self._names(told)]
        return next((self._records[name] for name in names if name in self._records), next(iter(names), ""))

    def _names(self, record: Object) -> Iterator[str]:
        """What a person of this record logs in by, in small letters; the variable where no recorded name is known."""
        for name in self.catalog.session.identity_fields:
            value = record.get(name)
            recorded = recorded_value(value, self.variables)
            if isinstance(recorded, Var):
                recorded = self.variables[recorded.name].recorded or recorded
            named = recorded.lower() if isinstance(recorded, str) else _variables(recorded)
            if named:
                yield named


def _variables(value: Tree) -> str:
    return " ".join(variables_of_tree(value))
