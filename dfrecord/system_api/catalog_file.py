"""The form of a catalog file: `resources.json` beside this file, and what `--catalog FILE.json` takes.

A file stands alone, or with `"extends": "dreamfactory"` changes the built-in knowledge: objects are merged member by
member, arrays are appended to, null takes a member away, anything else is replaced. `docs/catalog.schema.json` is made
from these types, and `docs/catalog.md` explains them with an example.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import msgspec

from dfrecord.errors import UnreadableInput
from dfrecord.nesting import is_too_deep

FORMAT = "dfrecord-catalog/1"


class Relation(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A relation name that may stand in a record. Only `nested` relations are written inside their parent.

    `parent_key`: the child's field that holds the parent's id. `field`: of a belongs-to, the field with the id.
    """

    kind: Literal["has_one", "has_many", "belongs_to", "many_many", "pseudo"]
    resource: str
    nested: bool = False
    parent_key: str = ""
    field: str = ""


class SecretRule(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A field that holds a secret; only beside the sibling values of `when`, not beside those of `unless`."""

    path: str
    when: dict[str, Any] = {}
    unless: dict[str, list[str]] = {}

    def applies(self, siblings: Mapping[str, object]) -> bool:
        """Whether the field is a secret beside these sibling values."""
        if any(str(siblings.get(name)).lower() in values for name, values in self.unless.items()):
            return False
        return all(_is(siblings.get(name), value) for name, value in self.when.items())


def _is(found: object, wanted: object) -> bool:
    """Whether a field has this value; true has more than one form, in JSON of other programs too."""
    return found == wanted or (wanted is True and str(getattr(found, "text", found)).lower() in ("1", "true", "on"))


class ResourceFacts(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What is known about one resource. A field is named by its path in one record: `config.maps[].role_id`.

    `path`: of the list, null for rows that exist only inside a parent. `id`: the field that names a record in paths:
    the platform's `id`, the natural key itself, or null when there are no records. `key`: the fields that name a record
    on every instance; `role.name` stands for the foreign key `role_id`. `nested_key`: the same for a row that stands
    inside a parent. `foreign_keys`: field to the resources its id may belong to. `self_keys`: point at the record
    itself or its parent, never sent. `server_made`: never sent. `made_secrets`: secrets that the server makes unless a
    create brings its own. `may_hold_secrets`: free text that people should look at. `tokens_in`: free JSON
    in which what looks like a token is one, whatever its name. `create_drops_empty`: a create leaves out false, 0, ""
    and null. `create_fills`: fields to which it gives a value of its own where they are empty. `cut_to`: how many
    characters the server keeps of a text. `bits`: fields in which it keeps words for a number, each for one of its
    bits, the lowest first. `needed_in_updates`: the server refuses updates without them while it has no value for them.
    `told_apart_by`: what tells nested rows with the same key apart. `changed_in_place`: parts of their key in which a
    lone row may differ and still be the one that is meant. `create_by_name`: a bare record is posted to its own name.
    `actions`: changes are calls, not records that stay. `public`: reachable without a session. `own_account`: about the
    account that is signed on. `shows`: the resource whose records the answers show, when it is another one.

    `merged`: objects of which an update sets only the members it holds. `shaped_by`: such an object to the field that
    decides which members it has. `matched_by_key`: a nested row without its id
    is found by its key; others are made anew. `single`: there is one record, without an id. `makes_records`: a call may
    make records that it does not name; `registers`: a POST makes one record of that resource, with the fields of its
    body, and does not answer its id. `references_by_name`: field to the resource whose natural key it holds;
    `event_names`: fields that begin with the name of a service, up to a dot. `named_members`: objects whose members are
    named by natural keys of a resource. `exact`: the path itself, nothing below.
    `key_copies`: fields that people give the same value as the natural key. `listed`: records that are named by their
    natural key in paths too, and that only the list shows: their own path answers a bare value, say. `whole`: fields
    with free JSON, compared and replaced as a whole. `words`: fields that hold words of the platform, such as a type or
    a verb: no parameter takes the place of a part of them. `optional`: not every server has it, and one that has not
    answers 404 to its list. `calls`: what a call is to people, by its verb, or where the path names a record by the
    verb and ` {}`.
    """

    path: str | None
    id: str | None
    key: list[str] = []
    nested_key: list[str] | None = None
    foreign_keys: dict[str, list[str]] = {}
    self_keys: list[str] = []
    server_made: list[str] = []
    relations: dict[str, Relation] = {}
    secrets: list[SecretRule] = []
    made_secrets: list[str] = []
    may_hold_secrets: list[str] = []
    tokens_in: list[str] = []
    references_by_name: dict[str, str] = {}
    create_drops_empty: bool = False
    create_fills: list[str] = []
    cut_to: dict[str, int] = {}
    bits: dict[str, list[str]] = {}
    needed_in_updates: list[str] = []
    told_apart_by: list[str] = []
    changed_in_place: list[str] = []
    create_by_name: bool = False
    actions: bool = False
    public: bool = False
    own_account: bool = False
    shows: str = ""
    merged: list[str] = []
    shaped_by: dict[str, str] = {}
    matched_by_key: bool = False
    single: bool = False
    makes_records: bool = False
    registers: str = ""
    event_names: list[str] = []
    named_members: dict[str, str] = {}
    exact: bool = False
    key_copies: list[str] = []
    listed: bool = False
    whole: list[str] = []
    words: list[str] = []
    optional: bool = False
    calls: dict[str, str] = {}


class SessionFacts(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """How a client signs on. `paths`: where POST logs in and DELETE logs out; `admin_path`: the one of administrators.

    `token_fields`: where the answer holds the token, the first one is captured. `token_header` carries it, behind
    `token_prefix`. `identity_fields` and `password_field` are the login's. `console_api_keys`: beginnings of the keys
    that the console itself uses. A platform where tokens are only given, and nobody logs in, has the header alone.
    """

    token_header: str
    token_prefix: str = ""
    paths: list[str] = []
    admin_path: str = ""
    token_fields: list[str] = []
    identity_fields: list[str] = []
    password_field: str = ""
    api_key_header: str = ""
    console_api_keys: list[str] = []


class HeaderFacts(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Header names in lower case: never sent again, secret, or naming the verb that a POST stands for."""

    dropped: list[str] = []
    dropped_prefixes: list[str] = []
    secret: list[str] = []
    method_override: list[str] = []


class QueryFacts(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Query parameters that are secret, name the verb that a POST stands for, or hold words of the API itself."""

    secret: list[str] = []
    method_override: list[str] = []
    api_words: list[str] = []


class SecretWords(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A field is secret when its last word, or last two, is one of `last`, whatever digits follow; inside `config` any
    of `in_config` will do, unless the last word, or last two, is one of `harmless_endings` or the first one of
    `harmless_beginnings`, and one of `last_in_config` at the end, unless the value is one of `harmless_values`."""

    last: list[str] = []
    in_config: list[str] = []
    last_in_config: list[str] = []
    harmless_endings: list[str] = []
    harmless_beginnings: list[str] = []
    harmless_values: list[str] = []
    about: str = ""


class NamesInPaths(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The resource whose natural keys stand in paths below the prefix, behind one of `before`, and in a query."""

    resource: str = ""
    before: list[str] = []
    query: list[str] = []


class NoiseFacts(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A GET that only the console itself wants: of this path (and `below` it), with exactly this query when given."""

    path: str
    why: str
    query: dict[str, str] | None = None
    below: bool = False


class DangerFacts(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A request that runs only when a person agreed, by its verb and by what else is told of it here.

    `path`: where it goes, with `{}` for one segment of any name. `query`: parameters with these values. `any_of`: names
    of which one is a parameter, or a field of the body.
    """

    methods: list[str]
    why: str
    path: str = ""
    query: dict[str, str] = {}
    any_of: list[str] = []
    unless_query: list[str] = []
    collection_only: bool = False


class CatalogFile(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A whole catalog.

    `prefix`: before every path of the API. `default_filters`: what is kept of a recording when nobody says otherwise.
    `wrapper`: the member that holds the records of a list and of a create, "" when they stand bare. `id`: the field in
    which records carry the id that the server gives them. `text_ids`: ids are strings, not numbers. `filters`: lists
    take `filter=name="x"`, `fields=`, and where they are cut `include_count` and `offset`; otherwise lookups read the
    whole list in one answer. `mask`: what stands in the place of a
    secret that the server does not show. `seeded`: records that exist on every installation, by natural key.
    `id_endings`: a number inside `config` whose name ends so is taken for the id of such a record.
    `tables`: the part of a path between a database service and the names of its tables. `ids_in_calls`: what follows a
    service in a path, and the fields with ids, and of which records, that stand anywhere in a body that is sent there.
    """

    format: Literal["dfrecord-catalog/1"]
    prefix: str
    resources: dict[str, ResourceFacts]
    session: SessionFacts
    default_filters: list[str]
    wrapper: str = ""
    id: str = "id"
    text_ids: bool = False
    filters: bool = False
    mask: str = ""
    headers: HeaderFacts = HeaderFacts()
    query: QueryFacts = QueryFacts()
    secret_words: SecretWords = SecretWords()
    id_endings: dict[str, list[str]] = {}
    names_in_paths: NamesInPaths = NamesInPaths()
    tables: str = ""
    ids_in_calls: dict[str, dict[str, list[str]]] = {}
    noise: list[NoiseFacts] = []
    dangers: list[DangerFacts] = []
    seeded: dict[str, list[str]] = {}
    about: str = ""


def read_catalog(path: Path | None) -> CatalogFile:
    """The built-in catalog, or the one in a file. Raises UnreadableInput: what is wrong, and at which place."""
    if path is None:
        return msgspec.convert(_built_in(), CatalogFile)
    try:
        given = msgspec.json.decode(path.read_bytes())
    except OSError as error:
        raise UnreadableInput(f"{path}: cannot be read: {error.strerror or error}") from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise UnreadableInput(f"{path}: is not JSON: {error}") from None
    if not isinstance(given, dict) or is_too_deep(given):
        raise UnreadableInput(f"{path}: is not a catalog: it has to be one JSON object (docs/catalog.md)")
    base = given.pop("extends", None)
    if base not in (None, "dreamfactory"):
        raise UnreadableInput(f"{path}: extends: {base!r} is not there to extend; write dreamfactory, or leave it out")
    whole = merged(_built_in(), given) if base else given
    if whole.get("format") != FORMAT:
        raise UnreadableInput(f'{path}: format: has to be "{FORMAT}" (docs/catalog.md)')
    named = whole.get("resources")
    place = ""
    try:
        for name, facts in named.items() if isinstance(named, dict) else ():
            place = f"resources.{name}"
            msgspec.convert(facts, ResourceFacts)
        place = ""
        catalog = msgspec.convert(whole, CatalogFile)
    except msgspec.ValidationError as error:
        raise UnreadableInput(f"{path}: {_told(error, place)} (docs/catalog.md)") from None
    for problem in _problems(catalog):
        raise UnreadableInput(f"{path}: {problem} (docs/catalog.md)")
    return catalog


def merged(base: Any, given: Any) -> Any:
    """`base` changed by `given`, as the module says."""
    if isinstance(base, dict) and isinstance(given, dict):
        both = {key: merged(base.get(key), value) for key, value in given.items() if value is not None}
        return {**{key: value for key, value in base.items() if key not in given}, **both}
    if isinstance(base, list) and isinstance(given, list):
        return [*base, *(item for item in given if item not in base)]
    return given


def schema() -> dict[str, Any]:
    """The JSON Schema of a whole catalog file, as `docs/catalog.schema.json` holds it."""
    (top,), components = msgspec.json.schema_components([CatalogFile], ref_template="#/$defs/{name}")
    for component in components.values():
        if "description" in component:  # not every msgspec takes the indentation away
            component["description"] = inspect.cleandoc(component["description"])
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **top, "$defs": components}


@lru_cache(maxsize=1)
def _built_in_text() -> bytes:
    return Path(__file__).with_name("resources.json").read_bytes()


def _built_in() -> Any:
    return json.loads(_built_in_text())


def _told(error: msgspec.ValidationError, above: str) -> str:
    """`resources.role.key: expected array, got str`."""
    what, _, where = str(error).partition(" - at ")
    place = above + where.strip("`").removeprefix("$")
    return f"{place.strip('.')}: {what[:1].lower()}{what[1:]}" if place else f"{what[:1].lower()}{what[1:]}"


def _problems(catalog: CatalogFile) -> list[str]:
    """What the types alone do not tell."""
    problems = []
    if len([part for part in catalog.prefix.split("/") if part]) < 1:
        problems.append("prefix: has to be a path such as /api/v2")
    for member, value in (("wrapper", catalog.wrapper or "none"), ("id", catalog.id)):
        if not re.fullmatch(r"[A-Za-z_]\w*", value, re.ASCII):
            problems.append(f"{member}: {value!r} is not a name of letters, digits and _")
    owners: dict[str, str] = {}
    for name, facts in catalog.resources.items():
        where = f"resources.{name}"
        if facts.path is not None and (owner := owners.setdefault(facts.path.strip("/").lower(), name)) != name:
            problems.append(f"{where}.path: {facts.path!r} is the path of {owner}, too; add to that one")
        if facts.path is not None and not facts.path.startswith("/"):
            problems.append(f"{where}.path: {facts.path!r} has to start with /")
        for field, targets in facts.foreign_keys.items():
            problems += [
                f"{where}.foreign_keys.{field}: there is no resource {target!r}"
                for target in targets
                if target not in catalog.resources
            ]
        for relation, told in facts.relations.items():
            if told.nested and told.resource not in catalog.resources:
                problems.append(f"{where}.relations.{relation}: there is no resource {told.resource!r}")
    for part, fields in catalog.ids_in_calls.items():
        unknown = [target for targets in fields.values() for target in targets if target not in catalog.resources]
        problems += [f"ids_in_calls.{part}: there is no resource {target!r}" for target in unknown]
    session = catalog.session
    login = (session.paths, session.admin_path, session.token_fields, session.identity_fields, session.password_field)
    if any(login) and not all(login):
        problems.append(
            "session: a login has paths, admin_path, token_fields, identity_fields and password_field; without one, "
            "token_header alone will do"
        )
    for path in (*session.paths, *([session.admin_path] if session.admin_path else [])):
        if path not in [facts.path for facts in catalog.resources.values()]:
            problems.append(f"session: {path} is not the path of a resource; add one for it")
    return problems
