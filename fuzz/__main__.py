"""Runs every target for so many seconds: `python -m fuzz 60`. What was found new stays in `.fuzz/` for the next run.

A target stops at its first defect; the input that shows it is then in `.fuzz/`, and `python -m fuzz.readers FILE` runs
it again.
"""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

from fuzz import seeds

FOLDER = Path(".fuzz")
TARGETS = {"readers": 20_000, "journeys": 1_000, "encoders": 200}
"""With the longest input that makes sense, in bytes."""


def main(seconds: int) -> int:
    """The number of targets that found a defect."""
    seeds.write(FOLDER / "readers")
    for target in ("journeys", "encoders"):  # these read their bytes as choices, so any will do
        (FOLDER / target).mkdir(parents=True, exist_ok=True)
        for number in range(40):
            content = random.Random(number).randbytes(TARGETS[target])
            (FOLDER / target / f"seed-{number:03}").write_bytes(content)
    return sum(_fails(target, longest, seconds) for target, longest in TARGETS.items())


def _fails(target: str, longest: int, seconds: int) -> bool:
    limits = [
        f"-max_total_time={seconds}",
        f"-max_len={longest}",
        "-len_control=0",
        "-timeout=60",
        "-rss_limit_mb=1000",
    ]
    command = [sys.executable, "-m", f"fuzz.{target}", str(FOLDER / target), f"-artifact_prefix={FOLDER}/{target}-"]
    done = subprocess.run([*command, *limits], stderr=subprocess.PIPE, text=True, errors="replace")
    lines = done.stderr.splitlines()
    print(f"fuzz {target}: {lines[-1] if lines else ''}" if done.returncode == 0 else done.stderr, flush=True)
    return done.returncode != 0


if __name__ == "__main__":
    sys.exit(min(main(int(sys.argv[1])), 1))
