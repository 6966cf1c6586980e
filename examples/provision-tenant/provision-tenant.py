#!/usr/bin/env python3
# /// script
# requires-python = ">=3.11"
# dependencies = ["requests>=2.32.4"]
# ///
# ruff: noqa: E501
# Recorded values stay on one line each, however long they are, so that they can be searched for.
"""provision tenant: 4 steps recorded in provision-tenant.har.

    uv run provision_tenant.py --base-url https://df.example.com

`pipx run` does the same, and so does `python3` where requests is installed.
Taken from the environment:

    DF_BASE_URL       required; the instance, or --base-url
    DF_EMAIL          required unless DF_SESSION_TOKEN is set; the account that logs in, or --email
    DF_PASSWORD       required unless DF_SESSION_TOKEN is set; secret, the password of that account
    DF_TENANT         default 'acme'; takes the place of acme, or --tenant
    DF_SESSION_TOKEN  optional; secret, a session token to use instead of logging in
    DF_TEARDOWN       optional; 1 to delete what earlier runs created here instead, or --teardown
    DF_CREATED        default provision_tenant.created.jsonl; the file that notes what runs create

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

if __name__ == "__main__":  # until all is loaded, Ctrl-C ends it without a word
    import _signal  # type: ignore[import-not-found]

    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)

import argparse
import base64
import html
import json
import os
import re
import sys
import time
from collections.abc import Callable, Container, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from http.cookiejar import DefaultCookiePolicy
from threading import Thread
from typing import Any
from urllib.parse import quote

import requests


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
    check_types(provision_tenant, locals())
    df.begin()
    df.made_for = given_otherwise({"DF_TENANT": (tenant, "acme")})
    tenant_upper = upper(tenant)

    # 1. Log in as an administrator
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
            "undo": {"hidden": [], "merged": ["config"], "foreign": {}},
        },
        makes="/api/v2/system/service",
    )
    service_id = pick_number(answer, "id")

    # 3. Create role acme-role
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
            "undo": {"hidden": [], "merged": [], "foreign": {}},
        },
        makes="/api/v2/system/role",
    )
    role_id = pick_number(answer, "id")

    # 4. Create app acme-app
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
            "undo": {"hidden": [], "merged": [], "foreign": {}},
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
        *,
        email: str = "",
        password: str = "",
        session_token: str = "",
        created_file: str = "provision_tenant.created.jsonl",
        planning: bool = False,
        timeout: float = 30.0,
        verbose: bool = False,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.email = email
        self.password = password
        self.session_token = session_token
        self.logs_in = not session_token
        self.planning = planning
        self.planned = dict.fromkeys(PLAN_SIGNS, 0)
        # In a plan, what each path would answer (None: deleted), and which of them would be new.
        self.predicted: dict[str, dict[str, Any] | None] = {}
        self.new: set[str] = set()
        self.outcomes = {"created": 0, "changed": 0, "deleted": 0, "unchanged": 0}
        self.fresh: set[str] = set()  # the paths of what this run created
        self.created_file = created_file
        # The parameters that this run was given another value for.
        self.made_for: dict[str, str] = {}
        self.creating: dict[str, Any] = {}  # what is sent and not answered yet
        # Hidden in all that is told.
        self.secrets: dict[str, Any] = {
            "DF_PASSWORD": password,
        }
        self.timeout = timeout
        self.verbose = verbose
        self.http = requests.Session()
        self.http.auth = lambda request: request  # or ~/.netrc would log in for us
        # No cookies: the session is its token.
        self.http.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self.http.headers["Accept-Encoding"] = "gzip, deflate"

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
        if self.planning and not signs_on and method in ("GET", "HEAD"):
            return self._plan_read(title, method, target, headers)
        if self.planning and not signs_on:
            self._plan(title, "call")
            return Unknown("(known after the run)")
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
        sent: dict[str, str | None] = {"Accept": "application/json"}
        if is_json:
            sent["Content-Type"] = "application/json"
        if self.session_token:
            sent["X-DreamFactory-Session-Token"] = self.session_token
        sent.update(headers or {})
        wire = {
            name: value if value is None else value.encode()
            for name, value in sent.items()
        }

        def exchange() -> tuple[requests.Response, bytes]:
            response = self.http.request(
                method,
                self.base_url + target,
                data=body,
                headers=wire,
                timeout=self.timeout,
                allow_redirects=False,
                stream=True,
            )
            return response, content_of(response)

        response, content = self._answered(title, exchange)
        reason = response.reason
        if response.is_redirect:
            location = readable(response.headers["Location"])
            reason = f"redirected to {location}, which is not followed"
        text = content.decode("utf-8-sig", "replace")
        if method != "GET" and text.startswith("["):  # some instances wrap no lists
            text = '{"resource": ' + text + "}"
        return response.status_code, text, reason

    def _answered(
        self, title: str, exchange: Callable[[], tuple[requests.Response, bytes]]
    ) -> tuple[requests.Response, bytes]:
        """An answer and its content. A server that is too busy to take the request (429) is asked again when it says."""
        for pause in (1, 2, 4, None):
            until = time.monotonic() + 300  # seconds for the whole answer
            try:
                response, content = within(lambda end=until: end - time.monotonic(), exchange)  # type: ignore[misc]
            except (requests.RequestException, OutOfBounds) as error:
                reason = reason_of(error)
                raise StepFailed(
                    f"{title}: no answer from {self.base_url}: {reason}"
                ) from error
            asked = response.headers.get("Retry-After", "")
            seconds = int(asked) if re.fullmatch("[0-9]{1,9}", asked) else pause
            if (
                response.status_code != 429
                or pause is None
                or seconds is None
                or seconds > 300
            ):
                break
            self._say(f"  the instance is busy (429): asking again in {seconds} s")
            time.sleep(seconds)
        return response, content

    def _say(self, text: str, *, detail: bool = False) -> None:
        """Tell the person who runs this."""
        if self.verbose or not detail:
            print(printable(self.hidden(text)), file=sys.stderr)

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
        if isinstance(
            records, dict
        ):  # rows of a record, as the steps before leave them
            records = {
                **records,
                **(self.predicted.get(target.partition("?")[0]) or {}),
            }
        for row in rows:
            records = records.get(row) if isinstance(records, dict) else records
        if not isinstance(records, list):
            raise StepFailed(f"{title}: the answer is no list of records")
        return records, count if isinstance(count, int) else 0

    def _read(
        self, title: str, target: str, headers: dict[str, str | None] | None
    ) -> dict[str, Any] | None:
        """One record, None when there is none; in a plan as it would be by then."""
        path = target.partition("?")[0]
        then = self.predicted.get(path, {})
        if then is None or path in self.new:
            return then
        status, text, reason = self._send(title, "GET", target, None, headers)
        self._say(f"  GET {target} -> {status}", detail=True)
        if status == 404:
            return None
        record = parsed(text)
        if not 200 <= status < 300:
            raise StepFailed(f"{title}: {status} {explain(text, reason, self.hidden)}")
        if not isinstance(record, dict):
            raise StepFailed(f"{title}: the answer is no record")
        return {**record, **then}

    def told_plan(self) -> int:
        """Say in a line what the run would do; the exit code, 3 when something would change."""
        counts = ", ".join(
            f"{self.planned[action]} to {action}"
            for action in ("create", "change", "delete")
        )
        calls = self.planned["call"]
        more = (
            f", {calls} other call{'s' if calls > 1 else ''} to send" if calls else ""
        )
        refused = (
            f", {self.planned['refused']} to be refused"
            if self.planned["refused"]
            else ""
        )
        print(f"Plan: {counts}{more}{refused}")
        return (
            3
            if any(
                count for action, count in self.planned.items() if action != "resend"
            )
            else 0
        )

    def _plan(
        self,
        title: str,
        action: str,
        fields: list[tuple[str, Any, Any]] | None = None,
        *,
        why: str = "",
    ) -> None:
        """Say what would be done, field by field: the name, the value now, the value then.

        A run stops at what is refused, and does not reach what comes after it.
        """
        if self.planned["refused"]:
            action, fields, why = "unreached", None, "not reached"
        self.planned[action] += 1
        title = printable(self.hidden(title))
        sign = PLAN_SIGNS[action]
        print(f"  {sign} {title}{f': {why}' if why else ''}")
        for name, old, new in fields or ():
            before = "" if action == "create" else f"{self._shown(old)} → "
            print(f"      {name}: {before}{self._shown(new)}")

    def _shown(self, value: Any) -> str:
        text = readable(
            json.dumps(self._without_secrets(value), ensure_ascii=False, default=str)
        )
        return text if len(text) <= 200 else text[:199] + "…"

    def _without_secrets(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {
                self._without_secrets(name): self._without_secrets(item)
                for name, item in value.items()
            }
        if isinstance(value, list):
            return [self._without_secrets(item) for item in value]
        return (
            hidden(
                value,
                {str(secret): "***" for secret in self.secrets.values() if secret},
            )
            if isinstance(value, str)
            else value
        )

    def _plan_create(
        self,
        title: str,
        path: str,
        record: dict[str, Any],
        rows: dict[str, Any],
        *,
        named: bool = False,
    ) -> dict[str, Any]:
        """Say that a record would be created; the record as it would be, with an id that stands for its own.

        A `named` one has its name in the path already. `rows` names its relations.
        """
        self._plan(
            title, "create", [(name, None, value) for name, value in record.items()]
        )
        new = Unknown(f"(new {len(self.new) + 1})")
        own = path if named else f"{path}/{quote(new, safe='')}"
        self.predicted[own] = self._masked(created(record, rows))
        self.new.add(own)
        return New({**record, "id": new})

    def _masked(self, value: Any) -> Any:
        """A record as the instance would show it: without the secrets in its fields."""
        if isinstance(value, dict):
            return {name: self._masked(item) for name, item in value.items()}
        return (
            "**********"
            if isinstance(value, str) and value and value in self.secrets.values()
            else value
        )

    def _plan_read(
        self,
        title: str,
        method: str,
        target: str,
        headers: dict[str, str | None] | None,
    ) -> Any:
        """The answer to a read; unknown where it is about what a run would make."""
        if Unknown.mark in target or any(
            isinstance(value, Unknown) for value in (headers or {}).values()
        ):
            return Unknown("(known after the run)")
        status, text, reason = self._send(title, method, target, None, headers)
        self._say(f"  {method} {target} -> {status}", detail=True)
        if status == 404:
            return Unknown("(known after the run)")
        if not 200 <= status < 300:
            raise StepFailed(f"{title}: {status} {explain(text, reason, self.hidden)}")
        return parsed(text)

    def begin(self) -> None:
        """Count anew: another run of the journey begins."""
        self.outcomes = dict.fromkeys(self.outcomes, 0)
        self.planned = dict.fromkeys(self.planned, 0)

    @property
    def wrote(self) -> bool:
        """Whether this run has changed anything, or would."""
        return any(self.planned.values()) or any(
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
            if found and differs(
                key,
                self.predicted.get(f"{path}/{quote(str(pick(found[0], own)), safe='')}")
                or key,
            ):
                continue  # in a plan: it is renamed by then
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
        if self.planning:
            return self._plan_create(
                title, path, record, wanted["rows"], named=not wanted["keys"]
            )
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
            if self.planning:
                if (
                    Unknown.mark in path and path not in self.predicted
                ):  # a call before it makes the record
                    self._plan(
                        title,
                        "change",
                        [(name, None, value) for name, value in whole(wanted).items()],
                    )
                    return New()
                self._plan(
                    title, "refused", why="it is not there, and a run stops here"
                )
                return New()
            raise StepFailed(f"{title}: there is no {path} on {self.base_url}")
        if path in self.new:
            have = completed(have, wanted["record"])
        changed = changes(
            wanted, have, fresh=path in (self.new if self.planning else self.fresh)
        )
        if not changed:
            self._tell(title, "unchanged")
            return have
        if self.planning:
            self._plan(title, "change", field_changes(changed, have, wanted["rows"]))
            self.predicted[path] = self._masked(written(have, changed, wanted["rows"]))
            return have
        self._note_changing(
            wanted["undo"].get("at", path), remembered(changed, have, wanted)
        )
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
        path = target.partition("?")[0]
        related = (
            f"?related={','.join(again['rows'])}" if again and again["rows"] else ""
        )
        have = self._read(title, path + related, headers) if there else None
        if have is None:
            self._tell(title, "unchanged", "already absent")
            return
        if self.planning:
            self._plan(title, "delete")
            self.predicted[target.partition("?")[0]] = None
            return
        if again and (note := removed(have, again)) and not self._holds_secret(note):
            self._note_removing(title, path.rpartition("/")[0], note, again, headers)
        self._request(title, "DELETE", target, None, headers)
        self._tell(title, "deleted")

    def _tell(self, title: str, outcome: str, more: str = "") -> None:
        self.outcomes[outcome] += 1
        if self.planning:
            return
        self._say(f"- {title}: {outcome}{f' ({more})' if more else ''}")

    def _notes(self) -> list[dict[str, Any]]:
        """What is noted about this instance, in order."""
        try:
            with open(self.created_file, encoding="utf-8", errors="replace") as file:
                notes = [parsed(line) for line in file]
        except FileNotFoundError:
            return []
        return [
            note
            for note in notes
            if isinstance(note, dict) and note.get("base_url") == self.base_url
        ]

    def _made(self) -> list[dict[str, Any]]:
        """The notes of what was made or changed on this instance and not undone since, in order.

        Sets `anew` to what a teardown that has not ended made anew: the path that each record had, and its id now.
        """
        self.anew: dict[str, Any] = {}
        made: dict[str, dict[str, Any]] = {}
        for note in self._notes():
            words = (
                "created",
                "creating",
                "changed",
                "removing",
                "deleted",
                "settled",
                "undone",
            )
            path = next((note[word] for word in words if word in note), None)
            place = json.dumps(
                [path, note.get("key") or [note.get("now"), note.get("was")]],
                sort_keys=True,
            )
            made.pop(place, None)
            if not {"created", "creating", "changed", "removing"}.isdisjoint(note):
                made[place] = note
            elif "is" in note:
                self._is_anew(str(path), note)
            self.anew = self.anew if made else {}
        return list(made.values())

    def _note(self, **note: Any) -> None:
        line = json.dumps({"base_url": self.base_url, **note})
        try:
            with open(self.created_file, "a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as error:
            raise StepFailed(
                f"{self.created_file}: {error.strerror}; this is not noted there: {line}"
            ) from None

    def _note_made(self, **note: Any) -> None:
        self._note(**({"for": self.made_for} if self.made_for else {}), **note)

    def tear_down(self) -> None:
        """Undo what runs with the same parameters noted on this instance, the newest first. Raises StepFailed."""
        own = "id"
        others: dict[str, int] = {}
        notes = self._made()
        mine = [note for note in notes if (note.get("for") or {}) == self.made_for]
        own_paths = {
            note.get("created") for note in mine
        }  # deleted, whatever they have become
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
            elif "changed" in note:
                if note["changed"] not in own_paths:
                    self._put_back(note)
                elif not self.planning:
                    self._note(undone=note["changed"], now=note["now"], was=note["was"])
            elif "removing" in note:
                self._make_anew(note)
            else:  # nobody heard the answer to this create
                path, key = note["creating"], note["key"]
                for row in self._search(f"Find {path}", "record", path, key):
                    self._delete(f"{path}/{quote(str(pick(row, own)), safe='')}")
                if self.planning:
                    continue
                self._note(settled=path, key=key)
        for words, number in others.items():
            self._say(
                f"- left alone: {number} made with {readable(words)}; give the same to delete them"
            )

    def _delete(self, path: str) -> None:
        if self.planning and self._read(f"Delete {path}", path, None) is None:
            return
        if self.planning:
            self._plan(f"Delete {path}", "delete")
            return
        status, text, reason = self._send(f"Delete {path}", "DELETE", path, None, None)
        if status != 404 and not 200 <= status < 300:
            raise StepFailed(
                f"Delete {path}: {status} {explain(text, reason, self.hidden)}"
            )
        self._note(deleted=path)
        self._say(
            f"- Delete {path}: {'already absent' if status == 404 else 'deleted'}"
        )

    def _put_back(self, note: dict[str, Any]) -> None:
        path, title = (
            path_now(note["changed"], self.anew),
            f"Put back {note['changed']}",
        )
        have = self._read(
            title,
            path + (f"?related={','.join(note['rows'])}" if note["rows"] else ""),
            None,
        )
        wanted, have = (
            brought_up_to_date(note, have, self.anew)
            if have is not None
            else (note, None)
        )
        back = taken_back(wanted, have) if have is not None else {}
        if self.planning:
            if have is not None and back:
                relations = {
                    name: {"id": own, "parent": parent}
                    for name, (own, parent) in note["rows"].items()
                }
                self._plan(title, "change", field_changes(back, have, relations))
            return
        if back:
            self._request(title, "PATCH", path, to_json(back), None, True)
        self._note(undone=note["changed"], now=note["now"], was=note["was"])
        told = (
            f"as before ({', '.join(back)})"
            if back
            else "already absent" if have is None else "nothing to put back"
        )
        left = changed_since(wanted, have) if have is not None else []
        told += (
            f"; left as somebody changed it since: {', '.join(left)}" if left else ""
        )
        self._say(f"- {title}: {told}")

    def _make_anew(self, note: dict[str, Any]) -> None:
        path, own = note["removing"], "id"
        title = (
            f"Make anew {readable(str(next(iter(note['key'].values()), '')))} in {path}"
        )
        key, record = (
            with_new_ids(note[part], note.get("foreign", {}), self.anew)
            for part in ("key", "record")
        )
        found = self._search(title, "record", path, key)
        if self.planning:
            if not found:
                self._plan(
                    title,
                    "create",
                    [(name, None, value) for name, value in record.items()],
                )

            self._is_anew(
                path,
                {"was": note.get("id"), "is": pick(found[0], own) if found else "new"},
            )
            return
        if found:
            made = found[0]
        else:
            body = to_json({"resource": [record]})
            made = part_of(
                self._request(title, "POST", path, body, None, True), "resource", 0
            )
        ids = {"was": note.get("id"), "is": pick(made, own)}
        self._is_anew(path, ids)
        self._note(undone=path, key=note["key"], **ids)
        self._say(
            f"- {title}: {'already there' if found else 'created, with another id'}"
        )

    def _is_anew(self, path: str, ids: dict[str, Any]) -> None:
        if ids["is"] != ids["was"]:
            self.anew[f"{path}/{quote(str(ids['was']), safe='')}"] = ids["is"]

    def _holds_secret(self, value: Any) -> bool:
        """Whether it cannot be noted, as a secret stands in it."""
        return self.hidden(told := json.dumps(value)) != told

    def _is_named_by_secret(self, path: str) -> bool:
        """The same of the path of a record: ids are no secrets."""
        return not (name := path.rpartition("/")[2]).isdigit() and self._holds_secret(
            name
        )

    def _note_changing(self, path: str, change: dict[str, Any]) -> None:
        """Note before it is sent what a change of a found record does, with what was there."""
        if change and path not in self.fresh and not self._holds_secret(change):
            self._note_made(changed=path, **change)

    def _note_removing(
        self,
        title: str,
        path: str,
        removal: dict[str, Any],
        again: dict[str, Any],
        headers: dict[str, str | None] | None,
    ) -> None:
        """Note before it is deleted what a found record was, and before that what points to it; undone backwards."""
        for refers in again["refers"]:
            related = f"?related={','.join(refers['rows'])}" if refers["rows"] else ""
            none_at = 404 if refers.get("optional") else 0
            where = f"{title}: {refers['path']}"
            rows = self._records(
                where, refers["path"] + related, ("resource",), headers, none_at=none_at
            )
            for change in references(objects_in(rows), refers, path, removal["id"]):
                self._note_changing(change.pop("changed"), change)
        self._note_made(removing=path, **removal)

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


def within(left: Callable[[], float], send: Callable[[], Any]) -> Any:
    """What `send` gives or raises. Raises OutOfBounds when no seconds are left.

    A server that sends a byte now and then lets no socket time out.
    """
    given: list[Any] = []
    raised: list[BaseException | None] = []

    def keep(_: object, error: BaseException | None, __: object) -> bool:
        raised.append(error)
        return True

    def run() -> None:
        with ExitStack() as stack:
            stack.push(keep)
            given.append(send())

    thread = Thread(target=run, daemon=True)
    thread.start()
    while thread.is_alive():
        if (seconds := left()) <= 0:
            raise OutOfBounds("the answer takes too long")
        thread.join(min(seconds, 1))
    if raised[0] is not None:
        raise raised[0]
    return given[0]


def content_of(response: requests.Response, most: int = 64 * 1024 * 1024) -> bytes:
    """The body, unpacked. Raises OutOfBounds for more than so many bytes.

    Only gzip and deflate are asked for: of other ways, and of one inside
    another, a few bytes may unpack to gigabytes.
    """
    packed = response.headers.get("Content-Encoding", "identity")
    if packed.lower() not in ("identity", "gzip", "x-gzip", "deflate"):
        raise OutOfBounds(
            f"the answer is packed in a way that was not asked for: {packed}"
        )
    content = bytearray()
    with response:
        for piece in response.iter_content(64 * 1024):
            content += piece
            if len(content) > most:
                raise OutOfBounds(f"the answer is longer than {most // 1024**2} MB")
    return bytes(content)


class OutOfBounds(Exception):
    """An answer is too long, takes too long, or could unpack to anything."""


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


class WrongType(TypeError):
    """The journey was called with a value that it cannot take; nothing was sent."""


def check_types(function: Callable[..., Any], given: dict[str, Any]) -> None:
    """Raises WrongType when an argument is not of the type that the function's signature says."""
    types: dict[str, tuple[type, ...]] = {
        "str": (str,),
        "int": (int,),
        "float": (int, float),
        "bool": (bool,),
    }
    for name, value in given.items():
        annotation = function.__annotations__[name]
        wanted = annotation.removesuffix(" | None")
        if wanted not in types or (value is None and wanted != annotation):
            continue
        if not isinstance(value, types[wanted]) or (
            isinstance(value, bool) and wanted != "bool"
        ):
            raise WrongType(
                f"{function.__name__}: {name} must be of the type {annotation}; nothing was sent"
            )


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
    """The innermost cause; what requests puts around it would show the whole URL."""
    cause: BaseException = error
    while cause.__context__ is not None:
        cause = cause.__context__
    if isinstance(cause, requests.RequestException):
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


PLAN_SIGNS = {
    "create": "+",
    "change": "~",
    "delete": "-",
    "call": ">",
    "resend": "=",
    "refused": "!",
    "unreached": "·",
}


class Unknown(str):
    """A value that the server makes, in a plan: it stands for any part of an answer."""

    mark = quote("(new")

    def __getitem__(self, key: Any) -> Unknown:
        return self


class New(dict[str, Any]):
    """A record that a run would create: what is not sent, the server makes."""

    def __missing__(self, key: str) -> Unknown:
        return Unknown("(known after the run)")


def given_otherwise(values: dict[str, tuple[Any, Any]]) -> dict[str, str]:
    """The parameters that have another value than the recorded one, as text: a run undoes what runs with these made."""
    return {
        env: value if isinstance(value, str) else json.dumps(value)
        for env, (value, recorded) in values.items()
        if value != recorded
    }


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


def remembered(
    changed: dict[str, Any], have: dict[str, Any], wanted: dict[str, Any]
) -> dict[str, Any]:
    """What to note so that sending `changed` can be taken back: {was, now, rows, merged, …}; empty when nothing can be.

    `wanted["undo"]` names the places that are never noted, as they hold secrets, the free ones that are not where they
    match `secret`, the fields that the server merges member by member, and the places of ids. Of a relation, `was` has
    the rows that are sent as they were, and the ids of the others.
    """
    hidden, merged = wanted["undo"]["hidden"], wanted["undo"]["merged"]
    was: dict[str, Any] = {}
    now: dict[str, Any] = {}
    rows: dict[str, Any] = {}
    for place, value in changed.items():
        if place in wanted["rows"]:
            own = wanted["rows"][place]["id"]
            rows[place] = [own, wanted["rows"][place]["parent"]]
            sent = [row.get(own) for row in value]
            there = rows_with(own, have.get(place))
            whole_rows = [
                row[own] in sent and notable(row, hidden, f"{place}[]") == row
                for row in there
            ]
            was[place] = [
                row if whole else {own: row[own]}
                for row, whole in zip(there, whole_rows, strict=True)
            ]
            now[place] = [notable(row, hidden, f"{place}[]") for row in value]
        elif (
            place in have
            and place not in hidden
            and not is_shy(place, have[place], value, wanted["undo"])
        ):
            old, new = have[place], value
            if place in merged and isinstance(old, dict) and isinstance(new, dict):
                old, new = notable(old, hidden, place), notable(new, hidden, place)
                old, new = [
                    {name: part[name] for name in new if name in old}
                    for part in (old, new)
                ]
            if "**********" not in str(old) and (old, new) != ({}, {}):
                was[place], now[place] = old, new
    merged = [
        place
        for place in merged
        if isinstance(was.get(place), dict) and isinstance(now[place], dict)
    ]
    foreign = foreign_in(was, wanted["undo"]["foreign"])
    whole = (
        {"whole": told}
        if (told := [place for place in wanted.get("whole", []) if place in was])
        else {}
    )
    return (
        {
            "was": was,
            "now": now,
            "rows": rows,
            "merged": merged,
            "foreign": foreign,
            **whole,
        }
        if was
        else {}
    )


def is_shy(place: str, old: Any, new: Any, undo: dict[str, Any]) -> bool:
    """Whether the old or the new value of free text, or free JSON, may hold a secret."""
    told = json.dumps(
        [{place: old}, {place: new}], ensure_ascii=False, separators=(",", ":")
    )
    return (
        place in undo.get("free", [])
        and re.search(undo["secret"], told, re.IGNORECASE) is not None
    )


def removed(have: dict[str, Any], again: dict[str, Any]) -> dict[str, Any]:
    """What to note so that a record which is deleted can be made anew: {key, id, record, foreign}, and maybe by_name.

    `again` names the fields of its natural key and its id, the places that the server makes, `[id, parent]` of the rows
    it has, and the places of ids. Empty when it may hold a secret: its JSON matches `secret`, or something is masked.
    """
    told = json.dumps(have, ensure_ascii=False, separators=(",", ":"))
    if (
        not again
        or "**********" in told
        or (again["secret"] and re.search(again["secret"], told, re.IGNORECASE))
    ):
        return {}
    key = {name: have.get(name) for name in again["key"]}
    record = {name: value for name, value in have.items() if value is not None}
    for place in again["made"]:
        record = without_place(record, place.split("."))
    for relation, own in again["rows"].items():
        rows = objects_in(record.pop(relation, None))
        if rows:
            record[relation] = [
                {name: value for name, value in row.items() if name not in own}
                for row in rows
            ]
    by_name = {"by_name": again["by_name"]} if "by_name" in again else {}
    return {
        "key": key,
        "id": have.get(again["id"]),
        "record": record,
        "foreign": again["foreign"],
        **by_name,
    }


def without_place(value: Any, place: list[str]) -> Any:
    """The value without what stands at a place of it; lists on the way are walked."""
    if isinstance(value, list):
        return [without_place(item, place) for item in value]
    if not isinstance(value, dict) or place[0] not in value:
        return value
    if len(place) == 1:
        return {name: item for name, item in value.items() if name != place[0]}
    return {**value, place[0]: without_place(value[place[0]], place[1:])}


def references(
    records: list[dict[str, Any]], refers: dict[str, Any], path: str, identifier: Any
) -> Iterator[dict[str, Any]]:
    """What to note about the records of a list that point to the record `path`/`identifier`, which is deleted.

    `refers` is of that list: {path, id, rows, merged, needs, foreign, …}, with the `[id, parent]` of rows.
    """
    for record in records:
        was: dict[str, Any] = {}
        now: dict[str, Any] = {}
        for place in (
            place for place, lists in refers["foreign"].items() if path in lists
        ):
            top, *inside = place.split(".")
            value = record.get(top)
            if top in refers["rows"]:
                own, [field] = refers["rows"][top][0], inside
                there = [
                    row for row in rows_with(own, value) if row.get(field) == identifier
                ]
                if there:
                    was[top] = was.get(top, []) + there
                    now[top] = now.get(top, []) + [
                        {own: row[own], field: None} for row in there
                    ]
            elif isinstance(value, dict):
                part = {inside[0]: value.get(inside[0])}
                left = at_place(
                    part, inside, lambda there: None if there == identifier else there
                )
                if left != part and "**********" not in str(part):
                    was[top], now[top] = (
                        was.get(top, {}) | part,
                        now.get(top, {}) | left,
                    )
            elif value == identifier and not inside:
                was[top], now[top] = value, None
        if was:
            yield {
                "changed": f"{refers['path']}/{quote(str(record[refers['id']]), safe='')}",
                **{"was": was, "now": now},
                "rows": {
                    name: own for name, own in refers["rows"].items() if name in was
                },
                "merged": [name for name in refers["merged"] if name in was],
                "needs": refers["needs"],
                "foreign": foreign_in(was, refers["foreign"]),
            }


def foreign_in(
    noted: dict[str, Any], foreign: dict[str, list[str]]
) -> dict[str, list[str]]:
    """The places of ids that stand in what was noted."""
    found = {}
    for place, lists in foreign.items():
        top, *inside = place.split(".")
        if top in noted and (
            not isinstance(noted[top], dict) or noted[top].keys() >= set(inside[:1])
        ):
            found[place] = lists
    return found


def at_place(value: Any, place: list[str], change: Callable[[Any], Any]) -> Any:
    """The value with what stands at a place of it changed, wherever there is such a place."""
    if isinstance(value, list):
        return [at_place(item, place, change) for item in value]
    if not place:
        return change(value)
    if not isinstance(value, dict) or place[0] not in value:
        return value
    return {**value, place[0]: at_place(value[place[0]], place[1:], change)}


def at_ids(
    value: Any, foreign: dict[str, list[str]], change: Callable[[Any, list[str]], Any]
) -> Any:
    """The value with its ids changed; `change` gets one, and the lists that it may be of."""
    for place, lists in foreign.items():

        def changed(there: Any, lists: list[str] = lists) -> Any:
            return change(there, lists)

        value = at_place(value, place.split("."), changed)
    return value


def with_new_ids(
    noted: Any, foreign: dict[str, list[str]], anew: dict[str, Any]
) -> Any:
    """What was noted, with the ids that records have now which were made anew."""
    return at_ids(noted, foreign, lambda id, lists: new_id(id, lists, anew, id))


def new_id(old: Any, lists: list[str], anew: dict[str, Any], otherwise: Any) -> Any:
    """The id that a record of one of the lists has now, if it was made anew."""
    return next(
        (
            anew[path]
            for each in lists
            if (path := f"{each}/{quote(str(old), safe='')}") in anew
        ),
        otherwise,
    )


def brought_up_to_date(
    note: dict[str, Any], have: dict[str, Any], anew: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A note of a change and the record that it is about, after records were made anew."""
    foreign = note.get("foreign", {})
    was, now = (with_new_ids(note[when], foreign, anew) for when in ("was", "now"))
    living = at_ids(
        have,
        foreign,
        lambda id, lists: id if new_id(id, lists, anew, None) is None else None,
    )
    return {**note, "was": was, "now": now}, living


def path_now(path: str, anew: dict[str, Any]) -> str:
    """Where the record is that was at this path."""
    return (
        f"{path.rpartition('/')[0]}/{quote(str(anew[path]), safe='')}"
        if path in anew
        else path
    )


def rows_with(own: str, value: Any) -> list[dict[str, Any]]:
    """The rows of a relation that have an id."""
    return [row for row in objects_in(value) if isinstance(row.get(own), int | str)]


def notable(record: dict[str, Any], hidden: list[str], place: str) -> dict[str, Any]:
    """The members of a record that may be noted: no secrets, and nothing that the server masks."""
    return {
        name: value
        for name, value in record.items()
        if f"{place}.{name}" not in hidden and "**********" not in str(value)
    }


def taken_back(note: dict[str, Any], have: dict[str, Any]) -> dict[str, Any]:
    """What to send so that a noted change is undone; what has been changed again since stays as it is."""
    back: dict[str, Any] = {}
    for place, was in note["was"].items():
        now = note["now"][place]
        if place in note["rows"]:
            own, parent = note["rows"][place]
            sent: Any = rows_taken_back(
                was, now, rows_with(own, have.get(place)), own, parent
            )
        elif place in note["merged"]:
            there = have.get(place)
            sent = values_taken_back(was, now, there if isinstance(there, dict) else {})
        else:
            back |= values_taken_back(
                {place: was}, {place: now}, have, note.get("whole", [])
            )
            continue
        if sent:
            back[place] = sent
    if back:
        back |= {
            field: ""
            for field in note.get("needs", [])
            if field not in back and have.get(field) is None
        }
    return back


def changed_since(note: dict[str, Any], have: dict[str, Any]) -> list[str]:
    """Where a record is neither as the run left it nor as it was before: somebody changed it since, so it stays."""
    whole = note.get("whole", [])
    told = [
        place
        for place, was, now, there in noted_places(note, have)
        if all(
            (unlike if place in whole else differs)(left, there) for left in (now, was)
        )
    ]
    return list(dict.fromkeys(told))


def noted_places(
    note: dict[str, Any], have: dict[str, Any]
) -> Iterator[tuple[str, Any, Any, Any]]:
    """Place by place what a note says was there and was sent, and what is there now."""
    for place, was in note["was"].items():
        now, there = note["now"][place], have.get(place)
        if place in note["rows"]:
            own = note["rows"][place][0]
            old, rows = [
                {row[own]: row for row in rows_with(own, each)} for each in (was, there)
            ]
            sent = [row for row in now if row.get(own) in old and row.get(own) in rows]
            yield from ((place, old[row[own]], row, rows[row[own]]) for row in sent)
        elif place in note["merged"] and isinstance(there, dict):
            yield from (
                (f"{place}.{name}", old, now[name], there[name])
                for name, old in was.items()
                if name in there
            )
        elif place in have:
            yield place, was, now, there


def values_taken_back(
    was: dict[str, Any],
    now: dict[str, Any],
    have: dict[str, Any],
    whole: Container[str] = (),
) -> dict[str, Any]:
    """The old values, as the server had them, where the record still has the new ones; `whole` fields are free JSON."""
    return {
        name: old
        for name, old in was.items()
        if name in have
        and not (unlike if name in whole else differs)(now[name], have[name])
        and old != have[name]
    }


def rows_taken_back(
    was: list[dict[str, Any]],
    now: list[dict[str, Any]],
    have: list[dict[str, Any]],
    own: str,
    parent: str,
) -> list[dict[str, Any]]:
    """The same for nested rows: added ones go, changed ones get their old values, removed ones are made anew.

    Removed is a row of which only nulls were sent: its parent's id, or one that died with its record. Added ones go
    first, and changed ones follow backwards: a name that a row gets back is free by then. The one row that has its
    parent's id (a service's document) stays: the server removes none.
    """
    old = {row[own]: row for row in was}
    there = {row[own]: row for row in have}
    added = [row for row in have if row[own] not in old]
    gone, changed, anew = [], [], []
    for sent in now:
        before, row = old.get(sent.get(own)), there.get(sent.get(own))
        if sent.get(own) is None:
            new = taken(added, [sent])
            gone += [{own: new[own], parent: None}] if new and own != parent else []
        elif row is None:
            if (
                before
                and len(before) > 1
                and all(sent[name] is None for name in sent if name != own)
            ):
                anew.append(
                    {
                        name: value
                        for name, value in before.items()
                        if name not in (own, parent)
                    }
                )
        elif before and not differs(sent, row):
            values = {
                name: before[name]
                for name in sent
                if name in before and differs(before[name], row.get(name))
            }
            changed += [{own: row[own], **values}] if values else []
    return gone + changed[::-1] + anew


def created(
    record: dict[str, Any],
    rows: dict[str, dict[str, Any]],
    *,
    drops_empty: bool = False,
) -> dict[str, Any]:
    """A record that would be created; its nested rows get ids, by which later writes can change and remove them.

    Where the server drops what is empty, nobody knows what it has instead.
    """
    return {
        name: (
            with_ids(value, rows[name]["id"], 0)
            if name in rows and isinstance(value, list)
            else value
        )
        for name, value in record.items()
        if value or not drops_empty
    }


def with_ids(given: list[Any], own: str, known: int) -> list[Any]:
    """Rows with an id each; `known` others have one already."""
    return [
        {**row, own: f"(known after create) {known + number}"}
        for number, row in enumerate(objects_in(given))
    ]


def completed(record: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """A record that would be created, with null where a later write sets what its create leaves out."""
    whole = {**dict.fromkeys(wanted), **record}
    for name, value in wanted.items():
        if isinstance(value, dict) and isinstance(whole[name], dict):
            whole[name] = completed(whole[name], value)
    return whole


def written(
    record: dict[str, Any], changed: dict[str, Any], rows: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    """A record after a write: nested rows that are sent are merged, added, or gone where their parent is null."""
    result = dict(record)
    for name, value in changed.items():
        old = record.get(name)
        if name in rows and isinstance(value, list):
            own, parent = rows[name]["id"], rows[name]["parent"]
            there = objects_in(old)
            sent = {row[own]: row for row in value if row.get(own) is not None}
            kept = [{**row, **sent.get(row.get(own), {})} for row in there]
            added = with_ids(
                [row for row in value if row.get(own) is None], own, len(there)
            )
            value = [row for row in kept + added if row.get(parent, "") is not None]
        elif isinstance(old, dict) and isinstance(value, dict):
            value = {**old, **value}
        result[name] = value
    return result


def pick(answer: Any, *pointer: str | int) -> Any:
    """The text or number at a place in an answer. Raises StepFailed when it has none there."""
    value = part_of(answer, *pointer)
    return part_of(None, *pointer) if type(value) in (dict, list) else value


def pick_number(answer: Any, *pointer: str | int) -> Any:
    """The whole number at a place in an answer, which may be written as a text. Raises StepFailed when it is none."""
    value = pick(answer, *pointer)
    if not isinstance(value, Unknown) and not re.fullmatch("-?[0-9]+", str(value)):
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


def tear_down(df: DreamFactory, *, tenant: str = "acme") -> None:
    """Delete what runs of this journey created on the instance, and nothing else; safe after a failed run."""
    # What runs with other names made is left alone.
    df.made_for = given_otherwise({"DF_TENANT": (tenant, "acme")})
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


def main(argv: list[str] | None = None) -> int:
    """Run the journey with options and environment. Returns the exit code."""
    environment = os.environ
    parser = argparse.ArgumentParser(description="provision tenant", allow_abbrev=False)
    parser.add_argument(
        "--base-url",
        default=environment.get("DF_BASE_URL", ""),
        help="the instance (DF_BASE_URL)",
    )
    parser.add_argument(
        "--email",
        default=environment.get("DF_EMAIL") or "",
        help="the account that logs in (DF_EMAIL)",
    )
    parser.add_argument(
        "--tenant",
        default=environment.get("DF_TENANT") or "acme",
        help="takes the place of acme (DF_TENANT)",
    )
    parser.add_argument(
        "--teardown",
        action="store_true",
        default=environment.get("DF_TEARDOWN") == "1",
        help="delete what earlier runs created on the instance (DF_TEARDOWN=1)",
    )
    parser.add_argument(
        "--created-file",
        default=environment.get("DF_CREATED") or "provision_tenant.created.jsonl",
        metavar="FILE",
        help="notes what runs create (DF_CREATED)",
    )
    parser.add_argument(
        "--plan",
        action="store_true",
        help="change nothing: read the instance and tell what would change; exit code 3 if anything",
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=30.0,
        metavar="SECONDS",
        help="for each request (30)",
    )
    parser.add_argument(
        "--verbose", action="store_true", help="show each request and its status"
    )
    parser.add_argument(
        "--yes",
        action="store_true",
        default=environment.get("DF_YES") == "1",
        help="agree to dangerous steps (DF_YES=1)",
    )
    arguments = parser.parse_args(argv)
    token = environment.get("DF_SESSION_TOKEN", "")

    needed = {
        "DF_BASE_URL": arguments.base_url,
    }
    if not token:
        needed |= {
            "DF_EMAIL": arguments.email,
            "DF_PASSWORD": environment.get("DF_PASSWORD"),
        }
    problems = (
        []
        if 0 < arguments.timeout <= 86400
        else ["--timeout must be more than 0, and at most a day (86400)"]
    )
    missing = [name for name, value in needed.items() if value in ("", None)]
    if missing:
        problems.append(f"set {', '.join(missing)} first")
    elif not arguments.base_url.lower().startswith(("http://", "https://")):
        problems.append("DF_BASE_URL must begin with http:// or https://")
    elif arguments.base_url.rstrip("/").endswith("/api/v2") or {*"?#@"} & set(
        arguments.base_url
    ):
        problems.append(
            "DF_BASE_URL must be the address of the instance alone, without /api/v2, ?, # or @"
        )
    for name, value in needed.items():
        if str(value).encode("utf-8", "replace").decode() != str(value):
            problems.append(f"{name} is not valid UTF-8")
    try:
        with open(arguments.created_file, "ab") as file:
            if os.path.isfile(arguments.created_file):
                with open(
                    arguments.created_file, "rb"
                ) as notes:  # a full disk may have cut the last one off
                    file.write(b"" if notes.read()[-1:] in b"\n" else b"\n")
    except OSError as error:
        problems.append(
            f"{arguments.created_file}: cannot be written ({error.strerror}); choose another --created-file"
        )
    if problems:
        print(*problems, "nothing was sent", sep="\n", file=sys.stderr)
        return 2

    df = DreamFactory(
        arguments.base_url,
        email=arguments.email,
        password=environment.get("DF_PASSWORD", ""),
        session_token=token,
        created_file=arguments.created_file,
        planning=arguments.plan,
        timeout=arguments.timeout,
        verbose=arguments.verbose,
    )
    try:
        if arguments.teardown:
            tear_down(df, tenant=arguments.tenant)
            return df.told_plan() if df.planning else 0
        result = provision_tenant(
            df,
            tenant=arguments.tenant,
        )
    except StepFailed as error:
        print("failed:", printable(df.hidden(str(error))), file=sys.stderr)
        return 1
    except WrongType as error:  # of a secret: what else is given is looked at above
        print(error, file=sys.stderr)
        return 2
    if df.planning:
        return df.told_plan()
    print(df.summary(), file=sys.stderr)
    shown = {
        name: value
        for name, value in asdict(result).items()
        if name not in ("app_api_key",)
    }
    print(json.dumps(shown))
    return 0


if __name__ == "__main__":
    try:
        if _signal.getsignal(_signal.SIGINT) is _signal.SIG_DFL:
            _signal.signal(_signal.SIGINT, _signal.default_int_handler)
        code = main()
        if sys.stdout:
            sys.stdout.flush()
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        code = 130
    except OSError as error:  # standard output is full, or nobody reads it any more
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = 141 if isinstance(error, BrokenPipeError) else 1
        if code == 1:
            print(f"failed: {error}", file=sys.stderr)
    sys.exit(code)
