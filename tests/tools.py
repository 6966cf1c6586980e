"""Runs the real thing: dfrecord's command line, and rendered scripts with bash, the Python interpreter and newman."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from tests.warm_python import interpreter

FIXTURES = Path(__file__).parent / "fixtures"
FORMATS = {
    "curl": "script.sh",
    "python": "script.py",
    "postman": "script.json",
    "ansible": "script.yml",
    "locust": "script.locust.py",
    "http": "script.http",
}
_NEEDS = {
    "curl": ("bash", "curl", "jq"),
    "python": (),
    "postman": ("newman",),
    "ansible": ("ansible-playbook",),
    "locust": ("locust",),
    "http": ("httpyac",),
}
FAILED = {"ansible": 2, "http": 10}
"""Exit codes of a run that failed, where they are not 1."""
EVERY_OPTION = [format for format in FORMATS if format != "http"]
"""The formats that know --upsert, --teardown and --literal; `http` refuses them."""
ROOT = Path(__file__).parent.parent


def dfrecord(
    *arguments: str | Path, code: int = 0, stdin: bytes | None = None, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run the command line, with these variables besides, and expect this exit code."""
    command = [sys.executable, "-m", "dfrecord", *map(str, arguments)]
    env = {**os.environ, **(environment or {})}
    done = subprocess.run(command, input=stdin, capture_output=True, cwd=ROOT, env=env, timeout=300)
    assert done.returncode == code, done.stderr.decode()
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    return done


def rendered(recording: Path, format: str, folder: Path, *options: str) -> Path:
    """The script of a recording in a format, written into the folder."""
    script = folder / FORMATS[format]
    dfrecord("render", recording, "-f", format, "-o", script, "--force", *options)
    return script


def torn_down(script: Path, format: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a script so that it deletes what its earlier runs created."""
    return run(script, format, {**environment, "DF_TEARDOWN": "1"})


def run_twice(script: Path, format: str, environment: Mapping[str, str]) -> None:
    """Run a script two times and expect exit code 0; in one process where starting takes longer than the run."""
    if format == "ansible":
        between = script.with_name("between.yml")  # facts stay, and a session that is there is not made again
        between.write_text("- hosts: localhost\n  tasks: [{set_fact: {df_session_token: ''}}]\n  gather_facts: false\n")
        runs = [run(script, format, environment, options=[between.name, script.name])]
    elif format == "locust":
        runs = [run(script, format, {**environment, "DF_ITERATIONS": "2"})]
    else:
        runs = [run(script, format, environment) for _ in range(2)]
    for done in runs:
        assert done.returncode == 0, done.stdout + done.stderr


def run(
    script: Path,
    format: str,
    environment: Mapping[str, str],
    *,
    timeout: float = 120,
    options: Sequence[str] = (),
    preexec_fn: Callable[[], None] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a rendered script with these variables and nothing else of ours; skips when its tool is missing."""
    for tool in _NEEDS[format]:
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    command = {
        "curl": ["bash", str(script)],
        "python": [sys.executable, str(script)],
        "postman": ["newman", "run", script.name, "-e", f"{script.stem}.postman_environment.json"],
        "ansible": ["ansible-playbook", script.name],
        "locust": ["locust", "-f", script.name, "--headless"],
        "http": ["httpyac", "send", script.name, "--all", "--bail", "--output", "none"],
    }[format]
    if format == "ansible":
        command[1:1] = ["-e", f"ansible_python_interpreter={interpreter()}"]
    if format == "locust":
        environment = {"DF_ITERATIONS": "1", "DF_UNIQUE": "0", **environment}
    if format == "postman":
        file = f"{script.stem}.postman_environment.json"
        command += ["--export-environment", file]  # what the run notes there is for the next one
        command += [word for name, value in environment.items() for word in ("--env-var", f"{name}={value}")]
    command += options
    base = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return subprocess.run(
        command,
        cwd=script.parent,
        env={**base, **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
        preexec_fn=preexec_fn,
    )
