"""Ctrl-C, SIGTERM and SIGHUP at random moments: one line, the exit code, whole files or none; the next run works."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import dfrecord
from tests.doubles.server import DreamFactoryDouble
from tests.tools import FIXTURES, ROOT

TENANT = str(FIXTURES / "02-provision-tenant" / "recording.har")
COMMANDS = {
    "import": ["import", TENANT, "--force", "-o", "out.har"],
    "show": ["show", TENANT],
    "render": ["render", TENANT, "-f", "python", "--upsert", "--force", "-o", "out.py"],
    "report": ["report", TENANT, "--force", "-o", "out.html"],
    "plan": ["replay", TENANT, "--plan", "--upsert"],
    "replay": ["replay", TENANT, "--upsert"],
}
ENDS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
STRIKES = 3
PATHS = f"sys.path[:] = {sys.path!r}\n"  # for a Python that has loaded nothing of them yet
# A signal is sent when dfrecord itself has begun: while Python starts, Ctrl-C is the interpreter's affair.
BEGIN = """
import os, sys
class Begun:
    def find_spec(self, name, *_):
        if name == "dfrecord.cli":
            os.write(int(sys.argv.pop(1)), b".")
sys.meta_path.insert(0, Begun())
from dfrecord.__main__ import main
main()
"""


@dataclass(frozen=True)
class Ended:
    """What a run left. `took` is in seconds, from when dfrecord began."""

    code: int
    output: bytes
    error: str
    files: dict[str, bytes]
    took: float


def struck(
    command: list[str],
    folder: Path,
    df: DreamFactoryDouble,
    after: float = 0,
    number: int = 0,
    start: str = BEGIN,
) -> Ended:
    """Runs the command in the folder; after so many seconds it gets the signal, if one is given."""
    folder.mkdir(exist_ok=True)
    ours, theirs = os.pipe()
    environment = os.environ | {"DF_BASE_URL": df.url, "DF_EMAIL": df.email, "DF_PASSWORD": df.password}
    environment |= {"PYTHONPATH": str(ROOT)}
    started = [sys.executable, "-c", start, str(theirs), *command]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(started, cwd=folder, env=environment, pass_fds=[theirs], **pipes)  # type: ignore
    os.close(theirs)
    try:
        assert os.read(ours, 1) == b".", process.communicate()
    finally:
        os.close(ours)
    begun = time.monotonic()
    if number:
        time.sleep(after)
        process.send_signal(number)
    output, error = process.communicate(timeout=30)
    files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return Ended(process.returncode, output, error.decode(), files, time.monotonic() - begun)


def wrong_with(ended: Ended, number: int, whole: Ended) -> str:
    """What is not as promised, empty when all is. Python ends itself by the signal inside an exec() of a text."""
    if ended.code not in (whole.code, 128 + number, -number):
        return f"exit code {ended.code}"
    steps = ("[", "  stopping once")  # and what a replay waits for
    said = whole.error.splitlines()  # in the last moment all is done and told already
    told = [line for line in ended.error.splitlines() if line and line not in said and not line.startswith(steps)]
    if ended.code != whole.code and (len(told) > 1 or not all("stopped" in line for line in told)):
        return "more than one line"
    for name, content in ended.files.items():
        if name.endswith(".created.jsonl"):
            list(map(json.loads, content.splitlines()))  # it grows while a replay creates
        elif whole.files.get(name) != content:
            return f"not whole: {name}"
    return ""


@pytest.mark.parametrize("name", COMMANDS)
def test_a_signal_at_any_moment_leaves_whole_files_or_none(name: str, tmp_path: Path) -> None:
    moments = random.Random(name)
    with DreamFactoryDouble() as double:
        whole = struck(COMMANDS[name], tmp_path / "whole", double)
    assert whole.code == (3 if name == "plan" else 0), whole.error
    with DreamFactoryDouble(id_offset=9) as double:
        for strike in range(STRIKES):
            number, after = moments.choice(ENDS), moments.uniform(0, whole.took)
            ended = struck(COMMANDS[name], tmp_path / str(strike), double, after, number)
            wrong = wrong_with(ended, number, whole)
            assert not wrong, f"{wrong} after {after:.3f} s of {number}: {ended.error}"
        again = struck(COMMANDS[name], tmp_path / str(strike), double)
    assert again.code == whole.code, again.error
    assert not wrong_with(again, 0, whole)


@pytest.mark.parametrize("number", ENDS)
def test_a_signal_after_the_work_changes_nothing(number: int, tmp_path: Path) -> None:
    start = f"import atexit, os; atexit.register(os.kill, os.getpid(), {int(number)})\n{BEGIN}"
    with DreamFactoryDouble(id_offset=9) as double:
        done = struck(COMMANDS["plan"], tmp_path / "out", double, start=start)
    assert (done.code, done.error) == (3, "")


@pytest.mark.parametrize("module", ["dfrecord", "dfrecord.errors", "dfrecord.__main__", "dfrecord.cli", "click"])
def test_ctrl_c_while_the_command_loads_prints_no_traceback(module: str) -> None:
    """From the first module of ours on; before it, it is the interpreter's affair."""
    [command] = entry_points(group="console_scripts", name="dfrecord")
    start = f"""
import os, signal, sys
class Loading:
    def find_spec(self, name, *_):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Loading())
sys.argv = ["dfrecord", "formats"]
from {command.module} import {command.attr}
{command.attr}()
"""
    done = subprocess.run([sys.executable, "-c", start], capture_output=True, text=True)
    assert done.returncode in (-signal.SIGINT, 130)
    assert done.stdout == ""
    assert done.stderr in ("", "dfrecord: stopped\n")


@pytest.mark.parametrize("module", ["argparse", "urllib3.util.retry"])
def test_ctrl_c_while_a_python_script_loads_prints_no_traceback(module: str, tmp_path: Path) -> None:
    """And who imports it as a module keeps their own way with Ctrl-C."""
    script = tmp_path / "journey.py"
    script.write_bytes(dfrecord.render(dfrecord.plan(dfrecord.read(TENANT)), "python")[0].content)
    start = f"""
import os, runpy, signal, sys
class Loading:
    def find_spec(self, name, *_):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)
"""
    strike = "sys.meta_path.insert(0, Loading())\n"
    run = f"runpy.run_path({str(script)!r}, run_name='__main__')"
    done = subprocess.run([sys.executable, "-S", "-c", start + PATHS + strike + run], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")
    load = "import journey; assert signal.getsignal(signal.SIGINT) is signal.default_int_handler\n"
    caught = f"try:\n    {strike}    import journey\nexcept KeyboardInterrupt:\n    print('caught')\n"
    for text, heard in ((load, ""), (caught, "caught\n")):
        command = [sys.executable, "-S", "-c", start + PATHS + f"sys.path.insert(0, {str(tmp_path)!r})\n" + text]
        done = subprocess.run(command, capture_output=True, text=True)
        assert (done.returncode, done.stdout, done.stderr) == (0, heard, "")


def test_an_ignored_ctrl_c_stays_ignored() -> None:
    """As in what `nohup` or a shell script puts into the background."""
    start = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
sys.argv = ["dfrecord", "formats"]
from dfrecord_start import main
os.kill(os.getpid(), signal.SIGINT)
main()
"""
    done = subprocess.run([sys.executable, "-c", start], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "curl" in done.stdout
