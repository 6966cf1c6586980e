#!/usr/bin/env python3
# /// script
# requires-python = ">=3.11"
# dependencies = ["locust>=2.43"]
# ///
# ruff: noqa: E501
# Recorded values stay on one line each, however long they are, so that they can be searched for.
"""edit role: 2 steps recorded in edit-role.har, as a Locust user.

    locust -f edit_role.py --headless -u 50 -r 10 -t 5m         a load test
    DF_CSV=tenants.csv locust -f edit_role.py --headless -u 20  each row once
    locust -f edit_role.py --worker                             on more machines

For several machines add `--master --expect-workers N` to the first lines. One
iteration is the whole journey; the master numbers and hands out the iterations.
Taken from the environment:

    DF_BASE_URL       required; the instance
    DF_EMAIL          required unless DF_SESSION_TOKEN is set; the account that logs in
    DF_PASSWORD       required unless DF_SESSION_TOKEN is set; secret, the password of that account
    DF_SESSION_TOKEN  optional; secret, a session token to use instead of logging in
    DF_ITERATIONS     optional; so many iterations by all users together, then the run ends
    DF_CSV            optional; a file with columns for what is above (tenant for DF_TENANT): each row is run once
    DF_UNIQUE         optional; 0 for names as given or recorded, without a suffix for each iteration
    DF_WAIT           default 0; the seconds that a user waits between two iterations

Exit codes: 0 done, 1 a step failed, 2 something to set is missing (nothing was sent).
"""

# What dfrecord noticed in the recording (11 entries):
# - left out, 1x: role_service_access_by_role_id[].id (made by the server) (update_role)
# - left out, 1x: role_service_access_by_role_id[].role_id (the row's own parent, filled in by the server) (update_role)
# - dropped, 1x: console noise: the console asks for its support chat setting
# - dropped, 3x: console noise: the console's dashboard counts records
# - dropped, 5x: read that no later step needs

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
from dataclasses import dataclass
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


def edit_role(df: DreamFactory) -> None:
    """edit role."""

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

    # 2. Find role warehouse-reader
    df.step("find_role_id", "lookup", "role")
    role_id = df.find(
        "Find role warehouse-reader",
        "role",
        "/api/v2/system/role",
        {"name": "warehouse-reader"},
    )

    # 3. Find service partner_api
    df.step("find_service_id", "lookup", "service")
    service_id = df.find(
        "Find service partner_api",
        "service",
        "/api/v2/system/service",
        {"name": "partner_api"},
    )

    # 4. Update role warehouse-reader
    df.step("update_role", "update", "role")
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
        http: Any,
        exact: Exact,
        *,
        email: str = "",
        password: str = "",
        session_token: str = "",
        number: int = 1,
        suffix: str = "",
        patient: bool = False,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.email = email
        self.password = password
        self.session_token = session_token
        self.logs_in = not session_token
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
        signs_on: bool = False,
    ) -> Any:
        """Send one request; its answer, parsed if it is JSON. Raises StepFailed."""
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
        self._say(f"- {title}")
        found = self._search(title, resource, path, match, rows, pick, headers)
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
        for row in rows:
            records = records.get(row) if isinstance(records, dict) else records
        if not isinstance(records, list):
            raise StepFailed(f"{title}: the answer is no list of records")
        return records, count if isinstance(count, int) else 0


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


def uri(value: object) -> str:
    """A value as part of a path or query."""
    return quote(str(value), safe="")


@dataclass(frozen=True)
class Setting:
    """What a person may give: in the environment, or as a column of a CSV file."""

    env: str
    parse: Callable[[str], Any] = str
    default: Any = None
    required: bool = False
    to_log_in: bool = False  # needed only without a session token
    is_name: bool = False  # gets a suffix of its own in each iteration, unless given


SETTINGS: dict[str, Setting] = {
    "email": Setting(
        "DF_EMAIL",
        required=True,
        to_log_in=True,
    ),
    "password": Setting(
        "DF_PASSWORD",
        required=True,
        to_log_in=True,
    ),
}
DANGERS: list[str] = []


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
    missing = [
        setting.env
        for name, setting in SETTINGS.items()
        if setting.required
        and name not in columns
        and not environment.get(setting.env)
        and not (setting.to_log_in and token)
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
    if DANGERS and os.environ.get("DF_YES") != "1":
        found += [
            "these steps need your consent (DF_YES=1):",
            *(f"  {danger}" for danger in DANGERS),
        ]
    if found:
        print(*found, "nothing was sent", sep="\n", file=sys.stderr)
        sys.exit(2)

    if rows is not None:
        # A stopped user ends its iteration.
        environment.stop_timeout = environment.stop_timeout or 60
    current: list[Rows] = []

    def start(environment: Any, **more: Any) -> None:
        current[:] = [Rows(environment, rows, [])]
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


class EditRole(FastHttpUser):
    """One iteration is the whole journey."""

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

    @tag("admin_session", "edit_role", "login", "role", "update")
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
            number=item["number"],
            suffix=item["suffix"],
            patient=bool(item["row"] or item["made"]),
        )
        failure, told = "stopped before its end", ""
        try:
            told = self.journey(df, values)
            failure = ""
        except StepFailed as error:
            failure = str(error)
        finally:
            df.settle(failure)
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
            edit_role(
                df,
            )
        except StepFailed as error:
            failure = CatchResponseError(df.counted(f"{df.name}: {error}"))
            raise
        finally:
            self.environment.events.request.fire(
                request_type="journey",
                name="edit_role",
                response_time=(time.perf_counter() - clock) * 1000,
                response_length=0,
                exception=failure,
                context={"step": "", "tags": (), "iteration": df.number},
                start_time=began,
                url=df.base_url,
            )
        return ""


if __name__ == "__main__":
    os.execv(
        sys.executable, [sys.executable, "-m", "locust", "-f", __file__, *sys.argv[1:]]
    )
