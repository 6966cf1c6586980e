"""The command line: what it prints, its exit codes, and that no traceback reaches a user."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.tools import FIXTURES, FORMATS, dfrecord, rendered, run

MESSY = FIXTURES / "06-messy" / "recording.har"


def test_show_accounts_for_every_entry_of_the_messy_recording() -> None:
    told = json.loads(dfrecord("show", MESSY, "--json").stdout)
    assert [step["title"] for step in told["steps"]] == [
        "Log in as an administrator",
        "Create role support-2",
        "Create role temp-role",
        "Delete role temp-role",
        "Update user bob.ross@example.com",
        "Update service legacy_rws",
        "Delete app old-app",
        "Log out",
    ]
    dropped = [line["entry"] for line in told["residue"] if line["kind"] == "dropped"]
    kept = [step["entry"] for step in told["steps"]]
    assert sorted(dropped + kept) == list(range(897))
    assert all(line["reason"] for line in told["residue"])


def test_show_lists_the_variables_in_the_binding_shape() -> None:
    told = json.loads(dfrecord("show", FIXTURES / "01-create-user" / "recording.har", "--json").stdout)
    by_env = {variable["env"]: variable for variable in told["variables"]}
    assert {"DF_BASE_URL", "DF_EMAIL", "DF_PASSWORD", "DF_SESSION_TOKEN", "DF_USER_PASSWORD"} <= by_env.keys()
    for variable in told["variables"]:
        assert {"name", "env", "kind", "secret", "required", "default", "type", "used_by"} <= variable.keys()
        assert not (variable["secret"] and variable["default"])
    assert by_env["DF_USER_PASSWORD"]["used_by"] == ["create_user"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("show", "missing.har"),
        ("show", str(FIXTURES)),
        ("render", str(MESSY), "-f", "cobol", "-o", "x"),
        ("render", str(MESSY), "-f", "curl"),
        ("render", str(MESSY), "-f", "curl", "-o", "/nowhere/at/all.sh"),
        ("show", str(MESSY), "--reads", "some"),
        ("replay", str(MESSY), "--base-url", "http://127.0.0.1:9", "--timeout", "nan"),
        ("show", str(MESSY), "--filter", "https://["),
        ("replay", str(MESSY), "--base-url", "http://df:99999"),
        ("nonsense",),
        ("import", str(MESSY)),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(arguments: tuple[str, ...]) -> None:
    done = dfrecord(*arguments, code=2)
    assert done.stderr.decode().count("\n") == 1
    assert done.stderr.startswith(b"dfrecord: ")
    assert b"a bug in dfrecord" not in done.stderr


def test_standard_input_and_output(tmp_path: Path) -> None:
    piped = dfrecord("render", "-", "-f", "curl", "-o", "-", "--name", "messy", stdin=MESSY.read_bytes())
    dfrecord("render", MESSY, "-f", "curl", "-o", tmp_path / "a.sh", "--name", "messy")
    body = [re.sub("recorded in .*", "", line) for line in piped.stdout.decode().splitlines()]
    assert body == [re.sub("recorded in .*", "", line) for line in (tmp_path / "a.sh").read_text().splitlines()]


def test_what_is_lost_is_told_also_when_the_recording_goes_to_standard_output() -> None:
    raw = MESSY.read_bytes()
    done = dfrecord("import", "-", "-o", "-", stdin=raw[: len(raw) * 3 // 4])
    assert b"cut-off entry was lost" in done.stderr
    assert dfrecord("import", "-", "-o", "-", "--quiet", stdin=raw[: len(raw) * 3 // 4]).stderr == b""
    assert b"passwords and tokens in clear" in dfrecord("import", MESSY, "-o", "-", "--keep-secrets").stderr


@pytest.mark.parametrize("format", FORMATS)
def test_missing_variables_are_named_and_nothing_is_sent(format: str, tmp_path: Path) -> None:
    script = rendered(FIXTURES / "01-create-user" / "recording.har", format, tmp_path)
    done = run(script, format, {"DF_BASE_URL": "http://127.0.0.1:9"})
    assert done.returncode == {"postman": 1, "http": 10}.get(format, 2)
    for name in ("DF_EMAIL", "DF_PASSWORD", "DF_USER_PASSWORD"):
        assert name in done.stdout + done.stderr


def test_formats_lists_what_render_writes() -> None:
    listed = dfrecord("formats").stdout.decode()
    assert [line.split()[0] for line in listed.splitlines()] == list(FORMATS)


def test_help_takes_less_than_twice_the_time_of_importing_click() -> None:
    """The best of interleaved runs on both sides: on a busy machine only the fastest runs tell what the work costs."""

    def seconds(*command: str) -> float:
        start = time.perf_counter()
        subprocess.run([sys.executable, *command], check=True, capture_output=True)
        return time.perf_counter() - start

    ours, peer = [], []
    for _ in range(30):
        peer.append(seconds("-c", "import click"))
        ours.append(seconds("-m", "dfrecord", "--help"))
        if len(ours) >= 5 and min(ours) < 2 * min(peer):
            break
    assert min(ours) < 2 * min(peer)


def test_help_loads_no_heavy_module() -> None:
    code = "import sys, dfrecord.cli; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert not {"mitmproxy", "black", "haralyzer", "rich", "jinja2", "requests", "msgspec"} & set(loaded)


BASH = """
eval "$(dfrecord completion bash)"
COMP_WORDS=(dfrecord render -f lo) COMP_CWORD=3
"$(complete -p dfrecord | sed 's/.*-F \\([^ ]*\\).*/\\1/')" dfrecord lo -f
echo "${COMPREPLY[@]}"
"""
FISH = 'dfrecord completion fish | source; complete -C "dfrecord render -f lo"'
ZSH = """
autoload -Uz compinit; compinit -u -D; eval "$(dfrecord completion zsh)"
compadd() { print -r -- ${(P)@[-1]}; }  # the answer is what would be offered
words=(dfrecord render -f lo) CURRENT=4
$_comps[dfrecord]
"""


@pytest.mark.parametrize(
    "command", [["bash", "-c", BASH], ["fish", "-c", FISH], ["zsh", "-f", "-c", ZSH]], ids=["bash", "fish", "zsh"]
)
def test_shells_complete_formats(command: list[str], tmp_path: Path) -> None:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": programs, "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["locust"], done.stdout + done.stderr


def test_a_parameter_given_twice_is_one_clear_line() -> None:
    done = dfrecord(
        "show",
        FIXTURES / "02-provision-tenant" / "recording.har",
        "--parameter",
        "t=acme",
        "--parameter",
        "t=files",
        code=2,
    )
    assert done.stderr.decode() == "dfrecord: --parameter t: given twice, as acme and files; give it once\n"
