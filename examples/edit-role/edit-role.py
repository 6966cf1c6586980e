#!/usr/bin/env python3
# /// script
# requires-python = ">=3.11"
# dependencies = ["requests>=2.31"]
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

import argparse
import html
import json
import os
import sys
from typing import Any
from urllib.parse import quote

import requests


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
        self.planned = {"create": 0, "change": 0, "delete": 0, "call": 0, "refused": 0}
        self.predicted: dict[str, dict[str, Any] | None] = (
            {}
        )  # by path, in a plan; None: deleted
        self.secrets: set[str] = set()
        self.timeout = timeout
        self.verbose = verbose
        self.http = requests.Session()
        self.http.auth = lambda request: request  # or ~/.netrc would log in for us

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
        if self.planning and not signs_on and method not in ("GET", "HEAD"):
            return self._plan_call(title, method, target, json, headers)
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
            raise StepFailed(f"{title}: {status} {explain(text, reason, body)}")
        return parsed(text)

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
        try:
            response = self.http.request(
                method,
                self.base_url + target,
                data=body,
                headers={
                    name: value if value is None else value.encode()
                    for name, value in sent.items()
                },
                timeout=self.timeout,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            reason = reason_of(error)
            raise StepFailed(
                f"{title}: no answer from {self.base_url}: {reason}"
            ) from error
        reason = response.reason
        if response.is_redirect:
            location = readable(response.headers["Location"])
            reason = f"redirected to {location}, which is not followed"
        return response.status_code, response.content.decode("utf-8", "replace"), reason

    def _say(self, text: str, *, detail: bool = False) -> None:
        """Tell the person who runs this."""
        if self.verbose or not detail:
            print(text, file=sys.stderr)

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
        if self.planning and Unknown.mark in path:
            return Unknown("(known after the run)")
        self._say(f"- {title}")
        found = self._search(title, resource, path, match, rows, pick, headers)
        if not found:
            wanted = readable(json.dumps(match, ensure_ascii=False))
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
                wanted = quote(f'{field}="{value}"', safe="")
                filtered = f"{path}filter={wanted}&fields={fields}"
                found = self._matching("", filtered, match, rows, headers)
            path += f"fields={fields}"
        if not found:
            found = self._matching(title, path, match, rows, headers)
        if len(found) > 1:
            wanted = readable(json.dumps(match, ensure_ascii=False))
            raise StepFailed(
                f"{title}: {len(found)} {resource} records have {wanted} on {self.base_url}"
            )
        return found

    def _matching(
        self,
        title: str,
        target: str,
        match: dict[str, Any],
        rows: tuple[str, ...],
        headers: dict[str, str | None] | None,
    ) -> list[dict[str, Any]]:
        """The records under `rows` with all these values.

        Without a title, there are none when the server refuses the request as such.
        """
        status, text, reason = self._send(
            title or "look up", "GET", target, None, headers
        )
        self._say(f"  GET {target} -> {status}", detail=True)
        if status == 400 and not title:
            return []
        if not 200 <= status < 300:
            title = title or "look up"
            raise StepFailed(f"{title}: {status} {explain(text, reason)}")
        records = parsed(text)
        for row in rows:
            records = records.get(row) if isinstance(records, dict) else None
        return [
            record
            for record in (records if isinstance(records, list) else [])
            if isinstance(record, dict)
            and all(
                json.dumps(record.get(name)) == json.dumps(value)
                for name, value in match.items()
            )
        ]

    def _read(
        self, title: str, target: str, headers: dict[str, str | None] | None
    ) -> dict[str, Any] | None:
        """One record, None when there is none; in a plan as it would be by then."""
        path = target.partition("?")[0]
        if path in self.predicted:
            return self.predicted[path]
        status, text, reason = self._send(title, "GET", target, None, headers)
        self._say(f"  GET {target} -> {status}", detail=True)
        if status == 404:
            return None
        record = parsed(text)
        if not 200 <= status < 300 or not isinstance(record, dict):
            raise StepFailed(f"{title}: {status} {explain(text, reason)}")
        return record

    def plan_summary(self) -> str:
        """What the run would do, in a line."""
        counts = ", ".join(
            f"{self.planned[action]} to {action}"
            for action in ("create", "change", "delete")
        )
        calls = (
            f", {self.planned['call']} other calls to send"
            if self.planned["call"]
            else ""
        )
        refused = (
            f", {self.planned['refused']} to be refused, being there already"
            if self.planned["refused"]
            else ""
        )
        return f"Plan: {counts}{calls}{refused}"

    def _plan(
        self,
        title: str,
        action: str,
        new: dict[str, Any] | None = None,
        old: dict[str, Any] | None = None,
    ) -> None:
        """Say what would be done, field by field."""
        self.planned[action] += 1
        sign = {
            "create": "+",
            "change": "~",
            "delete": "-",
            "call": ">",
            "refused": "!",
        }[action]
        print(
            f"  {sign} {title}{': it is there already' if action == 'refused' else ''}"
        )
        for name, value in (new or {}).items():
            before = "" if old is None else f"{self._shown(old.get(name))} → "
            print(f"      {name}: {before}{self._shown(value)}")

    def _shown(self, value: Any) -> str:
        text = json.dumps(value, ensure_ascii=False, default=str)
        for secret in self.secrets:
            text = text.replace(json.dumps(secret, ensure_ascii=False)[1:-1], "***")
        text = readable(text)
        return text if len(text) <= 200 else text[:199] + "…"

    def _plan_create(
        self, title: str, path: str, record: dict[str, Any]
    ) -> dict[str, Any]:
        """Say that a record would be created; the record as it would be, with an id that stands for its own."""
        self._plan(title, "create", record)
        new = Unknown(f"(new {len(self.predicted) + 1})")
        self.predicted[f"{path}/{quote(new, safe='')}"] = dict(record)
        return New({**record, "id": new})

    def _plan_call(
        self,
        title: str,
        method: str,
        target: str,
        sent: Any,
        headers: dict[str, str | None] | None,
    ) -> Any:
        """Say what a request would do instead of sending it; an answer for the steps after it."""
        path, _, query = target.partition("?")
        rows = sent.get("resource") if isinstance(sent, dict) else None
        rows = (
            [row for row in rows if isinstance(row, dict)]
            if isinstance(rows, list)
            else []
        )
        if method == "POST" and rows:
            return {
                "resource": [
                    self._plan_record(title, path, row, headers) for row in rows
                ]
            }
        ids = [
            value
            for name, _, value in (pair.partition("=") for pair in query.split("&"))
            if name == "ids"
        ]
        paths = [f"{path}/{own}" for own in ids[0].split(",")] if ids else [path]
        if method == "DELETE" and not rows:
            for each in paths:
                if self._read(title, each, headers) is not None:
                    self._plan(title, "delete")
                self.predicted[each] = None
        elif method in ("PUT", "PATCH") and rows and "id" in rows[0]:
            own = "id"
            for row in rows:
                self._plan_change(
                    title,
                    f"{path}/{quote(str(row[own]), safe='')}",
                    {**row, own: None},
                    headers,
                )
        elif (
            method in ("PUT", "PATCH")
            and isinstance(sent, dict)
            and not rows
            and not ids
        ):
            self._plan_change(title, path, sent, headers)
        else:
            self._plan(title, "call")
        return Unknown("(known after the run)")

    def _plan_record(
        self,
        title: str,
        path: str,
        record: dict[str, Any],
        headers: dict[str, str | None] | None,
    ) -> dict[str, Any]:
        """One record that a create sends."""
        key = next(
            (
                name
                for name in ("email", "name", "path")
                if isinstance(record.get(name), str)
            ),
            "",
        )
        found = (
            self._search(title, "record", path, {key: record[key]}, headers=headers)
            if key
            else []
        )
        if found:
            self._plan(title, "refused")
            return {**record, **found[0]}
        return self._plan_create(title, path, record)

    def _plan_change(
        self,
        title: str,
        path: str,
        sent: dict[str, Any],
        headers: dict[str, str | None] | None,
    ) -> None:
        """One record that an update sends; its nested rows are compared one by one."""
        related = [
            name
            for name, value in sent.items()
            if "_by_" in name and isinstance(value, list)
        ]
        have = (
            self._read(
                title,
                path + (f"?related={','.join(related)}" if related else ""),
                headers,
            )
            or {}
        )
        known = {
            name: rows if isinstance(rows := have.get(name), list) else []
            for name in related
        }
        new = {
            name: [
                row
                for row in sent[name]
                if not any(not differs(row, old) for old in known[name])
            ]
            for name in related
        }
        plain_fields = {
            name: value for name, value in sent.items() if name not in related
        }
        changed = changes({"record": plain_fields, "later": [], "rows": {}}, have)
        changed |= {name: rows for name, rows in new.items() if rows}
        if changed:
            self._plan(title, "change", changed, have)
        self.predicted[path] = {**have, **changed}


def parsed(text: str) -> Any:
    """An answer's JSON, or the text itself when it is none."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def explain(text: str, reason: str, sent: bytes | None = None) -> str:
    """The server's own words for a refusal, with those about each record of a batch."""
    answer = parsed(text)
    error = answer.get("error") if isinstance(answer, dict) else None
    if not isinstance(error, dict):
        first_line = next(iter(text.strip().splitlines()), "")[:200]
        return readable(f"{reason or ''} {first_line}")
    words = [readable(html.unescape(str(error.get("message", ""))))]
    context = error.get("context")
    records = context.get("resource") if isinstance(context, dict) else None
    for number, record in enumerate(records if isinstance(records, list) else []):
        if isinstance(record, dict) and "message" in record:
            message = readable(html.unescape(str(record["message"])))
            words.append(f"  record {number + 1}{named(sent, number)}: {message}")
    return "\n".join(words)


def named(sent: bytes | None, number: int) -> str:
    """The name of a record that was sent, to say which one the server refused."""
    body = parsed((sent or b"").decode("utf-8", "replace"))
    rows = body.get("resource") if isinstance(body, dict) else body
    row = rows[number] if isinstance(rows, list) and number < len(rows) else None
    name = (
        next((row[key] for key in ("name", "email", "path") if key in row), "")
        if isinstance(row, dict)
        else ""
    )
    return f" ({readable(str(name))})" if name else ""


def readable(text: str) -> str:
    """A server's text on one line, without what would steer a terminal."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def reason_of(error: Exception) -> str:
    """The innermost cause; what requests puts around it would show the whole URL."""
    cause: BaseException = error
    while cause.__context__ is not None:
        cause = cause.__context__
    if isinstance(cause, requests.RequestException):
        return type(cause).__name__
    return readable(str(cause)) or type(cause).__name__


class Unknown(str):
    """A value that the server makes, in a plan: it stands for any part of an answer."""

    mark = quote("(new ")

    def __getitem__(self, key: Any) -> Unknown:
        return self


class New(dict[str, Any]):
    """A record that a run would create: what is not sent, the server makes."""

    def __missing__(self, key: str) -> Unknown:
        return Unknown("(known after the run)")


def whole(wanted: dict[str, Any]) -> dict[str, Any]:
    """The record to create, with its nested rows."""
    rows = {
        relation: [entry["row"] for entry in given["rows"] if entry["row"] is not None]
        for relation, given in wanted["rows"].items()
    }
    return {**wanted["record"], **rows}


def changes(wanted: dict[str, Any], have: dict[str, Any]) -> dict[str, Any]:
    """What to send so that the record becomes as wanted; empty when it already is."""
    changed = {
        field: value
        for field, value in wanted["record"].items()
        if field in have and differs(value, have[field], wanted["later"], field)
    }
    for relation, given in wanted["rows"].items():
        rest = [row for row in have.get(relation) or [] if isinstance(row, dict)]
        rows = [
            sent
            for entry in given["rows"]
            if (sent := row_change(entry, rest, given)) is not None
        ]
        if rows:
            changed[relation] = rows
    return changed


def row_change(
    entry: dict[str, Any], rest: list[dict[str, Any]], given: dict[str, Any]
) -> dict[str, Any] | None:
    """What to send for one nested row, None when nothing; the row it is about is taken out of `rest`."""
    there = next(
        (row for key in entry["keys"] for row in rest if not differs(key, row)), None
    )
    if there is not None:
        rest.remove(there)
    if entry.get("later"):
        return None
    own = {} if there is None else {given["id"]: there[given["id"]]}
    if entry["row"] is None:
        return {**own, given["parent"]: None} if own else None
    if there is None or differs(entry["row"], there):
        return {**own, **entry["row"]}
    return None


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
        rest = list(have) if isinstance(have, list) else [have]
        for item in wanted if isinstance(wanted, list) else [wanted]:
            same = [
                number
                for number, other in enumerate(rest)
                if not differs(item, other, later, f"{place}[]")
            ]
            if not same:
                return True
            del rest[same[0]]
        return bool(rest)
    return plain(wanted) != plain(have)


def plain(value: Any) -> str:
    """A scalar as text, in which 1, "1" and true are the same."""
    return str(int(value)) if isinstance(value, bool) else str(value)


def pick(answer: Any, *pointer: str | int) -> Any:
    """The value at a place in an answer. Raises StepFailed when it has none there."""
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
    problems = []
    missing = [name for name, value in needed.items() if value in ("", None)]
    if missing:
        problems.append(f"set {', '.join(missing)} first")
    elif not arguments.base_url.lower().startswith(("http://", "https://")):
        problems.append("DF_BASE_URL must begin with http:// or https://")
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
        print(f"failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    if df.planning:
        print(df.plan_summary())
        return 3 if any(df.planned.values()) else 0
    return 0


if __name__ == "__main__":
    try:
        code = main()
        if sys.stdout:
            sys.stdout.flush()
    except OSError as error:  # standard output is full, or nobody reads it any more
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = 141 if isinstance(error, BrokenPipeError) else 1
        if code == 1:
            print(f"failed: {error}", file=sys.stderr)
    sys.exit(code)
