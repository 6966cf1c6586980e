"""A real Chromium for the tests of the page: opens files, and fails the test on any console message or page error."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

_FLAGS = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
_FLAGS += ["--disable-component-update", "--disable-sync"]


@contextmanager
def chromium() -> Iterator[Browser]:
    """The installed Chromium, headless; skips when there is none. Root's has no sandbox, which needs a user."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("chromium is not installed")
    flags = [*_FLAGS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=flags)
        yield browser
        browser.close()


@contextmanager
def opened(browser: Browser, file: Path, **choices: Any) -> Iterator[Page]:
    """The page of a file. Whatever it asks the network for, writes to the console or throws fails the test."""
    trouble: list[str] = []
    context = browser.new_context(**{"viewport": {"width": 1360, "height": 900}, **choices})
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.on("console", lambda message: trouble.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: trouble.append(f"error: {error}"))
    page.on("dialog", lambda dialog: trouble.append(f"dialog: {dialog.message}"))
    page.on(
        "request",
        lambda sent: trouble.append(f"request: {sent.url}") if sent.url.partition("#")[0] != file.as_uri() else None,
    )
    page.goto(file.as_uri())
    yield page
    assert trouble == []
    context.close()
