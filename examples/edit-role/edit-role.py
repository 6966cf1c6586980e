#!/usr/bin/env python3
# /// script
# requires-python = ">=3.11"
# dependencies = ["requests>=2.32.4"]
# ///
# ruff: noqa: E501
# Recorded values stay on one line each, however long they are, so that they can be searched for.
"""edit role: 2 steps recorded in edit-role.har.

    uv run edit_role.py --base-url https://df.example.com

`pipx run` does the same, and so does `python3` where requests is installed.
Taken from the environment:

    DF_BASE_URL       required; the instance, or --base-url
    DF_EMAIL          required unless DF_SESSION_TOKEN is set; the account that logs in, or --email
    DF_PASSWORD       required unless DF_SESSION_TOKEN is set; secret, the password of that account
    DF_SESSION_TOKEN  optional; secret, a session token to use instead of logging in

Exit codes: 0 done, 1 a step failed, 2 something to set is missing (nothing was sent).
"""

# What dfrecord noticed in the recording (11 entries):
# - left out, 1x: role_service_access_by_role_id[].id (made by the server) (update_role)
# - left out, 1x: role_service_access_by_role_id[].role_id (the row's own parent, filled in by the server) (update_role)
# - dropped, 1x: console noise: the console asks for its support chat setting
# - dropped, 3x: console noise: the console's dashboard counts records
# - dropped, 5x: read that no later step needs

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
from collections.abc import Callable
from contextlib import ExitStack
from functools import lru_cache
from http.cookiejar import DefaultCookiePolicy
from threading import Thread
from typing import Any
from urllib.parse import quote

import requests


def edit_role(df: DreamFactory) -> None:
    """edit role."""

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

    # 2. Find role warehouse-reader
    role_id = df.find(
        "Find role warehouse-reader",
        "role",
        "/api/v2/system/role",
        {"name": "warehouse-reader"},
    )

    # 3. Find service partner_api
    service_id = df.find(
        "Find service partner_api",
        "service",
        "/api/v2/system/service",
        {"name": "partner_api"},
    )

    # 4. Update role warehouse-reader
    # Note: left out: role_service_access_by_role_id[].id (made by the server)
    # Note: left out: role_service_access_by_role_id[].role_id (the row's own parent, filled in by the server)
    df.call(
        "Update role warehouse-reader",
        "PUT",
        f"/api/v2/system/role/{uri(role_id)}",
        json={
            "description": "Reads the warehouse and the partner API",
            "role_service_access_by_role_id": [
                {
                    "service_id": service_id,
                    "component": "*",
                    "verb_mask": 5,
                    "requestor_mask": 1,
                    "filters": [],
                }
            ],
        },
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
        signs_on: bool = False,
        acts_as: str = "",  # in a plan: "CALL" when it writes no record, or the verb it stands for
    ) -> Any:
        """Send one request; its answer, parsed if it is JSON. Raises StepFailed."""
        if self.planning and not signs_on and method in ("GET", "HEAD"):
            return self._plan_read(title, method, target, headers)
        if self.planning and not signs_on:
            if acts_as != "CALL":
                sent = json if body is None else parsed(body.decode("utf-8", "replace"))
                return self._plan_call(title, acts_as or method, target, sent, headers)
            self._plan(title, "call")
            return Unknown("(known after the run)")
        self._say(f"- {title}")
        content = to_json(json) if json is not None else body
        return self._request(title, method, target, content, headers, json is not None)

    def _request(
        self,
        title: str,
        method: str,
        target: str,
        body: bytes | None,
        headers: dict[str, str | None] | None,
        is_json: bool = False,
    ) -> Any:
        """Send; the parsed answer. Raises StepFailed when the server refuses."""
        status, text, reason = self._send(title, method, target, body, headers, is_json)
        self._say(f"  {method} {target} -> {status}", detail=True)
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

    def find(
        self,
        title: str,
        resource: str,
        path: str,
        match: dict[str, Any],
        *,
        rows: tuple[str, ...] = ("resource",),
        pick: str = "id",
        headers: dict[str, str | None] | None = None,
    ) -> Any:
        """The field `pick` of the one record that has all these values.

        Raises StepFailed when there is none, or several.
        """
        if self.planning and (
            Unknown.mark in path
            or any(isinstance(value, Unknown) for value in match.values())
        ):
            return self._planned_row(path, match, rows, pick)
        self._say(f"- {title}")
        found = self._search(title, resource, path, match, rows, pick, headers)
        if not found and self.planning and any(self.planned.values()):
            return Unknown("(new)")  # a call before it may make the record
        if not found:
            wanted = readable(self.hidden(json.dumps(match, ensure_ascii=False)))
            raise StepFailed(
                f"{title}: there is no {resource} with {wanted} on {self.base_url}"
            )
        if found[0].get(pick) is None:
            raise StepFailed(f"{title}: the {resource} that was found has no {pick}")
        return found[0][pick]

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

    def _plan_call(
        self,
        title: str,
        method: str,
        target: str,
        sent: Any,
        headers: dict[str, str | None] | None,
    ) -> Any:
        """Say what a write of records would do instead of sending it; an answer for the steps after it."""
        path, _, query = target.partition("?")
        rows = sent.get("resource") if isinstance(sent, dict) else sent
        rows = (
            [row for row in rows if isinstance(row, dict)]
            if isinstance(rows, list)
            else []
        )
        if method == "POST" and rows:
            made = [
                self._plan_record(title, path, row, len(rows) > 1, headers)
                for row in rows
            ]
            return {"resource": made}
        is_unread = not rows and not isinstance(sent, dict)
        if is_unread and (
            method == "POST" or (method != "DELETE" and sent is not None)
        ):
            self._plan(title, "create" if method == "POST" else "change")
            return Unknown("(known after the run)")
        named = [
            value
            for name, _, value in (pair.partition("=") for pair in query.split("&"))
            if name == "ids"
        ]
        own = "id"
        ids = (
            named[0].split(",")
            if named
            else [quote(str(row[own]), safe="") for row in rows if own in row]
        )
        paths = [f"{path}/{each}" for each in ids] or [path]
        bare = rows or [sent if isinstance(sent, dict) else {}]
        for number, each in enumerate(paths):
            name = f"{title} ({ids[number]})" if len(paths) > 1 else title
            if method == "DELETE":
                if self._read(name, each, headers) is not None:
                    self._plan(name, "delete")
                else:
                    self._plan(
                        name, "refused", why="it is not there, and a run stops here"
                    )
                self.predicted[each] = None
            else:
                record = bare[number] if len(bare) == len(paths) else bare[0]
                record = {
                    field: value
                    for field, value in record.items()
                    if not rows or field != own
                }
                self._plan_change(name, method, each, record, headers)
        return Unknown("(known after the run)")

    def _planned_row(
        self, path: str, match: dict[str, Any], rows: tuple[str, ...], pick: str
    ) -> Any:
        """The field `pick` of a nested row that steps before this one would make, of a record that is not there yet."""
        records: Any = self.predicted.get(path.partition("?")[0])
        for row in rows:
            records = records.get(row) if isinstance(records, dict) else records
        found = [row for row in objects_in(records) if not differs(match, row)]
        return found[0][pick] if found else Unknown("(known after the run)")

    def _plan_record(
        self,
        title: str,
        path: str,
        record: dict[str, Any],
        several: bool,
        headers: dict[str, str | None] | None,
    ) -> dict[str, Any]:
        """One record that a create sends."""
        key = {name: record[name] for name in KEYS.get(path, []) if name in record}
        title = f"{title} ({next(iter(key.values()))})" if several and key else title
        is_known = key and not any(isinstance(value, Unknown) for value in key.values())
        found = (
            self._search(title, "record", path, key, headers=headers)
            if is_known
            else []
        )
        own = "id"
        if (
            found
            and self.predicted.get(
                f"{path}/{quote(str(found[0].get(own)), safe='')}", found
            )
            is not None
        ):
            self._plan(
                title, "refused", why="it is there already, and a run stops here"
            )
            return {**record, **found[0]}
        return self._plan_create(title, path, record, relations_of(record))

    def _plan_change(
        self,
        title: str,
        method: str,
        path: str,
        sent: dict[str, Any],
        headers: dict[str, str | None] | None,
    ) -> None:
        """One record that an update sends; its nested rows are compared one by one."""
        rows = relations_of(sent)
        have = self._read(
            title, path + (f"?related={','.join(rows)}" if rows else ""), headers
        )
        if have is None and method == "POST":
            self._plan_create(title, path, sent, rows, named=True)
            return
        if have is None:
            self._plan(title, "refused", why="it is not there, and a run stops here")
            return
        plain_fields = {name: value for name, value in sent.items() if name not in rows}
        have = completed(have, plain_fields) if path in self.new else have
        changed = changes({"record": plain_fields, "later": [], "rows": {}}, have)
        for name in rows:
            known = objects_in(have.get(name))
            parent = rows[name]["parent"]
            new = [
                row
                for row in sent[name]
                if row.get(parent, "") is None
                or all(differs(row, old) for old in known)
            ]
            changed |= {name: new} if new else {}
        fields = field_changes(changed, have, rows)
        places = {place for place, _, _ in fields}
        fields += [
            each
            for each in self._set_unseen("", plain_fields, have)
            if each[0] not in places
        ]
        if fields:
            self._plan(title, "change", fields)
        else:
            self._plan(title, "resend", why="sent again, changes nothing")
        self.predicted[path] = self._masked(written(have, changed, rows))

    def _set_unseen(
        self, above: str, sent: dict[str, Any], have: Any
    ) -> list[tuple[str, Any, Any]]:
        """The secrets that are sent where the instance does not show what it has: they are set, whatever it has."""
        told: list[tuple[str, Any, Any]] = []
        for name, value in sent.items():
            shown = have.get(name) if isinstance(have, dict) else None
            if isinstance(value, dict):
                told += self._set_unseen(f"{above}{name}.", value, shown)
            elif (
                value
                and value in self.secrets.values()
                and shown in (None, "**********")
            ):
                told.append((f"{above}{name}", shown, value))
        return told


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


KEYS: dict[str, list[str]] = {}
"""The fields that name the records of a list."""


def relations_of(record: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The relations in a record, whose names say what the rows point back with: `lookup_by_role_id`."""
    return {
        name: {"id": "id", "parent": name.rpartition("_by_")[2]}
        for name, value in record.items()
        if "_by_" in name and isinstance(value, list)
    }


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


def uri(value: object) -> str:
    """A value as part of a path or query."""
    return quote(str(value), safe="")


def main(argv: list[str] | None = None) -> int:
    """Run the journey with options and environment. Returns the exit code."""
    environment = os.environ
    parser = argparse.ArgumentParser(description="edit role", allow_abbrev=False)
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
    if problems:
        print(*problems, "nothing was sent", sep="\n", file=sys.stderr)
        return 2

    df = DreamFactory(
        arguments.base_url,
        email=arguments.email,
        password=environment.get("DF_PASSWORD", ""),
        session_token=token,
        planning=arguments.plan,
        timeout=arguments.timeout,
        verbose=arguments.verbose,
    )
    try:
        edit_role(
            df,
        )
    except StepFailed as error:
        print("failed:", printable(df.hidden(str(error))), file=sys.stderr)
        return 1
    if df.planning:
        return df.told_plan()
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
