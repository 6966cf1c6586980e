"""The `ansible` format: a playbook of `ansible.builtin.uri` tasks, and a file of filters that it needs beside it.

In comes a journey, out go `FILE` and `filter_plugins/dfrecord.py`, the same for every journey. This module decides what
stands where and hands the templates in `templates/ansible/` values that `ansible_encoder` writes. Facts about uri are
from ansible-core 2.19: headers are a mapping, the method is upper case, a body without a type is called a form.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from dfrecord import nesting
from dfrecord.journey import text_escapes
from dfrecord.journey.model import (
    Capture,
    Journey,
    Lookup,
    Step,
    StepKind,
    Variable,
    Wanted,
    variables_of_lookup,
    variables_of_step,
    variables_of_tree,
)
from dfrecord.journey.undo_session import undo_session
from dfrecord.outputs import INVISIBLE
from dfrecord.renderers import ansible_requests as requests
from dfrecord.renderers.ansible_encoder import (
    Encoder,
    Recorded,
    Template,
    is_data,
    playbook_names,
    to_yaml,
)
from dfrecord.renderers.ansible_settings import Settings
from dfrecord.renderers.bash_encoder import comment, shown
from dfrecord.renderers.python import functions_of
from dfrecord.renderers.registry import FunctionRenderer, OutputFile, RenderOptions
from dfrecord.renderers.residue import residue_lines
from dfrecord.renderers.templates import BRACKETS, environment
from dfrecord.replaying import hiding, kept, reconcile
from dfrecord.tree import Array, Object, Text

PLUGIN = "filter_plugins/dfrecord.py"


@dataclass(frozen=True, slots=True)
class Task:
    """What the playbook does for one step or lookup. `kind` is call, find, or ensure (a wanted state).

    Values are what `to_yaml` takes. `body` are the arguments of uri that give the body, `file` a body that is no text.
    `keeps` are facts to set from the answer; `noted` says that the run notes what it creates and deletes, `sent` is the
    expression of the line that notes that it was sent, `due` that of what is to be sent after the first change.
    """

    kind: str
    title: str
    name: Recorded | Template
    method: str = "GET"
    url: Any = ""
    headers: dict[str, Any] = field(default_factory=dict)
    body: dict[str, Any] = field(default_factory=dict)
    file: Template | None = None
    vars: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    when: list[str] = field(default_factory=list)
    changes: bool = False
    always_runs: bool = False
    keeps: dict[str, Any] = field(default_factory=dict)
    keeps_when: list[str] = field(default_factory=list)
    keeps_vars: dict[str, Any] = field(default_factory=dict)
    noted: bool = False
    sent: str = ""
    due: str = ""
    makes: Recorded | None = None
    own: Recorded | None = None
    # a search
    searches: Any = None
    pages: bool = False  # a list may be cut
    # a wanted state
    reads_list: bool = False
    read: Template | None = None
    read_when: list[str] = field(default_factory=list)
    may_be_missing: Template | None = None
    creates: bool = False
    changed: Template | None = None

    @property
    def kept(self) -> str:
        """What is kept, in words."""
        return ", ".join(name.removeprefix("df_") for name in self.keeps)


def render(journey: Journey, options: RenderOptions) -> tuple[OutputFile, ...]:
    """The playbook and the filters, as UTF-8."""
    tasks = _Tasks(journey)
    undo = undo_session(journey)
    settings = Settings(journey, tasks.encoder, undo)
    env = environment(
        options.template_dir,
        {"comment": comment, "yaml": to_yaml, "label": _labelled, "template": Template},
        BRACKETS,
    )
    playbook = env.get_template("ansible/playbook.yml.j2").render(
        journey=journey,
        plugin=PLUGIN,
        rows=list(journey.conventions.rows),
        play_name=Recorded(shown(journey.title[:1].upper() + journey.title[1:])),
        tasks=[tasks.step(item) if isinstance(item, Step) else tasks.lookup(item) for item in journey.schedule()],
        logins=[tasks.step(step) for step in undo.logins],
        logouts=[tasks.step(step) for step in undo.logouts],
        teardown_headers=requests.headers(undo.headers, tasks.encoder),
        gives={path: {name: list(own) for name, own in given.items()} for path, given in journey.gives.items()},
        residue=residue_lines(journey.residue),
        secrets=tasks.secrets(),
        made=tasks.made(),
        environment=settings.table(),
        recorded=settings.recorded(),
        settings=settings.definitions(),
        needed=settings.needed(),
        needed_to_run=settings.needed_to_run(),
        needed_to_log_in=settings.needed_to_log_in(),
        needed_to_undo=settings.needed_to_undo() if journey.teardown else {},
        needed_to_log_in_to_undo=settings.needed_to_log_in_to_undo() if journey.teardown else {},
        unset=settings.unset(),
        checks=settings.checks(),
        dangers=[Recorded(shown(f"{step.title}: {step.danger}")) for step in journey.steps if step.danger],
        facts=settings.facts(wrote=tasks.tells_changes),
    )
    filters = env.get_template("ansible/filters.py.j2").render(
        reconcile=functions_of(reconcile),
        kept=functions_of(kept),
        hiding=functions_of(hiding),
        nesting=functions_of(nesting),
        text_escapes=functions_of(text_escapes),
    )
    return (
        OutputFile(playbook.encode("utf-8"), executable=True),
        OutputFile(filters.encode("utf-8"), beside=PLUGIN),
    )


def _labelled(name: Recorded | Template, words: str) -> Recorded | Template:
    """The name of a task with words before it: ansible-lint wants variables at its end."""
    return type(name)(f"{words}: {name}")


class _Tasks:
    """Turns steps and lookups into tasks."""

    def __init__(self, journey: Journey) -> None:
        self._journey = journey
        variables = {variable.name: variable for variable in journey.variables}
        self.encoder = Encoder(variables, names=playbook_names(journey.variables))
        self._session = journey.session
        self.tells_changes = any(step.only_after_changes for step in journey.steps)
        self._unsure = self._unsure_in_check_mode()

    def _unsure_in_check_mode(self) -> set[str]:
        """The variables that check mode cannot know, since what makes them is not sent."""
        unsure = {
            capture.variable for step in self._journey.steps if not _always_runs(step) for capture in step.captures
        }
        for variable in self._journey.variables:
            if unsure & set(variables_of_lookup(variable)):
                unsure.add(variable.name)
        return unsure

    def made(self) -> dict[str, Any]:
        """What the run made that is no secret."""
        names = dict.fromkeys(capture.variable for step in self._journey.steps for capture in step.captures)
        variables = [self._journey.variable(name) for name in names]
        return {
            v.name: Template(f"{{{{ {self.encoder.names[v.name]} | default(none) }}}}")
            for v in variables
            if not v.secret
        }

    def secrets(self) -> dict[str, Any]:
        """What must not be told, by the name that may stand in its place."""
        return {
            v.env or v.name: Template(f"{{{{ {self.encoder.names[v.name]} | default('') }}}}")
            for v in self._journey.variables
            if v.secret
        }

    # ---------------------------------------------------------------- steps

    def step(self, step: Step) -> Task:
        """The task of a step."""
        return self._call(step) if step.wanted is None else self._wanted(step, step.wanted)

    def _call(self, step: Step) -> Task:
        request = step.request
        headers = requests.headers(request.headers, self.encoder)
        body, file = requests.body(request.body, self.encoder)
        adds_type = bool(file or body.get("body_format") == "raw") and "content-type" not in map(str.lower, headers)
        if adds_type:
            headers["Content-Type"] = Recorded()
        when = ["df_logs_in"] if self._journey.is_sign_on(step) else []
        when += [f"df_wrote or (df_created_file | df_due('{step.due}', df_base_url, df_for))"] if step.due else []
        when += [f"not (df_created_file | df_sent('{step.once}', df_base_url, df_for))"] if step.once else []
        reads = _always_runs(step)
        when += self._when_known(variables_of_step(step)) if reads else []
        session = self._session
        own_token = session is not None and any(capture.variable == session.name for capture in step.captures)
        keeps_given = own_token and not when and (step.kind is StepKind.LOGIN or self._journey.literal)
        noted = self._journey.teardown and not reads
        url, variables = requests.url(request.target, self.encoder), self.encoder.take_texts()
        answer, notes_answer = "df_answer | df_json", bool(step.once and step.captures)
        if notes_answer:
            answer = f"((df_created_file | df_noted_answer('{step.once}', df_base_url, df_for)) or ({answer}))"
        keeps = self._captures(step, answer)
        body |= {"return_content": True} if keeps else {}  # whatever type the answer says it is
        if self.tells_changes and not reads:
            keeps["df_wrote"] = Template("{{ df_wrote or df_answer is not skipped }}") if notes_answer else True
        return Task(
            kind="call",
            title=step.title,
            name=self._name(step),
            method=request.method.upper(),
            url=url,
            headers=headers,
            body=body,
            file=file,
            vars=variables,
            keeps_vars=self.encoder.take_texts(),
            notes=(*step.notes, *requests.what_differs(request, adds_type=adds_type)),
            when=when,
            changes=not reads,
            always_runs=reads,
            keeps=keeps,
            keeps_when=[] if notes_answer else [*when, *(["df_logs_in"] if keeps_given else [])],
            noted=noted,
            makes=Recorded(step.makes) if step.makes else None,
            own=self._own_field(step),
            may_be_missing=Template("{{ df_ok + [404] }}") if step.may_be_gone else None,
            sent=self._note_answer(step) if notes_answer else _note("sent", step.once) or _note("done", step.due),
            due=self._due_after(step) if step.once else "",
        )

    def _wanted(self, step: Step, wanted: Wanted) -> Task:
        """A wanted state: looked for, read, then created, changed, deleted or left alone."""
        path, query = requests.path_and_query(step.request.target)
        keys = wanted.document.get("keys")
        deletes = step.kind is StepKind.DELETE
        by_key = not deletes and isinstance(keys, Array) and bool(keys.items)
        creates = step.kind is StepKind.CREATE
        read_when = self._when_known([var.name for var in path.variables])
        if deletes and wanted.record:
            read_when.append(f"{self.encoder.names[wanted.record]} is not none")
        if by_key:
            read_when.append("df_id not in [none, df_unknown]")
        variables = self._about(step, wanted, creates=creates)
        variables["df_path"] = self.encoder.text(path)
        if query.parts:
            variables["df_query"] = self.encoder.text(query)
        record, with_query = "{{ df_base_url }}{{ df_path }}", "{{ df_query }}" * bool(query.parts)
        in_list = "{{ df_base_url }}{{ df_path | dirname }}"
        listed, api = in_list if wanted.in_list else record, self._journey.conventions
        whole_list = in_list + "?include_count=true" * api.filters
        own = record + "/{{ df_id | df_uri }}" * by_key
        named = self._journey.listed.get(wanted.resource_path)
        if named:  # only the list shows it
            rest = ", df_rest" * api.filters
            found = f"df_read | df_in_list(df_rows, {self.encoder.quoted(named)}, df_path{rest})"
            variables["df_there"] = Template(f"{{{{ {found} }}}}")
        return Task(
            kind="ensure",
            title=step.title,
            name=self._name(step),
            method=step.request.method,
            url=Template(
                "{{ df_base_url }}{{ df_wanted['sent']['to'] }}" if wanted.sent_elsewhere else listed + with_query
            ),
            headers=requests.headers(step.request.headers, self.encoder),
            body={"body_format": "json", "body": Template("{{ df_wanted | df_whole(df_rows) }}")} if creates else {},
            notes=(*step.notes, *requests.header_notes(step.request.headers)),
            searches=self._searches("df_own", api.filters) if by_key else None,
            pages=api.filters,
            reads_list=bool(named),
            read=Template(whole_list if named else own + "{{ df_related }}" * (bool(wanted.relations) and not deletes)),
            read_when=read_when,
            may_be_missing=Template("{{ df_ok + [404] }}" if creates or deletes else "{{ df_ok }}"),
            creates=creates,
            changed=Template(own + with_query),
            keeps=self._wanted_facts(step),
            vars={**variables, **self.encoder.take_texts()},
            noted=self._journey.teardown and (creates or deletes),
            due=self._due_after(step),
            makes=Recorded(step.makes) if step.makes else None,
            own=self._own_field(step),
        )

    def _own_field(self, step: Step) -> Recorded | None:
        """The field that the records of a step are known by, where that is not the id."""
        own = self._journey.own_field(step)
        return Recorded(own) if own != self._journey.conventions.id else None

    def _note_answer(self, step: Step) -> str:
        """The expression of the line that notes that a call was sent, and what later steps need of its answer."""
        places = ", ".join(f"[{self._place(capture.pointer)}]" for capture in step.captures)
        secrets = "df_secrets" if self.secrets() else "{}"
        return f"df_answer | df_json | df_note_answer('{step.once}', [{places}], df_base_url, df_for, {secrets})"

    def _due_after(self, step: Step) -> str:
        """The expression of the lines that note what is to be sent after the first change, if it is this step's."""
        return _note("due", *self._journey.dues_after(step))

    def _about(self, step: Step, wanted: Wanted, *, creates: bool) -> dict[str, Any]:
        """The variables that say which record a wanted state is about, and how what becomes of it is told."""
        variables: dict[str, Any] = {}
        if step.kind is StepKind.DELETE:
            variables["df_outcome"] = Template("{{ 'unchanged' if df_there is none else 'deleted' }}")
            return variables
        variables["df_wanted"] = requests.document(wanted.compared, self.encoder)
        variables["df_resource"] = Recorded(step.resource or "record")
        if wanted.relations:
            variables["df_related"] = Recorded(f"?related={','.join(wanted.relations)}")
        if not creates:
            missing = "'to be changed once it is there' if df_there is none"  # in check mode only
            changed = "'changed: ' ~ df_change | join(', ') if df_change else 'unchanged'"
            variables["df_outcome"] = Template(f"{{{{ {missing} else {changed} }}}}")
        return variables

    def _searches(self, picked: str, filters: bool) -> Template:
        """Where to look for a record: `picked` is the expression of the field that is wanted of it."""
        return Template(f"{{{{ df_path | df_searches(df_keys, df_own, {picked}) }}}}" if filters else "{{ [df_path] }}")

    def _wanted_facts(self, step: Step) -> dict[str, Any]:
        facts = self._captures(step, "df_now")
        if self.tells_changes:
            facts["df_wrote"] = Template("{{ df_wrote or df_outcome != 'unchanged' }}")
        return facts

    def _captures(self, step: Step, answer: str) -> dict[str, Any]:
        """The facts that keep captures."""
        return {
            self.encoder.names[capture.variable]: Template(
                f"{{{{ {answer} | {self._taker(capture)}({self._place(capture.pointer)}) }}}}"
            )
            for capture in step.captures
        }

    def _taker(self, capture: Capture) -> str:
        return "df_pick_number" if self._journey.variable(capture.variable).type == "integer" else "df_pick"

    def _place(self, pointer: tuple[str | int, ...]) -> str:
        return ", ".join(str(key) if isinstance(key, int) else self.encoder.quoted(key) for key in pointer)

    # ---------------------------------------------------------------- lookups

    def lookup(self, variable: Variable) -> Task:
        """The task of a lookup."""
        lookup = variable.lookup
        assert lookup is not None
        keys = requests.document(Array(tuple(Object(match) for match in (*lookup.newer, lookup.match))), self.encoder)
        path, query = requests.path_and_query(lookup.path)
        variables: dict[str, Any] = {
            "df_resource": Recorded(lookup.resource),
            "df_path": self.encoder.text(Text((*path.parts, *query.parts))),
            "df_keys": keys,
        }
        if lookup.rows != self._journey.conventions.rows:
            variables["df_rows"] = [Recorded(row) for row in lookup.rows]
        pages = lookup.lists(self._journey.conventions)
        return Task(
            kind="find",
            title=lookup.title,
            name=Recorded(shown(lookup.title)),
            headers=requests.headers(lookup.headers, self.encoder),
            notes=tuple(requests.header_notes(lookup.headers)),
            when=self._when_known(variables_of_lookup(variable)),
            searches=self._searches(self.encoder.quoted(lookup.pick), pages),
            pages=pages,
            keeps={self.encoder.names[variable.name]: Template(f"{{{{ {self._one(lookup)} }}}}")},
            vars={**variables, **self.encoder.take_texts()},
        )

    def _one(self, lookup: Lookup) -> str:
        secret = any(
            self._journey.variable(name).secret for _, value in lookup.match for name in variables_of_tree(value)
        )
        arguments = ["df_resource", "df_keys", "df_rows", self.encoder.quoted(lookup.pick)]
        arguments += ["optional=true"] * lookup.optional + ["shown=false"] * secret
        arguments += [f"nth={lookup.nth}"] if lookup.nth is not None else []
        arguments += [f"alike={lookup.alike}"] if lookup.alike else []
        arguments += ["rest=df_rest"] * lookup.lists(self._journey.conventions)
        return f"df_found | df_one({', '.join(arguments)})"

    # ---------------------------------------------------------------- parts of requests

    def _name(self, step: Step) -> Recorded | Template:
        """The task's name: the heading with its parameters, or the title where Jinja2 could read something into it."""
        parts = step.heading.parts if step.heading is not None else ()
        if parts and all(is_data(part) for part in parts if isinstance(part, str)):
            return self.encoder.text(Text(tuple(INVISIBLE.sub("?", p) if isinstance(p, str) else p for p in parts)))
        return Recorded(shown(step.title))

    def _when_known(self, names: Iterator[str] | list[str]) -> list[str]:
        """The condition under which everything of these is known, in check mode too."""
        unsure = [self.encoder.names[name] for name in dict.fromkeys(names) if name in self._unsure]
        return [f"df_unknown not in [{', '.join(unsure)}]"] if unsure else []


def _always_runs(step: Step) -> bool:
    """Whether a step changes nothing but the session, so that check mode sends it, too."""
    signs = step.kind in (StepKind.LOGIN, StepKind.LOGOUT) or (step.resource or "").endswith("_session")
    return step.wanted is None and (signs or step.request.method.upper() in ("GET", "HEAD", "OPTIONS"))


RENDERER = FunctionRenderer(".yml", "ansible-core 2.19 or later", render)


def _note(word: str, *names: str) -> str:
    """The expression of the lines that note calls with this word; empty without a name."""
    given = [name for name in names if name]
    return f"{given} | df_note_calls('{word}', df_base_url, df_for)" if given else ""
