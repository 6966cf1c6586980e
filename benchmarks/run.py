"""All that `docs/performance.md` tells of files and of long journeys, beside other programs, in one run.

    python benchmarks/run.py [--tables reading,damaged,scripts,start,journeys] [--megabytes 1000] [--entries 43000]
                             [--steps 1000,10000,100000] [--rounds 3]

Everything is made in a temporary folder: the files (`hars`), an environment with the other programs, installed with pip
and npm, and what is written. What is compared runs in turn, each in a process of its own, so that noise of the machine
meets all alike. Told are the medians of the processor time of all its processes and of the time from start to end, and
the most memory that one process held.
Linux or macOS only.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks import hars

DFRECORD = [sys.executable, "-m", "dfrecord"]
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed program has its byte code beside it
_ROOT = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
LIMIT = 128 * 1024 * 1024
"""What `ulimit -d 128M` allows: anonymous memory, the interpreter and its libraries included."""

_LOADERS = {
    "orjson.loads": "import orjson; orjson.loads(open({path!r}, 'rb').read())",
    "json.load": "import json; json.load(open({path!r}, 'rb'))",
    "haralyzer": "from haralyzer import HarParser; HarParser.from_file({path!r})",
    "mitmproxy": "from mitmproxy.io import FlowReader; [None for flow in FlowReader(open({path!r}, 'rb')).stream()]",
}
_STEPS = """
import sys, time, resource
import dfrecord
from benchmarks.journeys import made
from dfrecord.reporting.page import report
steps = int(sys.argv[1])
recording = made(steps)
def told(name, work):
    started = time.process_time()
    done = work()
    spent = time.process_time() - started
    print(name, spent, resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime, flush=True)
    return done
journey = told("plan", lambda: dfrecord.plan(recording))
for format in ("curl", "python", "postman"):
    told(format, lambda: dfrecord.render(journey, format))
told("report", lambda: report(recording, journey))
scale = 1 if sys.platform == "darwin" else 1024
print("memory", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale, 0)
"""


class Cost(NamedTuple):
    """Seconds on the processor, seconds from start to end, and the most memory in bytes."""

    seconds: float
    elapsed: float
    memory: float


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=1000, help="size of the bulky file")
    parser.add_argument("--entries", type=int, default=43_000, help="entries of the file of small ones")
    parser.add_argument("--steps", default="1000,10000,100000", help="lengths of the journeys")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tables", default="reading,damaged,scripts,start,journeys")
    options = parser.parse_args()
    tables = options.tables.split(",")
    print(f"Python {platform.python_version()}, {platform.system()} on {platform.machine()}\n", flush=True)
    with tempfile.TemporaryDirectory(prefix="dfrecord-benchmark-") as folder:
        peers = Peers(Path(folder))
        if "reading" in tables:
            reading(Path(folder), peers, options.megabytes, options.entries, options.rounds)
        if "damaged" in tables:
            damaged(Path(folder), peers, options.rounds)
        if "scripts" in tables:
            scripts(Path(folder), peers, options.rounds)
    if "start" in tables:
        start(options.rounds)
    if "journeys" in tables:
        journeys([int(steps) for steps in options.steps.split(",")])


# ---------------------------------------------------------------- the tables


def reading(folder: Path, peers: Peers, megabytes: int, entries: int, rounds: int) -> None:
    """Large well-formed files."""
    bulky, small = folder / "bulky.har", folder / "small.har"
    hars.bulky(bulky, megabytes * 1_000_000)
    hars.small(small, entries)
    for what, path in ((f"{megabytes:,} MB, most of it embedded files", bulky), (f"{entries:,} small entries", small)):
        importing = [*DFRECORD, "import", path, "-o", folder / "out.har", "--force"]
        works: dict[str, Callable[[], Cost]] = {
            "reading the file": lambda path=path: _reading(path),
            "dfrecord import, ulimit -d 128M": _process(importing, LIMIT),
            "the same on one core": _process(importing, LIMIT, one_core=True),
            "dfrecord.read": _process([sys.executable, "-c", f"import dfrecord; dfrecord.read({str(path)!r})"]),
        }
        works |= {name: peers.python(code.format(path=str(path))) for name, code in _LOADERS.items()}
        _table(f"{what} ({path.stat().st_size / 1e6:,.0f} MB)", _measured(works, rounds), "reading the file")
    bulky.unlink()


def damaged(folder: Path, peers: Peers, rounds: int) -> None:
    """Files that are no JSON, beside orjson on the same file undamaged."""
    whole, broken = folder / "whole.har", folder / "broken.har"
    hars.bulky(whole, 100_000_000)
    results: dict[str, Cost] = {}
    load = _LOADERS["orjson.loads"].format(path=str(whole))
    for how in hars.BROKEN:
        # In a process of its own: what this one ever held counts as held by all that it starts.
        damage = f"from benchmarks import hars; hars.damage({how!r}, {str(whole)!r}, {str(broken)!r})"
        subprocess.run([sys.executable, "-c", damage], check=True, env=_ROOT)
        ours = _process([sys.executable, "-c", f"import dfrecord; dfrecord.read({str(broken)!r})"])
        measured = _measured({how: ours, "orjson.loads of the undamaged file": peers.python(load)}, rounds)
        results |= measured
    _table("100 MB, damaged", results, "orjson.loads of the undamaged file")


def scripts(folder: Path, peers: Peers, rounds: int) -> None:
    """A recording into a script: what har2locust and har-to-k6 do, too."""
    path = folder / "calls.har"
    hars.small(path, 1000, share=0.5)
    everything = ["--filter", "api/v2", "--reads", "all"]  # as the others do
    works = {
        f"dfrecord render -f {format}": _process(
            [*DFRECORD, "render", path, "-f", format, "-o", folder / "out", "-q", "--force", *everything]
        )
        for format in ("python", "curl", "postman")
    }
    beside = f"PATH={peers.bin}{os.pathsep}{os.environ['PATH']}"  # har2locust starts the ruff that came with it
    works["har2locust"] = _process(["env", beside, peers.bin / "har2locust", path])
    if peers.har_to_k6:
        works["har-to-k6"] = _process([peers.har_to_k6, path, "-o", folder / "out.js"])
    _table("1,000 calls into a script", _measured(works, rounds), "dfrecord render -f python")


def start(rounds: int) -> None:
    """What a command costs that has little to do."""
    example = Path(__file__).parent.parent / "examples" / "provision-tenant.har"
    works = {
        "python -c pass": _process([sys.executable, "-c", "pass"]),
        "dfrecord --help": _process([*DFRECORD, "--help"]),
        "dfrecord formats": _process([*DFRECORD, "formats"]),
        "dfrecord show, 20 entries": _process([*DFRECORD, "show", example]),
    }
    _table("Start", _measured(works, 3 * rounds), "python -c pass")


def journeys(lengths: Sequence[int]) -> None:
    """Time and memory per step, as journeys grow."""
    told: dict[str, dict[int, float]] = {}
    for steps in lengths:
        command = [sys.executable, "-c", _STEPS, str(steps)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=_ROOT)
        for line in done.stdout.splitlines():
            name, value, _ = line.split()
            told.setdefault(name, {})[steps] = float(value) / steps
    print("| per step |" + "".join(f" {steps:,} steps |" for steps in lengths))
    print("| --- |" + " ---: |" * len(lengths))
    for name, values in told.items():
        scale, unit = (1e3, "kB") if name == "memory" else (1e-6, "µs")
        print(f"| {name} |" + "".join(f" {values[steps] / scale:,.0f} {unit} |" for steps in lengths), flush=True)


# ---------------------------------------------------------------- measuring


def _measured(works: Mapping[str, Callable[[], Cost]], rounds: int) -> dict[str, Cost]:
    costs: dict[str, list[Cost]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            costs[name].append(work())
    return {
        name: Cost(
            statistics.median(cost.seconds for cost in found),
            statistics.median(cost.elapsed for cost in found),
            max(cost.memory for cost in found),
        )
        for name, found in costs.items()
    }


def _table(title: str, costs: Mapping[str, Cost], base: str) -> None:
    print(f"| {title}, beside {base} | processor time | start to end | most memory |\n| --- | ---: | ---: | ---: |")
    for name, cost in costs.items():
        memory = f"{cost.memory / 1e6:,.0f} MB" if cost.memory else ""
        on_processor = f"{cost.seconds:.3f} s, {cost.seconds / costs[base].seconds:.2f} ×"
        elapsed = f"{cost.elapsed:.3f} s, {cost.elapsed / costs[base].elapsed:.2f} ×"
        print(f"| {name} | {on_processor} | {elapsed} | {memory} |")
    print(flush=True)


def _reading(path: Path) -> Cost:
    buffer = bytearray(1 << 20)
    begun, started = time.perf_counter(), time.process_time()
    with path.open("rb", buffering=0) as file:
        while file.readinto(buffer):
            pass
    return Cost(time.process_time() - started, time.perf_counter() - begun, 0)


def _process(command: Sequence[object], limit: int = 0, *, one_core: bool = False) -> Callable[[], Cost]:
    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
        if one_core and sys.platform == "linux":
            os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

    def run() -> Cost:
        begun = time.perf_counter()
        process = subprocess.Popen(
            list(map(str, command)),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            preexec_fn=limited if limit else None,
        )
        assert process.stderr
        said = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise SystemExit(f"{command}: {said.decode(errors='replace')}")
        scale = 1 if sys.platform == "darwin" else 1024
        return Cost(usage.ru_utime + usage.ru_stime, time.perf_counter() - begun, usage.ru_maxrss * scale)

    return run


class Peers:
    """The other programs, installed in a folder of their own when they are needed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @cached_property
    def bin(self) -> Path:
        """Where the Python programs are."""
        folder = self._folder
        packages = ["orjson", "haralyzer", "har2locust", f"mitmproxy=={version('mitmproxy')}"]
        subprocess.run([sys.executable, "-m", "venv", folder / "peers"], check=True)
        subprocess.run([folder / "peers/bin/pip", "install", "--quiet", *packages], check=True)
        return folder / "peers" / "bin"

    @cached_property
    def har_to_k6(self) -> Path | None:
        """The Node program; None without npm."""
        if not shutil.which("npm"):
            return None
        subprocess.run(["npm", "install", "--silent", "--prefix", self._folder / "k6", "har-to-k6"], check=True)
        return self._folder / "k6" / "node_modules" / ".bin" / "har-to-k6"

    def python(self, code: str) -> Callable[[], Cost]:
        """Runs code in the environment of the other programs."""
        return _process([self.bin / "python", "-c", code])


if __name__ == "__main__":
    main()
