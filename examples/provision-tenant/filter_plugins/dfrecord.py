"""Filters for the Ansible playbooks that dfrecord writes. They only compute: every request is a task of the playbook.

The same file serves all playbooks beside it.
"""

from __future__ import annotations

import base64
import html
import json
import os
import re
from collections.abc import Callable
from datetime import datetime, timezone
from functools import lru_cache
from typing import Any
from urllib.parse import quote, unquote

from ansible.errors import AnsibleFilterError

UNKNOWN = "(known after the run)"


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, Any]:
        return {
            "df_json": answer,
            "df_changes": change,
            "df_csv": csv_cell,
            "df_csv_inside": csv_inside,
            "df_noted": created,
            "df_failure": failure,
            "df_first": first,
            "df_given_otherwise": given_otherwise,
            "df_giving": giving,
            "df_header": header,
            "df_hits": hits,
            "df_in_list": in_list,
            "df_json_inside": json_inside,
            "df_letters": letters,
            "df_note": notes,
            "df_due": is_due,
            "df_note_answer": note_answer,
            "df_note_calls": note_calls,
            "df_noted_answer": noted_answer,
            "df_note_unsent": note_unsent,
            "df_one": one,
            "df_pick": pick,
            "df_pick_number": pick_number,
            "df_record": there,
            "df_rest": rest_of,
            "df_searches": searches,
            "df_sent": was_sent,
            "df_taken_rows": taken_rows,
            "df_typed": typed,
            "df_missing": unset,
            "df_unwritable": unwritable,
            "df_uri": uri,
            "df_whole": record,
            "df_xml": xml_text,
            "df_no_xml": no_xml,
        }


# ---------------------------------------------------------------- values


def typed(text: str, type: str, name: str, default: Any = None) -> Any:
    """What a person gave for a variable that is no text; the default for nothing."""
    if text == "":
        return default
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    kinds = {"boolean": bool, "integer": int, "number": (int, float)}[type]
    if not isinstance(value, kinds) or (type != "boolean" and isinstance(value, bool)):
        words = {"boolean": "true or false", "integer": "a whole number", "number": "a number"}[type]
        raise AnsibleFilterError(f"{name} must be {words}; nothing was sent")
    return value


def unset(needed: dict[str, Any]) -> list[str]:
    """The names of what has no value."""
    return [name for name, value in needed.items() if value is None or value == ""]


def unwritable(path: str) -> bool:
    """Whether a file cannot be written."""
    folder = os.path.dirname(path) or "."
    return not os.access(path if os.path.exists(path) else folder, os.W_OK) or os.path.isdir(path)


def uri(value: Any) -> str:
    """A value as part of a path or query."""
    return quote(str(value), safe="")


def json_inside(value: Any) -> str:
    """A value as the inside of a JSON string."""
    return json.dumps(str(value), ensure_ascii=False)[1:-1]


def header(value: Any) -> str:
    """A value such that its UTF-8 bytes are what is sent in a header."""
    return str(value).encode("utf-8").decode("latin-1")


def letters(text: str, how: str) -> str:
    """The text with its ASCII letters upper, lower, or capitalized: the first one upper."""
    if how == "capitalized":
        return letters(text[:1], "upper") + text[1:]
    return "".join((c.upper() if how == "upper" else c.lower()) if c.isascii() else c for c in text)


# ---------------------------------------------------------------- answers


def answer(result: dict[str, Any]) -> Any:
    """The JSON of what a task got; None when the record is not there or the task had nothing to do.

    A task that check mode left out would have got what nobody can know yet.
    """
    if result.get("skipped"):
        return None if "skip_reason" in result else UNKNOWN
    if result.get("status") == 404:
        return None
    try:
        value = result["json"] if "json" in result else json.loads((result.get("content") or "").removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        return None
    return None if is_too_deep(value) else value


def there(result: dict[str, Any]) -> Any:
    """The record that a task read; None when it is not there, or nobody looked."""
    record = answer(result)
    if record != UNKNOWN and not isinstance(record, dict) and result.get("status") in range(200, 300):
        raise AnsibleFilterError("the answer is no record")
    return record


def pick(answer: Any, *pointer: str | int) -> Any:
    """The value at a place in an answer."""
    for key in pointer:
        if answer == UNKNOWN:
            return answer
        if isinstance(answer, list) and isinstance(key, str):
            continue  # some instances wrap no lists
        try:
            answer = answer[key]
        except (KeyError, IndexError, TypeError):
            answer = None
    if answer is None or isinstance(answer, dict | list):
        place = "/".join(map(str, pointer))
        raise AnsibleFilterError(f"the answer has no {place}, which a later step needs")
    return answer


def pick_number(answer: Any, *pointer: str | int) -> Any:
    """The whole number at a place in an answer, which may be written as a text."""
    value = pick(answer, *pointer)
    if value != UNKNOWN and not re.fullmatch("-?[0-9]+", str(value)):
        raise AnsibleFilterError(f"{'/'.join(map(str, pointer))} of the answer is no whole number")
    return value


def first(answer: Any, rows: list[str]) -> Any:
    """The record in the answer to a create: the first of a list of them, or the answer itself."""
    found = listed(answer, rows)
    return found[0] if found else answer


def listed(answer: Any, rows: list[str], *, must_be: bool = False) -> list[Any]:
    """The records in an answer, which stand under `rows` in it."""
    for row in rows:
        answer = answer.get(row) if isinstance(answer, dict) else answer
    if must_be and not isinstance(answer, list):
        raise AnsibleFilterError("the answer is no list of records")
    return answer if isinstance(answer, list) else []


def in_list(
    result: dict[str, Any], rows: list[str], field: str, path: str, rest: dict[str, Any] | None = None
) -> Any:
    """The record of a list whose field is the last segment of a path; None when there is none."""
    if answer(result) == UNKNOWN:
        return UNKNOWN
    name = unquote(path.rpartition("/")[2])
    listed(answer(result), rows, must_be=True)
    return next((row for row in whole_list(result, rest, rows) if row.get(field) == name), None)


def rest_of(result: dict[str, Any], rows: list[str], most: int = 1000) -> list[str]:
    """The addresses of what a task did not get of a list, because the server cut it; of a loop, in its last turn."""
    last = (result.get("results") or [result])[-1]
    told = None if last.get("skipped") else answer(last)
    shown, count = len(listed(told, rows)), count_in(told)
    if shown and count > shown * most:
        raise AnsibleFilterError(f"the instance shows {shown} of {count} records at once, which is too few")
    return [f"{last['url']}&offset={start}" for start in range(shown, count, shown)] if shown else []


def whole_list(first: dict[str, Any], rest: dict[str, Any] | None, rows: list[str]) -> list[Any]:
    """The records that a task got of a list, and those that another got of the rest.

    What is added meanwhile comes last; where one is deleted, those behind it move.
    """
    records, total = listed(answer(first), rows), count_in(answer(first))
    shown = records[:1]
    for page in (rest or {}).get("results") or []:
        more, count = listed(answer(page), rows, must_be=True), count_in(answer(page))
        if count < total or more[:1] == shown:
            told = f"only {len(records)} of {total} records could be read"
            why = "the list changes (run again), or is cut (raise DB_MAX_RECORDS_RETURNED)"
            raise AnsibleFilterError(f"{told}: {why}")
        records, total = records + more, count
    return records


def count_in(answer: Any) -> int:
    """How many records there are in all, which an answer tells beside a part of them; 0 where it does not."""
    meta = answer.get("meta") if isinstance(answer, dict) else None
    count = meta.get("count") if isinstance(meta, dict) else None
    return count if isinstance(count, int) else 0


def searches(path: str, keys: list[dict[str, Any]], own: str, picked: str) -> list[str]:
    """Where to look for a record, one after the other: filtered by the server, then in the whole list.

    The server's filter has no escaping, so it is not asked for every value. `own` is the field of a record's id.
    """
    joint = "&" if "?" in path else "?"
    if any(len(key) != 1 for key in keys):
        return [f"{path}{joint}include_count=true"]
    names = dict.fromkeys([own, *(name for key in keys for name in key), picked])
    chosen = f"{path}{joint}fields={','.join(map(uri, names))}"
    whole_list = f"{chosen}&include_count=true"
    [(name, value)] = keys[0].items()
    if not isinstance(value, str) or value == "" or set('"\\(){},<>=!') & set(value):
        return [whole_list]
    text = uri(f'{name}="{value}"')
    return [f"{chosen}&filter={text}", whole_list]


def hits(result: dict[str, Any], keys: list[dict[str, Any]], rows: list[str]) -> list[dict[str, Any]]:
    """The records of an answer that have all values of a key, the first key that any has."""
    return having(listed(answer(result), rows), keys)


def having(found: list[Any], keys: list[dict[str, Any]], alike: int = 0) -> list[dict[str, Any]]:
    """The same of a list of records. Of the first `alike` keys only one: rows that have such a key are alike in all.

    The server shows an empty text as null.
    """

    def shown(value: Any) -> Any:
        return None if value == "" else value

    records = [record for record in found if isinstance(record, dict)]
    for number, key in enumerate(keys):
        same = [
            record
            for record in records
            if all(name in record and shown(record[name]) == shown(key[name]) for name in key)
        ]
        if same:
            return same[:1] if number < alike else same
    return []


def one(
    found: dict[str, Any],
    resource: str,
    keys: list[dict[str, Any]],
    rows: list[str],
    picked: str,
    optional: bool = False,
    shown: bool = True,
    nth: int | None = None,
    alike: int = 0,
    rest: dict[str, Any] | None = None,
) -> Any:
    """A field of the one record that a loop over `searches` found, or of the nth of several (from 0).

    `rest` is what was read on of the last list. None when there is none and it is optional.
    """
    results = found.get("results") or []
    if all(result.get("skipped") for result in results):
        return UNKNOWN
    lists = [listed(answer(result), rows) for result in results[:-1]] + [whole_list(results[-1], rest, rows)]
    records = next((records for found in lists if (records := having(found, keys, alike))), [])
    if nth is not None:
        records = records[nth : nth + 1]
    pairs = [f"{name} {json.dumps(value, ensure_ascii=False)}" for name, value in keys[-1].items()]
    words = readable(f"{resource} with {', '.join(pairs) if shown else ', '.join(keys[-1]) + ' (a secret)'}")
    if len(records) > 1:
        raise AnsibleFilterError(f"{len(records)} records match: {words}")
    if records:
        return pick(records[0], picked)
    listed(answer(results[-1]), rows, must_be=True)
    if optional:
        return None
    raise AnsibleFilterError(f"there is no {words}")


# ---------------------------------------------------------------- refusals


def failure(result: dict[str, Any], rows: list[str], secrets: dict[str, Any] | None = None) -> str:
    """Why a task failed, in the server's own words where it has any, but for secrets that it repeats."""
    names = {str(value): f"({name})" for name, value in (secrets or {}).items() if value}

    def shown(text: str) -> str:
        return readable(hidden(text, names))

    failed = next((item for item in result.get("results") or [] if item.get("failed")), result)
    status = failed.get("status", 0)
    message = str(failed.get("msg", ""))
    if status > 0:
        return f"{status} {explain(failed, rows, shown)}"
    if status < 0:
        return f"no answer: {shown(message.rpartition(']: ')[2])}"
    return shown(message.rpartition("' failed: ")[2] if "filter plugin '" in message else message)


def explain(failed: dict[str, Any], rows: list[str], shown: Callable[..., str]) -> str:
    """The server's message, with those about each record of a batch."""
    told = answer({**failed, "status": 0})  # a record that is not there has its message, too
    error = told.get("error") if isinstance(told, dict) else None
    if not isinstance(error, dict):
        if 300 <= failed["status"] < 400:
            return shown(f"redirected to {failed.get('location')}, which is not followed")
        text = str(failed.get("msg", "")).rpartition("]: ")[2] if told is None else json.dumps(told, ensure_ascii=False)
        return shown(without_statement(text))[:200]
    words = [shown(without_statement(str(error.get("message", ""))))]
    for number, record in enumerate(listed(error.get("context"), rows)[:100]):
        if isinstance(record, dict) and "message" in record:
            message = shown(without_statement(str(record["message"])))
            words.append(f"record {number + 1}{named(failed, rows, number, shown)}: {message}")
    return "; ".join(words)[:20000]


def without_statement(message: str) -> str:
    """A server's message without the statement that its database refused: other records' values may stand in it."""
    return re.sub("\\s?\\((?:Connection: [^()]*, )?SQL: [\\s\\S]*", "", html.unescape(message[:20000]))


def named(failed: dict[str, Any], rows: list[str], number: int, shown: Callable[..., str]) -> str:
    """The name of a record that was sent, to say which one the server refused."""
    body = failed.get("invocation", {}).get("module_args", {}).get("body")
    if isinstance(body, str):
        body = answer({"content": body})
    sent = listed(body, rows)
    row = sent[number] if number < len(sent) else None
    name = next((row[key] for key in ("email", "name", "path") if key in row), "") if isinstance(row, dict) else ""
    return f" ({shown(str(name))})" if name else ""


def readable(text: str) -> str:
    """A server's text on one line, without what would steer a terminal."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


# ---------------------------------------------------------------- what runs created


def noted(file: str, base_url: str) -> list[dict[str, Any]]:
    """What the file notes about this instance, in order."""
    try:
        with open(file, encoding="utf-8", errors="replace") as lines:
            found = [answer({"content": line}) for line in lines]
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise AnsibleFilterError(f"{file}: cannot be read: {error}") from None
    return [note for note in found if isinstance(note, dict) and note.get("base_url") == base_url]


def created(file: str, base_url: str) -> list[str]:
    """The paths of what is noted as created on this instance and not as deleted, the newest first."""
    paths: dict[str, None] = {}
    for note in noted(file, base_url):
        paths.pop(note.get("deleted", ""), None)
        paths |= {note["created"]: None} if "created" in note else {}
    return list(paths)[::-1]


def giving(paths: list[str], gives: dict[str, dict[str, list[str]]]) -> list[str]:
    """What to read of these records to know the rows that they give to others."""
    lists = [(path, gives.get(path.rpartition("/")[0], {})) for path in paths]
    return [f"{path}?related={','.join(relations)}" for path, relations in lists if relations]


def taken_rows(result: dict[str, Any], gives: dict[str, dict[str, list[str]]]) -> list[dict[str, Any]]:
    """What to send so that these rows go: without the record they would point to nothing."""
    found = []
    for read in result.get("results", []):
        path, record = str(read.get("item", "")).partition("?")[0], answer(read)
        relations = gives.get(path.rpartition("/")[0], {}).items() if isinstance(record, dict) else ()
        rows = {name: [{own: row[own], parent: None} for row in record.get(name) or []] for name, (own, parent) in relations}
        if any(rows.values()):
            found.append({"path": path, "rows": {name: taken for name, taken in rows.items() if taken}})
    return found


def given_otherwise(values: dict[str, list[Any]]) -> dict[str, str]:
    """The parameters that have another value than the recorded one, as text."""
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, (value, recorded) in values.items()
        if value != recorded
    }


def was_sent(file: str, name: str, base_url: str, made_for: dict[str, str]) -> bool:
    """Whether a run with the same parameters noted that it sent this."""
    return bool(noted_as(file, "sent", "unsent", name, base_url, made_for))


def noted_answer(file: str, name: str, base_url: str, made_for: dict[str, str]) -> Any:
    """What such a run noted of the answer; None where no run did."""
    return noted_as(file, "sent", "unsent", name, base_url, made_for).get("answer")


def is_due(file: str, name: str, base_url: str, made_for: dict[str, str]) -> bool:
    """Whether a run with the same parameters changed something before this call, and noted no more that it sent it."""
    return bool(noted_as(file, "due", "done", name, base_url, made_for))


def noted_as(file: str, word: str, other: str, name: str, base_url: str, made_for: dict[str, str]) -> dict[str, Any]:
    """The last note of runs with the same parameters about this call; {} where it has the other word."""
    told = [note for note in noted(file, base_url) if name in (note.get(word), note.get(other))]
    last = [note for note in told if (note.get("for") or {}) == made_for][-1:]
    return last[0] if last and word in last[0] else {}


def note_answer(
    answer: Any,
    name: str,
    places: list[list[str | int]],
    base_url: str,
    made_for: dict[str, str],
    secrets: dict[str, Any],
) -> str:
    """The line that notes that this was sent, with what later steps need of the answer.

    Empty where that holds a secret: then the next run has to ask again.
    """
    note = {"sent": name, "answer": kept(answer, [tuple(place) for place in places])}
    told = json.dumps(note)
    if note["answer"] is None or hidden(told, {str(value): "(a secret)" for value in secrets.values() if value}) != told:
        return ""
    return lines_of([{"base_url": base_url, **({"for": made_for} if made_for else {}), **note}])


def note_calls(names: list[str], word: str, base_url: str, made_for: dict[str, str]) -> str:
    """The lines that note for runs with the same parameters that these calls were sent, or are to be."""
    return lines_of([{"base_url": base_url, **({"for": made_for} if made_for else {}), word: name} for name in names])


def note_unsent(file: str, base_url: str) -> str:
    """The lines that note that the next run shall send what is noted as sent, whatever the parameters."""
    last = {}
    for note in noted(file, base_url):
        name = note.get("sent", note.get("unsent"))
        last[json.dumps([name, note.get("for")], sort_keys=True)] = note
    told = [note for note in last.values() if "sent" in note]
    return lines_of([{("unsent" if key == "sent" else key): value for key, value in note.items()} for note in told])


def lines_of(notes: list[dict[str, Any]]) -> str:
    """Each has its time, so that the same note is another line than before."""
    at = datetime.now(timezone.utc).isoformat()
    return "\n".join(json.dumps({**note, "at": at}) for note in notes)


def notes(
    result: dict[str, Any],
    base_url: str,
    rows: list[str],
    own: str,
    makes: str = "",
    secrets: dict[str, Any] | None = None,
) -> str:
    """The lines that note what a request created or deleted; a batch that failed has created what the server says.

    Not of records that have a secret in their name.
    """
    lines = []
    words = {str(value): "(a secret)" for value in (secrets or {}).values() if value}
    for sent in result.get("results") or [result]:
        arguments = sent.get("invocation", {}).get("module_args", {})
        path = str(arguments.get("url", "")).removeprefix(base_url).partition("?")[0]
        status = sent.get("status", 0)
        gone = arguments.get("method") == "DELETE" and (200 <= status < 300 or status == 404)
        told = answer({**sent, "status": 0})
        error = told.get("error") if isinstance(told, dict) else None
        context = error.get("context") if isinstance(error, dict) else None
        records = listed(context if isinstance(context, dict) else told, rows)
        if not records and (status == 201 or gone):
            records = [told]
        ids = [record.get(own) for record in records if isinstance(record, dict)]
        names = [uri(name) for name in ids if name is not None]
        if makes:
            lines += [{"created": f"{makes}/{name}"} for name in names]
        if gone:
            paths = [f"{path}/{name}" for name in names if not path.endswith(f"/{name}")]
            lines += [{"deleted": deleted} for deleted in paths or [path]]
    ends = [next(iter(line.values())).rpartition("/")[2] for line in lines]
    told = [line for line, name in zip(lines, ends) if name.isdigit() or hidden(name, words) == name]
    return lines_of([{"base_url": base_url, **line} for line in told])


# ---------------------------------------------------------------- what has to be written


def change(wanted: dict[str, Any], have: dict[str, Any] | None) -> dict[str, Any]:
    """What to send so that a record becomes as wanted; empty when it already is, or is not there."""
    return changes(apart(wanted), apart(have)) if isinstance(have, dict) else {}


def record(wanted: dict[str, Any], rows: list[str]) -> dict[str, Any]:
    """The body that creates a record, with its nested rows: in a list, unless the path names the record."""
    new = whole(apart(wanted))
    return {rows[0]: [new]} if rows and "sent" not in wanted and (wanted["keys"] or wanted.get("in_list")) else new


def apart(value: Any) -> Any:
    """A JSON value apart from Ansible's variables, with every template in it filled in."""
    if isinstance(value, dict):
        return {name: apart(item) for name, item in value.items()}
    return [apart(item) for item in value] if isinstance(value, list) else value


def lying_in(value: Any) -> list[Any]:
    """What lies in a list or an object."""
    return [*value.values()] if isinstance(value, dict) else value if isinstance(value, list) else []


def is_too_deep(value: Any, inside: Any = lying_in) -> bool:
    """Whether something lies in more than 64 lists and objects (`inside` a value): no record does."""
    level = [value]
    for _ in range(65):
        level = [item for outer in level for item in inside(outer)]
        if not level:
            return False
    return True



def csv_cell(value: object) -> str:
    """A value as a whole cell: in quotes when it holds a comma, a quote or a line end (RFC 4180)."""
    return f'"{csv_inside(value)}"' if re.search('[",\\r\\n]', str(value)) else str(value)


def csv_inside(value: object) -> str:
    """A value as the inside of a cell that stands in quotes."""
    return str(value).replace('"', '""')


def xml_text(value: object) -> str:
    """A value as text of an element or in an attribute, whose line ends and tabs XML would alter."""
    marks = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}
    return re.sub("[&<>\"'\\t\\r\\n]", lambda found: marks.get(found[0], f"&#{ord(found[0])};"), str(value))


def no_xml(value: object) -> bool:
    """Whether a value holds what no XML document can, escaped or not (XML 1.0, 2.2)."""
    return re.search("[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\ud800-\\udfff\\ufffe\\uffff]", str(value)) is not None



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
    forms.append("".join(rf"&#(?:0{{0,3}}{ord(char)}|[xX]0{{0,3}}(?i:{ord(char):x}));" for char in secret))
    in_json = [json.dumps(secret, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False)]
    for written in sorted({secret, *in_json, *(text.replace("/", "\\/") for text in in_json)}):
        content = written.encode("utf-8", "surrogatepass")
        for shift in range(3) if len(content) > 5 else ():  # the inside of a longer text, too
            encoded = base64.b64encode(b" " * shift + content).decode().rstrip("=")
            inside = encoded[4 if shift else 0 : len(encoded) // 4 * 4 if len(encoded) % 4 else None]
            if len(inside) > 7:
                plus, slash, end = (rf"%(?:25){{0,2}}{octet}" for octet in ("2[Bb]", "2[Ff]", "3[Dd]"))
                inside = re.escape(inside).replace(r"\+", f"(?:[+-]|{plus})").replace("/", rf"(?:\\?/|_|{slash})")
                forms.append(rf"[\w+/-]{{0,4}}{inside}(?:[\w+/-]|{plus}|{slash})*(?:=|{end})*")
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
    octets = "".join(f"%(?:25){{0,2}}{octet:02x}" for octet in part.encode("utf-8", "surrogatepass"))
    units = part.encode("utf-16-be", "surrogatepass").hex()
    escaped = "".join(rf"{backslash}{{1,4}}u{units[at : at + 4]}" for at in range(0, len(units), 4))
    entity = f"&(?:amp;){{0,2}}(?:#0{{0,2}}{code}|#x0{{0,2}}{code:x}|[a-z][a-z0-9]{{1,30}});"  # whatever its name is
    form = rf"(?:(?i:{escaped}|{entity})|{backslash}{{0,4}}(?:(?i:{octets})|{re.escape(part)}))"
    return form + "{1,2}" if part == '"' else form  # twice in CSV



def whole(wanted: dict[str, Any]) -> dict[str, Any]:
    """The record to create, with its nested rows; or what else is sent to make it."""
    if "sent" in wanted:
        return dict(wanted["sent"]["body"])
    rows = {
        relation: [entry["row"] for entry in given["rows"] if entry["row"] is not None]
        for relation, given in wanted["rows"].items()
    }
    return {**wanted["record"], **rows}


def changes(wanted: dict[str, Any], have: dict[str, Any], *, fresh: bool = False) -> dict[str, Any]:
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
    changed |= {field: wanted["record"][field] for field, by in shaped if by in changed and field in wanted["record"]}
    if changed:
        changed |= {field: "" for field in wanted.get("needs", []) if field not in changed and have.get(field) is None}
    return changed


def objects_in(value: Any) -> list[dict[str, Any]]:
    """The objects of a list, none of what is no list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def unseen(wanted: dict[str, Any], have: dict[str, Any]) -> list[str]:
    """The fields with secrets that cannot be compared, as the server masks them or does not show them at all."""
    return [field for field in wanted.get("secrets", []) if field not in have or "**********" in str(have[field])]


def is_other(field: str, value: Any, have: Any, wanted: dict[str, Any]) -> bool:
    """Whether a field has another value than is wanted: free JSON as a whole, else what the server shows of it."""
    if field in wanted.get("whole", []) and field not in wanted["later"]:
        return unlike(value, have)
    return differs(value, have, wanted["later"], field)


def unlike(wanted: Any, have: Any) -> bool:
    """Whether two JSON values differ in anything."""
    if isinstance(wanted, dict) and isinstance(have, dict):
        return wanted.keys() != have.keys() or any(unlike(value, have[name]) for name, value in wanted.items())
    if isinstance(wanted, list) and isinstance(have, list):
        return len(wanted) != len(have) or any(map(unlike, wanted, have))
    return differs(wanted, have)


def row_changes(given: dict[str, Any], rest: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What to send for the nested rows of one relation, of which `rest` are there."""
    there = [taken(rest, entry["keys"]) for entry in given["rows"]]
    sent = []
    for entry, row in zip(given["rows"], there, strict=True):
        if row is None and entry["row"] is not None and given.get("may_differ"):
            loose = {field: value for field, value in entry["keys"][0].items() if field not in given["may_differ"]}
            row = taken(rest, [loose], only=True)
        own = {} if row is None else {given["id"]: row.get(given["id"])}
        if entry.get("later"):
            continue
        if entry["row"] is None:
            sent += [{**own, given["parent"]: None}] if own else []
        elif row is None or differs(entry["row"], row):
            sent.append({**own, **entry["row"]})
    return sent + [{given["id"]: row[given["id"]], given["parent"]: None} for row in rest if given.get("only")]


def taken(rest: list[dict[str, Any]], keys: list[dict[str, Any]], *, only: bool = False) -> dict[str, Any] | None:
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
            known = [n for n, other in enumerate(there) if row.get(own) is not None and other.get(own) == row[own]]
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


def differs(wanted: Any, have: Any, later: list[str] | tuple[str, ...] = (), place: str = "") -> bool:
    """Whether the server has another value than is wanted, as far as the server shows it."""
    if place in later or have == "**********":
        return False
    if isinstance(wanted, dict) and isinstance(have, dict):
        inside = f"{place}." if place else ""
        return any(
            field in have and differs(value, have[field], later, f"{inside}{field}") for field, value in wanted.items()
        )
    empty: tuple[Any, ...] = (None, "", [], {})
    if wanted in empty or have in empty:
        return not (wanted in empty and have in empty)
    if isinstance(wanted, list) or isinstance(have, list):
        rest = items_of(have)
        for item in items_of(wanted):
            same = [number for number, other in enumerate(rest) if not differs(item, other, later, f"{place}[]")]
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


def kept(answer: Any, places: list[tuple[str | int, ...]]) -> Any:
    """The answer with nothing but what stands at these places (keys and positions); None where one has no value."""
    if () in places:
        return answer
    parts = {}
    for key in dict.fromkeys(place[0] for place in places):
        try:
            part = kept(answer[key], [place[1:] for place in places if place[0] == key])
        except (KeyError, IndexError, TypeError):
            part = None
        if part is None:
            return None
        parts[key] = part
    return [parts.get(position) for position in range(len(answer))] if isinstance(answer, list) else parts

