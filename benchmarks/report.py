"""How long `dfrecord report` takes to write a page, and Chromium to open it.

    python -m benchmarks.report [STEPS …]     the messy recording, and made ones of so many steps (default 1000 10000)

Opening is measured in the page: from the start of the navigation to the second frame after everything was put together.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import dfrecord
from benchmarks.journeys import made
from dfrecord.reporting.page import report
from tests.report.chromium import chromium, opened
from tests.tools import FIXTURES

_OPENED = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now()))))"


def main() -> None:
    """Measure and print a line for each recording."""
    sizes = [int(word) for word in sys.argv[1:]] or [1000, 10_000]
    messy = dfrecord.read(FIXTURES / "06-messy" / "recording.har")
    recordings = [("06-messy, 897 entries", messy), *((f"{size} steps", made(size)) for size in sizes)]
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        for name, recording in recordings:
            started = time.perf_counter()
            journey = dfrecord.plan(recording)
            planned = time.perf_counter()
            page = Path(folder) / "page.html"
            page.write_bytes(report(recording, journey))
            written = time.perf_counter()
            times = []
            for _ in range(3):
                with opened(browser, page) as shown:
                    times.append(shown.evaluate(_OPENED) / 1000)
            print(
                f"{name:24} plan {planned - started:6.2f} s   write {written - planned:6.2f} s   "
                f"{page.stat().st_size / 1e6:6.1f} MB   open {min(times):5.2f} s (of {len(times)})"
            )


if __name__ == "__main__":
    main()
