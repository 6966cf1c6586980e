"""Runs the double by hand: `python -m tests.doubles --port 8000 --id-offset 100`."""

from __future__ import annotations

import argparse
import threading

from tests.doubles.server import EMAIL, PASSWORD, DreamFactoryDouble
from tests.doubles.views import MAX_RECORDS


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.doubles", description="A DreamFactory double on loopback.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--id-offset", type=int, default=0)
    parser.add_argument("--email", default=EMAIL)
    parser.add_argument("--password", default=PASSWORD)
    parser.add_argument("--installed", nargs="*", default=[], help="limit, scheduler, event_script")
    parser.add_argument("--most", type=int, default=MAX_RECORDS, help="how many records a list shows")
    options = parser.parse_args()
    with DreamFactoryDouble(
        options.id_offset, options.email, options.password, tuple(options.installed), options.port, options.most
    ) as double:
        print(f"DF_BASE_URL={double.url}\nDF_EMAIL={double.email}\nDF_PASSWORD={double.password}", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()
