"""Runs every target for so many seconds: `python -m fuzz 60`. What was found new stays in `.fuzz/` for the next run.
Without a number, a fixed count of inputs from a fixed seed, the same ones each time: what CI runs.

A target stops at its first defect; the input that shows it is then in `.fuzz/`, and `python -m fuzz.readers FILE` runs
it again.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

from fuzz import seeds

FOLDER = Path(".fuzz")
TARGETS = {"readers": 20_000, "journeys": 1_000, "encoders": 200}
"""With the longest input that makes sense, in bytes."""
RUNS = {"readers": 8_000, "journeys": 3_000, "encoders": 15_000}


def main(seconds: int | None) -> int:
    """The number of targets that found a defect."""
    seeds.write(FOLDER / "readers")
    for target in ("journeys", "encoders"):  # these read their bytes as choices, so any will do
        (FOLDER / target).mkdir(parents=True, exist_ok=True)
        for number in range(40):
            content = random.Random(number).randbytes(TARGETS[target])
            (FOLDER / target / f"seed-{number:03}").write_bytes(content)
    return sum(_fails(target, longest, seconds) for target, longest in TARGETS.items())


def _fails(target: str, longest: int, seconds: int | None) -> bool:
    limits = [
        *([f"-max_total_time={seconds}"] if seconds else ["-seed=1", f"-runs={RUNS[target]}"]),
        f"-max_len={longest}",
        "-len_control=0",
        "-timeout=60",
        "-rss_limit_mb=1000",
    ]
    command = [sys.executable, "-m", f"fuzz.{target}", str(FOLDER / target), f"-artifact_prefix={FOLDER}/{target}-"]
    env = os.environ if seconds else {**os.environ, "PYTHONHASHSEED": "0"}
    done = subprocess.run([*command, *limits], env=env, stderr=subprocess.PIPE, text=True, errors="replace")
    lines = done.stderr.splitlines()
    print(f"fuzz {target}: {lines[-1] if lines else ''}" if done.returncode == 0 else done.stderr, flush=True)
    return done.returncode != 0


if __name__ == "__main__":
    sys.exit(min(main(int(sys.argv[1]) if sys.argv[1:] else None), 1))
