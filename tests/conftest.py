"""What all tests share. In CI (`CI` set) a skipped test is a failure: the real components are installed there."""

from __future__ import annotations

import os
import signal

import pytest

# Whoever started the tests may ignore Ctrl-C or a closed terminal (`&`, nohup), and programs inherit that; the tests
# send these signals to them.
for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, handler)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
