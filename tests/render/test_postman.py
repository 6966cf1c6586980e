"""Postman collections, run by newman against the double and against a server that keeps every byte."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jsonschema
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from dfrecord.journey.model import (
    Answer,
    Capture,
    Journey,
    JsonBody,
    Lookup,
    RawBody,
    RequestTemplate,
    Step,
    StepKind,
    Variable,
    VariableKind,
)
from dfrecord.renderers import RenderOptions
from dfrecord.renderers.postman import ENVIRONMENT_SUFFIX, render
from dfrecord.tree import Array, Encoding, Number, Object, Text, Tree, Var
from tests.doubles.echo import EchoServer, ReceivedRequest
from tests.doubles.server import DreamFactoryDouble
from tests.render.journeys import ACCEPT, HOSTILE, JSON, LOGIN, LOGOUT, PROVISION, TOKEN, literal, raw_step

SCHEMA = Path(__file__).with_name("postman-collection-v2.1.0.schema.json")
LOCAL = Path(__file__).parents[2] / "node_modules" / ".bin" / "newman"
PATH = "/api/v2/system/x"
FEW = settings(max_examples=2, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))


def collection(journey: Journey) -> Any:
    return json.loads(render(journey, RenderOptions())[0].content)


def items(part: Any) -> list[Any]:
    """All requests of a collection or folder, in order."""
    return [request for item in part["item"] for request in (items(item) if "item" in item else [item])]


def newman(journey: Journey, given: Mapping[str, str], *, code: int = 0) -> str:
    """Render, fill in the environment file, run; what newman printed. Nothing recorded may have left a CANARY."""
    tool = shutil.which("newman") or (str(LOCAL) if LOCAL.exists() else None)
    if tool is None:
        pytest.skip("newman is not installed")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file in render(journey, RenderOptions(stem="c")):
            content = file.content
            if file.suffix == ENVIRONMENT_SUFFIX:
                environment = json.loads(content)
                for value in environment["values"]:
                    value["value"] = given.get(value["key"], value["value"])
                content = json.dumps(environment).encode()
            (folder / ("c" + (file.suffix or ".json"))).write_bytes(content)
        command = [tool, "run", "c.json", "-e", "c" + ENVIRONMENT_SUFFIX, "--reporters", "cli", "--color", "off"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
        assert sorted(path.name for path in folder.iterdir()) == ["c.json", "c" + ENVIRONMENT_SUFFIX]
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def received(journey: Journey, given: Mapping[str, str] = {}) -> list[ReceivedRequest]:
    """What arrives when the journey succeeds."""
    with EchoServer() as echo:
        newman(journey, {"DF_BASE_URL": echo.url, **given})
        return echo.received


def account(df: DreamFactoryDouble) -> dict[str, str]:
    return {"DF_BASE_URL": df.url, "DF_EMAIL": df.email, "DF_PASSWORD": df.password, "DF_USER_PASSWORD": "p" * 16}


def secret(name: str, type: str = "string") -> Variable:
    return Variable(name, VariableKind.SECRET, type, env=f"DF_{name.upper()}", secret=True, required=True)


def step(target: Text, body: JsonBody | RawBody | None = None, **more: Any) -> Step:
    headers = more.pop("headers", ())
    return Step("step", "step", StepKind.CALL, RequestTemplate("POST", target, headers, body), **more)


def looking_up(lookup: Lookup) -> Journey:
    """Log in, find a record, and change a role by it."""
    found = Variable("found", VariableKind.LOOKUP, type="integer", lookup=lookup)
    use = step(Text(("/api/v2/system/role/", Var("found", Encoding.URI))), JsonBody(Object((("x", Var("found")),))))
    return replace(
        PROVISION, steps=(LOGIN, use), variables=(*PROVISION.variables[:4], found), residue=(), entry_count=2
    )


def service(name: Tree, field: str = "name") -> Lookup:
    title = "Find service"
    return Lookup(
        "service", Text(("/api/v2/system/service",)), ("resource",), ((field, name),), "id", title, (ACCEPT, TOKEN)
    )


# ---------------------------------------------------------------- the files


@pytest.mark.parametrize(
    "journey", [PROVISION, HOSTILE, replace(PROVISION, steps=())], ids=["linked", "literal", "empty"]
)
def test_collection_is_valid_by_the_published_schema(journey: Journey) -> None:
    validator = jsonschema.Draft7Validator(json.loads(SCHEMA.read_text()))
    assert [error.message for error in validator.iter_errors(collection(journey))] == []
    assert not validator.is_valid({"info": {"name": "x"}, "item": []})


def test_environment_file_holds_every_variable_and_no_secret() -> None:
    limit = Variable("limit", VariableKind.PARAMETER, "integer", env="DF_LIMIT", default=Number("50"))
    journey = replace(PROVISION, variables=(*PROVISION.variables, limit))
    values = {value["key"]: value for value in json.loads(render(journey, RenderOptions())[1].content)["values"]}
    assert list(values) == [
        "DF_BASE_URL",
        "DF_EMAIL",
        "DF_PASSWORD",
        "DF_SESSION_TOKEN",
        "DF_USER_PASSWORD",
        "DF_LIMIT",
    ]
    assert values["DF_LIMIT"]["value"] == "50"
    assert {key: value["type"] for key, value in values.items() if value["type"] == "secret"} == dict.fromkeys(
        ["DF_PASSWORD", "DF_SESSION_TOKEN", "DF_USER_PASSWORD"], "secret"
    )
    assert {values[key]["value"] for key in list(values)[:5]} == {""}


@pytest.mark.parametrize("journey", [PROVISION, HOSTILE], ids=["linked", "literal"])
def test_same_journey_gives_the_same_bytes(journey: Journey) -> None:
    assert render(journey, RenderOptions()) == render(journey, RenderOptions())


def test_recorded_answer_is_a_saved_example_of_its_request() -> None:
    create = next(item for item in items(collection(PROVISION)) if item["name"] == "Create role acme-role")
    (example,) = create["response"]
    assert (example["code"], example["status"]) == (201, "Created")
    assert json.loads(example["body"]) == {"resource": [{"id": 1, "name": "acme-role"}]}
    assert example["originalRequest"]["url"] == create["request"]["url"]


def test_session_token_is_sent_by_the_collection_and_not_by_the_login() -> None:
    made = collection(PROVISION)
    auth = {attribute["key"]: attribute["value"] for attribute in made["auth"]["apikey"]}
    assert auth == {"key": "X-DreamFactory-Session-Token", "value": "{{session_token}}", "in": "header"}
    assert [item["request"].get("auth") for item in items(made)] == [{"type": "noauth"}] + [None] * 5


def test_names_and_descriptions_are_plain_lines() -> None:
    hostile = "a\n# b\t\x1b[31m\u202e`x` <img> [l](u) {{x}}\x00\ud800"
    journey = replace(PROVISION, title=hostile, steps=(replace(LOGIN, title=hostile, notes=(hostile,)),))
    made = collection(journey)
    login = items(made)[0]
    for line in (made["info"]["name"], login["name"], login["request"]["description"]):
        assert line.isprintable(), line
    assert "\\<img\\> \\[l\\](u) \\{\\{x\\}\\}" in login["request"]["description"]


# ---------------------------------------------------------------- running


def test_provisioning_works_on_a_server_with_other_ids() -> None:
    with DreamFactoryDouble(id_offset=100) as df:
        newman(PROVISION, {**account(df), "DF_BASE_URL": df.url + "/"})
        state = df.state()
        (db,) = [row["id"] for row in state["service"] if row["name"] == "db"]
        (role,) = [row for row in state["role"] if row["name"] == "acme-role"]
        assert role["description"] == "changed"
        assert [row["service_id"] for row in role["role_service_access_by_role_id"]] == [db]
        (user,) = [row for row in state["user"] if row["email"] == "grace@example.com"]
        assert user["phone"] == f"role {role['id']}!"
        assert (df.log[-1].method, df.log[-1].path) == ("DELETE", "/api/v2/system/admin/session")


def test_hostile_requests_arrive_byte_for_byte() -> None:
    arrived = received(HOSTILE)
    for request, sent in zip(arrived, (step.request for step in HOSTILE.steps), strict=True):
        assert isinstance(sent.body, RawBody | None)
        body = b"".join(part for part in sent.body.parts if isinstance(part, bytes)) if sent.body else b""
        assert (request.method, request.target, request.body) == (sent.method, sent.target.literal, body)
        for name in {name for name, _ in sent.headers}:
            values = [value.literal for key, value in sent.headers if key == name]
            assert [value for key, value in request.headers if key == name] == values
        assert "content-type" not in {name.lower() for name, _ in request.headers} or any(
            name == "Content-Type" for name, _ in sent.headers
        )


def test_recorded_text_that_looks_like_a_variable_stays_text() -> None:
    text = "{{DF_BASE_URL}}{{base_url}}{{$guid}}{{{{DF_S}}}}{{ a b }}{{}}"
    journey = literal(
        raw_step("POST", f"{PATH}?q={text.replace(' ', '%20')}", (("X-A", text),), text.encode()),
        step(Text((f"{PATH}?q=", Var("s", Encoding.URI))), JsonBody(Array((text, Var("s"))))),
        variables=(secret("s"),),
    )
    with EchoServer() as echo:
        newman(journey, {"DF_BASE_URL": echo.url, "DF_S": text})
        first, second = echo.received
    assert first.target == f"{PATH}?q={text.replace(' ', '%20')}"
    assert ("X-A", text) in first.headers
    assert first.body == text.encode()
    assert second.target == f"{PATH}?q={quote(text, safe='')}"
    assert json.loads(second.body) == [text, text]


def test_repeated_header_in_two_spellings_is_sent_twice() -> None:
    (request,) = received(literal(raw_step("POST", PATH, (("X-A", "1"), ("x-a", "2")), b"x")))
    assert [value for name, value in request.headers if name.lower() == "x-a"] == ["1", "2"]


# ---------------------------------------------------------------- stopping


def test_all_missing_variables_are_named_and_nothing_is_sent() -> None:
    with EchoServer() as echo:
        output = newman(PROVISION, {"DF_BASE_URL": echo.url}, code=1)
        assert "missing in the environment: DF_EMAIL, DF_PASSWORD, DF_USER_PASSWORD" in output
        assert echo.received == []


def test_base_url_without_a_scheme_is_refused() -> None:
    assert "must begin with http" in newman(HOSTILE, {"DF_BASE_URL": "localhost:1"}, code=1)


def test_given_session_replaces_logging_in_and_out() -> None:
    with DreamFactoryDouble() as df, EchoServer() as echo:
        given = account(df) | {"DF_EMAIL": "", "DF_PASSWORD": "", "DF_SESSION_TOKEN": "token"}
        answers = {
            ("GET", f"{PATH[:-1]}service?filter=name%3D%22db%22&fields=id,name"): (
                200,
                '{"resource":[{"id":7,"name":"db"}]}',
            )
        }
        echo._answers.update(answers)
        for method, target in (
            ("POST", "role?fields=*&related=role_service_access_by_role_id"),
            ("POST", "user?send_invite=false"),
        ):
            echo._answers[(method, f"{PATH[:-1]}{target}")] = (201, '{"resource":[{"id":9}]}')
        newman(PROVISION, given | {"DF_BASE_URL": echo.url})
        assert [request.method for request in echo.received] == ["GET", "POST", "POST", "PUT"]
        assert all(("X-DreamFactory-Session-Token", "token") in request.headers for request in echo.received)


def test_failure_shows_the_servers_words_for_each_record_and_stops() -> None:
    inner = {"code": 400, "message": "The &quot;name&quot; is &auml; &#039;taken&#039; &lt;b&gt;."}
    error = {"code": 1000, "message": "Batch Error.", "context": {"error": [1], "resource": [{"id": 1}, inner]}}
    steps = (raw_step("POST", PATH, title="Create it"), raw_step("POST", f"{PATH}/never"))
    with EchoServer({("POST", PATH): (400, json.dumps({"error": error}))}) as echo:
        output = newman(literal(*steps), {"DF_BASE_URL": echo.url}, code=1)
        assert "Create it: Batch Error. | record 2: The \"name\" is ä 'taken' <b>." in output
        assert [request.target for request in echo.received] == [PATH]


@pytest.mark.parametrize(("status", "text"), [(500, "<html>\nServer Error"), (302, ""), (404, "[]"), (400, "null")])
def test_other_failures_show_the_status_and_stop(status: int, text: str) -> None:
    with EchoServer({("POST", PATH): (status, text)}) as echo:
        output = newman(literal(*[raw_step("POST", PATH)] * 2), {"DF_BASE_URL": echo.url}, code=1)
        assert f"step: {status}" in output
        assert len(echo.received) == 1


def test_lost_connection_stops_the_run() -> None:
    journey = literal(*(raw_step("POST", f"{PATH}/{number}") for number in range(2)))
    output = newman(journey, {"DF_BASE_URL": "http://127.0.0.1:9"}, code=1)
    assert "ECONNREFUSED" in output
    assert f"{PATH}/1" not in output


@pytest.mark.parametrize(
    "answer", ["{}", '{"id":null}', '{"id":"abc"}', '{"id":{}}', '{"id":12345678901234567890}', "no JSON"]
)
def test_missing_captured_value_stops_the_run(answer: str) -> None:
    make = step(Text((PATH,)), captures=(Capture("id", ("id",)),))
    journey = literal(
        make,
        step(Text((f"{PATH}/", Var("id", Encoding.URI)))),
        variables=(Variable("id", VariableKind.CAPTURE, "integer"),),
    )
    with EchoServer({("POST", PATH): (200, answer)}) as echo:
        assert "step: id of the answer" in newman(journey, {"DF_BASE_URL": echo.url}, code=1)
        assert len(echo.received) == 1


def test_dangerous_step_needs_consent_before_anything_is_sent() -> None:
    journey = literal(
        raw_step("POST", PATH), replace(raw_step("DELETE", PATH, title="Delete all"), danger="empties it")
    )
    with EchoServer() as echo:
        assert "needs DF_YES=1: Delete all (empties it)" in newman(journey, {"DF_BASE_URL": echo.url}, code=1)
        assert echo.received == []
        newman(journey, {"DF_BASE_URL": echo.url, "DF_YES": "1"})
        assert [request.method for request in echo.received] == ["POST", "DELETE"]


# ---------------------------------------------------------------- lookups


def lookup_run(
    lookup: Lookup, answers: dict[str, tuple[int, str]], *, code: int = 0
) -> tuple[str, list[ReceivedRequest]]:
    with EchoServer({("GET", target): answer for target, answer in answers.items()}) as echo:
        echo._answers[("POST", "/api/v2/system/admin/session")] = (200, '{"session_token":"t"}')
        output = newman(looking_up(lookup), {"DF_BASE_URL": echo.url, "DF_EMAIL": "e", "DF_PASSWORD": "p"}, code=code)
        return output, echo.received[1:]


FILTERED = "/api/v2/system/service?filter=name%3D%22db%22&fields=id,name"
LISTED = "/api/v2/system/service?fields=id,name&include_count=true"
NONE = (200, '{"resource":[]}')
ONE = (200, '{"resource":[{"id":3,"name":"DB"},{"id":42,"name":"db"}]}')
TWO = (200, '{"resource":[{"id":3,"name":"db"},{"id":4,"name":"db"}]}')


@pytest.mark.parametrize(
    "first", [NONE, (200, '{"resource":[{"id":3,"name":"DB"}]}'), (400, '{"error":{"message":"no"}}')]
)
def test_lookup_reads_the_whole_list_when_the_filter_does_not_find_the_record(first: tuple[int, str]) -> None:
    _, requests = lookup_run(service("db"), {FILTERED: first, LISTED: ONE})
    assert [request.target for request in requests] == [FILTERED, LISTED, "/api/v2/system/role/42"]
    assert ("X-DreamFactory-Session-Token", "t") in requests[1].headers
    assert json.loads(requests[2].body) == {"x": 42}


def test_lookup_by_the_filter_alone() -> None:
    _, requests = lookup_run(service("db"), {FILTERED: ONE})
    assert [request.target for request in requests] == [FILTERED, "/api/v2/system/role/42"]


def test_lookup_of_what_no_filter_can_say_reads_the_list_at_once() -> None:
    nasty = 'd"b\\(),{{x}}'
    answer = (200, json.dumps({"resource": [{"id": 1, "name": "d"}, {"id": 42, "name": nasty}]}))
    _, requests = lookup_run(service(nasty), {LISTED: answer})
    assert [request.target for request in requests] == [LISTED, "/api/v2/system/role/42"]


@pytest.mark.parametrize(("answer", "words"), [(NONE, "there is no service"), (TWO, "there are 2 of service")])
def test_lookup_without_exactly_one_record_stops(answer: tuple[int, str], words: str) -> None:
    output, requests = lookup_run(service("db"), {FILTERED: answer, LISTED: answer}, code=1)
    assert f'Find service: {words} with name "db"' in output
    assert all(request.method == "GET" for request in requests)


def test_failed_lookup_shows_the_servers_words_and_stops() -> None:
    output, requests = lookup_run(service("db"), {FILTERED: (403, '{"error":{"message":"No &amp; no"}}')}, code=1)
    assert "Find service: No & no" in output
    assert len(requests) == 1


def test_nested_row_is_found_by_all_its_fields_with_their_types() -> None:
    lookup = Lookup(
        "role access",
        Text(("/api/v2/system/role/1?related=rows",)),
        ("rows",),
        (("service_id", Number("5")), ("component", None), ("who", Text(("a", Var("email"))))),
        "id",
        "Find row",
        (TOKEN,),
    )
    rows = [
        {"id": 1, "service_id": "5", "component": None, "who": "ae"},
        {"id": 2, "service_id": 5, "component": False, "who": "ae"},
        {"id": 3, "service_id": 5, "component": None, "who": "a"},
        {"id": 4, "service_id": 5, "component": None, "who": "ae"},
    ]
    _, requests = lookup_run(lookup, {"/api/v2/system/role/1?related=rows": (200, json.dumps({"rows": rows}))})
    assert requests[-1].target == "/api/v2/system/role/4"


# ---------------------------------------------------------------- values


def parameter(name: str, type: str, default: Tree = None) -> Variable:
    return Variable(name, VariableKind.PARAMETER, type, env=f"DF_{name.upper()}", default=default)


TYPED = literal(
    step(
        Text((f"{PATH}?n=", Var("big", Encoding.URI))),
        JsonBody(
            Array(
                (Var("big"), Var("float"), Var("flag"), Var("word"), Var("none"), Text(("a", Var("big"), Var("none"))))
            )
        ),
    ),
    variables=(
        parameter("big", "integer", Number("12345678901234567890")),
        parameter("float", "number", Number("1.0")),
        parameter("flag", "boolean", False),
        parameter("word", "string", "7"),
        parameter("none", "integer"),
    ),
)


def test_parameters_keep_their_types() -> None:
    (request,) = received(TYPED)
    assert "".join(request.body.decode().split()) == '[12345678901234567890,1.0,false,"7",null,"a12345678901234567890"]'
    assert request.target == f"{PATH}?n=12345678901234567890"
    (request,) = received(
        TYPED, {"DF_BIG": "-3", "DF_FLAG": "true", "DF_WORD": 'a"b', "DF_NONE": "0", "DF_FLOAT": "2e3"}
    )
    assert "".join(request.body.decode().split()) == '[-3,2e3,true,"a\\"b",0,"a-30"]'


def test_parameter_of_the_wrong_type_is_refused() -> None:
    with EchoServer() as echo:
        output = newman(TYPED, {"DF_BASE_URL": echo.url, "DF_BIG": "1.5", "DF_FLAG": "yes"}, code=1)
        assert "DF_BIG must be a JSON integer" in output
        assert "DF_FLAG must be a JSON boolean" in output
        assert echo.received == []


def test_value_that_postman_would_change_in_a_header_is_refused() -> None:
    journey = literal(step(Text((PATH,)), headers=(("X-Key", Text((Var("s"),))),)), variables=(secret("s"),))
    with EchoServer() as echo:
        assert "double braces" in newman(journey, {"DF_BASE_URL": echo.url, "DF_S": "a{{DF_BASE_URL}}"}, code=1)
        assert echo.received == []


BITS = st.sampled_from(
    ["{{x}}", "{{DF_BASE_URL}}", "{{$guid}}", "{{", "}}", "{", "}", "//", "/*", "*/", '"', "\\", "'", "`$(x)"]
)
PRINTABLE = st.characters(min_codepoint=0x21, max_codepoint=0x7E)
ANY = st.lists(st.characters(exclude_categories=["Cs"]) | BITS, max_size=12).map("".join)
PATHS = st.lists(
    PRINTABLE.filter(lambda c: c not in "#?\\")
    | BITS.filter(lambda b: b != "\\")
    | st.sampled_from(["..", ".", "/:id.x/", "%zz"]),
    max_size=10,
)
QUERIES = st.lists(
    PRINTABLE.filter(lambda c: c != "#") | BITS | st.sampled_from(["&&", "a=b", "&=", "%C3%a9", "[]"]), max_size=10
)
TARGETS = st.builds(
    lambda path, mark, query: "/" + "".join(path) + (mark + "".join(query) if mark else ""),
    PATHS,
    st.sampled_from(["", "?"]),
    QUERIES,
)
HEADERS = st.lists(PRINTABLE | BITS | st.just(" "), max_size=10).map(lambda parts: "".join(parts).strip())
BODIES = st.binary(max_size=30) | ANY.map(str.encode)


@FEW
@given(st.lists(st.tuples(TARGETS, HEADERS, BODIES), min_size=40, max_size=40))
def test_any_target_header_and_body_arrives_as_it_is(calls: list[tuple[str, str, bytes]]) -> None:
    arrived = received(literal(*(raw_step("POST", target, (("X-A", value),), body) for target, value, body in calls)))
    assert [(r.target, dict(r.headers)["X-A"], r.body) for r in arrived] == calls


@FEW
@given(st.lists(ANY, min_size=100, max_size=100), st.lists(st.tuples(ANY, ANY), max_size=20))
def test_any_string_in_a_json_body_arrives_as_it_is(values: list[str], members: list[tuple[str, str]]) -> None:
    tree = Array((*values, Object(tuple(members)), Text(("\ud800", "x{", "{y}}"))))
    (request,) = received(literal(step(Text((PATH,)), JsonBody(tree), headers=(JSON,))))
    arrived = json.loads(request.body, object_pairs_hook=list)
    assert arrived == [*values, [tuple(member) for member in members], "\ud800x{{y}}"]


@FEW
@given(st.lists(ANY.filter(bool), min_size=15, max_size=15))
def test_any_secret_arrives_in_every_form(values: list[str]) -> None:
    def uses(name: str) -> Step:
        plain, uri, inside, base = (
            Var(name, encoding) for encoding in (Encoding.PLAIN, Encoding.URI, Encoding.JSON, Encoding.BASE64)
        )
        tree = Object(
            ((Text(("k", plain)), plain), ("t", Text(("{", plain, "{x}}", uri, base))), ("j", Text(('"', inside, '"'))))
        )
        return step(Text((f"{PATH}?u=", uri, "&b=", base)), JsonBody(tree))

    def raw(name: str, *, binary: bool) -> Step:
        parts = (b'{"a":"', Var(name, Encoding.JSON), b'"}') if not binary else (b"\xff{{x}}", Var(name), b"\0")
        return step(Text((PATH,)), RawBody(parts))

    names = [f"s{number}" for number in range(len(values))]
    steps = [made for name in names for made in (uses(name), raw(name, binary=False), raw(name, binary=True))]
    arrived = received(
        literal(*steps, variables=tuple(map(secret, names))), {f"DF_S{n}": v for n, v in enumerate(values)}
    )
    for number, value in enumerate(values):
        linked, text, binary = arrived[3 * number : 3 * number + 3]
        uri, base = quote(value, safe=""), base64.b64encode(value.encode()).decode()
        assert linked.target == f"{PATH}?u={uri}&b={base}"
        body = json.loads(linked.body)
        assert body == {f"k{value}": value, "t": "{" + value + "{x}}" + uri + base, "j": body["j"]}
        assert json.loads(body["j"]) == value
        assert json.loads(text.body) == {"a": value}
        assert binary.body == b"\xff{{x}}" + value.encode() + b"\0"


def test_journey_with_answers_of_every_kind_stays_valid() -> None:
    answers = (
        Answer(200, "OK", "text/html", "<b>{{x}}\u2028"),
        Answer(204),
        Answer(200, "OK", "application/json", "[1]", Array((Number("1.0"),))),
    )
    steps = tuple(replace(raw_step("PATCH", "/:id/x?a&b=", title="\ud800"), answer=answer) for answer in answers)
    made = collection(literal(*steps))
    assert list(jsonschema.Draft7Validator(json.loads(SCHEMA.read_text())).iter_errors(made)) == []
    assert [item["response"][0]["body"] for item in items(made)] == ["<b>{{x}}\u2028", "", "[\n    1.0\n]"]


def test_logout_alone_is_sent_when_no_session_can_be_given() -> None:
    token = replace(secret("session_token"), env="DF_TOKEN")
    journey = replace(literal(LOGOUT, variables=(token,)), literal=False)
    (request,) = received(journey, {"DF_TOKEN": "t"})
    assert ("X-DreamFactory-Session-Token", "t") in request.headers
