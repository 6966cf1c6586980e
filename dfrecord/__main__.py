"""The command line's front door (`dfrecord`, `python -m dfrecord`): Ctrl-C is quiet from the first import on."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line and exit, see `dfrecord.cli`."""
    sys.unraisablehook = _unraisable
    try:
        from dfrecord.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)
    except RuntimeError as error:
        if not isinstance(error.__cause__, KeyboardInterrupt):  # Python 3.11 wraps it when a class is being made
            raise
        sys.exit(130)


def _unraisable(lost: sys.UnraisableHookArgs) -> None:
    """Ctrl-C in the middle of a weak reference's callback would be printed, and forgotten."""
    if not issubclass(lost.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(lost)
        return
    print("dfrecord: stopped", file=sys.stderr, flush=True)
    os._exit(130)


if __name__ == "__main__":
    main()
