"""The `ansible` format, run by ansible-core: what Ansible reads, what it hides, what `--check` tells."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import dfrecord
from dfrecord.journey.model import Journey, JsonBody, RawBody, RequestTemplate, Step, StepKind, Variable, VariableKind
from dfrecord.outputs import INVISIBLE, write_script
from dfrecord.renderers.ansible_encoder import RESERVED, CannotStand, Encoder, Recorded, playbook_names, to_yaml
from dfrecord.renderers.templates import TEMPLATES
from dfrecord.tree import Array, Encoding, Number, Object, Text, Tree, Var
from tests.doubles.echo import EchoServer
from tests.doubles.server import DreamFactoryDouble
from tests.render.journeys import JSON, PROVISION, TOKEN, literal, raw_step
from tests.test_end_to_end import environment, prepare
from tests.tools import FIXTURES, rendered, run

SEEDS = [
    "{{ 7*7 }}",
    "{% raw %}",
    "{#",
    "{",
    "}}",
    "\r\n",
    "\n",
    "\\",
    "'",
    '"',
    "#jinja2: x",
    "!unsafe",
    "\u2028",
    "é",
    "- a",
]
texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    st.lists(
        st.sampled_from([*SEEDS, "a", " ", ": ", "null", "yes", "1e3", "0x1f", "1:20", "=", "<<"]), max_size=5
    ).map("".join),
)
numbers = st.from_regex(r"-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,20})?(e[0-9]{1,3})?", fullmatch=True).map(Number)
parts = st.lists(st.one_of(texts, st.just(Var("x"))), min_size=1, max_size=4).map(lambda items: Text(tuple(items)))
trees = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts, parts, st.just(Var("x")), st.just(Var("n"))),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: Array(tuple(items))),
        st.dictionaries(texts, inner, max_size=3).map(lambda members: Object(tuple(members.items()))),
    ),
    max_leaves=8,
)
X = Variable("x", VariableKind.PARAMETER, env="DF_X", required=True)
N = Variable("n", VariableKind.CAPTURE, "integer")
GIVEN = {"df_x": "{{ 6*6 }}", "df_n": 12345678901234567890}


def encoder() -> Encoder:
    return Encoder({"x": X, "n": N}, names=playbook_names([X, N]))


def as_ansible_reads(values: dict[str, Any], folder: Path) -> Any:
    """What a task gets that has these variables, all templates filled in."""
    file = folder / "vars.yml"
    file.write_text("".join(f"{name}:{to_yaml(value, 2)}\n" for name, value in values.items()), newline="")
    loader = DataLoader()
    variables = loader.load_from_file(str(file), cache="none", trusted_as_template=True)
    return Templar(loader, variables={**variables, **GIVEN}).template(variables["value"])


def expected(tree: Tree) -> Any:
    match tree:
        case Number(text=text):
            return json.loads(text)
        case Var(name=name):
            return GIVEN[f"df_{name}"]
        case Text(parts=parts):
            return "".join(part if isinstance(part, str) else str(GIVEN["df_x"]) for part in parts)
        case Array(items=items):
            return [expected(item) for item in items]
        case Object(members=members):
            return {key: expected(value) for key, value in members}
    return tree


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=trees)
def test_ansible_reads_every_value_as_it_is_and_evaluates_nothing(tree: Tree, tmp_path: Path) -> None:
    scope = encoder()
    try:
        value = scope.tree(tree)
        read = as_ansible_reads({"value": value, **scope.take_texts()}, tmp_path)
        assert json.dumps(read) == json.dumps(expected(tree))
    except CannotStand:  # numbers that YAML would not keep go as JSON text
        assert any(isinstance(part, Number) for part in leaves(tree))


def leaves(tree: Tree) -> list[Tree]:
    match tree:
        case Array(items=items):
            return [leaf for item in items for leaf in leaves(item)]
        case Object(members=members):
            return [leaf for _, value in members for leaf in leaves(value)]
    return [tree]


@settings(max_examples=100, deadline=None)
@given(text=texts)
def test_yaml_is_on_one_line_and_hides_nothing(text: str) -> None:
    source = to_yaml(Recorded(text))
    assert "\n" not in source
    assert not INVISIBLE.search(source)
    loader = yaml.SafeLoader(f"value:{source}\n")
    node: Any = loader.get_single_node()
    assert node.value[0][1].value == text


def test_no_variable_of_a_journey_takes_a_name_of_the_playbook() -> None:
    source = (TEMPLATES / "ansible" / "playbook.yml.j2").read_text()
    own = set(re.findall(r"\bdf_[a-z_]+", source)) - {"df_base_url"} - set(re.findall(r"\| (df_[a-z_]+)", source))
    assert own <= RESERVED
    journey = [Variable(name.removeprefix("df_"), VariableKind.CAPTURE) for name in RESERVED]
    assert not RESERVED & set(playbook_names(journey).values())


# ---------------------------------------------------------------- requests


def sent(journey: Journey, folder: Path, **environment: str) -> list[Any]:
    """What arrives at a server that agrees to everything."""
    script = folder / "script.yml"
    write_script(dfrecord.render(journey, "ansible"), script)
    with EchoServer() as echo:
        done = run(script, "ansible", {"DF_BASE_URL": echo.url, **environment})
        assert done.returncode == 0, done.stdout + done.stderr
    return echo.received


def step(name: str, target: Text, body: JsonBody | RawBody | None, *headers: tuple[str, Text]) -> Step:
    return Step(name, name, StepKind.CALL, RequestTemplate("POST", target, headers, body))


def test_variables_in_every_place_and_encoding(tmp_path: Path) -> None:
    key = Variable("key", VariableKind.SECRET, env="DF_KEY", secret=True, required=True)
    count = Variable("count", VariableKind.PARAMETER, "integer", "DF_COUNT", default=Number("7"))
    ratio = Variable("ratio", VariableKind.PARAMETER, "number", "DF_RATIO", default=Number("1.0"))
    flag = Variable("flag", VariableKind.PARAMETER, "boolean", "DF_FLAG", default=True)
    uri = Text(
        ("/x{{1}}?k=", Var("key", Encoding.URI), "&n=", Var("count", Encoding.URI), "&f=", Var("flag", Encoding.URI))
    )
    raw = RawBody((b"{{ 1 }}\r\n", Var("key"), b"|", Var("key", Encoding.BASE64), b"|", Var("key", Encoding.JSON)))
    tree = Object((("key", Var("key")), ("n", Var("count")), ("r", Var("ratio")), ("f", Var("flag"))))
    exact = Array((Number("1.10"), Number("1e400"), Number("-0"), "\ud800", Text(("a\n", Var("key"))), Var("count")))
    binary = RawBody((b"\xff\x00\xfe", Var("key"), b"\n\n"))
    steps = (
        step("uri", uri, raw, ("X-Key", Text(("é ", Var("key"))))),
        step("typed", Text(("/y",)), JsonBody(tree), JSON),
        step("exact", Text(("/z",)), JsonBody(exact), JSON),
        step("binary", Text(("/b",)), binary, ("Content-Type", Text(("application/zip",)))),
        step("null", Text(("/n",)), JsonBody(None), JSON),
    )
    journey = replace(literal(*steps, variables=(key, count, ratio, flag)), literal=False)
    value = 'q"{{ 1 }}\\ é/'
    first, second, third, fourth, fifth = sent(journey, tmp_path, DF_KEY=value, DF_COUNT="12345678901234567890")
    assert first.target == "/x{{1}}?k=q%22%7B%7B%201%20%7D%7D%5C%20%C3%A9%2F&n=12345678901234567890&f=true"
    assert (
        first.body
        == f"{{{{ 1 }}}}\r\n{value}|cSJ7eyAxIH19XCDDqS8=|{json.dumps(value, ensure_ascii=False)[1:-1]}".encode()
    )
    assert dict(first.headers)["X-Key"].encode("latin-1").decode() == "é " + value
    assert json.loads(second.body) == {"key": value, "n": 12345678901234567890, "r": 1.0, "f": True}
    text = json.dumps("a\n" + value, ensure_ascii=False)
    assert third.body == f'[1.10,1e400,-0,"\\ud800",{text},12345678901234567890]'.encode()
    assert fourth.body == b"\xff\x00\xfe" + value.encode() + b"\n\n"
    assert fifth.body == b"null"


def test_what_is_no_number_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    count = Variable("count", VariableKind.PARAMETER, "integer", "DF_COUNT", required=True)
    journey = literal(step("x", Text(("/x?n=", Var("count", Encoding.URI))), None), variables=(count,))
    write_script(dfrecord.render(replace(journey, literal=False), "ansible"), tmp_path / "script.yml")
    with EchoServer() as echo:
        done = run(tmp_path / "script.yml", "ansible", {"DF_BASE_URL": echo.url, "DF_COUNT": "seven"})
        assert done.returncode == 2
        assert "DF_COUNT must be a whole number; nothing was sent" in done.stdout + done.stderr
        assert echo.received == []


def test_a_server_that_is_not_there_is_told_in_words(tmp_path: Path) -> None:
    write_script(dfrecord.render(literal(raw_step("GET", "/x")), "ansible"), tmp_path / "script.yml")
    done = run(tmp_path / "script.yml", "ansible", {"DF_BASE_URL": "http://127.0.0.1:9"})
    assert done.returncode == 2
    assert "step: no answer: Request failed: <urlopen error" in done.stdout


def test_repeated_header_and_missing_type_are_told(tmp_path: Path) -> None:
    journey = literal(raw_step("POST", "/x", (("X-Twice", "1"), ("x-twice", "2")), b"plain"))
    source = dfrecord.render(journey, "ansible")[0].content.decode()
    assert "# Note: the values of header X-Twice are sent joined in one" in source
    (received,) = sent(journey, tmp_path)
    assert [value for name, value in received.headers if name.lower() == "x-twice"] == ["1, 2"]
    assert [value for name, value in received.headers if name.lower() == "content-type"] == [""]


# ---------------------------------------------------------------- as Ansible users know it


def test_second_upsert_is_ok_without_changes_and_check_mode_tells_them_before(tmp_path: Path) -> None:
    script = rendered(FIXTURES / "03-edit-role" / "recording.har", "ansible", tmp_path, "--upsert")
    with DreamFactoryDouble(id_offset=1000) as df:
        prepare(df, "03-edit-role")
        df.reset_log()
        given = {**environment(df), "ANSIBLE_CALLBACK_RESULT_FORMAT": "json"}
        planned = recap(run(script, "ansible", given, options=["--check"]))
        assert df.writes == []
        assert planned["changed"] > 0
        first = recap(run(script, "ansible", given))
        assert first["changed"] == len(df.writes) == planned["changed"]
        df.reset_log()
        for options in ([], ["--check"]):
            assert recap(run(script, "ansible", given, options=options))["changed"] == 0
        assert df.writes == []


def test_check_mode_of_a_plain_playbook_sends_no_write(tmp_path: Path) -> None:
    script = tmp_path / "script.yml"
    write_script(dfrecord.render(PROVISION, "ansible"), script)
    with DreamFactoryDouble(id_offset=9) as df:
        done = run(script, "ansible", environment(df), options=["--check"])
        assert done.returncode == 0, done.stdout + done.stderr
        assert [call.path for call in df.writes if not call.path.endswith("/session")] == []


def recap(done: Any) -> dict[str, int]:
    """The counts of Ansible's last line."""
    assert done.returncode == 0, done.stdout + done.stderr
    line = next(line for line in reversed(done.stdout.splitlines()) if "changed=" in line)
    return {name: int(count) for name, count in re.findall(r"(\w+)=(\d+)", line)}


def test_no_secret_is_shown_however_it_ends_and_however_much_is_told(tmp_path: Path) -> None:
    script = tmp_path / "script.yml"
    write_script(dfrecord.render(PROVISION, "ansible"), script)
    with DreamFactoryDouble(id_offset=9, password="Canary-Pass-0123456789") as df:
        given = {**environment(df), "DF_USER_PASSWORD": "Canary-User-0123456789"}
        for code in (0, 2):  # the second run is refused
            done = run(script, "ansible", given, options=["-vvv"])
            assert done.returncode == code, done.stdout + done.stderr
            assert "anary-" not in done.stdout + done.stderr
            for name, value in [header for call in df.log for header in call.headers]:
                assert name.lower() != TOKEN[0].lower() or value not in done.stdout + done.stderr
        assert "UNIQUE constraint failed" in done.stdout


def test_values_come_from_ansible_variables_too(tmp_path: Path) -> None:
    script = rendered(FIXTURES / "01-create-user" / "recording.har", "ansible", tmp_path)
    with DreamFactoryDouble(id_offset=9) as df:
        values = {"df_base_url": df.url, "df_email": df.email, "df_password": df.password, "df_user_password": "x" * 16}
        values["ansible_python_interpreter"] = sys.executable  # here, nothing is warm: as at a user's
        (tmp_path / "values.json").write_text(json.dumps(values))
        done = run(script, "ansible", {}, options=["-e", "@values.json"])
        assert done.returncode == 0, done.stdout + done.stderr
        assert len(df.state()["user"]) == 1
