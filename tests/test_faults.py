"""What can go wrong around a command: full disks, existing files, closed pipes, Ctrl-C. One line, the right exit code,
and a file is whole, as it was, or not there."""

from __future__ import annotations

import os
import pty
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import dfrecord as api
from dfrecord.errors import UnreadableInput
from dfrecord.recording.changing import cut_off_is_told
from tests.doubles.server import DreamFactoryDouble
from tests.tools import FIXTURES, ROOT, dfrecord, rendered, run

TENANT = FIXTURES / "02-provision-tenant" / "recording.har"
COMMAND = [sys.executable, "-m", "dfrecord"]
WRITING = {
    "curl": ("render", TENANT, "-f", "curl", "-o"),
    "postman": ("render", TENANT, "-f", "postman", "-o"),
    "import": ("import", TENANT, "-o"),
    "report": ("report", TENANT, "-o"),
}
PRINTING = {
    "show": ("show", TENANT),
    "json": ("show", TENANT, "--json"),
    "formats": ("formats",),
    "addon": ("addon",),
    "completion": ("completion", "bash"),
    "help": ("--help",),
    "curl": (*WRITING["curl"], "-"),
    "report": ("report", TENANT, "-o", "-"),
    "import": (*WRITING["import"], "-"),
}

every_writing = pytest.mark.parametrize("arguments", WRITING.values(), ids=WRITING)
every_printing = pytest.mark.parametrize("arguments", PRINTING.values(), ids=PRINTING)


def started(*arguments: str | Path, **settings: object) -> subprocess.Popen[bytes]:
    settings = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "cwd": ROOT, **settings}
    return subprocess.Popen([*COMMAND, *map(str, arguments)], **settings)  # type: ignore[call-overload,no-any-return]


def told(error: bytes) -> str:
    """The one line on standard error."""
    text = error.decode()
    assert text.startswith("dfrecord: "), text
    assert text.count("\n") == 1, text
    return text


# ---------------------------------------------------------------- disks


def smallest_files() -> None:
    """What a full disk does, for whoever runs the tests: no file may grow beyond 300 bytes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))


@every_writing
def test_a_full_disk_leaves_the_output_as_it_was(arguments: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "out.json").write_text("as it was")
    process = started(*arguments, tmp_path / "out.json", "--force", preexec_fn=smallest_files)
    assert str(tmp_path / "out.json") in told(process.communicate(timeout=60)[1])
    assert process.returncode == 1
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("out.json", "as it was")]


@pytest.mark.parametrize("format", ["postman", "ansible"])
def test_a_full_disk_leaves_no_output_where_none_was(format: str, tmp_path: Path) -> None:
    process = started("render", TENANT, "-f", format, "-o", tmp_path / "out.json", preexec_fn=smallest_files)
    assert process.wait(60) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("before", ["", "as it was"])
def test_nothing_is_recorded_on_a_full_disk(before: str, tmp_path: Path) -> None:
    if before:
        (tmp_path / "out.har").write_text(before)
    command = ("record", "http://127.0.0.1:1", "--listen", "0", "-o", tmp_path / "out.har", "--force")
    process = started(*command, preexec_fn=smallest_files)
    assert "out.har: File too large; nothing was written" in told(process.communicate(timeout=60)[1])
    assert process.returncode == 1
    assert [file.read_text() for file in tmp_path.iterdir()] == [before] * bool(before)


@pytest.mark.parametrize("before", ["", "as it was"])
def test_a_recording_that_cannot_begin_leaves_the_file_as_it_was(before: str, tmp_path: Path) -> None:
    """As the addon for one's own mitmproxy finds it."""
    if before:
        (tmp_path / "out.har").write_text(before)
    code = (
        "import resource; from dfrecord.recording.har_writer import HarWriter\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20, 20))\n"
        f"HarWriter({str(tmp_path / 'out.har')!r})\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=ROOT, timeout=60)
    assert b"OSError: [Errno 27] File too large" in done.stderr
    assert [file.read_text() for file in tmp_path.iterdir()] == [before] * bool(before)


def test_of_two_files_none_is_written_when_one_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "out.postman_environment.json").mkdir()
    (tmp_path / "out.json").write_text("as it was")
    dfrecord("render", TENANT, "-f", "postman", "-o", tmp_path / "out.json", "--force", code=2)
    assert (tmp_path / "out.json").read_text() == "as it was"


@pytest.mark.parametrize(
    ("command", "where"),
    [
        ("import", "/sys/out.sh"),  # no file can be made there, not even by root
        ("import", "{}/recording.har/out.sh"),
        ("report", "{}"),
        ("curl", "{}/missing/out.sh"),
        ("postman", ""),
    ],
)
def test_a_place_that_cannot_be_written_is_wrong_usage(command: str, where: str, tmp_path: Path) -> None:
    (tmp_path / "recording.har").write_text("{}")
    done = dfrecord(*WRITING[command], where.format(tmp_path), code=2)
    assert "cannot be written" in told(done.stderr)
    assert [file.name for file in tmp_path.iterdir()] == ["recording.har"]


@every_writing
def test_links_that_lead_in_a_circle_are_told(arguments: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "loop.json").symlink_to("loop.json")
    done = dfrecord(*arguments, tmp_path / "loop.json", "--force", code=2)
    assert "loop.json: cannot be written: Too many levels of symbolic links" in told(done.stderr)
    assert [file.name for file in tmp_path.iterdir()] == ["loop.json"]


@every_printing
def test_a_full_standard_output_is_told(arguments: tuple[str, ...]) -> None:
    with Path("/dev/full").open("wb") as full:
        process = started(*arguments, stdout=full)
        assert "No space left on device" in told(process.communicate(timeout=60)[1])
    assert process.returncode == 1


def test_a_device_is_written_into_and_a_link_is_followed(tmp_path: Path) -> None:
    link, target = tmp_path / "link.sh", tmp_path / "target.sh"
    link.symlink_to(target)
    dfrecord(*WRITING["curl"], link)
    assert link.is_symlink()
    assert target.stat().st_mode & 0o111
    printed = dfrecord(*WRITING["curl"], "/dev/stdout", "--name", "target").stdout
    assert printed.startswith(b"#!/usr/bin/env bash")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    process = started(*WRITING["import"], pipe)
    assert pipe.read_bytes() == dfrecord(*WRITING["import"], "-").stdout
    assert process.wait(60) == 0
    assert pipe.is_fifo()


# ---------------------------------------------------------------- what is there already


@every_writing
def test_an_existing_file_is_replaced_only_when_asked_for(arguments: tuple[str, ...], tmp_path: Path) -> None:
    output = tmp_path / "out.json"
    output.write_text("somebody's work")
    assert "--force" in told(dfrecord(*arguments, output, code=2).stderr)
    assert output.read_text() == "somebody's work"
    dfrecord(*arguments, output, "--force")
    assert output.read_text() != "somebody's work"


def test_an_existing_file_is_replaced_when_nothing_is_lost(tmp_path: Path) -> None:
    output = tmp_path / "out.har"
    output.write_bytes(b"")  # as mktemp leaves it
    dfrecord(*WRITING["import"], output)
    assert output.stat().st_size
    dfrecord(*WRITING["import"], output)  # the same again


def test_values_filled_into_a_postman_environment_are_not_lost(tmp_path: Path) -> None:
    dfrecord(*WRITING["postman"], tmp_path / "out.json")
    environment = tmp_path / "out.postman_environment.json"
    environment.write_text("filled in")
    done = dfrecord(*WRITING["postman"], tmp_path / "out.json", code=2)
    assert environment.name in told(done.stderr)
    assert environment.read_text() == "filled in"


@pytest.mark.parametrize(("answer", "code", "replaced"), [("y", 0, True), ("n", 2, False), ("\x03", 130, False)])
def test_on_a_terminal_it_is_asked(answer: str, code: int, replaced: bool, tmp_path: Path) -> None:
    output = tmp_path / "out.sh"
    output.write_text("somebody's work")
    pid, terminal = pty.fork()
    if not pid:
        os.chdir(ROOT)
        os.execv(sys.executable, [*COMMAND, *map(str, WRITING["curl"]), str(output)])
    shown = b""
    while b"[y/N]" not in shown:
        shown += os.read(terminal, 1000)
    os.write(terminal, f"{answer}\n".encode())
    _, status = os.waitpid(pid, 0)
    assert (os.waitstatus_to_exitcode(status), output.read_text() != "somebody's work") == (code, replaced)


@every_writing
def test_a_recording_in_the_input_is_never_replaced(arguments: tuple[str, ...], tmp_path: Path) -> None:
    content = TENANT.read_bytes()
    (tmp_path / "a.har").write_bytes(content)
    command = [str(word).replace(str(TENANT), str(tmp_path)) for word in arguments]
    done = dfrecord(*command, tmp_path / "a.har", "--force", code=2)
    assert f"a.har: is a recording in the input {tmp_path}" in told(done.stderr)
    assert (tmp_path / "a.har").read_bytes() == content


@pytest.mark.parametrize("arguments", [WRITING["import"], WRITING["report"]])
def test_the_input_is_never_replaced(arguments: tuple[str, ...], tmp_path: Path) -> None:
    copy = tmp_path / "copy.har"
    copy.write_bytes(TENANT.read_bytes())
    command = [str(part).replace(str(TENANT), str(copy)) for part in arguments]
    assert "is the input itself" in told(dfrecord(*command, copy, "--force", code=2).stderr)
    assert copy.read_bytes() == TENANT.read_bytes()


# ---------------------------------------------------------------- pipes and Ctrl-C


@every_printing
def test_nobody_reading_is_no_error_message(arguments: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = started(*arguments, stdout=writing)
    os.close(writing)
    assert process.communicate(timeout=60)[1] == b""
    assert process.returncode == 141


@pytest.mark.parametrize("options", [("--plan",), ("--plan", "--json"), ("--upsert", "--json")])
@pytest.mark.parametrize(("full", "code", "line"), [(False, 141, ""), (True, 1, "No space left on device")])
def test_a_replay_whose_output_nobody_takes_ends_like_the_others(
    options: tuple[str, ...], full: bool, code: int, line: str, tmp_path: Path
) -> None:
    with DreamFactoryDouble(id_offset=9) as df:
        environment = {**os.environ, "DF_BASE_URL": df.url, "DF_EMAIL": df.email, "DF_PASSWORD": df.password}
        reading, writing = os.pipe()
        os.close(reading)
        if full:
            os.dup2(os.open("/dev/full", os.O_WRONLY), writing)
        options = (*options, "--created-file", str(tmp_path / "notes"))
        process = started("replay", TENANT, *options, stdout=writing, env=environment)
        os.close(writing)
        error = process.communicate(timeout=60)[1].decode()
        assert process.returncode == code
        assert line in error
        assert error.count("\n") == bool(line)


@pytest.mark.parametrize(
    "arguments", [*PRINTING.values(), *WRITING.values()], ids=[*PRINTING, *(f"-o {w}" for w in WRITING)]
)
def test_the_work_is_done_when_standard_error_is_closed(arguments: tuple[str, ...], tmp_path: Path) -> None:
    output = [str(tmp_path / "out.json")] if arguments[-1] == "-o" else []
    command = [*COMMAND, *map(str, arguments), *output]
    open_one, closed = (
        subprocess.run(["bash", "-c", f'"$@" 2>{to}', "-", *command, *more], capture_output=True, cwd=ROOT)
        for to, more in (("/dev/null", []), ("&-", ["--force"] if output else []))
    )
    assert (closed.returncode, closed.stdout) == (open_one.returncode, open_one.stdout)
    assert closed.returncode == 0


@pytest.mark.parametrize("place", ["/sys/junit.xml", "{}/missing/junit.xml", "-"])
def test_a_replay_sends_nothing_when_its_results_could_not_be_written(place: str, tmp_path: Path) -> None:
    with DreamFactoryDouble(id_offset=9) as df:
        options = ["--base-url", df.url, f"--created-file={tmp_path}/notes", "--junit", place.format(tmp_path)]
        environment = {"DF_EMAIL": df.email, "DF_PASSWORD": df.password}
        done = dfrecord("replay", TENANT, *options, code=2, environment=environment)
        assert "nothing was sent" in told(done.stderr)
        assert "--junit" in told(done.stderr)
        assert df.log == []
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("option", "place", "words"),
    [
        ("--junit", "copy.har", "--junit {}: exists already and holds no results"),
        ("--junit", "notes", "--junit {}: is the --created-file, too"),
        ("--created-file", "copy.har", "{}: is the input itself"),
    ],
)
def test_a_replay_takes_the_place_of_nothing_that_is_needed(
    option: str, place: str, words: str, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.har"
    copy.write_bytes(TENANT.read_bytes())
    with DreamFactoryDouble(id_offset=9) as df:
        options = ["--base-url", df.url, f"--created-file={tmp_path}/notes", option, str(tmp_path / place)]
        environment = {"DF_EMAIL": df.email, "DF_PASSWORD": df.password}
        done = dfrecord("replay", copy, *options, code=2, environment=environment)
        assert words.format(tmp_path / place) in told(done.stderr)
        assert df.log == []
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("copy.har", TENANT.read_bytes())]


def test_results_take_the_place_of_earlier_ones(tmp_path: Path) -> None:
    junit = tmp_path / "junit.xml"
    junit.touch()
    with DreamFactoryDouble(id_offset=9) as df:
        options = ["--base-url", df.url, f"--created-file={tmp_path}/notes", "--junit", str(junit)]
        environment = {"DF_EMAIL": df.email, "DF_PASSWORD": df.password}
        dfrecord("replay", TENANT, *options, environment=environment)
        assert 'errors="0"' in junit.read_text()
        dfrecord("replay", TENANT, *options, environment=environment, code=1)
        assert 'errors="1"' in junit.read_text()


def test_what_a_replay_did_is_told_though_the_disk_is_full(tmp_path: Path) -> None:
    with DreamFactoryDouble(id_offset=9) as df:
        options = ["--base-url", df.url, f"--created-file={tmp_path}/notes", "--junit", "/dev/full"]
        environment = {"DF_EMAIL": df.email, "DF_PASSWORD": df.password}
        *_, summary, last = dfrecord("replay", TENANT, *options, code=1, environment=environment).stderr.splitlines()
        assert summary == b"4 steps, all as recorded"
        assert last == b"dfrecord: /dev/full: No space left on device; nothing was written"


@every_printing
def test_a_closed_standard_output_is_told(arguments: tuple[str, ...]) -> None:
    done = subprocess.run(
        ["bash", "-c", '"$@" >&-', "-", *COMMAND, *map(str, arguments)], capture_output=True, cwd=ROOT
    )
    assert (done.returncode, told(done.stderr)) == (2, "dfrecord: standard output: is closed\n")


def test_the_exit_code_tells_when_nobody_can_hear() -> None:
    with Path("/dev/full").open("wb") as full:
        assert started("show", "missing.har", stderr=full).wait(60) == 2


@every_writing
def test_ctrl_c_at_any_moment_is_quick_and_leaves_nothing_half_written(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    whole = tmp_path / "whole"
    whole.mkdir()
    begun = time.monotonic()
    dfrecord(*arguments, whole / "out.json")
    takes = time.monotonic() - begun
    codes = set()
    for part in range(1, 6):
        folder = tmp_path / str(part)
        folder.mkdir()
        process = started(*arguments, folder / "out.json")
        time.sleep(takes * (part + 1) / 7 + 0.04)  # by then Python itself has started, also where all is slow
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=10)
        codes.add(process.returncode)
        # A shell says 130 to both: Python ends itself by the signal when it came inside an exec() of a text.
        assert process.returncode in (0, 130, -signal.SIGINT), error
        assert b"Traceback" not in error
        if process.returncode:
            assert error.strip() in (b"", b"dfrecord: stopped")
        for file in folder.iterdir():
            assert file.read_bytes() == (whole / file.name).read_bytes()
    assert codes != {0}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_takes_away_what_is_being_written(number: int, code: int, tmp_path: Path) -> None:
    """At the moment when the new content lies beside its place."""
    start = (
        "import os, sys\n"
        f"os.fsync = lambda handle: os.kill(os.getpid(), {int(number)})\n"
        "from dfrecord.__main__ import main\n"
        f"sys.argv = ['dfrecord', 'import', {str(TENANT)!r}, '-o', {str(tmp_path / 'out.har')!r}]\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", start], capture_output=True, cwd=ROOT, timeout=60)
    assert (done.returncode, done.stderr) == (code, b"dfrecord: stopped\n")
    assert not list(tmp_path.iterdir())


def test_a_command_under_nohup_outlives_its_terminal(tmp_path: Path) -> None:
    start = (
        "import os, signal, sys\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "os.fsync = lambda handle: os.kill(os.getpid(), signal.SIGHUP)\n"
        "from dfrecord.__main__ import main\n"
        f"sys.argv = ['dfrecord', 'import', {str(TENANT)!r}, '-o', {str(tmp_path / 'out.har')!r}]\n"
        "main()\n"
    )
    subprocess.run([sys.executable, "-c", start], capture_output=True, cwd=ROOT, timeout=60, check=True)
    assert (tmp_path / "out.har").exists()


STOPPED = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
IN_A_CLASS = "type('Made', (), {'field': type('Field', (), {'__set_name__': lambda *_: stop()})()})"


@pytest.mark.parametrize("how", ["stop()", IN_A_CLASS], ids=["plainly", "while a class is made"])
@pytest.mark.parametrize(("number", "code"), STOPPED)
def test_a_signal_while_a_format_is_loaded_is_no_fault_of_the_format(
    number: int, code: int, how: str, tmp_path: Path
) -> None:
    start = (
        "import os, sys\n"
        f"stop = lambda: os.kill(os.getpid(), {int(number)})\n"
        "class Finder:\n"
        "    def find_spec(self, name, *_):\n"
        f"        name == 'dfrecord.renderers.ansible' and {how}\n"
        "sys.meta_path.insert(0, Finder())\n"
        "from dfrecord.__main__ import main\n"
        f"sys.argv = ['dfrecord', 'render', {str(TENANT)!r}, '-f', 'ansible', '-o', {str(tmp_path / 'out.yml')!r}]\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", start], capture_output=True, cwd=ROOT, timeout=60)
    assert (done.returncode, done.stderr.strip()) == (code, b"dfrecord: stopped")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("number", "code"), STOPPED)
def test_a_signal_before_a_recording_begins_ends_it(number: int, code: int, tmp_path: Path) -> None:
    start = (
        "import os, sys\n"
        "from dfrecord.capture import proxy\n"
        "made = proxy._mitmproxy_options\n"
        f"proxy._mitmproxy_options = lambda *given: os.kill(os.getpid(), {int(number)}) or made(*given)\n"
        "from dfrecord.__main__ import main\n"
        "sys.argv = ['dfrecord', 'record', 'http://127.0.0.1:1', '--listen', '0']\n"
        f"sys.argv += ['-o', {str(tmp_path / 'out.har')!r}]\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", start], capture_output=True, cwd=ROOT, timeout=20)
    assert (done.returncode, done.stderr) == (code, b"dfrecord: stopped\n")
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------- an input that changes


def test_an_input_that_grows_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "growing.har"
    path.write_bytes(TENANT.read_bytes())

    def grow(done: int, total: int) -> None:
        with path.open("ab") as file:
            file.write(b" ")

    with pytest.raises(UnreadableInput, match=r"growing\.har: changed while it was read; try again"):
        api.read(path, progress=grow)
    assert api.read(path).entry_count


def test_a_file_that_takes_the_inputs_place_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "recording.har"
    path.write_bytes(TENANT.read_bytes())

    def replace(done: int, total: int) -> None:
        (tmp_path / "other").write_text("{}")
        (tmp_path / "other").replace(path)

    assert api.read(path, progress=replace).entry_count == api.read(TENANT).entry_count


def test_an_input_that_is_cut_off_while_it_is_mapped_ends_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "large.har"
    path.write_bytes(b" " * 100_000)
    code = (
        f"import mmap, os, pathlib; from {cut_off_is_told.__module__} import cut_off_is_told\n"
        f"path = pathlib.Path({str(path)!r})\n"
        "with path.open('rb') as file, cut_off_is_told(path):\n"
        "    buffer = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)\n"
        "    os.truncate(path, 10)\n"
        "    bytes(buffer)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=ROOT, timeout=60)
    assert done.returncode == 2
    assert (
        told(done.stderr)
        == f"dfrecord: {path}: changed while it was read; try again when nothing writes to it any more\n"
    )


# ---------------------------------------------------------------- what a run notes


def test_replay_sends_nothing_when_it_could_not_note_what_it_creates(tmp_path: Path) -> None:
    with DreamFactoryDouble(id_offset=9) as df:
        values = {"DF_EMAIL": df.email, "DF_PASSWORD": df.password}
        with pytest.raises(api.UsageError, match="nothing was sent"):
            api.replay(api.plan(api.read(TENANT)), df.url, values, created_file=tmp_path / "missing" / "notes")
        assert df.log == []
        replayed = api.replay(api.plan(api.read(TENANT)), df.url, values, created_file=Path("/dev/full"))
        assert not replayed.ok
        assert "is not noted there: " in replayed.results[-1].message
        assert len(df.writes) == 1


def test_replay_sends_nothing_on_a_full_disk(tmp_path: Path) -> None:
    with DreamFactoryDouble() as df:
        env = {**os.environ, "DF_EMAIL": df.email, "DF_PASSWORD": df.password}
        notes = ("--created-file", tmp_path / "notes.jsonl")
        process = started("replay", TENANT, "--base-url", df.url, *notes, env=env, preexec_fn=smallest_files)
        assert "notes.jsonl: cannot be written: File too large" in told(process.communicate(timeout=60)[1])
        assert process.returncode == 2
        assert df.log == []
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("format", ["curl", "python"])
def test_a_script_stops_in_one_line_when_it_cannot_note_what_it_created(format: str, tmp_path: Path) -> None:
    script = rendered(TENANT, format, tmp_path, "--teardown")
    with DreamFactoryDouble(id_offset=9) as df:
        environment = {"DF_BASE_URL": df.url, "DF_EMAIL": df.email, "DF_PASSWORD": df.password}
        done = run(script, format, {**environment, "DF_CREATED": "/dev/full"})
        assert done.returncode == 1
        assert "/dev/full" in done.stderr
        assert "Traceback" not in done.stderr
        assert len([call for call in df.writes if "session" not in call.path]) == 1


@pytest.mark.parametrize(("output", "code"), [("/dev/full", 1), ("nobody", 141)])
@pytest.mark.parametrize("format", ["curl", "python"])
def test_a_script_whose_output_nobody_takes_has_done_its_work(
    format: str, output: str, code: int, tmp_path: Path
) -> None:
    script = rendered(TENANT, format, tmp_path)
    program = {"curl": "bash", "python": sys.executable}[format]
    to = "| true" if output == "nobody" else f"> {output}"
    with DreamFactoryDouble(id_offset=9) as df:
        done = subprocess.run(
            ["bash", "-c", f'set -o pipefail; "{program}" "{script}" {to}'],
            env={**os.environ, "DF_BASE_URL": df.url, "DF_EMAIL": df.email, "DF_PASSWORD": df.password},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        assert "acme-app" in [app["name"] for app in df.state()["app"]]


@pytest.mark.parametrize(("format", "error"), [("curl", "&-"), ("curl", "/dev/full"), ("python", "&-")])
def test_a_script_does_its_work_when_nobody_hears(format: str, error: str, tmp_path: Path) -> None:
    script = rendered(TENANT, format, tmp_path)
    program = {"curl": "bash", "python": sys.executable}[format]
    with DreamFactoryDouble(id_offset=9) as df:
        environment = {**os.environ, "DF_BASE_URL": df.url, "DF_EMAIL": df.email, "DF_PASSWORD": df.password}
        command = ["bash", "-c", f'"{program}" "{script}" 2>{error}']
        for given, code in (({"DF_BASE_URL": ""}, 2), ({}, 0)):
            done = subprocess.run(command, env=environment | given, stdout=subprocess.PIPE, timeout=60)
            assert done.returncode == code
        assert "acme-app" in [app["name"] for app in df.state()["app"]]


def test_an_installation_that_lacks_a_package_is_told(tmp_path: Path) -> None:
    (tmp_path / "stringzilla.py").write_text("raise ImportError('its library is not there')")
    command = [sys.executable, "-m", "dfrecord", "show", str(TENANT)]
    done = subprocess.run(command, capture_output=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert done.returncode == 1
    assert told(done.stderr) == (
        "dfrecord: the installation is not complete (its library is not there): install dfrecord again\n"
    )
