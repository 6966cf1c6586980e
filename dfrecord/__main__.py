"""The command line's front door (`dfrecord`, `python -m dfrecord`): Ctrl-C is quiet from the first import on."""

from __future__ import annotations

import os
import signal
import sys

from dfrecord.errors import stop_code


def main() -> None:
    """Run the command line and exit, see `dfrecord.cli`."""
    sys.unraisablehook = _unraisable
    if sys.stderr is None:  # closed (`2>&-`): nobody hears, the work is done all the same
        sys.stderr = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    if sys.stdout is None:  # closed (`>&-`): what is written to it fails, and that is told
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_RDONLY), "w")
    try:
        if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # until now, see `dfrecord_start`
            signal.signal(signal.SIGINT, signal.default_int_handler)
        from dfrecord.cli import main as run

        run()
    except (KeyboardInterrupt, RuntimeError) as error:
        if not (code := stop_code(error)):
            raise
        sys.exit(code)


def _unraisable(lost: sys.UnraisableHookArgs) -> None:
    """Ctrl-C or SIGTERM in the middle of a weak reference's callback would be printed, and forgotten."""
    if not (code := stop_code(lost.exc_value)):
        sys.__unraisablehook__(lost)
        return
    print("dfrecord: stopped", file=sys.stderr, flush=True)
    os._exit(code)


if __name__ == "__main__":
    main()
