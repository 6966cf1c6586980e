"""What all tests share. In CI (`CI` set) a skipped test is a failure: the real components are installed there."""

from __future__ import annotations

import os
import signal

import pytest

# Whoever started the tests may have been told to ignore Ctrl-C, and programs inherit that; the tests send it to them.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
