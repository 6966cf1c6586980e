"""`dfrecord import` in a process of its own, caught while it shares its work with children."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.tools import ROOT

ALL_FILES = "har_entries._AT_ONCE = har_ahead._WORTH_IT = 0"
"""For `begun`: small files are read by several processes, too."""

_START = """
import os, sys
from dfrecord import forks
from dfrecord.recording import har_ahead, har_entries
{setting}
os.sched_getaffinity = lambda process: {{0, 1, 2}}
fork = forks.fork
def telling(*arguments):
    fork(*arguments)
    os.write(int(os.environ["TOLD"]), b".")
forks.fork = har_ahead.fork = telling
from dfrecord.__main__ import main
main()
"""


def begun(recording: Path, output: str, setting: str = "", **more: Any) -> subprocess.Popen[bytes]:
    """The command in a process group of its own, once it has its two children."""
    ours, theirs = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", _START.format(setting=setting), "import", str(recording), "-o", output, "--force"],
        pass_fds=[theirs],
        start_new_session=True,
        env=os.environ | {"TOLD": str(theirs), "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        **more,
    )
    os.close(theirs)
    with os.fdopen(ours, "rb", buffering=0) as told:
        assert told.read(1) + told.read(1) == b"..", process.communicate()
    return process


def is_left(group: int) -> bool:
    """Whether a process of that group is."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def children() -> set[str]:
    """All of this process, also those of other tests and those that only wait to be forgotten."""
    return {child for task in Path("/proc/self/task").iterdir() for child in (task / "children").read_text().split()}


def open_files() -> int:
    """How many files and pipes this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
