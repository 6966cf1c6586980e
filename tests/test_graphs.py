"""Random journeys over random resource graphs: recorded on one double, run on another with other ids, equal ends.

A journey is drawn move by move as an administrator would make it: lists are read first, records refer to records that
were there or were made on the way, updates send whole records or single fields, rows are added, changed and removed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

import dfrecord
from dfrecord.recording.exchange import Exchange, Recording
from dfrecord.replaying.results import Outcome
from dfrecord.replaying.run import ReplayOptions, replay, tear_down
from dfrecord.system_api.catalog import load
from tests.doubles.server import DreamFactoryDouble
from tests.recorder import RecordedSession
from tests.states import portable
from tests.tools import FORMATS, run

ODD = st.text(st.sampled_from("aZ0 -_.,%'\"\\()[]{}<>&$`é漢🙂/?#=+"), max_size=8)
RELATION = "role_service_access_by_role_id"
LOOKUPS = "lookup_by_role_id"
ASSIGNED = "user_to_app_to_role_by_user_id"
SCRIPT: dict[str, Any] = {"type": "nodejs", "is_active": True}
ROW: dict[str, Any] = {"id": None, "role_id": 0, "component": "*", "requestor_mask": 1, "filters": []}
INSTALLED = ("event_script",)
MOST = int(os.environ.get("DFRECORD_JOURNEYS", "12"))
EXAMPLES = {"python": MOST, "replay": 4 * MOST, "curl": -(-MOST // 4), "postman": -(-MOST // 6)}
"""How many journeys each way gets: starting Node and jq takes longer than what they do."""
PASSWORD = "Another!pass-word-16"


class Administrator:
    """Draws moves and makes them; knows only ids that an answer showed. Careless, it deletes what others refer to."""

    def __init__(self, session: RecordedSession, draw: Callable[..., Any], *, careless: bool) -> None:
        self.s, self.draw, self.careless, self.made = session, draw, careless, 0
        self.known = {
            resource: [row["id"] for row in session.call("GET", f"system/{resource}")["resource"]]
            for resource in ("service", "role", "app", "user", "lookup", "cors", "email_template")
        }
        self.services = {row["id"]: row["name"] for row in session.call("GET", "system/service")["resource"]}
        self.referred: set[tuple[str, int]] = set()
        self.scripts: list[str] = []

    def name(self) -> str:
        self.made += 1
        return f"n{self.made}{self.draw(ODD)}x"

    def pick(self, resource: str) -> int:
        chosen: int = self.draw(st.sampled_from(self.known[resource]))
        self.referred.add((resource, chosen))
        return chosen

    def rows(self) -> list[dict[str, Any]]:
        """Access rows; some alike but for their filters, or in all."""
        services = self.draw(st.lists(st.sampled_from(self.known["service"]), max_size=3))
        self.referred |= {("service", service) for service in services}
        return [
            {
                **ROW,
                "service_id": service,
                "verb_mask": self.draw(st.sampled_from([1, 3, 31])),
                "filters": self.filters(),
            }
            for service in services
        ]

    def filters(self) -> list[dict[str, Any]]:
        values = self.draw(st.lists(st.sampled_from(["a", "7"]), max_size=1))
        return [{"name": "tenant_id", "operator": "=", "value": value} for value in values]

    def create(self) -> None:
        resource = self.draw(st.sampled_from(sorted(self.known)))
        record: dict[str, Any] = {"name": self.name(), "is_active": True}
        if resource == "service":
            record |= {"name": f"svc_{self.made}", "label": self.name(), "description": "d", "type": "sqlite"}
            record["config"] = {"database": f"db{self.made}"}
            if self.draw(st.booleans()):
                record |= {"type": "oauth_github", "config": self.signing_on()}
        elif resource == "role":
            lookups = [{"name": f"l{self.made}", "value": self.draw(ODD) + "v"}] * self.draw(st.integers(0, 1))
            record |= {"id": 0, RELATION: self.rows(), LOOKUPS: lookups}
        elif resource == "app":
            record |= {"type": "0", "role_id": self.pick("role"), "api_key": None}
        elif resource == "user":
            assigned = {"user_id": 0, "app_id": self.pick("app"), "role_id": self.pick("role")}
            record |= {"email": f"u{self.made}@example.com", "password": PASSWORD, ASSIGNED: [assigned]}
        elif resource == "lookup":
            record = {"name": f"key{self.made}", "value": self.draw(ODD) + "v"}
        elif resource == "email_template":
            record = {"name": self.name(), "subject": self.draw(ODD) + "s", "to": "a@example.com", "body_html": "<p>"}
        else:
            record = {"path": f"p{self.made}/*", "origin": "*", "header": "*", "method": ["GET"], "max_age": 0}
        made = self.s.create(resource, record)
        self.known[resource] += made
        if resource == "service":
            self.services[made[0]] = record["name"]

    def signing_on(self) -> dict[str, Any]:
        """What a login service keeps: ids in its config, and in the rows of a map there."""
        apps = self.draw(st.lists(st.sampled_from(self.known["app"]), unique=True, max_size=2))
        self.referred |= {("app", app) for app in apps}
        maps = [{"app_id": app, "role_id": self.pick("role")} for app in apps]
        return {"default_role": self.pick("role"), "client_id": "7", "app_role_map": maps}

    def set_up(self) -> None:
        """The settings of the instance: the config of a service that is always there."""
        read = next(row for row in self.s.call("GET", "system/service")["resource"] if row["name"] == "user")
        config = {"open_reg_role_id": self.pick("role"), "alt_auth_db_service_id": self.pick("service")}
        self.s.call("PUT", f"system/service/{read['id']}", {**read, "config": {**read["config"], **config}})

    def clone(self) -> None:
        """A record as it was read, under another name."""
        resource = self.draw(st.sampled_from(["service", "role"]))
        related = f"?related={RELATION},{LOOKUPS}" if resource == "role" else ""
        read = self.s.call("GET", f"system/{resource}/{self.pick(resource)}{related}")
        if read.get("name") in ("system", "user"):
            return
        self.made += 1
        [made] = self.s.create(resource, {**read, "name": f"copy_{self.made}"})
        self.known[resource].append(made)
        if resource == "service":
            self.services[made] = f"copy_{self.made}"

    def script(self) -> None:
        """An event script named after a service: made, written again, or deleted."""
        service = self.pick("service")
        name = self.draw(st.sampled_from([f"{self.services[service]}.get.pre_process", *self.scripts]))
        if name in self.scripts and self.draw(st.booleans()):
            self.scripts.remove(name)
            self.s.call("DELETE", f"system/event_script/{name}")
            return
        self.scripts += [name] * (name not in self.scripts)
        self.s.call("POST", f"system/event_script/{name}", {**SCRIPT, "name": name, "content": self.draw(ODD) + "//"})

    def delete_several(self) -> None:
        """Several records at once, by ids in the query or in the body."""
        resource = self.draw(st.sampled_from(["lookup", "cors", "email_template"]))
        free = [own for own in self.known[resource] if self.careless or (resource, own) not in self.referred]
        chosen = self.draw(st.lists(st.sampled_from(free), unique=True, max_size=2)) if free else []
        if not chosen:
            return
        self.known[resource] = [own for own in self.known[resource] if own not in chosen]
        if self.draw(st.booleans()):
            self.s.call("DELETE", f"system/{resource}?ids={','.join(map(str, chosen))}")
        else:
            self.s.call("DELETE", f"system/{resource}", {"resource": [{"id": own} for own in chosen]})

    def import_users(self) -> None:
        """Users by a table, which the browser sends as it is."""
        self.made += 1
        rows = [f"i{self.made}{n}@example.com,{PASSWORD}" for n in range(self.draw(st.integers(1, 2)))]
        table = "\r\n".join(["email,password", *rows]).encode()
        made = self.s.upload("system/user", "text/csv", table)["resource"]
        self.known["user"] += [row["id"] for row in made]

    def own_profile(self) -> None:
        """The own profile, of the administrator or of one who is made here."""
        others = self.draw(st.booleans())
        self.made += 1
        if others:
            another = {"email": f"a{self.made}@example.com", "name": "A", "phone": "1", "password": PASSWORD}
            self.s.create("admin", another)
            self.log_in(another["email"], PASSWORD)
        for _ in range(self.draw(st.integers(1, 2))):
            self.s.call("PUT", "system/admin/profile", {"phone": self.draw(st.sampled_from("123")), "first_name": "F"})
        if others:
            self.log_in(self.s._df.email, self.s._df.password)

    def log_in(self, email: str, password: str) -> None:
        self.s._token = ""
        assert "session_token" in self.s.call("POST", "system/admin/session", {"email": email, "password": password})

    def create_several(self) -> None:
        """One call with two records; the app of a role that the same moment's role create has just answered."""
        roles = [{"name": self.name(), "is_active": True, RELATION: self.rows()} for _ in range(2)]
        made = self.s.create("role", *roles)
        self.known["role"] += made
        apps = [{"name": self.name(), "type": "0", "role_id": own, "is_active": True} for own in made[::-1]]
        self.known["app"] += self.s.create("app", *apps)
        self.referred |= {("role", own) for own in made}

    def update_several(self) -> None:
        """A bulk update, each record by the id in it."""
        resource = self.draw(st.sampled_from(["role", "app"]))
        chosen = self.draw(st.lists(st.sampled_from(self.known[resource]), unique=True, min_size=1, max_size=3))
        self.referred |= {(resource, own) for own in chosen}
        rows = [{"id": own, "description": self.name()} for own in chosen]
        self.s.call("PATCH", f"system/{resource}", {"resource": rows})

    def update(self) -> None:
        updated = ("service", "role", "app", "user", "lookup", "email_template")
        there = [resource for resource in updated if self.known[resource]]
        resource = self.draw(st.sampled_from(there))
        own = self.pick(resource)
        record: dict[str, Any] = {}
        if self.draw(st.booleans()):
            relation = {"role": f"{RELATION},{LOOKUPS}", "user": ASSIGNED}.get(resource)
            record = self.s.call("GET", f"system/{resource}/{own}" + (f"?related={relation}" if relation else ""))
        field = "value" if resource == "lookup" else "label" if resource == "service" else "name"
        field = "subject" if resource == "email_template" else field
        record = {**record, field: self.name()}
        if resource == "role" and RELATION in record:
            record[RELATION] = self.changed(record[RELATION], own)
            record[LOOKUPS] = [{**row, "value": self.name()} for row in record[LOOKUPS]]
        if resource == "app" and self.draw(st.booleans()):
            record["role_id"] = self.pick("role")
        self.s.call("PUT", f"system/{resource}/{own}", record)

    def changed(self, rows: list[dict[str, Any]], own: int) -> list[dict[str, Any]]:
        result = []
        for row in rows:
            fate = self.draw(st.sampled_from(["keep", "mask", "only mask", "filter", "remove"]))
            fates: dict[str, dict[str, Any]] = {
                "keep": {},
                "mask": {"verb_mask": 7},
                "filter": {"filters": self.filters()},
                "remove": {"role_id": None},
            }
            alone = fate == "only mask"
            result.append({"id": row["id"], "verb_mask": 15} if alone else {**row, **fates[fate]})
        return result + [{**row, "role_id": own} for row in self.rows()]

    def delete(self) -> None:
        resource = self.draw(st.sampled_from(["role", "app", "lookup", "cors", "email_template"]))
        known = self.known[resource]
        free = [own for own in known if (resource, own) not in self.referred or (self.careless and len(known) > 1)]
        if free:
            own = self.draw(st.sampled_from(free))
            self.known[resource].remove(own)
            by_id = self.draw(st.booleans())
            self.s.call("DELETE", f"system/{resource}/{own}" if by_id else f"system/{resource}?ids={own}")


def as_in_parallel(exchanges: list[Exchange], draw: Callable[..., Any]) -> list[Exchange]:
    """The exchanges as a browser lists them that does not wait: a read begun before the create was answered."""
    result = list(exchanges)
    for place in range(1, len(result) - 1):  # after the login, without which nothing can be read
        write, read = result[place : place + 2]
        is_login = write.request.decoded_path.endswith("/session")
        if write.request.method == "POST" and not is_login and read.request.method == "GET" and draw(st.booleans()):
            result[place : place + 2] = [read, write]
    return [replace(exchange, number=number) for number, exchange in enumerate(result)]


def prepare(df: DreamFactoryDouble, *, turned: bool) -> None:
    """What is there beforehand: the same records on every double, made in another order."""
    session = RecordedSession(df)
    order = -1 if turned else 1
    for name in ["there_a", "there_b"][::order]:
        session.create(
            "service", {"name": name, "label": name, "description": "d", "type": "sqlite", "is_active": True}
        )
    services = {row["name"]: row["id"] for row in session.call("GET", "system/service")["resource"]}
    for name in ['the"re', "th'ere", "o) and (o"][::order]:
        filters = [[], [], [{"name": "tenant_id", "operator": "=", "value": "7"}]]
        rows = [{**ROW, "service_id": services["there_a"], "verb_mask": 1, "filters": each} for each in filters]
        rows = rows if name == 'the"re' else []
        session.create("role", {"name": name, "is_active": True, RELATION: rows})
    roles = {row["name"]: row["id"] for row in session.call("GET", "system/role")["resource"]}
    session.create("app", {"name": "there", "type": "0", "role_id": roles["th'ere"], "is_active": True})
    session.create("user", {"email": "there@example.com", "name": "There", "password": PASSWORD})
    session.create("lookup", {"name": "there", "value": "1"})
    session.create("cors", {"path": "there/*", "origin": "*", "header": "*", "method": ["GET"], "max_age": 0})
    df.reset_log()


def run_journey(
    way: str, folder: Path, recording: Recording, df: DreamFactoryDouble, *, upsert: bool, teardown: bool = False
) -> None:
    """Runs the recording on the server as a script of a format, or without one; with `teardown` it is undone."""
    journey = dfrecord.plan(recording, upsert=upsert, teardown=upsert)
    environment = {"DF_BASE_URL": df.url, "DF_EMAIL": df.email, "DF_PASSWORD": df.password, "DF_YES": "1"}
    environment |= {f"DF_{who}_PASSWORD{suffix}": PASSWORD for who in ("USER", "ADMIN") for suffix in ("", "_2", "_3")}
    if way == "replay":
        work = tear_down if teardown else replay
        choices = ReplayOptions(df.url, environment, yes=True, created_file=folder / "created.jsonl")
        done = work(journey, choices, load())
        assert done.ok, [result for result in done.results if result.outcome in (Outcome.DIFFERS, Outcome.FAILED)]
        return
    script = folder / FORMATS[way]
    if not script.exists():
        files = dfrecord.render(journey, way, stem=script.stem)
        script.write_bytes(files[0].content)
        for file in files[1:]:
            (folder / f"{script.stem}{file.suffix}").write_bytes(file.content)
    ran = run(script, way, {**environment, "DF_TEARDOWN": "1" if teardown else ""})
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("upsert", [False, True], ids=["plain", "upsert"])
@pytest.mark.parametrize("way", EXAMPLES)
def test_random_journey_ends_in_the_same_state(
    way: str, upsert: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    @settings(
        max_examples=EXAMPLES[way],
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.reuse, Phase.generate],
    )
    @given(data=st.data())
    def ends_in_the_same_state(data: st.DataObject) -> None:
        check_journey(way, tmp_path_factory.mktemp("graph"), data, upsert=upsert)

    ends_in_the_same_state()


def check_journey(way: str, folder: Path, data: st.DataObject, *, upsert: bool) -> None:
    """Draws a journey on one server and runs it on another; an upsert once more, and then undoes it."""
    with (
        DreamFactoryDouble(installed=INSTALLED) as recorded,
        DreamFactoryDouble(id_offset=500, installed=INSTALLED) as target,
    ):
        prepare(recorded, turned=False)
        prepare(target, turned=True)
        session = RecordedSession(recorded)
        administrator = Administrator(session, data.draw, careless=upsert)
        moves = [administrator.create] * 3 + [administrator.update] * 3 + [administrator.delete]
        moves += [administrator.create_several, administrator.update_several, administrator.delete_several]
        moves += [administrator.clone, administrator.script, administrator.set_up]
        moves += [administrator.import_users, administrator.own_profile]
        for _ in range(data.draw(st.integers(3, 12))):
            data.draw(st.sampled_from(moves))()
        recording = Recording("graph.har", tuple(as_in_parallel(session.exchanges, data.draw)))
        check_ends(way, folder, recording, recorded, target, upsert=upsert, seen=settled)


def check_ends(
    way: str,
    folder: Path,
    recording: Recording,
    recorded: DreamFactoryDouble,
    target: DreamFactoryDouble,
    *,
    upsert: bool,
    seen: Callable[[dict[str, Any]], Any],
) -> None:
    """The run ends as recorded, as far as is `seen`; an upsert writes nothing a second time, and is undone."""
    before = portable(target.state())
    run_journey(way, folder, recording, target, upsert=upsert)
    assert seen(target.state()) == seen(recorded.state())
    if upsert:
        target.reset_log()
        run_journey(way, folder, recording, target, upsert=True)
        assert [(call.method, call.path) for call in target.writes] == []
        run_journey(way, folder, recording, target, upsert=True, teardown=True)
        assert portable(target.state()) == before


def settled(state: Any) -> Any:
    """The portable state without references to what is gone: an upsert does not make what is deleted in the end."""
    return without_gone(portable(state))


def without_gone(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: None if is_gone(item) else without_gone(item) for key, item in value.items()}
    if isinstance(value, list):
        return [item for item in value if not (isinstance(item, dict) and any(map(is_gone, item.values())))]
    return value


def is_gone(value: Any) -> bool:
    return isinstance(value, str) and value.endswith(":?")
