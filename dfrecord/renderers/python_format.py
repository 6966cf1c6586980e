"""Black over a generated script; over a long one in several processes, since black takes milliseconds a step."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from dfrecord.errors import UsageError

LINE_LENGTH = 88
LONG = 250_000
"""From this many characters on, starting processes pays."""

_STEP = re.compile(r"(?m)^(?=    # \d+\. )")
_CHILD = (
    "import sys; from dfrecord.renderers.python_format import once; "
    "sys.stdout.buffer.write(once(sys.stdin.buffer.read().decode()).encode())"
)


def formatted(source: str) -> str:
    """The source in black's style, the same for any number of processes. Raises UsageError when it is no Python.

    The script has one long function, a comment `    # 7. …` before each of its steps.
    """
    workers = os.cpu_count() or 1
    start, *steps = _STEP.split(source) if len(source) >= LONG else [source]
    if workers < 2 or len(steps) < 4 * workers:
        return once(source)
    *steps, end = steps
    size = -(-len(steps) // workers)
    chunks = ["".join(steps[at : at + size]) for at in range(0, len(steps), size)]
    with ThreadPoolExecutor(len(chunks)) as threads:
        bodies = threads.map(_in_a_process, chunks)
        frame = once(start + end)
        before, step, after = frame.partition(
            next(line for line in frame.splitlines(keepends=True) if _STEP.match(line))
        )
        return "".join([before, *(f"{body}\n" for body in bodies), step, after])


def once(source: str) -> str:
    """The source in black's style. Raises UsageError when it is no Python."""
    import black
    from black.mode import TargetVersion
    from black.parsing import InvalidInput

    try:
        return black.format_str(source, mode=black.Mode(line_length=LINE_LENGTH, target_versions={TargetVersion.PY311}))
    except InvalidInput as error:
        raise UsageError(f"the python template does not make valid Python: {str(error).splitlines()[0]}") from error


def _in_a_process(steps: str) -> str:
    """Steps, formatted as they stand in a function; in this process when another one cannot do it."""
    source = f"def steps():\n{steps}"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, sys.path))}
    command = [sys.executable, "-c", _CHILD]
    done = subprocess.run(command, input=source.encode(), capture_output=True, env=environment)
    text = done.stdout.decode() if done.returncode == 0 else once(source)
    return text.partition("\n")[2]
