"""Coverage-guided fuzzing from a readable recording to a script: `python -m fuzz.journeys FOLDER -max_total_time=60`.

The bytes choose exchanges with paths, queries and bodies of the System API, and nonsense in between. Whatever they are:
the journey is planned, told, and rendered, and no secret of it stands in any output; what dfrecord itself refuses is
refused in one line.
"""

from __future__ import annotations

import base64
import json
import re
import sys

import atheris

with atheris.instrument_imports(include=["dfrecord.journey", "dfrecord.normalise", "dfrecord.system_api"]):
    import dfrecord
    from dfrecord.journey.account import account
    from dfrecord.normalise.redact import redacted
    from dfrecord.normalise.secrets import find, standing_in
    from dfrecord.normalise.written_forms import written_forms
    from dfrecord.recording.exchange import ABSENT, Body, Exchange, Headers, Recording, Request, Response
    from dfrecord.reporting.words import told
    from dfrecord.system_api.catalog import load

CATALOG = load()
PATHS = [resource.path for resource in CATALOG.resources.values() if resource.path] + ["/api/v2/db/_table", "/x"]
FIELDS = sorted({word for word in CATALOG.vocabulary.split('"') if word.replace("_", "").isalpha()})
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "MERGE", "get", "?"]
TYPES = [
    "application/json",
    "text/csv",
    "application/xml",
    "application/x-www-form-urlencoded",
    "multipart/form-data",
    "",
]


def one(content: bytes) -> None:
    """One input of the fuzzer."""
    given = atheris.FuzzedDataProvider(content)
    exchanges = tuple(_exchange(number, given) for number in range(given.ConsumeIntInRange(1, 6)))
    recording = Recording("fuzz", exchanges)
    secrets = find(exchanges, CATALOG).recorded
    try:
        kept, _ = redacted(recording, ("api",), CATALOG, keep_secrets=False)
        journey = dfrecord.plan(recording, filters=("api",), reads="all", literal=given.ConsumeBool())
        outputs = [json.dumps(account(journey)).encode(), "\n".join(told(journey)).encode("utf-8", "surrogatepass")]
    except dfrecord.DfrecordError as error:
        if "\n" in str(error):
            raise AssertionError("a message is one line") from error
        return
    assert not any(_shows(secrets, output) for output in (*outputs, *kept))


def _shows(secrets: frozenset[str], output: bytes) -> bool:
    """Whether a secret stands in the output: as it is, or in what base64 there decodes to.

    `standing_in` alone is too careful to judge by: a secret that begins or ends like other text has the same inside in
    base64 as that text.
    """
    if not standing_in(secrets, output):
        return False
    decoded = re.sub(
        rb"(?:[A-Za-z0-9+/]{4}){2,}(?:[A-Za-z0-9+/]{2,3}=*)?",
        lambda run: base64.b64decode(run.group() + b"=="),
        output,
    )
    plain = (form for value in secrets for form, is_base64 in written_forms(value) if not is_base64)
    return any(form in output for form in plain) or standing_in(secrets, decoded)


def _exchange(number: int, given: atheris.FuzzedDataProvider) -> Exchange:
    path = given.PickValueInList(PATHS)
    if given.ConsumeBool():
        path += "/" + given.ConsumeUnicode(8)
    if given.ConsumeBool():
        path += f"?{given.PickValueInList(FIELDS)}={given.ConsumeUnicode(12)}"
    headers = Headers((("Content-Type", given.PickValueInList(TYPES)), (_text(given), _text(given))))
    request = Request(given.PickValueInList(METHODS), f"http://h{path}", headers, _body(given))
    return Exchange(number, request, Response(given.ConsumeIntInRange(-1, 600), headers, _body(given)))


def _body(given: atheris.FuzzedDataProvider) -> Body:
    kind = given.ConsumeIntInRange(0, 3)
    if kind == 0:
        return ABSENT
    if kind == 1:
        return Body.recorded(given.ConsumeBytes(40))
    record = _value(given, 3)
    return Body.recorded(json.dumps({"resource": [record]} if kind == 2 else record).encode("utf-8", "surrogatepass"))


def _value(given: atheris.FuzzedDataProvider, depth: int) -> object:
    kind = given.ConsumeIntInRange(0, 6 if depth else 3)
    if kind == 0:
        return _text(given)
    if kind == 1:
        return given.ConsumeIntInRange(-1, 9)
    if kind == 2:
        return [None, True, False, 1e400, "**********"][given.ConsumeIntInRange(0, 4)]
    if kind == 3:
        return f"x{_text(given)}"
    if kind == 4:
        return [_value(given, depth - 1) for _ in range(given.ConsumeIntInRange(0, 3))]
    return {given.PickValueInList(FIELDS): _value(given, depth - 1) for _ in range(given.ConsumeIntInRange(0, 5))}


def _text(given: atheris.FuzzedDataProvider) -> str:
    return (
        given.ConsumeUnicode(given.ConsumeIntInRange(0, 12)) if given.ConsumeBool() else given.PickValueInList(FIELDS)
    )


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
