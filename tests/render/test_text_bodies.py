"""Values inside bodies that are text but not JSON: in every language, a value arrives as the one cell or text it is."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections.abc import Mapping
from email.parser import BytesParser
from email.policy import HTTP
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import dfrecord
from dfrecord.journey.model import Journey, RawBody, RequestTemplate, Step, StepKind, Variable, VariableKind
from dfrecord.journey.text_body import settled
from dfrecord.journey.text_escapes import csv_cell, csv_inside, no_xml, xml_text
from dfrecord.outputs import write_script
from dfrecord.tree import Text, Var
from tests.doubles.echo import EchoServer
from tests.render.journeys import BASE_URL
from tests.tools import FORMATS, run

MANY = 12
MARKS = [
    "'",
    '"',
    '""',
    ",",
    "\n",
    "\r\n",
    "\r",
    "\t",
    " ",
    "]]>",
    "-->",
    "<a>",
    "&amp;",
    "&",
    "\\",
    "$(id)",
    "{{x}}",
    ";",
]
texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20),
    st.lists(st.sampled_from([*MARKS, "é", "x"]), min_size=1, max_size=6).map("".join),
).filter(lambda text: text.strip() != "" and not no_xml(text))
BODIES = {
    "text/csv": '\ufeffname,note,"pass,word"\r\nn,%,"%"\r\n%,"a""%b",c%d\r\n',
    "application/xml": '<u a="%"><!-- % --><n>%</n><n> x%]]&gt;</n><n><![CDATA[<%>%]]></n></u>',
    "multipart/form-data; boundary=B": (
        '--B\r\nContent-Disposition: form-data; name="t"\r\n\r\n%\r\n'
        '--B\r\nContent-Disposition: form-data; name="f"; filename="users.csv"\r\n'
        'Content-Type: application/vnd.ms-excel\r\n\r\na,b\r\n%,"%"\r\n'
        '--B\r\nContent-Disposition: form-data; name="f"; filename="app.json"\r\n\r\n{"a": "%"}\r\n--B--\r\n'
    ),
}


def with_places(body: str, names: list[str]) -> RawBody:
    """A body with a variable for each `%`, in turn."""
    parts: list[bytes | Var] = []
    for number, text in enumerate(body.split("%")):
        parts += [Var(names[(number - 1) % len(names)])] if number else []
        parts.append(text.encode())
    return RawBody(tuple(part for part in parts if part != b""))


def journey_of(bodies: Mapping[str, str], names: list[str]) -> Journey:
    steps, turned = [], names
    for number, (content_type, body) in enumerate(bodies.items()):
        headers = (("Content-Type", Text((content_type,))),)
        content = settled(with_places(body, turned), content_type)
        turned = [*turned[4:], *turned[:4]]
        request = RequestTemplate("POST", Text(("/api/x",)), headers, content)
        steps.append(Step(f"step_{number}", "step", StepKind.CALL, request))
    secrets = (Variable(n, VariableKind.SECRET, env=f"DF_{n.upper()}", secret=True, required=True) for n in names)
    return Journey("text", "text", "text", tuple(steps), (BASE_URL, *secrets))


@given(texts)
def test_values_survive_each_encoder(value: str) -> None:
    table = f'{csv_cell(value)},"{csv_inside(value)}"\r\n'
    assert list(csv.reader(io.StringIO(table, newline=""))) == [[value, value]]
    element = ElementTree.fromstring(f'<a b="{xml_text(value)}">{xml_text(value)}</a>')
    assert (element.text, element.get("b")) == (value, value)


def check_table(text: str, values: list[str]) -> None:
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert rows[1:] == [["n", values[0], values[1]], [values[2], f'a"{values[3]}b', f"c{values[4]}d"]]


def check_xml(text: str, values: list[str]) -> None:
    root = ElementTree.fromstring(text)
    assert [root.get("a"), *(element.text for element in root)] == [
        values[0],
        values[2],  # values[1] would stand in a comment
        f" x{values[3]}]]>",
        f"<{values[4]}>{values[5]}",
    ]


def check_parts(body: bytes, values: list[str]) -> None:
    message = BytesParser(policy=HTTP).parsebytes(b"Content-Type: multipart/form-data; boundary=B\r\n\r\n" + body)
    contents = [content for part in message.iter_parts() if isinstance(content := part.get_payload(decode=True), bytes)]
    field, table, manifest = (content.decode() for content in contents)
    assert field == values[0]
    assert list(csv.reader(io.StringIO(table, newline="")))[1] == [values[1], values[2]]
    assert json.loads(manifest) == {"a": values[3]}


def check_bodies(echo: EchoServer, values: list[str]) -> None:
    table, document, parts = (received.body for received in echo.received)
    check_table(table.decode("utf-8-sig"), values)
    check_xml(document.decode(), [*values[4:], *values[:4]])
    check_parts(parts, [*values[8:], *values[:8]])


@pytest.mark.parametrize("format", [format for format in FORMATS if format != "http"])  # it refuses such bodies
@settings(max_examples=2, deadline=None, suppress_health_check=[HealthCheck.too_slow], phases=[Phase.generate])
@given(values=st.lists(texts, min_size=MANY, max_size=MANY))
def test_each_value_arrives_as_one_cell_or_text(format: str, values: list[str]) -> None:
    names = [f"s{number}" for number in range(MANY)]
    given_values = {f"DF_{name.upper()}": value for name, value in zip(names, values, strict=True)}
    journey = journey_of(BODIES, names)
    with tempfile.TemporaryDirectory() as folder, EchoServer() as echo:
        script = Path(folder) / FORMATS[format]
        write_script(dfrecord.render(journey, format, stem=script.stem), script)
        done = run(script, format, {"DF_BASE_URL": echo.url, **given_values})
        assert done.returncode == 0, done.stdout + done.stderr
        check_bodies(echo, values)
    with EchoServer() as echo:
        dfrecord.replay(journey, echo.url, given_values)
        check_bodies(echo, values)


@pytest.mark.parametrize("format", [format for format in FORMATS if format != "http"])
def test_what_xml_cannot_hold_is_refused_before_anything_is_sent(format: str, tmp_path: Path) -> None:
    journey = journey_of({"application/xml": "<u>%</u>"}, ["pin"])
    with EchoServer() as echo:
        script = tmp_path / FORMATS[format]
        write_script(dfrecord.render(journey, format, stem=script.stem), script)
        environment = {"DF_BASE_URL": echo.url, "DF_PIN": "a\x01b"}
        done = run(script, format, environment)
        assert done.returncode == {"postman": 1, "locust": 2}.get(format, 2), done.stdout + done.stderr
        assert "DF_PIN holds a control character, which XML cannot hold" in done.stdout + done.stderr
        with pytest.raises(dfrecord.UsageError, match="DF_PIN holds a control character"):
            dfrecord.replay(journey, echo.url, environment)
        assert echo.received == []
