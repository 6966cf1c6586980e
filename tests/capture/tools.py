"""Runs `dfrecord record` as a user does, in its own process, and a headless Chromium in front of it."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from tests.tools import ROOT

_HEADLESS = (
    *("--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
    *(["--no-sandbox"] if os.geteuid() == 0 else []),
)


class Recording:
    """A running `dfrecord record`, and the lines it has printed."""

    def __init__(
        self,
        url: str,
        output: Path,
        *options: str | Path,
        home: Path | None = None,
        file_size: int | None = None,
        variables: dict[str, str] | None = None,
    ) -> None:
        command = [sys.executable, "-m", "dfrecord", "record", url, "-o", output, "--listen", "127.0.0.1:0", *options]
        if file_size is not None:  # Python ignores SIGXFSZ, so that a write beyond the limit fails as on a full disk
            command = ["bash", "-c", f'ulimit -f {file_size // 1024}; exec "$@"', "bash", *command]
        environment = os.environ | ({"HOME": str(home)} if home else {}) | (variables or {})
        self.process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, env=environment)
        self.lines: list[str] = []
        self._closed = False
        self._new_line = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()

    def wait_for(self, pattern: str) -> re.Match[str]:
        """The first match among the lines it prints, waiting for it."""

        def found() -> re.Match[str] | None:
            return next((match for line in self.lines if (match := re.search(pattern, line))), None)

        with self._new_line:
            self._new_line.wait_for(lambda: found() or self.process.poll() is not None, timeout=60)
        match = found()
        assert match is not None, self.text
        return match

    @property
    def address(self) -> str:
        """Host and port of the proxy, once it listens."""
        return self.wait_for(r"(?:open http://|proxy to )((?:127\.0\.0\.1|\[::1\]):\d+)")[1]

    def end(self, number: int = signal.SIGINT, code: int = 0) -> str:
        """Ends it with a signal; gives everything it printed, which holds no traceback."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        assert self.process.wait(30) == code, self.text
        with self._new_line:
            self._new_line.wait_for(lambda: self._closed, timeout=10)
        assert "Traceback" not in self.text, self.text
        return self.text

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._new_line:
                self.lines.append(line.decode().rstrip("\n"))
                self._new_line.notify_all()
        with self._new_line:
            self._closed = True
            self._new_line.notify_all()


def chromium() -> str:
    """The real Chromium; skips when it is not installed."""
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("chromium is not installed")
    return found


@contextlib.contextmanager
def browsing(url: str, profile: Path, *options: str) -> Iterator[None]:
    """A headless Chromium at a URL."""
    command = [chromium(), *_HEADLESS, f"--user-data-dir={profile}", *options, url]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def headless_browser(folder: Path) -> Path:
    """A program like the user's browser, only without a window."""
    script = folder / "browser"
    script.write_text(f'#!/bin/sh\nexec {chromium()} {" ".join(_HEADLESS)} "$@"\n')
    script.chmod(0o755)
    return script
