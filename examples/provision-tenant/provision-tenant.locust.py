#!/usr/bin/env python3
# /// script
# requires-python = ">=3.11"
# dependencies = ["locust>=2.43"]
# ///
# ruff: noqa: E501
# Recorded values stay on one line each, however long they are, so that they can be searched for.
"""provision tenant: 4 steps recorded in provision-tenant.har, as a Locust user.

    locust -f provision_tenant.py --headless -u 50 -r 10 -t 5m         a load test
    DF_CSV=tenants.csv locust -f provision_tenant.py --headless -u 20  each row once
    locust -f provision_tenant.py --worker                             on more machines

For several machines add `--master --expect-workers N` to the first lines. One
iteration is the whole journey; the master numbers and hands out the iterations.
Taken from the environment:

    DF_BASE_URL       required; the instance
    DF_EMAIL          required unless DF_SESSION_TOKEN is set; the account that logs in
    DF_PASSWORD       required unless DF_SESSION_TOKEN is set; secret, the password of that account
    DF_TENANT         default 'acme'; takes the place of acme
    DF_SESSION_TOKEN  optional; secret, a session token to use instead of logging in
    DF_CREATED        default provision_tenant.created.jsonl; the file that notes what runs create
    DF_ITERATIONS     optional; so many iterations by all users together, then the run ends
    DF_CSV            optional; a file with columns for what is above (tenant for DF_TENANT): each row is run once
    DF_UNIQUE         optional; 0 for names as given or recorded, without a suffix for each iteration
    DF_WAIT           default 0; the seconds that a user waits between two iterations
    DF_TEARDOWN       optional; each: an iteration deletes in the end what it created
                      ; 1: the run deletes what earlier runs created here instead

Exit codes: 0 done, 1 a step failed, 2 something to set is missing (nothing was sent).
"""

# What dfrecord noticed in the recording (20 entries):
# - left out, 1x: id (made by the server) (create_service)
# - left out, 1x: id, role_service_access_by_role_id[].id (made by the server) (create_role)
# - left out, 1x: role_service_access_by_role_id[].role_id (the row's own parent, filled in by the server) (create_role)
# - dropped, 1x: console noise: the console asks for its support chat setting
# - dropped, 3x: console noise: the console's dashboard counts records
# - dropped, 12x: read that no later step needs

from __future__ import annotations

import base64
import csv
import html
import json
import logging
import os
import re
import secrets
import sys
import time
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import cache, lru_cache
from http.client import responses
from itertools import repeat
from queue import Queue
from ssl import SSLContext, create_default_context
from threading import Thread
from typing import Any
from urllib.parse import quote

from gevent.timeout import Timeout  # type: ignore[import-untyped]
from geventhttpclient.header import Headers
from geventhttpclient.useragent import ConnectionError
from locust import FastHttpUser, events, tag, task
from locust.contrib.fasthttp import FastResponse, LocustUserAgent
from locust.exception import CatchResponseError, StopUser
from locust.runners import LocalRunner, MasterRunner, WorkerRunner


@dataclass(frozen=True)
class ProvisionTenantResult:
    """What the journey made."""

    app_api_key: str = field(repr=False, kw_only=True)
    service_id: int
    role_id: int
    app_id: int


def provision_tenant(
    df: DreamFactory, *, tenant: str = "acme"
) -> ProvisionTenantResult:
    """provision tenant."""
    df.begin()
    tenant_upper = upper(tenant)

    # 1. Log in as an administrator
    df.step("log_in", "login", "admin_session")
    if df.logs_in:
        answer = df.call(
            "Log in as an administrator",
            "POST",
            "/api/v2/system/admin/session",
            json={"password": df.password, "email": df.email},
            signs_on=True,
        )
        df.session_token = pick(answer, "session_token")

    # 2. Create service tenant_acme_files
    df.step("create_service", "create", "service")
    # Note: left out: id (made by the server)
    answer = df.ensure(
        f"Create service tenant_{tenant}_files",
        "service",
        "POST",
        "/api/v2/system/service",
        {
            "keys": [{"name": f"tenant_{tenant}_files"}],
            "record": {
                "type": "local_file",
                "name": f"tenant_{tenant}_files",
                "label": f"{tenant_upper} files",
                "description": f"File store of tenant {tenant_upper}",
                "is_active": True,
                "storage_service_id": None,
                "config": {
                    "public_path": None,
                    "container": "uploads/",
                    "excel_content": "",
                },
            },
            "later": [],
            "rows": {},
            "needs": ["description"],
            "shaped": {"config": "type"},
        },
        makes="/api/v2/system/service",
    )
    service_id = pick_number(answer, "id")

    # 3. Create role acme-role
    df.step("create_role", "create", "role")
    # Note: left out: id, role_service_access_by_role_id[].id (made by the server)
    # Note: left out: role_service_access_by_role_id[].role_id (the row's own parent, filled in by the server)
    answer = df.ensure(
        f"Create role {tenant}-role",
        "role",
        "POST",
        "/api/v2/system/role?fields=*&related=role_service_access_by_role_id,lookup_by_role_id",
        {
            "keys": [{"name": f"{tenant}-role"}],
            "record": {
                "name": f"{tenant}-role",
                "description": f"Role of tenant {tenant_upper}",
                "is_active": True,
            },
            "later": [],
            "rows": {
                "role_service_access_by_role_id": {
                    "id": "id",
                    "parent": "role_id",
                    "may_differ": ["verb_mask", "filters"],
                    "rows": [
                        {
                            "keys": [
                                {
                                    "service_id": service_id,
                                    "component": "*",
                                    "requestor_mask": 1,
                                    "verb_mask": 3,
                                    "filters": [],
                                }
                            ],
                            "row": {
                                "service_id": service_id,
                                "component": "*",
                                "verb_mask": 3,
                                "requestor_mask": 1,
                                "filters": [],
                            },
                        }
                    ],
                }
            },
        },
        makes="/api/v2/system/role",
    )
    role_id = pick_number(answer, "id")

    # 4. Create app acme-app
    df.step("create_app", "create", "app")
    answer = df.ensure(
        f"Create app {tenant}-app",
        "app",
        "POST",
        "/api/v2/system/app?fields=*&related=role_by_role_id",
        {
            "keys": [{"name": f"{tenant}-app"}],
            "record": {
                "name": f"{tenant}-app",
                "description": f"App of tenant {tenant_upper}",
                "type": "0",
                "role_id": role_id,
                "is_active": True,
                "url": None,
                "storage_service_id": None,
                "storage_container": None,
                "path": None,
            },
            "later": [],
            "rows": {},
        },
        makes="/api/v2/system/app",
    )
    app_api_key = pick(answer, "api_key")
    app_id = pick_number(answer, "id")
    df.secrets["app_api_key"] = app_api_key

    return ProvisionTenantResult(
        app_api_key=app_api_key,
        service_id=service_id,
        role_id=role_id,
        app_id=app_id,
    )


# ---------------------------------------------------------------- how its calls are made


class StepFailed(Exception):
    """A step was refused, or its answer is not what the next steps need."""


class DreamFactory:
    """One DreamFactory instance. With a session token given, nobody logs in."""

    def __init__(
        self,
        base_url: str,
        http: Any,
        exact: Exact,
        *,
        email: str = "",
        password: str = "",
        session_token: str = "",
        made: tuple[str, ...] = (),
        note: Callable[[dict[str, Any]], None] = lambda note: None,
        number: int = 1,
        suffix: str = "",
        patient: bool = False,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.email = email
        self.password = password
        self.session_token = session_token
        self.logs_in = not session_token
        self.outcomes = {"created": 0, "changed": 0, "deleted": 0, "unchanged": 0}
        self.fresh: set[str] = set()  # the paths of what this iteration created
        # What is created and not deleted again: its path, or with a key the path of the list that it is in.
        self.made: dict[str, dict[str, Any]] = {
            path: {"created": path} for path in made
        }
        self.made_for: dict[str, str] = {}
        self.creating: dict[str, Any] = {}  # what is sent and not answered yet
        self.note = note
        self.secrets: dict[str, Any] = {
            "DF_PASSWORD": password,
        }  # hidden in all that is told
        self.http, self.exact = http, exact
        self.number, self.suffix = number, suffix
        self.patient = patient  # whether an instance that is too busy is asked again
        self.name, self.tags = "", tuple[str, ...]()
        self.unsettled: Any = None

    def step(self, name: str, *tags: str) -> None:
        """What is sent from here on counts under this name."""
        self.settle()
        self.name, self.tags = name, tags

    def settle(self, failure: str = "") -> None:
        """Count the last request; as a failure when its step failed on the answer."""
        answer, self.unsettled = self.unsettled, None
        if answer is not None:
            with answer:
                if failure:
                    answer.failure(self.counted(failure))
                else:
                    answer.success()

    def counted(self, failure: str) -> str:
        """The failure as it is counted: without secrets, and what makes it differ from one iteration to the next."""
        failure = self.hidden(failure)
        return failure.replace(self.suffix, "") if self.suffix else failure

    def call(
        self,
        title: str,
        method: str,
        target: str,
        *,
        json: Any = None,
        body: bytes | None = None,
        headers: dict[str, str | None] | None = None,
        makes: str = "",
        signs_on: bool = False,
    ) -> Any:
        """Send one request; its answer, parsed if it is JSON. Raises StepFailed."""
        self._say(f"- {title}")
        content = to_json(json) if json is not None else body
        return self._request(
            title, method, target, content, headers, json is not None, makes=makes
        )

    def _request(
        self,
        title: str,
        method: str,
        target: str,
        body: bytes | None,
        headers: dict[str, str | None] | None,
        is_json: bool = False,
        makes: str = "",
    ) -> Any:
        """Send; the parsed answer. Raises StepFailed when the server refuses."""
        status, text, reason = self._send(title, method, target, body, headers, is_json)
        self._say(f"  {method} {target} -> {status}", detail=True)
        self._note_records(method, target, makes, status, parsed(text))
        if not 200 <= status < 300:
            raise StepFailed(
                f"{title}: {status} {explain(text, reason, self.hidden, sent=body)}"
            )
        return parsed(text)

    def hidden(self, text: str) -> str:
        """The text with the names of secrets in the places of their values."""
        secrets = {**self.secrets, "DF_SESSION_TOKEN": self.session_token}
        return hidden(
            text, {str(value): f"({name})" for name, value in secrets.items() if value}
        )

    def _send(
        self,
        title: str,
        method: str,
        target: str,
        body: bytes | None,
        headers: dict[str, str | None] | None,
        is_json: bool = False,
    ) -> tuple[int, str, str]:
        """Send with the usual headers; status, text and reason of what comes back."""
        usual: dict[str, str | None] = {"Accept": "application/json"}
        if is_json:
            usual["Content-Type"] = "application/json"
        if self.session_token:
            usual["X-DreamFactory-Session-Token"] = self.session_token
        sent = [
            (name, value)
            for name, value in {**usual, **(headers or {})}.items()
            if value is not None
        ]
        self.settle()
        for pause in (1, 2, 4, 0):
            self.exact.given = (method, target, sent)
            try:
                answer = self.unsettled = self.http.request(
                    method,
                    self.base_url + target,
                    name=self.name,
                    data=body,
                    catch_response=True,
                    context={
                        "step": self.name,
                        "tags": self.tags,
                        "iteration": self.number,
                    },
                )
            except ValueError:  # which tells the value, and that may be a secret
                raise StepFailed(
                    f"{title}: nothing was sent: a header would hold a control character"
                ) from None
            if answer.status_code != 429 or not self.patient or not pause:
                break
            asked = answer.headers.get("Retry-After") or ""
            seconds = int(asked) if re.fullmatch("[0-9]{1,9}", asked) else pause
            if seconds > 300:
                break
            self.unsettled = (
                None  # the instance did not take it: it counts when it does
            )
            time.sleep(seconds)
        if not answer.status_code:
            raise StepFailed(
                f"{title}: no answer from {self.base_url}: {reason_of(answer.error)}"
            )
        reason = responses.get(answer.status_code, "")
        location = answer.headers.get("Location")
        if 300 <= answer.status_code < 400 and location:
            reason = f"redirected to {readable(str(location))}, which is not followed"
        text = (answer.content or b"").decode("utf-8-sig", "replace")
        if method != "GET" and text.startswith("["):  # some instances wrap no lists
            text = '{"resource": ' + text + "}"
        return answer.status_code, text, reason

    def _say(self, text: str, *, detail: bool = False) -> None:
        """Thousands of runs are counted, not told one by one; `-L DEBUG` shows them."""
        if logging.getLogger().isEnabledFor(logging.DEBUG):
            logging.debug("%d: %s", self.number, printable(self.hidden(text)))

    def _search(
        self,
        title: str,
        resource: str,
        path: str,
        match: dict[str, Any],
        rows: tuple[str, ...] = ("resource",),
        pick: str = "id",
        headers: dict[str, str | None] | None = None,
    ) -> list[dict[str, Any]]:
        """The one record with all these values, or none. Raises StepFailed for several.

        The server's filter has no escaping and may ignore case, so the values of what
        comes back are compared, and where it finds nothing all records are listed.
        """
        found: list[dict[str, Any]] = []
        field, value = next(iter(match.items()))
        if len(match) == 1 and rows == ("resource",) and isinstance(value, str):
            fields = quote(",".join(dict.fromkeys(["id", field, pick])), safe=",")
            path += "&" if "?" in path else "?"
            if value and not set(value) & set('"\\(){},<>=!'):
                wanted = quote(f'{field}="{value}"', safe="", errors="replace")
                filtered = f"{path}filter={wanted}&fields={fields}"
                found = having(
                    self._page(title, filtered, rows, headers, none_at=400)[0], match
                )
            path += f"fields={fields}"
        if not found:
            found = having(self._records(title, path, rows, headers), match)
        if len(found) > 1:
            wanted = readable(self.hidden(json.dumps(match, ensure_ascii=False)))
            raise StepFailed(
                f"{title}: {len(found)} {resource} records have {wanted} on {self.base_url}"
            )
        return found

    def _records(
        self,
        title: str,
        target: str,
        rows: tuple[str, ...],
        headers: dict[str, str | None] | None,
        *,
        none_at: int = 0,
    ) -> list[Any]:
        """The records under `rows` of an answer, of a list all that there are. Raises StepFailed."""
        if rows != ("resource",):
            return self._page(title, target, rows, headers, none_at=none_at)[0]
        target += ("&" if "?" in target else "?") + "include_count=true"

        def read(start: int) -> tuple[list[Any], int]:
            more = f"&offset={start}" if start else ""
            return self._page(title, target + more, rows, headers, none_at=none_at)

        try:
            return whole_list(read)
        except CutShort as error:
            raise StepFailed(f"{title}: {error}") from None

    def _page(
        self,
        title: str,
        target: str,
        rows: tuple[str, ...],
        headers: dict[str, str | None] | None,
        *,
        none_at: int = 0,
    ) -> tuple[list[Any], int]:
        """The records that one answer shows, none at this status, and how many there are in all (0: not told)."""
        status, text, reason = self._send(title, "GET", target, None, headers)
        self._say(f"  GET {target} -> {status}", detail=True)
        if status == none_at:
            return [], 0
        if not 200 <= status < 300:
            raise StepFailed(f"{title}: {status} {explain(text, reason, self.hidden)}")
        records = parsed(text)
        meta = records.get("meta") if isinstance(records, dict) else None
        count = meta.get("count") if isinstance(meta, dict) else None
        for row in rows:
            records = records.get(row) if isinstance(records, dict) else records
        if not isinstance(records, list):
            raise StepFailed(f"{title}: the answer is no list of records")
        return records, count if isinstance(count, int) else 0

    def _read(
        self, title: str, target: str, headers: dict[str, str | None] | None
    ) -> dict[str, Any] | None:
        """One record, None when there is none."""
        status, text, reason = self._send(title, "GET", target, None, headers)
        self._say(f"  GET {target} -> {status}", detail=True)
        if status == 404:
            return None
        record = parsed(text)
        if not 200 <= status < 300:
            raise StepFailed(f"{title}: {status} {explain(text, reason, self.hidden)}")
        if not isinstance(record, dict):
            raise StepFailed(f"{title}: the answer is no record")
        return record

    def begin(self) -> None:
        """Count anew: another run of the journey begins."""
        self.outcomes = dict.fromkeys(self.outcomes, 0)

    @property
    def wrote(self) -> bool:
        """Whether this run has changed anything."""
        return any(
            count for name, count in self.outcomes.items() if name != "unchanged"
        )

    def summary(self) -> str:
        """What the run did, in a line."""
        if not self.wrote:
            return f"unchanged: all {self.outcomes['unchanged']} records are as wanted, nothing was written"
        return ", ".join(f"{count} {name}" for name, count in self.outcomes.items())

    def ensure(
        self,
        title: str,
        resource: str,
        method: str,
        target: str,
        wanted: dict[str, Any],
        *,
        headers: dict[str, str | None] | None = None,
        makes: str = "",
    ) -> dict[str, Any]:
        """Create the record, or change what differs of it; the record as the server has it.

        It is looked for by its natural keys, the newest first; without any, the target names it.
        Raises StepFailed.
        """
        path, mark, query = target.partition("?")
        own = "id"
        for key in wanted["keys"]:
            found = self._search(title, resource, path, key, headers=headers)
            if found:
                return self.change(
                    title,
                    f"{path}/{quote(str(pick(found[0], own)), safe='')}{mark}{query}",
                    wanted,
                    headers=headers,
                )
        if not wanted["keys"] and self._read(title, path, headers) is not None:
            return self.change(title, target, wanted, headers=headers)
        record = whole(wanted)
        body = {"resource": [record]} if wanted["keys"] else record
        self._note_creating(path, wanted["keys"][-1] if wanted["keys"] else None)
        answer = self._request(
            title, method, target, to_json(body), headers, True, makes=makes
        )
        self._tell(title, "created")
        created: dict[str, Any] = (
            part_of(answer, "resource", 0) if wanted["keys"] else answer
        )
        self.fresh.add(
            f"{path}/{quote(str(pick(created, own)), safe='')}"
            if wanted["keys"]
            else path
        )
        return created

    def change(
        self,
        title: str,
        target: str,
        wanted: dict[str, Any],
        *,
        headers: dict[str, str | None] | None = None,
    ) -> dict[str, Any]:
        """Change what differs of a record that is there; the record as the server has it. Raises StepFailed."""
        path = target.partition("?")[0]
        related = f"?related={','.join(wanted['rows'])}" if wanted["rows"] else ""
        have = self._read(title, path + related, headers)
        if have is None:
            raise StepFailed(f"{title}: there is no {path} on {self.base_url}")
        changed = changes(wanted, have, fresh=path in self.fresh)
        if not changed:
            self._tell(title, "unchanged")
            return have
        answer = self._request(title, "PATCH", target, to_json(changed), headers, True)
        self._tell(title, "changed", ", ".join(changed))
        return {**have, **(answer if isinstance(answer, dict) else {})}

    def remove(
        self,
        title: str,
        target: str,
        *,
        there: bool = True,
        again: dict[str, Any] | None = None,
        headers: dict[str, str | None] | None = None,
    ) -> None:
        """Delete a record, if it is there. `again` tells how it can be made anew. Raises StepFailed."""
        if not there or self._read(title, target.partition("?")[0], headers) is None:
            self._tell(title, "unchanged", "already absent")
            return
        self._request(title, "DELETE", target, None, headers)
        self._tell(title, "deleted")

    def _tell(self, title: str, outcome: str, more: str = "") -> None:
        self.outcomes[outcome] += 1
        self._say(f"- {title}: {outcome}{f' ({more})' if more else ''}")

    def _made(self) -> list[dict[str, Any]]:
        """The notes of what was made on this instance and not undone since, in order."""
        return list(self.made.values())

    def _note(self, **note: Any) -> None:
        """Note in memory, and with the master, who has the file."""
        key = note.get("key")
        path = str(
            note.get("created")
            or note.get("creating")
            or note.get("deleted")
            or note.get("settled")
        )
        place = path + (json.dumps(key, sort_keys=True) if key else "")
        self.made.pop(place, None)
        if "created" in note or "creating" in note:
            self.made[place] = note
        self.note({"base_url": self.base_url, **note})

    def _note_made(self, **note: Any) -> None:
        self._note(**({"for": self.made_for} if self.made_for else {}), **note)

    def tear_down(self) -> None:
        """Undo what runs with the same parameters noted on this instance, the newest first. Raises StepFailed."""
        own = "id"
        others: dict[str, int] = {}
        notes = self._made()
        for note in reversed(notes):
            made_for = note.get("for") or {}
            if made_for != self.made_for:
                words = (
                    " ".join(f"{name}={value}" for name, value in made_for.items())
                    or "no parameters"
                )
                others[words] = others.get(words, 0) + 1
                continue
            if "created" in note:
                self._delete(note["created"])
            else:  # nobody heard the answer to this create
                path, key = note["creating"], note["key"]
                for row in self._search(f"Find {path}", "record", path, key):
                    self._delete(f"{path}/{quote(str(pick(row, own)), safe='')}")
                self._note(settled=path, key=key)
        for words, number in others.items():
            self._say(
                f"- left alone: {number} made with {readable(words)}; give the same to delete them"
            )

    def _delete(self, path: str) -> None:
        status, text, reason = self._send(f"Delete {path}", "DELETE", path, None, None)
        if status != 404 and not 200 <= status < 300:
            raise StepFailed(
                f"Delete {path}: {status} {explain(text, reason, self.hidden)}"
            )
        self._note(deleted=path)
        self._say(
            f"- Delete {path}: {'already absent' if status == 404 else 'deleted'}"
        )

    def _holds_secret(self, value: Any) -> bool:
        """Whether it cannot be noted, as a secret stands in it."""
        return self.hidden(told := json.dumps(value)) != told

    def _is_named_by_secret(self, path: str) -> bool:
        """The same of the path of a record: ids are no secrets."""
        return not (name := path.rpartition("/")[2]).isdigit() and self._holds_secret(
            name
        )

    def _note_creating(self, path: str, key: dict[str, Any] | None) -> None:
        """Note before it is sent what a create makes: the run may be stopped before it hears the answer."""
        if self._holds_secret(key) if key else self._is_named_by_secret(path):
            return
        self.creating = {"settled": path, "key": key} if key else {"deleted": path}
        self._note_made(
            **({"creating": path, "key": key} if key else {"created": path})
        )

    def _note_records(
        self, method: str, target: str, makes: str, status: int, answer: Any
    ) -> None:
        """Note what a request created or deleted; a batch that failed has created what the server says it has."""
        succeeded = 200 <= status < 300
        answer = answer if isinstance(answer, dict) else {}
        error = answer.get("error")
        context = error.get("context") if isinstance(error, dict) else None
        rows = (context if isinstance(context, dict) else answer).get("resource")
        if not isinstance(rows, list):
            rows = (
                [answer] if status == 201 or (method == "DELETE" and succeeded) else []
            )
        path = makes or target.partition("?")[0]
        ids = [row.get("id") for row in rows if isinstance(row, dict)]
        paths = [
            f"{path}/{quote(str(each), safe='')}" for each in ids if each is not None
        ]
        if makes:
            for path in paths:
                if not self._is_named_by_secret(path):
                    self._note_made(created=path)
        if method == "DELETE" and succeeded:
            for path in [target.partition("?")[0], *paths]:
                if not self._is_named_by_secret(path):
                    self._note(deleted=path)
        if (
            self.creating
            and status < 500
            and not (
                succeeded and target.partition("?")[0] != self.creating.get("settled")
            )
        ):
            self._note(**self.creating)
        self.creating = {}


def parsed(text: str) -> Any:
    """An answer's JSON, or the text itself when it is none, or nested too deeply."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return text if is_too_deep(value) else value


def lying_in(value: Any) -> list[Any]:
    """What lies in a list or an object."""
    return (
        [*value.values()]
        if isinstance(value, dict)
        else value if isinstance(value, list) else []
    )


def is_too_deep(value: Any, inside: Any = lying_in) -> bool:
    """Whether something lies in more than 64 lists and objects (`inside` a value): no record does."""
    level = [value]
    for _ in range(65):
        level = [item for outer in level for item in inside(outer)]
        if not level:
            return False
    return True


def explain(
    text: str, reason: str, hidden: Callable[[str], str], *, sent: bytes | None = None
) -> str:
    """The server's own words for a refusal, with those about each record of a batch."""
    answer = parsed(text)
    error = answer.get("error") if isinstance(answer, dict) else None
    if not isinstance(error, dict):
        first_line = without_statement(next(iter(text.strip().splitlines()), ""))
        return readable(f"{reason or ''} {hidden(first_line)[:200]}")
    words = [readable(hidden(without_statement(str(error.get("message", "")))))]
    context = error.get("context")
    records = context.get("resource") if isinstance(context, dict) else None
    for number, record in enumerate(records[:100] if isinstance(records, list) else []):
        if isinstance(record, dict) and "message" in record:
            message = readable(hidden(without_statement(str(record["message"]))))
            words.append(f"  record {number + 1}{named(sent, number)}: {message}")
    return hidden("\n".join(words))[:20000]


def without_statement(message: str) -> str:
    """A server's message without the statement that its database refused: other records' values may stand in it."""
    return re.sub(
        "\\s?\\((?:Connection: [^()]*, )?SQL: [\\s\\S]*",
        "",
        html.unescape(message[:20000]),
    )


def named(sent: bytes | None, number: int) -> str:
    """The name of a record that was sent, to say which one the server refused."""
    body = parsed((sent or b"").decode("utf-8", "replace"))
    rows = body.get("resource") if isinstance(body, dict) else body
    row = rows[number] if isinstance(rows, list) and number < len(rows) else None
    name = (
        next((row[key] for key in ("email", "name", "path") if key in row), "")
        if isinstance(row, dict)
        else ""
    )
    return f" ({readable(str(name))})" if name else ""


def readable(text: str) -> str:
    """A server's text on one line, without what would steer a terminal."""
    return " ".join(printable(text).split())


def printable(text: str) -> str:
    """The text without what would steer a terminal; it keeps its lines."""
    return "".join(c if c.isprintable() or c == "\n" else " " for c in text)


def reason_of(error: Exception) -> str:
    """What went wrong, without the URL, in which a secret may stand."""
    cause = getattr(error, "original", None) or error
    if isinstance(cause, ConnectionError):
        return type(cause).__name__
    return readable(str(cause)) or type(cause).__name__


def hidden(text: str, secrets: dict[str, str]) -> str:
    """The text with other words (`secrets`: value to words) for each secret, however it is written there.

    One of fewer than four characters cannot be told from ordinary text: it is hidden where it is all there is.
    """
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret.strip()) > 3:
            text = forms_of(secret.strip()).sub(secrets[secret], text)
        elif secret and text == secret:
            text = secrets[secret]
    return text


@lru_cache(maxsize=256)
def forms_of(secret: str) -> re.Pattern[str]:
    """A pattern of all that may stand for a value: itself, or escaped for JSON, HTML or a URL, or it is in base64."""
    forms = ["".join(map(form_of, re.findall(r"\\+|[\s\b]+|.", secret, re.DOTALL)))]
    forms.append(
        "".join(
            rf"&#(?:0{{0,3}}{ord(char)}|[xX]0{{0,3}}(?i:{ord(char):x}));"
            for char in secret
        )
    )
    in_json = [
        json.dumps(secret, ensure_ascii=ascii_only)[1:-1]
        for ascii_only in (True, False)
    ]
    for written in sorted(
        {secret, *in_json, *(text.replace("/", "\\/") for text in in_json)}
    ):
        content = written.encode("utf-8", "surrogatepass")
        for shift in (
            range(3) if len(content) > 5 else ()
        ):  # the inside of a longer text, too
            encoded = base64.b64encode(b" " * shift + content).decode().rstrip("=")
            inside = encoded[
                4 if shift else 0 : len(encoded) // 4 * 4 if len(encoded) % 4 else None
            ]
            if len(inside) > 7:
                plus, slash, end = (
                    rf"%(?:25){{0,2}}{octet}" for octet in ("2[Bb]", "2[Ff]", "3[Dd]")
                )
                inside = (
                    re.escape(inside)
                    .replace(r"\+", f"(?:[+-]|{plus})")
                    .replace("/", rf"(?:\\?/|_|{slash})")
                )
                forms.append(
                    rf"[\w+/-]{{0,4}}{inside}(?:[\w+/-]|{plus}|{slash})*(?:=|{end})*"
                )
    return re.compile("|".join(forms))


def form_of(part: str) -> str:
    """A pattern of what may stand for a character of a secret, for a run of blanks, or for one of backslashes."""
    code = ord(part[0])
    backslash = r"(?:\\|%(?:25){0,2}5[Cc])"
    if part[0] == "\\":
        return rf"(?:{backslash}|&#(?:0{{0,2}}92|(?i:x0{{0,2}}5c));|&bsol;){{{len(part)},{8 * len(part)}}}"
    if part[0].isspace() or part[0] == "\b":  # told on one line, several become one
        octet = r"%(?:25){0,2}(?:20|0[89A-Da-d]|1[C-Fc-f]|[89A-Fa-f]\w)"
        escaped = rf"{backslash}{{1,4}}(?:[bfnrt]|u[0-9A-Fa-f]{{4}})"
        entity = "&(?:amp;){0,2}(?:#0{0,2}(?:9|1[0-3]|32|160)|#x0{0,2}(?:9|[a-d]|20|a0)|nbsp|tab|newline);"
        return rf"(?:[\s\b]|\+|{octet}|{escaped}|(?i:{entity})){{1,99}}"
    if part.isascii() and part.isalnum():
        return part
    octets = "".join(
        f"%(?:25){{0,2}}{octet:02x}" for octet in part.encode("utf-8", "surrogatepass")
    )
    units = part.encode("utf-16-be", "surrogatepass").hex()
    escaped = "".join(
        rf"{backslash}{{1,4}}u{units[at : at + 4]}" for at in range(0, len(units), 4)
    )
    entity = f"&(?:amp;){{0,2}}(?:#0{{0,2}}{code}|#x0{{0,2}}{code:x}|[a-z][a-z0-9]{{1,30}});"  # whatever its name is
    form = rf"(?:(?i:{escaped}|{entity})|{backslash}{{0,4}}(?:(?i:{octets})|{re.escape(part)}))"
    return form + "{1,2}" if part == '"' else form  # twice in CSV


def upper(text: str) -> str:
    """The text with its ASCII letters upper."""
    return "".join(c.upper() if c.isascii() else c for c in text)


def having(records: list[Any], match: dict[str, Any]) -> list[dict[str, Any]]:
    """The records that have all these values; the server shows an empty text as null."""

    def shown(value: Any) -> str:
        return "null" if value == "" else json.dumps(value)

    return [
        record
        for record in records
        if isinstance(record, dict)
        and all(
            shown(record.get(name)) == shown(value) for name, value in match.items()
        )
    ]


def whole_list(read: Callable[[int], tuple[list[Any], int]]) -> list[Any]:
    """All records of a list. `read` gives those from a place on, and how many there are in all (0: it does not say).

    Raises CutShort when they cannot all be had.
    """
    records: list[Any] = []
    total = 0
    for _ in range(1000):
        shown, count = read(len(records))
        if count < total or (records and shown[:1] == records[:1]):
            break
        records += shown
        total = count
        if not shown or len(records) >= total:
            return records
    told = f"only {len(records)} of {total} records could be read"
    raise CutShort(
        f"{told}: the list changes (run again), or is cut (raise DB_MAX_RECORDS_RETURNED)"
    )


class CutShort(Exception):
    """A list could not be read to its end."""


def whole(wanted: dict[str, Any]) -> dict[str, Any]:
    """The record to create, with its nested rows; or what else is sent to make it."""
    if "sent" in wanted:
        return dict(wanted["sent"]["body"])
    rows = {
        relation: [entry["row"] for entry in given["rows"] if entry["row"] is not None]
        for relation, given in wanted["rows"].items()
    }
    return {**wanted["record"], **rows}


def changes(
    wanted: dict[str, Any], have: dict[str, Any], *, fresh: bool = False
) -> dict[str, Any]:
    """What to send so that the record becomes as wanted; empty when it already is.

    Secrets that the server hides go along with another change, and to a record that this run itself made (`fresh`).
    """
    changed = {
        field: value
        for field, value in wanted["record"].items()
        if field in have and is_other(field, value, have[field], wanted)
    }
    for relation, given in wanted["rows"].items():
        if rows := row_changes(given, objects_in(have.get(relation))):
            changed[relation] = rows
    if changed or fresh:
        changed |= {field: wanted["record"][field] for field in unseen(wanted, have)}
    shaped = wanted.get("shaped", {}).items()
    changed |= {
        field: wanted["record"][field]
        for field, by in shaped
        if by in changed and field in wanted["record"]
    }
    if changed:
        changed |= {
            field: ""
            for field in wanted.get("needs", [])
            if field not in changed and have.get(field) is None
        }
    return changed


def objects_in(value: Any) -> list[dict[str, Any]]:
    """The objects of a list, none of what is no list."""
    return (
        [item for item in value if isinstance(item, dict)]
        if isinstance(value, list)
        else []
    )


def unseen(wanted: dict[str, Any], have: dict[str, Any]) -> list[str]:
    """The fields with secrets that cannot be compared, as the server masks them or does not show them at all."""
    return [
        field
        for field in wanted.get("secrets", [])
        if field not in have or "**********" in str(have[field])
    ]


def is_other(field: str, value: Any, have: Any, wanted: dict[str, Any]) -> bool:
    """Whether a field has another value than is wanted: free JSON as a whole, else what the server shows of it."""
    if field in wanted.get("whole", []) and field not in wanted["later"]:
        return unlike(value, have)
    return differs(value, have, wanted["later"], field)


def unlike(wanted: Any, have: Any) -> bool:
    """Whether two JSON values differ in anything."""
    if isinstance(wanted, dict) and isinstance(have, dict):
        return wanted.keys() != have.keys() or any(
            unlike(value, have[name]) for name, value in wanted.items()
        )
    if isinstance(wanted, list) and isinstance(have, list):
        return len(wanted) != len(have) or any(map(unlike, wanted, have))
    return differs(wanted, have)


def row_changes(
    given: dict[str, Any], rest: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """What to send for the nested rows of one relation, of which `rest` are there."""
    there = [taken(rest, entry["keys"]) for entry in given["rows"]]
    sent = []
    for entry, row in zip(given["rows"], there, strict=True):
        if row is None and entry["row"] is not None and given.get("may_differ"):
            loose = {
                field: value
                for field, value in entry["keys"][0].items()
                if field not in given["may_differ"]
            }
            row = taken(rest, [loose], only=True)
        own = {} if row is None else {given["id"]: row.get(given["id"])}
        if entry.get("later"):
            continue
        if entry["row"] is None:
            sent += [{**own, given["parent"]: None}] if own else []
        elif row is None or differs(entry["row"], row):
            sent.append({**own, **entry["row"]})
    return sent + [
        {given["id"]: row[given["id"]], given["parent"]: None}
        for row in rest
        if given.get("only")
    ]


def taken(
    rest: list[dict[str, Any]], keys: list[dict[str, Any]], *, only: bool = False
) -> dict[str, Any] | None:
    """The first row with one of the keys (the newest first), taken out of `rest`; `only` when no other has it."""
    for key in keys:
        rows = [row for row in rest if not differs(key, row)]
        if rows and not (only and len(rows) > 1):
            rest.remove(rows[0])
            return rows[0]
    return None


def field_changes(
    changed: dict[str, Any], have: dict[str, Any], rows: dict[str, dict[str, Any]]
) -> list[tuple[str, Any, Any]]:
    """What sending `changed` does, place by place: where, the value now, the value then. None: none.

    `rows` names the relations in it, and the fields `id` and `parent` of their rows.
    """
    told: list[tuple[str, Any, Any]] = []
    for name, value in changed.items():
        old = have.get(name)
        if name not in rows or not isinstance(value, list):
            told += value_changes(name, old, value) or [(name, old, value)]
            continue
        own, parent = rows[name]["id"], rows[name]["parent"]
        there = objects_in(old)
        for row in value:
            known = [
                n
                for n, other in enumerate(there)
                if row.get(own) is not None and other.get(own) == row[own]
            ]
            place = f"{name}[{known[0] if known else 'new'}]"
            if not known:
                told.append((place, None, row))
            elif parent in row and row[parent] is None:
                told.append((place, there[known[0]], None))
            else:
                told += value_changes(place, there[known[0]], row)
    return told


def value_changes(place: str, have: Any, wanted: Any) -> list[tuple[str, Any, Any]]:
    """The same for one value: an object is told by the members that change."""
    if not isinstance(wanted, dict) or not isinstance(have, dict):
        return [(place, have, wanted)]
    told = []
    for name, value in wanted.items():
        if differs(value, have.get(name)):
            told += value_changes(f"{place}.{name}", have.get(name), value)
    return told


def differs(
    wanted: Any, have: Any, later: list[str] | tuple[str, ...] = (), place: str = ""
) -> bool:
    """Whether the server has another value than is wanted, as far as the server shows it."""
    if place in later or have == "**********":
        return False
    if isinstance(wanted, dict) and isinstance(have, dict):
        inside = f"{place}." if place else ""
        return any(
            field in have and differs(value, have[field], later, f"{inside}{field}")
            for field, value in wanted.items()
        )
    empty: tuple[Any, ...] = (None, "", [], {})
    if wanted in empty or have in empty:
        return not (wanted in empty and have in empty)
    if isinstance(wanted, list) or isinstance(have, list):
        rest = items_of(have)
        for item in items_of(wanted):
            same = [
                number
                for number, other in enumerate(rest)
                if not differs(item, other, later, f"{place}[]")
            ]
            if not same:
                return True
            del rest[same[0]]
        return bool(rest)
    return plain(wanted, have) != plain(have, wanted)


def items_of(value: Any) -> list[Any]:
    """The items of a list; a text with commas is one too: e-mail addresses and verbs read back as lists."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",")]
    return list(value) if isinstance(value, list) else [value]


def plain(value: Any, other: Any) -> str:
    """A scalar as text, in which 1, "1" and true are the same; beside true or false, "true" (XML, forms) is so, too."""
    if isinstance(other, bool) and str(value).lower() in ("true", "false"):
        return str(int(str(value).lower() == "true"))
    return str(int(value)) if isinstance(value, bool) else str(value)


def pick(answer: Any, *pointer: str | int) -> Any:
    """The text or number at a place in an answer. Raises StepFailed when it has none there."""
    value = part_of(answer, *pointer)
    return part_of(None, *pointer) if type(value) in (dict, list) else value


def pick_number(answer: Any, *pointer: str | int) -> Any:
    """The whole number at a place in an answer, which may be written as a text. Raises StepFailed when it is none."""
    value = pick(answer, *pointer)
    if not re.fullmatch("-?[0-9]+", str(value)):
        raise StepFailed(
            f"{'/'.join(map(str, pointer))} of the answer is no whole number"
        )
    return value


def part_of(answer: Any, *pointer: str | int) -> Any:
    """What stands at a place in an answer. Raises StepFailed when nothing does."""
    for key in pointer:
        try:
            answer = answer[key]
        except (KeyError, IndexError, TypeError):
            answer = None
    if answer is None:
        place = "/".join(map(str, pointer))
        raise StepFailed(f"the answer has no {place}, which a later step needs")
    return answer


def to_json(value: Any) -> bytes:
    """Compact JSON in UTF-8."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace")


def tear_down(df: DreamFactory) -> None:
    """Delete what runs of this journey created on the instance, and nothing else; safe after a failed run."""
    if df.logs_in:
        answer = df.call(
            "Log in as an administrator",
            "POST",
            "/api/v2/system/admin/session",
            json={"password": df.password, "email": df.email},
            signs_on=True,
        )
        df.session_token = pick(answer, "session_token")

    df.tear_down()


@dataclass(frozen=True)
class Setting:
    """What a person may give: in the environment, or as a column of a CSV file."""

    env: str
    parse: Callable[[str], Any] = str
    default: Any = None
    required: bool = False
    to_log_in: bool = False  # needed only without a session token
    to_undo: bool = False  # needed to delete what earlier runs created
    to_undo_signed_on: bool = False  # the same with a session token
    is_name: bool = False  # gets a suffix of its own in each iteration, unless given


SETTINGS: dict[str, Setting] = {
    "email": Setting(
        "DF_EMAIL",
        required=True,
        to_log_in=True,
        to_undo=True,
    ),
    "password": Setting(
        "DF_PASSWORD",
        required=True,
        to_log_in=True,
        to_undo=True,
    ),
    "tenant": Setting(
        "DF_TENANT",
        default="acme",
        is_name=True,
    ),
}
DANGERS: list[str] = []
CREATED = os.environ.get("DF_CREATED") or "provision_tenant.created.jsonl"


def values_of(row: dict[str, str], suffix: str) -> dict[str, Any]:
    """The value of each setting: the row's, else the environment's, else the recorded one with the suffix."""
    values = {}
    for name, setting in SETTINGS.items():
        text = row.get(name) or os.environ.get(setting.env)
        values[name] = setting.parse(text) if text else setting.default
        if not text and setting.is_name and os.environ.get("DF_UNIQUE") != "0":
            # In front of an e-mail's @.
            start, at, domain = setting.default.partition("@")
            values[name] = f"{start}{suffix}{at}{domain}"
    return values


def problems(columns: set[str]) -> list[str]:
    """What is missing or wrong in this process's environment, beside what a CSV file has columns for."""
    environment = os.environ
    token = environment.get("DF_SESSION_TOKEN")
    undo = environment.get("DF_TEARDOWN") == "1"
    missing = [
        setting.env
        for name, setting in SETTINGS.items()
        if setting.required
        and name not in columns
        and not environment.get(setting.env)
        and (
            (setting.to_undo_signed_on if token else setting.to_undo)
            if undo
            else not (setting.to_log_in and token)
        )
    ]
    found = [f"set {', '.join(missing)} first"] if missing else []
    for setting in SETTINGS.values():
        text = environment.get(setting.env, "")
        if text.encode("utf-8", "replace").decode() != text:
            found.append(f"{setting.env} is not valid UTF-8")
        try:
            setting.parse(text) if text else None
        except ValueError as error:
            found.append(f"{setting.env} {error}")
    return found


class Rows:
    """What there is to do, numbered; the master, or the only process, hands out each item once.

    That is each row of a CSV file (DF_CSV), so many iterations (DF_ITERATIONS), or without both one
    iteration after the other without end.
    """

    def __init__(
        self, environment: Any, rows: list[dict[str, str]] | None, made: list[str]
    ) -> None:
        self.environment = environment
        self.rows, self.made = rows, made
        self.run = secrets.token_hex(4)
        self.items = enumerate(self.rows if self.rows is not None else repeat({}), 1)
        self.returned: list[dict[str, Any]] = []
        # By number: who has the row, and what is in it.
        self.out: dict[int, tuple[str, dict[str, Any]]] = {}
        self.done, self.failed = 0, 0

    def hand_out(self, environment: Any, msg: Any, **more: Any) -> None:
        """Answer a user who asks what to do; None when there is nothing left."""
        item = self.returned.pop() if self.returned else self._next()
        if item is not None:
            self.out[item["number"]] = (msg.node_id, item)
        answer = {"ticket": msg.data["ticket"], "item": item}
        self.environment.runner.send_message("dfrecord_item", answer, msg.node_id)

    def _next(self) -> dict[str, Any] | None:
        number, row = next(self.items, (0, {}))
        return (
            {
                "number": number,
                "row": row,
                "suffix": f"_{self.run}_{number}",
                "made": self.made,
            }
            if number
            else None
        )

    def take_back(self, environment: Any, msg: Any, **more: Any) -> None:
        """Somebody else shall have an item whose user was stopped before it came."""
        number = msg.data["number"]
        if number in self.out:
            self.returned.append(self.out.pop(number)[1])

    def end(self, environment: Any, msg: Any, **more: Any) -> None:
        """An iteration is over."""
        self._end(msg.data["number"], msg.data["failure"], msg.data["told"])

    def _end(self, number: int, failure: str, told: str = "") -> None:
        if self.out.pop(number, None) is None:
            return
        self.done += 1
        self.failed += bool(failure)
        if self.rows is None:
            return
        if failure:
            logging.error("%d (of %d) failed: %s", number, len(self.rows), failure)
        else:
            logging.info(
                "%d (of %d) done%s", number, len(self.rows), f": {told}" if told else ""
            )
        if self.done == len(self.rows):
            self._finish()

    def _finish(self) -> None:
        assert self.rows is not None
        logging.info(
            "%d of %d done, %d of them failed", self.done, len(self.rows), self.failed
        )
        if (
            self.failed or self.done < len(self.rows)
        ) and not self.environment.process_exit_code:
            self.environment.process_exit_code = 1
        leave(self.environment)

    def watch(self) -> None:
        """Count what lost workers had as failed; it may be half done, so nobody else gets it."""
        while self.rows is not None and self.done < len(self.rows):
            time.sleep(1)
            workers = workers_of(self.environment)
            for number, (worker, _) in list(self.out.items()):
                if worker not in workers:
                    self._end(number, "its worker is gone; it may be half done")
            if 0 < self.done < len(self.rows) and not workers:
                self._finish()
                break


def workers_of(environment: Any) -> set[str]:
    """The ids of the processes that run users."""
    runner = environment.runner
    if isinstance(runner, MasterRunner):
        return {worker.id for worker in runner.clients.all if worker.state != "missing"}
    return {"local"}


def leave(environment: Any) -> None:
    """End the test, and the program when it has no page to look at the results."""
    runner = environment.runner
    Thread(target=runner.stop if environment.web_ui else runner.quit).start()


def rows_of(path: str) -> list[dict[str, str]]:
    """The rows of a CSV file, by setting. Raises ValueError that says what is wrong, and where."""
    known = {setting.env: name for name, setting in SETTINGS.items()}
    known |= {
        setting.env.removeprefix("DF_").lower(): name
        for name, setting in SETTINGS.items()
    }
    rows = []
    with open(path, encoding="utf-8-sig", newline="") as file:
        lines = csv.reader(file, strict=True)
        columns = [column.strip() for column in next(lines, [])]
        unknown = [column for column in columns if column not in known]
        if unknown:
            raise ValueError(
                f"{path}: no column {unknown[0]!r} is known: choose of {', '.join(known)}"
            )
        if len({known[column] for column in columns}) < len(columns):
            raise ValueError(f"{path}: a column stands there twice")
        for fields in filter(None, lines):
            where = f"{path}, line {lines.line_num}"
            if len(fields) != len(columns):
                raise ValueError(
                    f"{where}: {len(fields)} fields, but {len(columns)} columns"
                )
            row = {
                known[column]: field
                for column, field in zip(columns, fields, strict=True)
            }
            for name, field in row.items():
                setting = SETTINGS[name]
                if setting.required and not field:
                    raise ValueError(f"{where}: {name} is empty")
                try:
                    setting.parse(field) if field else None
                except ValueError as error:
                    raise ValueError(f"{where}: {name} {error}") from None
            rows.append(row)
    if not rows:
        raise ValueError(f"{path}: no rows below the line of column names")
    return rows


def work() -> list[dict[str, str]] | None:
    """The rows to hand out, None for no end of them. Raises ValueError."""
    path, times = os.environ.get("DF_CSV"), os.environ.get("DF_ITERATIONS")
    if os.environ.get("DF_TEARDOWN") == "1":
        return [{}]
    if path and times:
        raise ValueError("DF_CSV and DF_ITERATIONS exclude each other")
    if path:
        try:
            return rows_of(path)
        except (UnicodeDecodeError, csv.Error) as error:
            raise ValueError(f"{path}: {error}; save it as CSV in UTF-8") from None
    if times and not (times.isascii() and times.isdigit() and int(times)):
        raise ValueError("DF_ITERATIONS is not a number of iterations")
    return [{}] * int(times) if times else None


class Waiting:
    """The users of this process who wait to be told what to do."""

    def __init__(self) -> None:
        self.tickets = 0
        self.answers: dict[int, Queue[dict[str, Any] | None]] = {}
        self.stopping = False

    def take(self, environment: Any) -> dict[str, Any]:
        """The next thing to do. Raises StopUser when there is nothing left."""
        self.tickets += 1
        ticket = self.tickets
        answer = self.answers[ticket] = Queue()
        try:
            if not self.stopping:
                environment.runner.send_message("dfrecord_take", {"ticket": ticket})
            item = None if self.stopping else answer.get()
        finally:
            del self.answers[ticket]
        if item is None:
            raise StopUser
        return item

    def receive(self, environment: Any, msg: Any, **more: Any) -> None:
        """Give the user who asked what the master has handed out."""
        ticket, item = msg.data["ticket"], msg.data["item"]
        if ticket in self.answers:
            self.answers[ticket].put(item)
        elif item is not None:
            environment.runner.send_message("dfrecord_back", {"number": item["number"]})

    def start(self, **more: Any) -> None:
        self.stopping = False

    def stop(self, **more: Any) -> None:
        """Nobody waits any longer: a worker that stops reads no messages."""
        self.stopping = True
        for answer in self.answers.values():
            answer.put(None)


WAITING = Waiting()


def refuse(environment: Any, msg: Any, **more: Any) -> None:
    """A worker cannot run the journey."""
    if environment.process_exit_code != 2:
        logging.error(
            "%s: %s; nothing was sent", msg.node_id, "; ".join(msg.data["problems"])
        )
        environment.process_exit_code = 2
        leave(environment)


def prepare(environment: Any, **more: Any) -> None:
    """Check what was given, before any user starts, and be ready to hand out work. Exits with 2."""
    runner = environment.runner
    if isinstance(runner, (WorkerRunner, LocalRunner)):
        runner.register_message("dfrecord_item", WAITING.receive)
        events.test_start.add_listener(WAITING.start)
        events.test_stopping.add_listener(WAITING.stop)
    if isinstance(runner, WorkerRunner):
        return
    found: list[str] = []
    rows: list[dict[str, str]] | None = None
    try:
        rows = work()
    except (OSError, ValueError) as error:
        found.append(str(error))
    host = environment.host or os.environ.get("DF_BASE_URL", "")
    if not host.lower().startswith(("http://", "https://")) and not (
        environment.web_ui and not host
    ):
        found.append(
            "set DF_BASE_URL (or --host) to an address that begins with http:// or https://"
        )
    elif host.rstrip("/").endswith("/api/v2") or {*"?#@"} & set(host):
        found.append(
            "DF_BASE_URL (or --host) must be the address of the instance alone, without /api/v2, ?, # or @"
        )
    try:
        float(os.environ.get("DF_WAIT") or 0)
    except ValueError:
        found.append("DF_WAIT is not a number of seconds")
    if isinstance(runner, LocalRunner) and not found:
        found += problems(set(rows[0]) if rows else set())
    if (
        DANGERS
        and os.environ.get("DF_YES") != "1"
        and os.environ.get("DF_TEARDOWN") != "1"
    ):
        found += [
            "these steps need your consent (DF_YES=1):",
            *(f"  {danger}" for danger in DANGERS),
        ]
    try:
        with open(CREATED, "ab") as file:
            if os.path.isfile(CREATED):
                with open(
                    CREATED, "rb"
                ) as notes:  # a full disk may have cut the last one off
                    file.write(b"" if notes.read()[-1:] in b"\n" else b"\n")
    except OSError as error:
        found.append(
            f"{CREATED}: cannot be written ({error.strerror}); choose another DF_CREATED"
        )
    runner.register_message("dfrecord_note", note)
    if found:
        print(*found, "nothing was sent", sep="\n", file=sys.stderr)
        sys.exit(2)

    if rows is not None or os.environ.get("DF_TEARDOWN") == "each":
        # A stopped user ends its iteration.
        environment.stop_timeout = environment.stop_timeout or 60
    current: list[Rows] = []

    def start(environment: Any, **more: Any) -> None:
        current[:] = [
            Rows(
                environment,
                rows,
                noted(environment) if os.environ.get("DF_TEARDOWN") == "1" else [],
            )
        ]
        Thread(target=current[0].watch, daemon=True).start()

    events.test_start.add_listener(start)
    runner.register_message(
        "dfrecord_take", lambda **message: current[0].hand_out(**message)
    )
    runner.register_message(
        "dfrecord_back", lambda **message: current[0].take_back(**message)
    )
    runner.register_message("dfrecord_end", lambda **message: current[0].end(**message))
    runner.register_message("dfrecord_refuse", refuse)


events.init.add_listener(prepare)


def note(environment: Any, msg: Any, **more: Any) -> None:
    """Note what was created or deleted, on the machine that hands out the work."""
    line = json.dumps(msg.data)
    try:
        with open(CREATED, "a", encoding="utf-8") as file:
            file.write(line + "\n")
    except OSError as error:
        logging.error(
            "%s: %s; this is not noted there: %s", CREATED, error.strerror, line
        )
        environment.process_exit_code = environment.process_exit_code or 1


def noted(environment: Any) -> list[str]:
    """The paths of what is noted as created on this instance and not as deleted."""
    host = environment.host or os.environ["DF_BASE_URL"]
    paths: dict[str, None] = {}
    with open(CREATED, encoding="utf-8", errors="replace") as file:
        notes = [parsed(line) for line in file]
    for each in notes:
        if isinstance(each, dict) and each.get("base_url") == host.rstrip("/"):
            paths.pop(each.get("deleted", ""), None)
            paths |= {each["created"]: None} if "created" in each else {}
    return list(paths)


@cache
def tls() -> SSLContext:
    """One context for all users; it checks certificates."""
    return create_default_context()


class OutOfBounds(OSError):
    """An answer is too long, takes too long, or could unpack to anything."""


class Exact(LocustUserAgent):
    """Sends method, target and headers as given; no cookies, no redirects, and any answer that can be read is one.

    What cannot be read, or not within bounds, is a failed request like one without an answer.
    """

    redirect_response_codes = frozenset()
    given: tuple[str, str, list[tuple[str, str]]]

    def _urlopen(self, request: Any) -> FastResponse:
        client = self.clientpool.get_client(request.url_split)
        method, target, sent = self.given
        headers = Headers()
        if not any(name.lower() == "accept-encoding" for name, _ in sent):
            headers.add("Accept-Encoding", "gzip, deflate")
        for name, value in sent:
            headers.add(name, value.encode().decode("latin-1"))
        base = request.url.removesuffix(target)
        server = "/".join(base.split("/", 3)[:3])
        # A server that sends a byte now and then lets no socket time out.
        with Timeout(300, OutOfBounds("the answer takes too long")):
            answer = client.request(
                method, server + base[len(server) :] + target, request.payload, headers
            )
            response = FastResponse(
                answer, request=request, sent_request=answer._sent_request
            )
            response._cached_content = self._content(response, answer.info())
        return response

    def _content(
        self, response: FastResponse, headers: Headers, most: int = 64 * 1024 * 1024
    ) -> bytes:
        """The body, unpacked, of at most so many bytes."""
        packed = ", ".join(headers.getlist("Content-Encoding") or ["identity"]).lower()
        if packed not in ("identity", "gzip", "x-gzip", "deflate"):
            raise OutOfBounds(
                f"the answer is packed in a way that was not asked for: {packed}"
            )
        content = bytearray()
        while len(content) <= most and (piece := response.read(64 * 1024)):
            content += piece
        response.release()
        if content and packed != "identity":
            # deflate comes with zlib's first byte or without
            window = (
                31 if packed.endswith("gzip") else 15 if content[0] & 15 == 8 else -15
            )
            unpacker = zlib.decompressobj(window)
            content = bytearray(unpacker.decompress(content, most + 1))
            if len(content) <= most and not unpacker.eof:
                raise OutOfBounds("the answer ends in the middle of what is packed")
        if len(content) > most:
            raise OutOfBounds(f"the answer is longer than {most // 1024**2} MB")
        return bytes(content)

    def _verify_status(self, status_code: int, url: Any = None) -> None:
        """The step decides."""


class ProvisionTenant(FastHttpUser):
    """One iteration is the whole journey, under names of its own."""

    host = os.environ.get("DF_BASE_URL", "").rstrip("/") or None

    def wait_time(self) -> float:
        return float(os.environ.get("DF_WAIT") or 0)

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self.exact = Exact(
            ssl_context_factory=tls,
            network_timeout=30,
            connection_timeout=30,
            max_retries=0,
        )
        self.client.client = self.exact

    @tag(
        "admin_session", "app", "create", "login", "provision_tenant", "role", "service"
    )
    @task
    def iteration(self) -> None:
        item = WAITING.take(self.environment)
        runner = self.environment.runner
        found = problems(set(item["row"]))
        if found:
            runner.send_message("dfrecord_back", {"number": item["number"]})
            runner.send_message("dfrecord_refuse", {"problems": found})
            raise StopUser
        values = values_of(item["row"], item["suffix"])
        df = DreamFactory(
            str(self.host),
            self.client,
            self.exact,
            email=values["email"] or "",
            password=values["password"] or "",
            session_token=os.environ.get("DF_SESSION_TOKEN", ""),
            made=tuple(item["made"]),
            note=lambda note: runner.send_message("dfrecord_note", note),
            number=item["number"],
            suffix=item["suffix"],
            patient=bool(item["row"] or item["made"]),
        )
        failure, told = "stopped before its end", ""
        try:
            if os.environ.get("DF_TEARDOWN") == "1":
                df.step("tear_down", "delete")
                tear_down(df)
            else:
                told = self.journey(df, values)
            failure = ""
        except StepFailed as error:
            failure = str(error)
        finally:
            df.settle(failure)
            if os.environ.get("DF_TEARDOWN") == "each":
                failure = self.undo(df) or failure
            runner.send_message(
                "dfrecord_end",
                {
                    "number": item["number"],
                    "failure": df.counted(failure),
                    "told": told,
                },
            )

    def journey(self, df: DreamFactory, values: dict[str, Any]) -> str:
        """The whole journey, counted as a request of its own. Returns what it did. Raises StepFailed."""
        began, clock, failure = time.time(), time.perf_counter(), None
        try:
            result = provision_tenant(
                df,
                tenant=values["tenant"],
            )
        except StepFailed as error:
            failure = CatchResponseError(df.counted(f"{df.name}: {error}"))
            raise
        finally:
            self.environment.events.request.fire(
                request_type="journey",
                name="provision_tenant",
                response_time=(time.perf_counter() - clock) * 1000,
                response_length=0,
                exception=failure,
                context={"step": "", "tags": (), "iteration": df.number},
                start_time=began,
                url=df.base_url,
            )
        shown = {
            name: value
            for name, value in asdict(result).items()
            if name not in ("app_api_key",)
        }
        return df.summary() + f" {json.dumps(shown)}"

    def undo(self, df: DreamFactory) -> str:
        """Delete what the iteration created. Returns what went wrong."""
        failure = ""
        try:
            df.step("tear_down", "delete")
            tear_down(df)
        except StepFailed as error:
            failure = str(error)
        df.settle(failure)
        return failure


if __name__ == "__main__":
    os.execv(
        sys.executable, [sys.executable, "-m", "locust", "-f", __file__, *sys.argv[1:]]
    )
