"""Typed questions to what is known about DreamFactory's System API.

The knowledge itself is data in `resources.json` beside this file: paths, ids, natural keys, foreign keys, relations,
secrets, server-made fields, console noise. Source of the facts: DreamFactory's public source and recordings of a
7.5.0 server. Nested rows take their facts from the child resource, so each fact stands once. A file of the same form
(`catalog_file.py`) adds to it, or tells of another platform.

A field is named by its *field path*, relative to one record: `config.app_role_map[].role_id`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote

import msgspec

from dfrecord.system_api.catalog_file import CatalogFile, Relation, ResourceFacts, SecretRule, read_catalog
from dfrecord.system_api.conventions import Conventions
from dfrecord.tree import Number


class Resource(msgspec.Struct, frozen=True):
    """What is known about one resource. `foreign_keys`: field path to the resources the id may belong to.

    `numbered`: the server gives each record an id of its own. `create_drops_empty`: a create leaves out false, 0, ""
    and null (system-api.md section 6.1). `create_fills`: fields to which it gives a value of its own where they are
    empty (df-core `src/Models/Service.php`: a label is the name). `cut_to`: how many characters the server keeps of a
    text. `bits`: fields in which it keeps words for a number, each for one of its bits, the lowest first (section 6.1).
    `needed_in_updates`: fields without which the server refuses an update while it has no value for them (section 10).
    `told_apart_by`: what tells nested rows with the same natural key apart. `changed_in_place`: parts of that key in
    which a lone row may differ and still be the one that is meant. `optional`: not every server has it; its list
    answers 404 where it is absent (section 9). `words`: fields that hold words of the platform, which no parameter
    takes the place of.
    """

    name: str
    path: str | None
    id_field: str | None
    natural_key: tuple[str, ...]
    foreign_keys: Mapping[str, tuple[str, ...]]
    self_keys: frozenset[str]
    server_made: frozenset[str]
    relations: Mapping[str, Relation]
    secrets: tuple[SecretRule, ...]
    may_hold_secrets: frozenset[str]
    tokens_in: tuple[str, ...]
    create_drops_empty: bool
    create_fills: frozenset[str]
    cut_to: Mapping[str, int]
    bits: Mapping[str, list[str]]
    needed_in_updates: tuple[str, ...]
    told_apart_by: tuple[str, ...]
    changed_in_place: tuple[str, ...]
    nested_key: tuple[str, ...]
    made_secrets: frozenset[str]
    numbered: bool
    create_by_name: bool
    actions: bool
    public: bool
    own_account: bool
    shows: str
    references_by_name: Mapping[str, str]
    event_names: frozenset[str]
    named_members: Mapping[str, str]
    merged: frozenset[str]
    shaped_by: Mapping[str, str]
    matched_by_key: bool
    single: bool
    makes_records: bool
    registers: str
    exact: bool
    key_copies: frozenset[str]
    listed: bool
    whole: tuple[str, ...]
    words: frozenset[str]
    optional: bool
    calls: Mapping[str, str]

    @property
    def key_fields(self) -> tuple[str, ...]:
        """The natural key by the fields of a record: a dotted part stands for the foreign key."""
        return tuple(f"{part.split('.')[0]}_id" if "." in part else part for part in self.natural_key)

    @property
    def hangs_on_several(self) -> bool:
        """Whether the natural key is the records that a nested row hangs on: a user's role in an app."""
        return len(self.natural_key) > 1 and self.foreign_keys.keys() >= set(self.key_fields)

    @property
    def key_field(self) -> str | None:
        """The one field that names a record on every instance, None when no single field does."""
        return self.natural_key[0] if len(self.natural_key) == 1 and "." not in self.natural_key[0] else None


class Location(msgspec.Struct, frozen=True):
    """Where a path leads: a resource (None when unknown) and the record below it (decoded, None for the list)."""

    resource: str | None
    record: str | None = None


class Catalog:
    """The knowledge about a platform's API. Build one with `load()`."""

    def __init__(self, facts: CatalogFile, source: str = "") -> None:
        self._facts = facts
        self.source = source
        self.mask = facts.mask
        self.wrapper = facts.wrapper
        self.id = facts.id
        self.session = facts.session
        self.default_filters = tuple(facts.default_filters)
        self.resources: Mapping[str, Resource] = {
            name: _resource(name, told, facts.id) for name, told in facts.resources.items()
        }
        self.conventions = Conventions(
            facts.wrapper,
            facts.id,
            facts.filters,
            facts.session.token_header,
            facts.session.token_prefix,
            tuple((told.path, told.id) for told in facts.resources.values() if told.listed and told.path and told.id),
            facts.session.api_key_header,
            facts.session.admin_path,
            facts.prefix.rstrip("/"),
            tuple(self._matched()),
            tuple(told.path for told in facts.resources.values() if told.create_drops_empty and told.path),
            tuple(
                (told.path, told.id)
                for told in facts.resources.values()
                if told.path and told.id not in (None, facts.id)
            ),
            tuple(told.path for told in facts.resources.values() if told.single and told.own_account and told.path),
        )

    def _matched(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """The relations whose rows are found by their key where they come without their id, each with its fields."""
        for facts in self.resources.values():
            for name, relation in facts.relations.items():
                child = self.resources[relation.resource] if relation.nested else None
                if child and child.matched_by_key and child.numbered:
                    yield name, child.nested_key

    def id_of(self, value: object) -> str | None:
        """The text of a value that can be a record's id on this platform, None when it can be none."""
        if self._facts.text_ids:
            return value if isinstance(value, str) and value else None
        return value.text if isinstance(value, Number) else None

    def written_id(self, value: object) -> str | None:
        """The same for a body that a client sends, in which the id may be written as text."""
        return self.id_of(value) or (value if isinstance(value, str) and self.is_id(value) else None)

    def is_id(self, segment: str) -> bool:
        """Whether a piece of a path or query can be a record's id."""
        return bool(re.fullmatch(r"[\w.~-]+" if self._facts.text_ids else r"\d+", segment, re.ASCII))

    @property
    def id_type(self) -> str:
        """The JSON type of ids."""
        return "string" if self._facts.text_ids else "integer"

    # ------------------------------------------------------------ where a path leads

    def owns(self, facts: Resource, relation: Relation) -> bool:
        """Whether the rows of a relation are the record's own: a role in an app is its user's, seen from the role."""
        if not relation.nested:
            return False
        first, dot, _ = (self.resources[relation.resource].natural_key or ("",))[0].partition(".")
        return not dot or first == facts.name

    def locate(self, path: str) -> Location:
        """The resource a percent-decoded path leads to: the longest known resource path that is a prefix of it.

        The service segment is compared without case and the version segment may be missing (system-api.md section 1).
        """
        return (_located if len(path) < _SHORT else _located.__wrapped__)(path, self)

    def plain_path(self, path: str, location: Location) -> str:
        """A percent-encoded path as the catalog writes it; the same one when it already is.

        The server takes no notice of doubled slashes, one at the end, and letters that need no encoding.
        """
        facts = self.resources.get(location.resource or "")
        if facts is None or facts.path is None:
            return path
        own = facts.path + (f"/{location.record}" if location.record else "")
        as_it_is = path == own if facts.numbered else unquote(path) == own
        return path if as_it_is or "%2f" in path.lower() else quote(own, safe="/!$&'()*+,;=:@")

    def at_root(self, url: str) -> str:
        """A URL or path without the folder that the API lies under: `/df/api/v2/system` is `/api/v2/system`.

        A path whose first folder is the API's own stays as it is, whatever comes after.
        """
        if self._facts.prefix not in url.lower():  # nearly all URLs of a browser's recording
            return url
        match = self._below_a_folder.match(url)
        return match["origin"] + url[match.end() :] if match else url

    @cached_property
    def _below_a_folder(self) -> re.Pattern[str]:
        prefix = f"/{self._facts.prefix.strip('/')}/"
        own = re.escape(prefix[: prefix.index("/", 1) + 1])
        return re.compile(
            rf"(?P<origin>(?:https?://[^/?#]*)?)(?!{own})(?:/[^/?#]+)+?(?={re.escape(prefix)})", re.IGNORECASE
        )

    @cached_property
    def _longest_path(self) -> int:
        return max(map(len, self._by_path), default=0)

    @cached_property
    def _by_path(self) -> dict[tuple[str, ...], str]:
        return {
            tuple(resource.path.strip("/").lower().split("/")): name
            for name, resource in self.resources.items()
            if resource.path and "{" not in resource.path
        }

    def is_below_record(self, location: Location) -> bool:
        """Whether a path goes on below one record of a resource, which the catalog does not know: `roles/7/members`."""
        facts = self.resources.get(location.resource or "")
        return facts is not None and facts.numbered and "/" in (location.record or "")

    def is_session(self, path: str) -> bool:
        """Whether the path is one of the session resources (system-api.md section 2.1)."""
        location = self.locate(path)
        return location.record is None and location.resource in self._session_resources

    def is_admin_session(self, resource: str | None) -> bool:
        """Whether the resource is where administrators log in."""
        return resource is not None and self.resources[resource].path == self.session.admin_path

    def is_own_account(self, resource: str | None) -> bool:
        """Whether a body of this resource is about the account that is signed on, or of no known resource."""
        known = self.resources.get(resource or "")
        return known is None or known.own_account

    @cached_property
    def _session_resources(self) -> frozenset[str]:
        return frozenset(name for name, facts in self.resources.items() if facts.path in self.session.paths)

    @property
    def named_in_paths(self) -> str:
        """The resource whose natural keys stand in paths, empty when there is none."""
        return self._facts.names_in_paths.resource

    @cached_property
    def name_in_path(self) -> re.Pattern[str]:
        """Finds such a name (group `path` or `query`) where a request's target holds one (system-api.md section 7)."""
        rules = self._facts.names_in_paths
        api = self._facts.prefix.strip("/").partition("/")[0]
        before = "|".join(map(re.escape, sorted(rules.before, key=len, reverse=True)))
        in_path = rf"(?i:^/{re.escape(api)}(?:/v[\d.]+)?/(?:{before}))(?P<path>[^/?.&]+)"
        in_query = rf"(?<=[?&])(?:{'|'.join(map(re.escape, rules.query))})=(?P<query>[^&]+)"
        return re.compile(f"{in_path}|{in_query}")

    def table_in_path(self, path: str) -> re.Match[str] | None:
        """The groups `service`, `table` and, of one row, `row` of a decoded path to the rows of a database table."""
        return self._table.fullmatch(path.rstrip("/")) if self._facts.tables else None

    @cached_property
    def _table(self) -> re.Pattern[str]:
        api = re.escape(self._facts.prefix.strip("/").partition("/")[0])
        between = re.escape(self._facts.tables)
        return re.compile(
            rf"/{api}(?:/v[\d.]+)?/(?P<service>[^/]+)/{between}/(?P<table>[^/]+)(?:/(?P<row>[^/]+))?", re.IGNORECASE
        )

    def ids_in_call(self, path: str) -> Mapping[str, list[str]]:
        """The fields with ids, wherever they stand in a body that is sent to this decoded path of a service."""
        segments = _with_version(path, self._facts.prefix)
        above = len([part for part in self._facts.prefix.split("/") if part]) + 1
        return self._facts.ids_in_calls.get(segments[above], {}) if len(segments) > above else {}

    # ------------------------------------------------------------ what a field is

    def guessed_targets(self, field_path: str) -> tuple[str, ...]:
        """The resources whose id a number in this field of a `config` looks like, by the end of its name."""
        if not field_path.startswith("config."):
            return ()
        name = f"_{field_path.rpartition('.')[2]}"
        return next((tuple(t) for end, t in self._facts.id_endings.items() if name.endswith(f"_{end}")), ())

    def names_accounts(self, resource: str | None) -> bool:
        """Whether the records of the resource are accounts: what names one is what a login is sent with."""
        known = self.resources.get(resource or "")
        return known is not None and known.numbered and known.key_field in self.session.identity_fields[:1]

    def child(self, resource: str | None, relation: str) -> Relation | None:
        """The relation of that name on the resource."""
        known = self.resources.get(resource or "")
        return known.relations.get(relation) if known else None

    def secret_rule(self, resource: str | None, field_path: str) -> SecretRule | None:
        """The rule that makes this field of the resource a secret, by the table, then by the words in its name."""
        known = self.resources.get(resource or "")
        for rule in known.secrets if known else ():
            if rule.path == field_path:
                return rule
            if rule.path.endswith(".*") and field_path.startswith(rule.path[:-1]):
                return None if field_path[len(rule.path) - 1 :].lower() in rule.unless.get("name", ()) else rule
        if known and field_path in known.may_hold_secrets:
            return None
        if not self.is_secret_name(field_path):
            return None
        rules, name = self._facts.secret_words, field_path.rpartition(".")[2]
        return SecretRule(field_path, unless={name: rules.harmless_values} if name in rules.last_in_config else {})

    def is_secret(
        self, resource: str | None, field_path: str, value: object, beside: Mapping[str, object] | None = None
    ) -> bool:
        """Whether a value in this field of the resource is one (`beside` these, where they are known).

        True, false, null and "" are none, whatever the field is called (`supports_credentials`).
        """
        rule = None if isinstance(value, bool) or value in (None, "") else self.secret_rule(resource, field_path)
        return rule is not None and (beside is None or rule.applies(beside))

    def holds_tokens(self, resource: str | None, field_path: str) -> bool:
        """Whether this field is, or stands in, free JSON in which what looks like a token is one."""
        known = self.resources.get(resource or "")
        free = known.tokens_in if known else ()
        return any(field_path == field or field_path.startswith((f"{field}.", f"{field}[")) for field in free)

    def is_secret_name(self, field_path: str) -> bool:
        """Whether a field, parameter or header of this name holds a secret, judged by the words in it."""
        return _tells_secret(field_path, self)

    def is_secret_header(self, name: str) -> bool:
        """Whether a header of this name carries a credential."""
        lowered = name.lower()
        return lowered in self._facts.headers.secret or self.is_secret_name(lowered)

    def is_secret_parameter(self, name: str) -> bool:
        """Whether a query or form parameter of this name carries a credential."""
        return name.lower() in self._facts.query.secret or self.is_secret_name(name)

    # ------------------------------------------------------------ requests

    def is_dropped_header(self, name: str) -> bool:
        """Whether the header is the browser's, a proxy's or the console's own business (system-api.md section 3)."""
        lowered = name.lower()
        rules = self._facts.headers
        return lowered in rules.dropped or lowered.startswith((":", *rules.dropped_prefixes))

    def method_override(self, headers: Mapping[str, str], query: str) -> str | None:
        """The verb a tunnelled POST stands for (system-api.md section 4.4), None when there is none.

        `headers` has lower-case names.
        """
        for name in self._facts.headers.method_override:
            if headers.get(name):
                return _verb(headers[name])
        parameters = _parameters(query)
        for name in self._facts.query.method_override:
            if parameters.get(name):
                return _verb(parameters[name])
        return None

    def noise(self, path: str, query: str) -> str | None:
        """Why a GET of this percent-decoded path and raw query is only the console's own noise, None when it is not."""
        path = path.rstrip("/")
        parameters = _parameters(query, keep_blank_values=True)
        for rule in self._facts.noise:
            exact = path == rule.path
            below = rule.below and path.startswith(rule.path + "/")
            wanted = rule.query
            if not (exact or below):
                continue
            if wanted is None or (
                wanted == parameters if "filter" not in wanted else wanted.items() <= parameters.items()
            ):
                return rule.why
        return None

    def danger(self, method: str, path: str, query: str, record: str | None, fields: Collection[str] = ()) -> str:
        """Why a request of this kind needs a person's consent, empty when it does not.

        `path` is decoded, `record` what it names of a known resource, and `fields` are those of the body.
        """
        parameters = _parameters(query, keep_blank_values=True)
        for rule in self._facts.dangers:
            asked = all(parameters.get(name, "").lower() in (value, "1") for name, value in rule.query.items())
            named = not rule.any_of or any(name in parameters or name in fields for name in rule.any_of)
            excused = any(name in parameters for name in rule.unless_query)
            if method not in rule.methods or not asked or not named or excused or (rule.collection_only and record):
                continue
            if not rule.path or self._leads_to(path, rule.path):
                return rule.why
        return ""

    def _leads_to(self, path: str, pattern: str) -> bool:
        """Whether a decoded path is that one, in which `{}` stands for any segment."""
        segments, wanted = _with_version(path, self._facts.prefix), pattern.strip("/").split("/")
        pairs = zip(segments, wanted, strict=False)
        return len(segments) == len(wanted) and all(each in ("{}", segment.lower()) for segment, each in pairs)

    def is_console_key(self, api_key: str) -> bool:
        """Whether this is the fixed public API key of a seeded console app (system-api.md section 2.3)."""
        return api_key.startswith(tuple(self.session.console_api_keys))

    def looks_secret(self, facts: Resource) -> str:
        """A regular expression, in any case, for the JSON text of a record of this resource that may hold a secret.

        It finds too much rather than too little: any telling word in a name, passwords in URLs and parameters, and
        texts that look like a token; in free text any telling word, and any run of letters and digits like a token.
        """
        paths = [rule.path.removesuffix(".*") for rule in facts.secrets]
        own = {path.rpartition(".")[2].removesuffix("[]") for path in paths if "[]" not in path}
        lists = {path.partition("[]")[0].rpartition(".")[2] for path in paths if "[]" in path}
        rules = self._facts.secret_words
        words = "|".join(map(re.escape, sorted({*own, *rules.last, *rules.in_config})))
        rows = [f'"(?:{"|".join(map(re.escape, sorted(lists)))})":\\[[^\\]]'] if lists else []
        named = rf'"[^"]*(?:{words})[^"]*":(?!null|""|true|false|\[\]|\{{\}})'
        token = r'[:\[,]"(?=[^"]*[0-9])(?=[^"]*[a-z])[\w+=~:-]{12,}"'
        run = r"(?=[{0}]{{0,40}}[0-9])(?=[{0}]{{0,40}}[a-z])[{0}]{{12,}}"
        free = [
            rf'"{re.escape(field)}":(?:{value})(?:{"|".join(rules.last)}|{run.format(characters)})'
            for field in sorted(facts.may_hold_secrets)
            for value, characters in ((r'"(?:[^"\\]|\\.)*', r"\w+=~-"), (r'[^"].*', r"\w+=~"))  # a date is no token
        ]
        return "|".join(
            [named, *rows, *free, token, r':\/\/[^"\s]*:[^"\s]*@', rf"(?:{words})=[^&\s]", "(?:bearer|basic) [a-z0-9]"]
        )

    @property
    def words_in_query(self) -> Collection[str]:
        """The query parameters, in lower case, whose values are words of the API, such as the names of fields."""
        return self._facts.query.api_words

    @cached_property
    def usual_server_made(self) -> frozenset[str]:
        """The fields that the server makes in records of nearly every resource: ids, dates, who made them."""
        audited = (facts.server_made for facts in self.resources.values() if "created_by_id" in facts.server_made)
        return frozenset.intersection(*(fields | {"id"} for fields in audited))

    @cached_property
    def differs_elsewhere(self) -> frozenset[str]:
        """The fields of what the catalog does not tell in full, in which two servers differ: dates of files, say."""
        of_services = (facts.server_made for facts in self.resources.values() if "{" in (facts.path or ""))
        return self.usual_server_made.union(*of_services, *self._facts.ids_in_calls.values())

    @cached_property
    def vocabulary(self) -> str:
        """Every word of the knowledge, in lower case: what a secret cannot be told apart from."""
        return msgspec.json.encode(self._facts).decode().lower()


def load(path: str | os.PathLike[str] | None = None) -> Catalog:
    """The built-in catalog (read once), or that of a file. Raises UnreadableInput."""
    return _built_in() if path is None else Catalog(read_catalog(Path(path)), str(path))


@lru_cache(maxsize=1)
def _built_in() -> Catalog:
    return Catalog(read_catalog(None))


def _resource(name: str, facts: ResourceFacts, made_id: str) -> Resource:
    return Resource(
        name=name,
        path=facts.path,
        id_field=facts.id,
        natural_key=tuple(facts.key),
        foreign_keys={path: tuple(targets) for path, targets in facts.foreign_keys.items()},
        self_keys=frozenset(facts.self_keys),
        server_made=frozenset(facts.server_made),
        relations=facts.relations,
        secrets=tuple(facts.secrets),
        may_hold_secrets=frozenset(facts.may_hold_secrets),
        tokens_in=tuple(facts.tokens_in),
        create_drops_empty=facts.create_drops_empty,
        create_fills=frozenset(facts.create_fills),
        cut_to=facts.cut_to,
        bits=facts.bits,
        needed_in_updates=tuple(facts.needed_in_updates),
        told_apart_by=tuple(facts.told_apart_by),
        changed_in_place=tuple(facts.changed_in_place),
        nested_key=tuple(facts.key if facts.nested_key is None else facts.nested_key),
        made_secrets=frozenset(facts.made_secrets),
        numbered=facts.id == made_id,
        create_by_name=facts.create_by_name,
        actions=facts.actions,
        public=facts.public,
        own_account=facts.own_account,
        shows=facts.shows or name,
        references_by_name=facts.references_by_name,
        event_names=frozenset(facts.event_names),
        named_members=facts.named_members,
        merged=frozenset(facts.merged),
        shaped_by=facts.shaped_by,
        matched_by_key=facts.matched_by_key,
        single=facts.single,
        makes_records=facts.makes_records,
        registers=facts.registers,
        exact=facts.exact,
        key_copies=frozenset(facts.key_copies),
        words=frozenset(facts.words),
        listed=facts.listed,
        whole=tuple(facts.whole),
        optional=facts.optional,
        calls=facts.calls,
    )


_SHORT = 200  # characters


@lru_cache(maxsize=1024)  # a recording has few paths, and most of them many times
def _located(path: str, catalog: Catalog) -> Location:
    segments = _with_version(path, catalog._facts.prefix)
    for length in range(min(len(segments), catalog._longest_path), 0, -1):
        name = catalog._by_path.get(tuple(part.lower() for part in segments[:length]))
        rest = "/".join(segments[length:])
        if name is not None and not (rest and catalog.resources[name].exact):
            return Location(name, rest or None)
    return Location(None)


@lru_cache(maxsize=128)  # as many as urlsplit remembers
def _parameters(query: str, *, keep_blank_values: bool = False) -> Mapping[str, str]:
    return dict(parse_qsl(query, keep_blank_values))


def _with_version(path: str, prefix: str) -> list[str]:
    segments = [segment for segment in unquote(path).split("/") if segment]
    api, _, version = prefix.strip("/").partition("/")
    if (
        re.fullmatch(r"v[0-9.]+", version)
        and segments
        and segments[0].lower() == api
        and not (len(segments) > 1 and re.fullmatch(r"v[0-9.]+", segments[1]))
    ):
        segments.insert(1, version)
    return segments


@lru_cache(maxsize=4096)  # a recording has few names, and each many times
def _tells_secret(field_path: str, catalog: Catalog) -> bool:
    words = _words(field_path.rsplit(".", 1)[-1])
    if not words:
        return False
    rules = catalog._facts.secret_words
    plain = [word for word in (word.rstrip("0123456789") for word in words) if word]  # `DB_PASSWORD_2`, `pass2`
    if any(ending in rules.last for ending in (words[-1], *plain[-1:], "_".join(words[-2:]), "_".join(plain[-2:]))):
        return True
    endings = {words[-1], "_".join(words[-2:])}
    is_harmless = words[0] in rules.harmless_beginnings or not endings.isdisjoint(rules.harmless_endings)
    if is_harmless or ".config." not in f".{field_path}":
        return False
    return words[-1] in rules.last_in_config or not set(words).isdisjoint(rules.in_config)


def _words(name: str) -> tuple[str, ...]:
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    return tuple(word for word in re.split(r"[^a-z0-9]+", spaced.lower()) if word)


def _verb(name: str) -> str:
    return "PATCH" if name.upper() == "MERGE" else name.upper()
