"""Runs the double by hand: `python -m tests.doubles --port 8000 --id-offset 100`."""

from __future__ import annotations

import argparse
import threading

from tests.doubles.server import EMAIL, PASSWORD, DreamFactoryDouble


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.doubles", description="A DreamFactory double on loopback.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--id-offset", type=int, default=0)
    parser.add_argument("--email", default=EMAIL)
    parser.add_argument("--password", default=PASSWORD)
    parser.add_argument("--installed", nargs="*", default=[], help="limit, scheduler, event_script")
    options = parser.parse_args()
    with DreamFactoryDouble(
        options.id_offset, options.email, options.password, tuple(options.installed), options.port
    ) as double:
        print(f"DF_BASE_URL={double.url}\nDF_EMAIL={double.email}\nDF_PASSWORD={double.password}", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()
