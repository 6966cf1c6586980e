"""What the command `dfrecord` loads first: until dfrecord can say that it stopped, Ctrl-C ends it without a traceback.

`_signal` is built in and ready at once; `signal` would have to be loaded, and more with it.
"""

from _signal import SIG_DFL, SIGINT, default_int_handler, getsignal, signal  # type: ignore[import-not-found]

if getsignal(SIGINT) is default_int_handler:  # not where it is ignored, as by nohup
    signal(SIGINT, SIG_DFL)


def main() -> None:
    """Run the command line and exit, see `dfrecord.__main__`."""
    from dfrecord.__main__ import main as run

    run()
