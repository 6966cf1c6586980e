"""The user's Chromium, Chrome or Edge, started with a throw-away profile that trusts only this proxy's key.

Nothing is installed: the browser is told the hash of the proxy's public key (`--ignore-certificate-errors-spki-list`,
which works only together with `--user-data-dir`), for this one profile, which is deleted when it closes.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO

from dfrecord.errors import UsageError

_COMMANDS = (
    *("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"),
    *("microsoft-edge", "microsoft-edge-stable", "msedge"),
)
_PLACES: dict[str, tuple[str, ...]] = {
    "darwin": (
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
        "/Applications/Chromium.app/Contents/MacOS/Chromium",
        "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
    ),
    "win32": (
        r"C:\Program Files\Google\Chrome\Application\chrome.exe",
        r"C:\Program Files (x86)\Google\Chrome\Application\chrome.exe",
        r"C:\Program Files (x86)\Microsoft\Edge\Application\msedge.exe",
    ),
}
_QUIET = (
    *("--no-first-run", "--no-default-browser-check", "--disable-sync", "--disable-quic"),
    *("--disable-background-networking", "--disable-component-update"),
)


def find_browser(given: str | None) -> str:
    """The program to start: the one the user named, else the first one found. Raises UsageError."""
    if given is not None:
        if shutil.which(given) is None:
            raise UsageError(f"--browser {given}: is not a program that can be started")
        return given
    for candidate in (*_COMMANDS, *_PLACES.get(sys.platform, ())):
        if shutil.which(candidate) is not None:
            return candidate
    raise UsageError("no Chromium, Chrome or Edge was found; name one with --browser, or use --mode reverse")


def has_display() -> bool:
    """Whether a browser can open a window here; without, it is started headless."""
    return sys.platform in ("darwin", "win32") or any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY")))


@contextlib.asynccontextmanager
async def browser(program: str, url: str, proxy: tuple[str, int], ca: Path) -> AsyncIterator[asyncio.Task[str]]:
    """A browser at `url` through the proxy at that host and port, whose CA certificate is the PEM file `ca`.

    Gives a task that ends when the browser does, with what went wrong, or nothing. In the end the browser is closed and
    its profile deleted. Raises UsageError when it does not start.
    """
    host, port = proxy
    async with _profile() as profile:
        arguments = [
            f"--user-data-dir={profile}",
            f"--proxy-server=http://{f'[{host}]' if ':' in host else host}:{port}",
            "--proxy-bypass-list=<-loopback>",  # a target on this machine goes through the proxy, too
            f"--ignore-certificate-errors-spki-list={key_hash(ca)}",
            *_QUIET,
            # As root Chromium starts only without its sandbox.
            *(["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []),
            *([] if has_display() else ["--headless=new"]),
            url,
        ]
        with tempfile.TemporaryFile() as said:
            process = await _start(program, arguments, said)
            try:
                yield asyncio.create_task(_ended(process, said))
            finally:
                await _close(process)


async def _start(program: str, arguments: list[str], said: IO[bytes]) -> asyncio.subprocess.Process:
    try:
        return await asyncio.create_subprocess_exec(
            program,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=said,
            start_new_session=True,  # Ctrl-C is for the recording, which then closes the browser
        )
    except OSError as error:
        raise UsageError(f"--browser {program}: cannot be started: {error.strerror or error}") from None


async def _ended(process: asyncio.subprocess.Process, said: IO[bytes]) -> str:
    if await process.wait() == 0:
        return ""
    said.seek(0)
    lines = said.read().decode("utf-8", "replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "it says nothing")
    return f"the browser ended with exit code {process.returncode}: {last}"


@contextlib.asynccontextmanager
async def _profile() -> AsyncIterator[str]:
    """A folder for one browser, deleted at the end: what is left of the browser may go on writing for a moment."""
    profile = tempfile.mkdtemp(prefix="dfrecord-browser-")
    try:
        yield profile
    finally:
        for _ in range(50):
            shutil.rmtree(profile, ignore_errors=True)
            if not Path(profile).exists():
                break
            await asyncio.sleep(0.1)


def key_hash(certificate: Path) -> str:
    """The SHA-256 of a PEM certificate's public key (SubjectPublicKeyInfo), in base64, as Chromium wants it."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = x509.load_pem_x509_certificate(certificate.read_bytes()).public_key()
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(spki).digest()).decode("ascii")


async def _close(process: asyncio.subprocess.Process) -> None:
    """Ends the browser and waits; kills it when it does not close by itself, and then what it has left running."""
    for end in (process.terminate, process.kill):
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                end()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), 5)
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
