"""The journey: what the administrator did, as steps over typed variables, free of any one instance.

Everything here is a frozen value. `journey.build` makes one from exchanges, the passes beside it refine it, and the
renderers and the replay turn it into requests. Recorded values appear only as typed values (`str` literals, `Number`,
`Var`, `Text`, `Array`, `Object`), never as program text; each language has one encoder that turns them into source.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from itertools import accumulate

from dfrecord.normalise.body import records_of
from dfrecord.system_api.conventions import Conventions
from dfrecord.tree import Array, Encoding, Object, Text, Tree, Var

# ---------------------------------------------------------------- bodies


@dataclass(frozen=True, slots=True)
class JsonBody:
    """A JSON body whose layout does not matter, sent as compact JSON in UTF-8."""

    tree: Tree


@dataclass(frozen=True, slots=True)
class RawBody:
    """A body sent byte for byte. Joined, the parts may be text, binary or nothing (`RawBody(())` is an empty body)."""

    parts: tuple[bytes | Var, ...]


RequestBody = JsonBody | RawBody | None
"""None: no body at all."""


# ---------------------------------------------------------------- variables


class VariableKind(StrEnum):
    """Where the value of a variable comes from."""

    CAPTURE = "capture"  # taken from an earlier answer of the same run
    LOOKUP = "lookup"  # found on the target by natural key
    PARAMETER = "parameter"  # given by a person, may have the recorded value as default
    SECRET = "secret"  # given by a person through the environment, never has a default


@dataclass(frozen=True, slots=True)
class Lookup:
    """How to find one record on the target.

    GET `path` lists records under `rows` of the answer (`("resource",)` for a resource list, a relation name for nested
    rows); the one record whose fields equal every pair of `match` gives its field `pick`. None or several stop the run.
    With a single pair in `match` on a resource list the server's `filter` can be tried first; it has no escaping
    (system-api.md section 10), so the keys of what comes back are compared and a full list is the fallback.
    `nth` is for rows that are alike in all: which of them (from 0) it is. Of rows that have one of the first `alike`
    keys the first one is taken, as nothing tells them from each other.
    `newer` are keys tried before `match`: those that the journey itself gives the record later, the newest first, or
    the key with what tells a nested row from others that the target may have. An `optional` record may be missing, as
    it is deleted in the end: then the variable is null. A `late` lookup runs just before its first use, as a step
    before that may make what it finds.
    """

    resource: str
    path: Text
    rows: tuple[str, ...]
    match: tuple[tuple[str, Tree], ...]
    pick: str
    title: str
    headers: tuple[tuple[str, Text], ...] = ()
    newer: tuple[tuple[tuple[str, Tree], ...], ...] = ()
    optional: bool = False
    late: bool = False
    nth: int | None = None
    alike: int = 0

    def lists(self, api: Conventions) -> bool:
        """Whether it reads a list that takes query parameters: a filter, and where to go on in a list that is cut."""
        return api.filters and self.rows == api.rows

    def takes_filter(self, api: Conventions) -> bool:
        """Whether the server can be asked for the one record of a list that is wanted."""
        return self.lists(api) and len(self.match) == 1


class Letters(StrEnum):
    """How the ASCII letters of another variable's value are written."""

    UPPER = "upper"
    LOWER = "lower"
    CAPITALIZED = "capitalized"  # the first one upper, the rest as it is


@dataclass(frozen=True, slots=True)
class Variable:
    """A typed name. `type` is a JSON type: string, integer, number, boolean.

    `env` is the environment variable that gives the value, empty when none does. A capture with an `env` (the session
    token) may be given instead of captured. `follows` names the parameter whose value this one is, in other `letters`.
    `recorded` is the name that an account logged in by in the recording; it links, and stands in no output.
    """

    name: str
    kind: VariableKind
    type: str = "string"
    env: str = ""
    secret: bool = False
    required: bool = False
    default: Tree = None
    description: str = ""
    lookup: Lookup | None = None
    follows: str = ""
    letters: Letters | None = None
    recorded: str = ""

    @property
    def names_a_run(self) -> bool:
        """Whether two runs with different values of it make different records: a parameter with a recorded value."""
        return self.kind is VariableKind.PARAMETER and bool(self.env) and self.default is not None and not self.secret


# ---------------------------------------------------------------- steps


class StepKind(StrEnum):
    """What a step does, as the catalog understands it."""

    LOGIN = "login"
    LOGOUT = "logout"
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    READ = "read"
    CALL = "call"  # anything else that is sent: actions, files, unknown resources


@dataclass(frozen=True, slots=True)
class RequestTemplate:
    """A request over variables.

    `target` is what follows the base URL: path and query, starting with `/`, percent-encoded as sent; variables in it
    carry `Encoding.URI`. `headers` keep order and duplicates and hold everything that must be sent, the session token
    and Content-Type among them; Host and Content-Length are the client's business.
    """

    method: str
    target: Text
    headers: tuple[tuple[str, Text], ...] = ()
    body: RequestBody = None

    @property
    def content_type(self) -> str:
        """What the body says it is, empty when it says nothing."""
        return next((text.literal or "" for name, text in self.headers if name.lower() == "content-type"), "")


@dataclass(frozen=True, slots=True)
class Capture:
    """The value at `pointer` (keys and array positions) of a step's JSON answer becomes `variable`."""

    variable: str
    pointer: tuple[str | int, ...]

    @property
    def position(self) -> int:
        """Which record of the answer it is taken from, from 0."""
        return next((part for part in self.pointer if isinstance(part, int)), 0)

    @property
    def inside(self) -> tuple[str | int, ...]:
        """The pointer from that record on."""
        places = [place for place, part in enumerate(self.pointer) if isinstance(part, int)]
        return self.pointer[places[0] + 1 :] if places else self.pointer


@dataclass(frozen=True, slots=True)
class Answer:
    """A recorded answer with every secret replaced by its placeholder.

    `text` is the decoded body, `tree` the same parsed as JSON (None when it is not JSON).
    """

    status: int
    reason: str = ""
    media_type: str = ""
    text: str = ""
    tree: Tree = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What shall be true after a step of an upsert: one record is there with these values (or is not there).

    A step with a `Wanted` sends no body of its own. Its target is the list (create) or the record (update, delete).
    `document` is one JSON value with variables that says all a run needs to compare and to write:

        {"keys":   [{"name": "acme-role"}],        natural keys, the newest first; none when the target names the record
         "record": {"description": "…"},           fields without nested rows
         "later":  ["config.host"],                places in it that a later step sets, or that the server does not keep
         "rows":   {"role_service_access_by_role_id": {
                       "id": "id", "parent": "role_id",
                       "may_differ": ["verb_mask"],      a lone row that differs only there is changed, not added to
                       "only": true,                     rows beside these go: the record is made anew
                       "rows": [{"keys": [{…}], "row": {…} or null (shall not be there), "later": true}]}},
         "in_list": true,                          created in the list, though the target names the record
         "sent": {"to": "/api/…", "body": {…}},    created by this call instead, which does not answer the id
         "whole":   ["value"],                     fields with free JSON, which is compared as a whole
         "needs":   ["description"],               sent along with a change while the server has no value there
         "shaped":  {"config": "type"},            sent whole when that other field changes
         "secrets": ["password"],                  not to be compared: sent along with another change
         "undo":    {"hidden": ["config.key"],     with a teardown: what is not noted of a change, the fields that the
                     "merged": ["config"],         server merges member by member, those that are not noted where their
                     "free": ["content"],          JSON matches `secret`, and where ids stand of records that it may
                     "secret": "",                 make anew (`replaying.undoing`); of another account's profile, "at"
                     "foreign": {…}},              is the path of its record, which the change is noted of
         "again":   {"key": ["name"],              with a teardown, of a delete: how to make the record anew, if it can
                     "id": "id",                   be: its natural key and id, what the server makes, and its rows
                     "made": ["id"],               not where its JSON matches `secret`
                     "secret": "",
                     "rows": {"lookup_by_role_id": ["id", "role_id"]},
                     "by_name": "path",            known by its name: made at its own path, or in the "list"
                     "foreign": {"role_id": ["/api/v2/system/role"]},
                     "refers": [{"path": "/api/v2/system/app", …}]}}       the lists that may point to it; one that
                                                   is "optional" may be absent

    `record` is the variable of the record's id, empty when a name in the target takes its place.
    """

    document: Object
    record: str = ""
    resource_path: str = ""

    @property
    def keyed(self) -> bool:
        """Whether the record is looked for by its natural keys; else the target names it."""
        keys = self.document.get("keys")
        return isinstance(keys, Array) and bool(keys.items)

    @property
    def in_list(self) -> bool:
        """Whether a create goes to the list, though the target names the record."""
        return bool(self.document.get("in_list"))

    @property
    def sent_elsewhere(self) -> bool:
        """Whether another call makes the record, and does not answer its id."""
        return bool(self.document.get("sent"))

    @property
    def compared(self) -> Object:
        """The document without what a teardown notes."""
        return Object(tuple(member for member in self.document.members if member[0] not in ("undo", "again")))

    @property
    def relations(self) -> tuple[str, ...]:
        """The names of the relations whose rows are compared."""
        rows = self.document.get("rows")
        return tuple(str(name) for name, _ in rows.members) if isinstance(rows, Object) else ()


@dataclass(frozen=True, slots=True)
class Step:
    """One request of the journey.

    `name` is an identifier unique in the journey (`create_role`); `title` is for people and holds recorded text.
    A LOGIN step captures the session token and is left out when that token is given; a LOGOUT step runs only when the
    script itself logged in. `danger` says why the step runs only when the person agreed (`DF_YES=1`, `--yes`), empty
    for ordinary steps. `entry` is the exchange it comes from, None when dfrecord added it.

    `heading` is the title with the parameters in it. `wanted` makes the step repeatable; without it, a step of an
    upsert that is `only_after_changes` is sent when the run has changed something before it, or when an earlier one
    had and noted under the name `due` that it did not come so far; and one with `once` unless an earlier run noted
    under that name that it was sent; of those, one that `may_be_gone` deletes something, and finds it gone already when
    the server answers 404. `makes` is the path below which a create's records stand, for the teardown.
    `not_kept` are the fields of what it creates (each with the record's place in the batch) that the recording shows
    with another value afterwards. `named_by` are the fields that name the records it creates on every instance.
    """

    name: str
    title: str
    kind: StepKind
    request: RequestTemplate
    resource: str | None = None
    captures: tuple[Capture, ...] = ()
    answer: Answer | None = None
    danger: str = ""
    notes: tuple[str, ...] = ()
    entry: int | None = None
    heading: Text | None = None
    wanted: Wanted | None = None
    only_after_changes: bool = False
    due: str = ""
    once: str = ""
    may_be_gone: bool = False
    makes: str = ""
    not_kept: tuple[tuple[int, str], ...] = ()
    named_by: tuple[str, ...] = ()


NOT_CREATED_HERE = "it deletes something that this journey did not create"
"""The `danger` of a step that deletes what was there before."""
SAME_ID = "it deletes whatever has the recorded id or name there"
"""The `danger` of a step that deletes a record by what was recorded."""


class ResidueKind(StrEnum):
    """Why something is in the residue."""

    DROPPED = "dropped"  # an entry that is not a step
    LEFT_OUT = "left out"  # a part of a step's request that is not sent
    UNKNOWN = "unknown"  # something dfrecord has no knowledge of, or could not resolve
    RISKY = "risky"  # sent, but a person should look at it first


@dataclass(frozen=True, slots=True)
class Residue:
    """One thing that did not become part of a step as it was, and why."""

    kind: ResidueKind
    reason: str
    entry: int | None = None
    step: str | None = None
    subject: str = ""


@dataclass(frozen=True)  # without slots: what is asked of it for every step is kept
class Journey:
    """What the administrator did: steps in the order they run, the variables between them, and the residue.

    `offered_stem` is a word that the keys of several created records share: a person may want it as a parameter.
    `gives` are, with a teardown, the lists with records that give rows to others (a role, a user's role in an app): by
    the relation, which field of such a row is its id, and which one points to the record.
    `secrets` holds every recorded secret that must not stand in any output; it never leaves the process.
    """

    name: str
    title: str
    source: str
    steps: tuple[Step, ...]
    variables: tuple[Variable, ...]
    residue: tuple[Residue, ...] = ()
    entry_count: int = 0
    literal: bool = False
    upsert: bool = False
    teardown: bool = False
    offered_stem: str = ""
    gives: Mapping[str, Mapping[str, tuple[str, str]]] = field(default_factory=dict, hash=False)
    secrets: frozenset[str] = field(default=frozenset(), repr=False)
    conventions: Conventions = field(default_factory=Conventions)

    def variable(self, name: str) -> Variable:
        """The variable of that name. Raises KeyError when the journey has none."""
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> dict[str, Variable]:
        return {variable.name: variable for variable in reversed(self.variables)}

    @cached_property
    def session(self) -> Variable | None:
        """The captured session token that may be given instead of logging in, None when the journey has none."""
        return next((v for v in self.variables if v.kind is VariableKind.CAPTURE and v.env), None)

    @cached_property
    def in_xml(self) -> tuple[str, ...]:
        """The environment variables whose values stand in XML, which cannot hold every character."""
        bodies = (step.request.body for step in self.steps)
        places = (part for body in bodies if isinstance(body, RawBody) for part in body.parts if isinstance(part, Var))
        used = [self.variable(var.name) for var in places if var.encoding is Encoding.XML]
        given = (self.variable(variable.follows or variable.name) for variable in used)
        return tuple(dict.fromkeys(variable.env for variable in given if variable.env))

    @cached_property
    def listed(self) -> dict[str, str]:
        """The lists that show records which the journey writes by name, each with the field of the name."""
        paths = _paths(self.steps)
        return {p: name for p, name in self.conventions.listed if any(each.startswith(p) for each in paths)}

    @cached_property
    def named(self) -> dict[str, str]:
        """The lists in which the journey makes or deletes records that are known by a name, each with its field."""
        paths = _paths(step for step in self.steps if step.makes or step.kind is StepKind.DELETE)
        return {p: name for p, name in self.conventions.named if any(each.startswith(p) for each in paths)}

    def own_field(self, step: Step) -> str:
        """The field that the records which a step makes or deletes are known by."""
        return self.conventions.own_field(step.makes or "".join(_paths([step])))

    @cached_property
    def matched(self) -> dict[str, tuple[str, ...]]:
        """The relations that updates send whose rows are found by their key where they come without id; its fields."""
        bodies = (step.request.body for step in self.steps if step.kind is StepKind.UPDATE)
        trees = (body.tree for body in bodies if isinstance(body, JsonBody))
        sent = [record for tree in trees for record in records_of(tree, self.conventions.wrapper)]
        return {name: key for name, key in self.conventions.matched if any(record.get(name) for record in sent)}

    @cached_property
    def drops_empty(self) -> tuple[str, ...]:
        """The lists that the journey creates records in of which the server leaves out what is empty."""
        paths = _paths(step for step in self.steps if step.kind is StepKind.CREATE)
        return tuple(path for path in self.conventions.drops_empty if path in paths)

    @cached_property
    def profiles(self) -> tuple[str, ...]:
        """The paths of those that the journey writes at which each account finds its own record."""
        paths = _paths(step for step in self.steps if step.request.method not in ("GET", "HEAD"))
        return tuple(path for path in self.conventions.profiles if path in paths)

    @cached_property
    def creates_named(self) -> bool:
        """Whether a step creates a record in a list under a name that its target holds."""
        return any(step.wanted is not None and step.wanted.in_list for step in self.steps)

    @cached_property
    def registers(self) -> bool:
        """Whether a step makes a record by a call that does not answer its id."""
        return any(step.wanted is not None and step.wanted.sent_elsewhere for step in self.steps)

    @cached_property
    def sends_once(self) -> bool:
        """Whether a step is left out that an earlier run noted as sent."""
        return any(step.once for step in self.steps)

    @cached_property
    def deletes_once(self) -> bool:
        """Whether one of these deletes something that may be gone already."""
        return any(step.may_be_gone for step in self.steps)

    @cached_property
    def keeps_answers(self) -> bool:
        """Whether runs note what later steps need of the answer to a call that is sent once."""
        return any(step.once and step.captures for step in self.steps)

    @cached_property
    def dues(self) -> tuple[str, ...]:
        """Under which names runs note the calls that follow changes, in their order."""
        return tuple(step.due for step in self.steps if step.due)

    def dues_after(self, step: Step) -> tuple[str, ...]:
        """The same of the calls that come after a step."""
        return self.dues[self._dues_until[step.name] :]

    @cached_property
    def _dues_until(self) -> Mapping[str, int]:
        """How many of them there are up to each step, by its name."""
        counts = accumulate(bool(step.due) for step in self.steps)
        return {step.name: count for step, count in zip(self.steps, counts, strict=True)}

    @cached_property
    def keeps_notes(self) -> bool:
        """Whether runs note what they do: to be undone, not to be done twice, or not to be forgotten."""
        return self.teardown or self.sends_once or bool(self.dues)

    @cached_property
    def remakes_named(self) -> bool:
        """Whether a teardown may make a record anew that has no id of its own."""
        agains = (step.wanted.document.get("again") for step in self.steps if step.wanted)
        return any(isinstance(again, Object) and again.get("by_name") for again in agains)

    @cached_property
    def hides_secrets(self) -> bool:
        """Whether a wanted state holds a secret that the server may not show, so that it cannot be compared."""
        return any(step.wanted and step.wanted.document.get("secrets") for step in self.steps)

    @cached_property
    def has_alike_rows(self) -> bool:
        """Whether a lookup is of a nested row that nothing tells from another."""
        lookups = [variable.lookup for variable in self.variables if variable.lookup]
        return self.has_alike_keys or any(lookup.nth is not None for lookup in lookups)

    @cached_property
    def has_alike_keys(self) -> bool:
        """Whether a lookup has keys that several rows may have which are alike in all."""
        return any(variable.lookup and variable.lookup.alike for variable in self.variables)

    @cached_property
    def has_newer_keys(self) -> bool:
        """Whether a lookup tries other keys before the one that every such record has."""
        return any(variable.lookup and variable.lookup.newer for variable in self.variables)

    def is_sign_on(self, step: Step) -> bool:
        """Whether a step only opens or closes the session, so that it is left out when the session token is given."""
        session = self.session
        if session is None:
            return False
        if step.kind is StepKind.LOGOUT:
            return session.name in variables_of_step(step)
        return step.kind is StepKind.LOGIN and {capture.variable for capture in step.captures} == {session.name}

    def schedule(self) -> list[Step | Variable]:
        """Steps and lookup variables in the order they run.

        Lookups that need nothing but the session run right after the first login, so that a missing record stops the
        run before anything changes; a late one, or one that needs a captured id, runs just before its first use.
        """
        lookups = {variable.name: variable for variable in self.variables if variable.lookup is not None}
        captures = {capture.variable for step in self.steps for capture in step.captures}
        known = {variable.name for variable in self.variables} - lookups.keys() - captures
        order: list[Step | Variable] = []

        def place(name: str) -> None:
            if name in lookups and name not in known:
                known.add(name)
                for needed in variables_of_lookup(lookups[name]):
                    place(needed)
                order.append(lookups[name])

        def runnable(name: str) -> bool:
            if name in known or name not in lookups:
                return name in known
            lookup = lookups[name].lookup
            late = lookup is not None and lookup.late
            return not late and all(map(runnable, variables_of_lookup(lookups[name])))

        def run(step: Step) -> None:
            order.append(step)
            known.update(capture.variable for capture in step.captures)

        steps = list(self.steps)
        if steps and steps[0].kind is StepKind.LOGIN:
            run(steps.pop(0))
        for name in lookups:
            if runnable(name):
                place(name)
        for step in steps:
            for name in variables_of_step(step):
                place(name)
            run(step)
        return order


# ---------------------------------------------------------------- what uses what


def variables_of_tree(tree: Tree) -> Iterator[str]:
    """The names of the variables in a JSON tree, in order, with repeats."""
    match tree:
        case Var(name=name):
            yield name
        case Text():
            yield from (var.name for var in tree.variables)
        case Array(items=items):
            for item in items:
                yield from variables_of_tree(item)
        case Object(members=members):
            for key, value in members:
                if isinstance(key, Text):
                    yield from variables_of_tree(key)
                yield from variables_of_tree(value)


def variables_of_step(step: Step) -> Iterator[str]:
    """The names of the variables a step's request uses, in order, with repeats."""
    request = step.request
    yield from variables_of_tree(request.target)
    for _, value in request.headers:
        yield from variables_of_tree(value)
    match request.body:
        case JsonBody(tree=tree):
            yield from variables_of_tree(tree)
        case RawBody(parts=parts):
            yield from (part.name for part in parts if isinstance(part, Var))
    if step.wanted is not None:
        yield from variables_of_tree(step.wanted.document)
    if step.heading is not None:
        yield from variables_of_tree(step.heading)


def variables_of_lookup(variable: Variable) -> Iterator[str]:
    """The names of the variables a lookup needs before it can run."""
    if variable.lookup is None:
        return
    yield from variables_of_tree(variable.lookup.path)
    for _, value in variable.lookup.headers:
        yield from variables_of_tree(value)
    for match in (variable.lookup.match, *variable.lookup.newer):
        for _, tree in match:
            yield from variables_of_tree(tree)


def used_variables(variables: Iterable[Variable], steps: Iterable[Step]) -> Iterator[Variable]:
    """The variables that the steps use, directly or through lookups, or capture; and the base URL."""
    known = {variable.name: variable for variable in variables}
    needed: set[str] = set()
    todo = [name for step in steps for name in (*variables_of_step(step), *(c.variable for c in step.captures))]
    while todo:
        name = todo.pop()
        if name in needed:
            continue
        needed.add(name)
        todo += variables_of_lookup(known[name])
        todo += [known[name].follows] if known[name].follows else []
    for variable in known.values():
        if variable.name in needed or variable.env == "DF_BASE_URL":
            yield variable


def _paths(steps: Iterable[Step]) -> set[str]:
    """Where steps are sent, up to the query or the first value that differs between instances."""
    beginnings = (part for step in steps for part in step.request.target.parts[:1] if isinstance(part, str))
    return {beginning.partition("?")[0] for beginning in beginnings}
