"""The command line: a lazy group, one module a command. No logic here: parse options, call the API, print.

Commands are imported when they are called, so `dfrecord --help` stays instant; their summaries stand in `COMMANDS`.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import gc
import importlib
import os
import signal
import sys
import threading
from io import TextIOWrapper
from typing import Any, NoReturn

import click

from dfrecord import DfrecordError, WorkFailed, __version__
from dfrecord.cli.talk import tell
from dfrecord.errors import ENDINGS, Stopped, stop_code, terminated
from dfrecord.outputs import DISK_ERRORS

COMMANDS = {
    "record": ("record", "record live what is clicked in a browser"),
    "import": ("import_", "HARs, flow files, archives -> one small redacted recording"),
    "show": ("show", "what was recorded: steps, variables, and what was left out and why"),
    "render": ("render", "write the script: curl, python, postman and more"),
    "replay": ("replay", "run it again on an instance and compare; --plan tells what would change"),
    "report": ("report", "one page for a browser: the calls, the steps in every form, and the residue"),
    "addon": ("addon", "where the addon for your own mitmproxy is"),
    "formats": ("formats", "the formats that render can write"),
    "completion": ("completion", "completion for bash, zsh and fish"),
}

_RESERVE = 4 * 1024 * 1024  # bytes with which there is still something said when no others are left


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module, summary = COMMANDS[name]
        command: click.Command = importlib.import_module(f"dfrecord.cli.{module}").command
        command.short_help = summary
        return command

    def make_context(self, *args: Any, **more: Any) -> click.Context:
        try:
            return super().make_context(*args, **more)
        except BrokenPipeError:  # of --help; click would make it exit code 1
            raise click.exceptions.Exit(_broken_pipe()) from None

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise click.exceptions.Exit(_broken_pipe()) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="dfrecord")
def cli() -> None:
    """Record what you click in DreamFactory's admin console once; get a script that does it again on any instance."""


def main() -> None:
    """Run the command line and exit: 0 done, 1 the work failed, 2 wrong usage or unreadable input."""
    code = _run()
    for number in (signal.SIGINT, *ENDINGS):  # it is done: they change neither the code nor what was said
        signal.signal(number, signal.SIG_IGN)
    _leave(code)


def _leave(code: int) -> NoReturn:
    """Ends the process at once: the system takes its memory back quicker than Python gives it back, piece by piece."""
    if threading.active_count() > 1:
        sys.exit(code)
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def _run() -> int:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a code page of Windows has no arrow, nor what a recording may hold
            stream.reconfigure(errors="replace")
    for number in ENDINGS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # `nohup`
            signal.signal(number, terminated)
    gc.set_threshold(50_000, 20, 50)  # what is read stays: looking through it for garbage takes an eighth of the time
    reserve = bytes(_RESERVE)  # not touched: the system gives no page for it until then
    try:
        code = cli.main(prog_name="dfrecord", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else "dfrecord"
        return _say(f"{error.format_message()} (see {where} --help)", 2)
    except click.ClickException as error:
        return _say(error.format_message(), 2)
    except (click.Abort, KeyboardInterrupt):
        return _say("stopped", 130)
    except Stopped as stop:
        return _say("stopped", stop_code(stop))
    except WorkFailed as error:
        return _say(str(error), 1)
    except DfrecordError as error:
        return _say(str(error), 2)
    except BrokenPipeError:
        return _broken_pipe()
    except MemoryError:
        del reserve  # the frames that the error holds may have taken everything else
        return _say("there is not enough memory for what is in the input or in an answer", 1)
    except RecursionError:
        return _say("something in the input or in an answer is nested too deeply", 1)
    except OSError as error:
        if error.filename is None and error.errno == errno.EBADF:
            return _say("standard output: is closed", _nothing_more_out(2))
        if error.filename is None and error.errno in DISK_ERRORS:
            return _say(f"standard output: {error.strerror}", _nothing_more_out(1))
        return _say(f"{error.filename or 'input or output'}: {error.strerror or error}", 2)
    except Exception as error:
        if code := stop_code(error):
            return _say("stopped", code)
        if os.environ.get("DFRECORD_DEBUG"):
            raise
        if isinstance(error, ImportError):
            return _say(f"the installation is not complete ({error}): install dfrecord again", 1)
        about = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        return _say(f"unexpected {about} (a bug in dfrecord: run again with DFRECORD_DEBUG=1 and report it)", 2)


def _say(message: str, code: int) -> int:
    with contextlib.suppress(OSError):  # standard error is full or nobody reads it: the exit code still tells
        tell("dfrecord: " + " ".join(message.split()))
    return code


def _broken_pipe() -> int:
    """Nobody reads standard output any more: quietly the exit code of a program that SIGPIPE ends."""
    return _nothing_more_out(128 + 13)


def _nothing_more_out(code: int) -> int:
    """Gives the exit code; what waits to be written is dropped, or the interpreter complains when it flushes."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code
