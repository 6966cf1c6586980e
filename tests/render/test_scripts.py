"""What the three formats promise beyond running: clean under linters, valid collections, the session token given."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

import dfrecord
from dfrecord.outputs import write_script
from dfrecord.renderers.python_names import name_variables
from tests.doubles.echo import EchoServer
from tests.doubles.server import DreamFactoryDouble
from tests.render.journeys import HOSTILE, PROVISION
from tests.tools import FAILED, FIXTURES, FORMATS, rendered, run

CASES = ("01-create-user", "02-provision-tenant", "03-edit-role", "06-messy")


@pytest.mark.parametrize("options", [(), ("--literal",), ("--upsert", "--teardown")])
def test_generated_python_is_clean_under_black_ruff_and_mypy(tmp_path: Path, options: tuple[str, ...]) -> None:
    for case in CASES:
        (tmp_path / case).mkdir()
        script = rendered(FIXTURES / case / "recording.har", "python", tmp_path / case, *options)
        script.rename(tmp_path / f"{case.replace('-', '_')}.py")
    (tmp_path / "hostile.py").write_bytes(dfrecord.render(HOSTILE, "python")[0].content)
    (tmp_path / "provision.py").write_bytes(dfrecord.render(PROVISION, "python")[0].content)
    scripts = sorted(tmp_path.glob("*.py"))
    for tool in (
        ["black", "--check", "-q", "--line-length", "88"],
        ["ruff", "check", "--isolated", "--select", "E,F,I,UP,B"],
    ):
        subprocess.run([sys.executable, "-m", *tool, *scripts], check=True)
    for script in scripts:
        subprocess.run([sys.executable, "-m", "mypy", "--strict", script], check=True, cwd=tmp_path)


def test_generated_python_carries_inline_metadata(tmp_path: Path) -> None:
    script = rendered(FIXTURES / "01-create-user" / "recording.har", "python", tmp_path).read_text()
    assert script.startswith("#!/usr/bin/env python3\n# /// script\n# requires-python = ")
    assert '# dependencies = ["requests>=2.32.4"]\n# ///\n' in script


def test_environment_file_has_empty_secrets(tmp_path: Path) -> None:
    script = rendered(FIXTURES / "01-create-user" / "recording.har", "postman", tmp_path)
    environment = json.loads(script.with_name("script.postman_environment.json").read_text())
    values = {value["key"]: value for value in environment["values"]}
    assert {"DF_BASE_URL", "DF_EMAIL", "DF_PASSWORD", "DF_USER_PASSWORD"} <= values.keys()
    for name in ("DF_PASSWORD", "DF_USER_PASSWORD", "DF_SESSION_TOKEN"):
        assert (values[name]["type"], values[name]["value"]) == ("secret", "")


def test_collection_is_valid_against_the_published_schema(tmp_path: Path) -> None:
    schema = json.loads((Path(__file__).parent / "postman-collection-v2.1.0.schema.json").read_text())
    validator = jsonschema.validators.validator_for(schema)(schema)
    for journey in (HOSTILE, PROVISION):
        validator.validate(json.loads(dfrecord.render(journey, "postman")[0].content))
    for case in CASES:
        for options in ((), ("--upsert", "--teardown")):
            collection = rendered(FIXTURES / case / "recording.har", "postman", tmp_path, *options)
            validator.validate(json.loads(collection.read_text()))


def test_collection_has_folders_auth_and_saved_answers(tmp_path: Path) -> None:
    collection = json.loads(
        rendered(FIXTURES / "02-provision-tenant" / "recording.har", "postman", tmp_path).read_text()
    )
    assert collection["info"]["schema"].endswith("/v2.1.0/collection.json")
    assert collection["auth"]["type"] == "apikey"
    requests = [request for folder in collection["item"] for request in folder["item"]]
    assert [request["name"] for request in requests][-1] == "Create app acme-app"
    assert all(request["response"][0]["originalRequest"]["method"] == "POST" for request in requests)


@pytest.mark.parametrize("format", FORMATS)
def test_given_session_token_is_used_and_neither_logged_in_nor_out(format: str, tmp_path: Path) -> None:
    script = rendered(FIXTURES / "01-create-user" / "recording.har", format, tmp_path)
    with DreamFactoryDouble(id_offset=9) as df:
        credentials = json.dumps({"email": df.email, "password": df.password}).encode()
        token = df.call("POST", "/api/v2/system/admin/session", credentials)[1]["session_token"]
        df.reset_log()
        done = run(
            script,
            format,
            {"DF_BASE_URL": df.url, "DF_SESSION_TOKEN": token, "DF_USER_PASSWORD": "Another!pass-word-16"},
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert [(call.method, call.path) for call in df.log] == [("POST", "/api/v2/system/user")]


@pytest.mark.parametrize("format", FORMATS)
def test_address_of_the_api_or_the_console_is_refused(format: str, tmp_path: Path) -> None:
    script = rendered(FIXTURES / "02-provision-tenant" / "recording.har", format, tmp_path)
    rule = "must be the address of the instance alone, without /api/v2, ?, # or @"
    with EchoServer() as echo:
        addresses = [echo.url + copied for copied in ("/api/v2/", "/dreamfactory/dist/#/home")]
        for address in (*addresses, echo.url.replace("://", "://admin:S3cret-Pass-99@")):
            done = run(script, format, {"DF_BASE_URL": address, "DF_EMAIL": "a@b.c", "DF_PASSWORD": "p"})
            assert done.returncode != 0
            assert rule in " ".join((done.stdout + done.stderr).split())
            assert "S3cret-Pass-99" not in done.stdout + done.stderr
        assert echo.received == []


@pytest.mark.parametrize("format", FORMATS)
def test_refusal_is_told_in_the_servers_words(format: str, tmp_path: Path) -> None:
    script = rendered(FIXTURES / "02-provision-tenant" / "recording.har", format, tmp_path)
    with DreamFactoryDouble(id_offset=9) as df:
        environment = {"DF_BASE_URL": df.url, "DF_EMAIL": df.email, "DF_PASSWORD": df.password}
        assert run(script, format, environment).returncode == 0
        again = run(script, format, environment)
        assert again.returncode == FAILED.get(format, 1)
        assert "UNIQUE constraint failed: service.name" in (again.stdout + again.stderr).replace("\n", " ")
        assert len(df.writes) == 4


@pytest.mark.parametrize("format", FORMATS)
def test_hand_made_journey_runs_with_lookup_capture_and_logout(format: str, tmp_path: Path) -> None:
    script = tmp_path / FORMATS[format]
    write_script(dfrecord.render(PROVISION, format, stem="script"), script)
    with DreamFactoryDouble(id_offset=100) as df:
        environment = {"DF_BASE_URL": df.url, "DF_EMAIL": df.email, "DF_PASSWORD": df.password}
        done = run(script, format, {**environment, "DF_USER_PASSWORD": "Another!pass-word-16"})
        assert done.returncode == 0, done.stdout + done.stderr
        [role] = df.state()["role"]
        service = next(service for service in df.state()["service"] if service["name"] == "db")
        assert role["role_service_access_by_role_id"][0]["service_id"] == service["id"]
        assert role["description"] == "changed"
        assert df.state()["user"][0]["phone"] == f"role {role['id']}!"


@pytest.mark.parametrize("format", ["python", "locust"])
def test_no_journey_takes_a_name_of_its_script(format: str) -> None:
    journey = dfrecord.plan(dfrecord.read(FIXTURES / "03-edit-role" / "recording.har"), upsert=True, teardown=True)
    module = ast.parse(dfrecord.render(journey, format)[0].content)
    own = {"recording", "Recording", "Recording_", "RecordingResult"}
    bound = {name for statement in module.body for name in _bound(statement)} - own
    assert len(bound) > 30
    for name in bound:
        called = name_variables(replace(journey, name=re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()))
        assert name not in (called.function, called.user)


def _bound(statement: ast.stmt) -> Iterator[str]:
    match statement:
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.AnnAssign(target=ast.Name(id=name)):
            yield name
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            yield from (alias.asname or alias.name for alias in names)
        case ast.Assign(targets=targets):
            yield from (target.id for target in targets if isinstance(target, ast.Name))


@pytest.mark.parametrize("options", [[], ["--upsert"]], ids=["plain", "upsert"])
@pytest.mark.parametrize("format", ["curl", "python", "postman"])
def test_a_given_name_does_not_steer_the_terminal(format: str, options: list[str], tmp_path: Path) -> None:
    """It may come from a customer's form; it arrives as it is."""
    name = "a\x1b]0;x\x07\x1b[31m\u202eb\r\u200b{{DF_PASSWORD}}$(touch canary)"
    script = rendered(FIXTURES / "02-provision-tenant" / "recording.har", format, tmp_path, *options)
    with DreamFactoryDouble(id_offset=9) as df:
        environment = {"DF_BASE_URL": df.url, "DF_EMAIL": df.email, "DF_PASSWORD": df.password, "DF_ROLE_NAME": name}
        outputs = []
        for service in ("one", "two"):  # the second time the role is there: refused, or unchanged
            done = run(script, format, {**environment, "DF_SERVICE_NAME": service})
            outputs.append(done.stdout + done.stderr)
        assert [role["name"] for role in df.state()["role"]] == [name]
        if format == "python":
            done = run(script, format, {**environment, "DF_ROLE_NAME": f"{name}2"}, options=["--plan"])
            outputs.append(done.stdout + done.stderr)
    for output in outputs:
        assert "touch canary" in output or format == "postman"
        assert not [mark for mark in "\x1b\x07\r\u202e\u200b" if mark in output], output
    assert not (tmp_path / "canary").exists()


def test_a_token_that_no_header_holds_ends_a_locust_run_in_one_line(tmp_path: Path) -> None:
    script = rendered(FIXTURES / "02-provision-tenant" / "recording.har", "locust", tmp_path)
    login = {("POST", "/api/v2/system/admin/session"): (200, json.dumps({"session_token": "TOKEN\n0123456789"}))}
    with EchoServer(login) as echo:
        done = run(script, "locust", {"DF_BASE_URL": echo.url, "DF_EMAIL": "a@b.c", "DF_PASSWORD": "p"})
    output = done.stdout + done.stderr
    assert done.returncode == 1
    assert "a header would hold a control character" in output
    assert "Traceback" not in output
    assert "0123456789" not in output
