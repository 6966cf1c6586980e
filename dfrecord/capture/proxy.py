"""Runs mitmproxy in this process for `dfrecord record`: three modes, one recording, until something ends it.

In: `ProxyOptions`. Out: a `Summary` when Ctrl-C, SIGTERM, the duration or the browser's end stops it. Only the addons
that a recording needs are loaded; exchanges that are not recorded stream through.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import ssl
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import urljoin

from mitmproxy import ctx, http
from mitmproxy.addons import block, core, disable_h2c, next_layer, proxyserver, tlsconfig, update_alt_svc
from mitmproxy.exceptions import OptionsError
from mitmproxy.master import Master
from mitmproxy.options import CONF_DIR, Options

from dfrecord.capture.addon import Recorder
from dfrecord.capture.audience import Audience, Log, Summary, log_to
from dfrecord.capture.browser import browser, find_browser, has_display
from dfrecord.capture.reverse import Inward, Outward
from dfrecord.capture.target import Target, is_loopback, target_of
from dfrecord.capture.upstream import Upstream
from dfrecord.errors import ENDINGS, Stopped, UsageError, WorkFailed
from dfrecord.recording.coding import LONGEST_BODY
from dfrecord.recording.flow_reader import url_of

_UNSPECIFIED = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # no address to go to, but loopback is one of those it stands for


@dataclass(frozen=True, slots=True)
class ProxyOptions:
    """What to record, how, and where from.

    `catalog` is a file, empty for the built-in one; `duration` is in seconds, None for no end.
    """

    target: Target
    output: Path
    mode: str
    listen: tuple[str, int]
    filters: tuple[str, ...]
    catalog: str = ""
    redact: bool = True
    overwrite: bool = False
    insecure: bool = False
    upstream_proxy: str | None = None
    ca_file: Path | None = None
    browser: str | None = None
    duration: float | None = None


def run(options: ProxyOptions, audience: Audience) -> Summary:
    """Records until it is ended; from then on the process takes no more notice of Ctrl-C and SIGTERM.

    Raises UsageError when it cannot start, Stopped when a signal comes before it has.
    """
    upstream = Upstream(options.upstream_proxy) if options.upstream_proxy is not None else None
    program = find_browser(options.browser) if options.mode == "browser" else None
    _check_certificates(options.ca_file)
    with tempfile.TemporaryDirectory(prefix="dfrecord-") as throw_away:
        # Only a browser that the user configures needs a certificate that is the same next time.
        confdir = Path(CONF_DIR).expanduser() if options.mode == "proxy" else Path(throw_away)
        summary = asyncio.run(_record(options, audience, upstream, program, confdir))
    audience.ended(summary)
    return summary


def _check_certificates(ca_file: Path | None) -> None:
    if ca_file is not None:
        try:
            ssl.create_default_context(cafile=ca_file)
        except OSError:
            raise UsageError(f"--ca-file {ca_file}: holds no certificate; give a PEM file") from None


async def _record(
    options: ProxyOptions, audience: Audience, upstream: Upstream | None, program: str | None, confdir: Path
) -> Summary:
    recorder = Recorder(audience.call, options.target, overwrite=options.overwrite)
    master = Master(Options(), asyncio.get_running_loop())
    with _ended_by_signals(master) as signals, log_to(audience) as log:
        session = _Session(options, audience, recorder, log)
        master.addons.add(*_mitmproxy_addons(), session, *_own_addons(options, recorder, upstream))
        try:
            master.options.update(**_mitmproxy_options(options, upstream, confdir))
        except OptionsError as error:
            raise UsageError(str(error)) from None
        async with contextlib.AsyncExitStack() as stack:
            running = asyncio.create_task(master.run())
            stack.push_async_callback(_finished, master, running)
            if signals:  # when it begins to run it forgets what came before
                master.shutdown()
            address = await session.listens(running)
            if address is None:
                raise Stopped(signals[0])
            ca = confdir / "mitmproxy-ca-cert.pem"
            audience.listening(*address, ca if options.mode == "proxy" else None)
            if not is_loopback(options.listen[0]):
                audience.note(f"warning: everybody who can reach {options.listen[0]} can use this proxy while it runs")
            if options.duration is not None:
                asyncio.get_running_loop().call_later(options.duration, master.shutdown)
            if program is None:
                await running
            else:
                url = options.target.origin + options.target.start
                browsing = await stack.enter_async_context(browser(program, url, address, ca))
                await _browse(audience, recorder, running, browsing)
    return Summary(recorder.recorded, recorder.filtered_out, recorder.lost)


async def _browse(
    audience: Audience, recorder: Recorder, running: asyncio.Task[None], browsing: asyncio.Task[str]
) -> None:
    """Waits until the recording or the browser is ended. Raises WorkFailed when the browser fails before any call."""
    if not has_display():
        audience.note("there is no display here: the browser has no window; --mode reverse is for one of your own")
    await asyncio.wait([running, browsing], return_when=asyncio.FIRST_COMPLETED)
    if browsing.done() and (wrong := browsing.result()):
        if not recorder.recorded:
            raise WorkFailed(f"{wrong}; name another with --browser, or use --mode reverse")
        audience.note(wrong)


async def _finished(master: Master, running: asyncio.Task[None]) -> None:
    master.shutdown()
    await running
    asyncio.get_running_loop().set_exception_handler(_on_exception)


def _on_exception(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Connections that are still open when the recording ends are cancelled, which is no error."""
    if not isinstance(context.get("exception"), asyncio.CancelledError):
        loop.default_exception_handler(context)


class _Session:
    """The addon that knows when the proxy listens, and tells of what passes unrecorded or fails."""

    name = "dfrecord_session"

    def __init__(self, options: ProxyOptions, audience: Audience, recorder: Recorder, log: Log) -> None:
        self._options = options
        self._log = log
        self._audience = audience
        self._recorder = recorder
        self._over = False
        self._listens: asyncio.Future[tuple[str, int]] = asyncio.get_running_loop().create_future()

    async def listens(self, running: asyncio.Task[None]) -> tuple[str, int] | None:
        """An address of the proxy on this machine, once it listens. Raises UsageError when it cannot.

        None when the recording was ended before it began.
        """
        waits: list[asyncio.Future[Any]] = [running, self._listens]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        if not self._listens.done():
            await running
            return None
        return self._listens.result()

    def running(self) -> None:
        """The proxy has started, or has failed to."""
        addresses = ctx.master.addons.get("proxyserver").listen_addrs()
        if not addresses:
            where = ":".join(map(str, self._options.listen))
            known = r"address already in use|permission denied|cannot assign requested address"
            why = re.search(known, self._log.last, re.IGNORECASE)
            reason = why[0].lower() if why else "cannot listen there"
            self._listens.set_exception(UsageError(f"{where}: {reason}; choose another place with --listen"))
            return
        try:  # only now, so that a proxy that does not start leaves no file and replaces none
            ctx.options.update(dfrecord_output=str(self._options.output))
        except OptionsError as error:
            self._listens.set_exception(UsageError(str(error)))
        else:
            host, port = addresses[0][:2]
            self._listens.set_result((_UNSPECIFIED.get(host, host), port))

    def done(self) -> None:
        """The file is about to be closed; a call whose answer is seen is in it, so no answer passes any more."""
        self._over = True

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """Nothing new begins when the recording is over."""
        if self._over and flow.killable:
            flow.kill()

    def response(self, flow: http.HTTPFlow) -> None:
        """What was under way when the recording ended is cut off."""
        self.requestheaders(flow)

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """Keeps the counter, and tells when the browser is sent to where nothing is recorded."""
        self._audience.filtered_out(self._recorder.filtered_out)
        target, elsewhere = self._options.target, _sent_to(flow)
        if elsewhere and flow.request.host == target.host and elsewhere != target.origin:
            login = "; if you only log in there, use --mode browser" if self._options.mode == "reverse" else ""
            self._audience.note(
                f"{target.origin} sends the browser to {elsewhere}, where nothing is recorded; "
                f"if the console is there, record {elsewhere}{login}"
            )

    def error(self, flow: http.HTTPFlow) -> None:
        """Tells why the target cannot be reached, not that the end of the recording cuts calls off."""
        if self._over:
            return
        message = flow.error.msg if flow.error else ""
        message = re.sub(r"^\[Errno -?\d+\] ", "cannot be reached: ", message)
        if "certificate verify failed" in message.lower():
            message += "; trust its CA with --ca-file FILE, or any certificate with --insecure"
        aborted = re.search(r"client|disconnect", message, re.IGNORECASE)  # which is how browsers leave a page
        if flow.request.host == self._options.target.host and not aborted:
            self._audience.note(f"{self._options.target.origin}: {message}")


def _sent_to(flow: http.HTTPFlow) -> str:
    """The origin that the answer sends a browser's page to, empty when to none."""
    response = flow.response
    is_page = "text/html" in flow.request.headers.get("accept", "")
    if response is None or response.status_code not in (301, 302, 303, 307, 308) or not is_page:
        return ""
    try:
        return target_of(urljoin(url_of(flow), response.headers.get("location", ""))).origin
    except (UsageError, ValueError):  # no address on the web: an app's own, or nonsense
        return ""


def _mitmproxy_addons() -> list[object]:
    """Those of mitmproxy's own that a recording needs: with all of them each call takes nearly half as long again."""
    return [
        core.Core(),
        block.Block(),
        disable_h2c.DisableH2C(),
        proxyserver.Proxyserver(),
        next_layer.NextLayer(),
        tlsconfig.TlsConfig(),
        update_alt_svc.UpdateAltSvc(),
    ]


def _own_addons(options: ProxyOptions, recorder: Recorder, upstream: Upstream | None) -> list[object]:
    through = [upstream] if upstream is not None else []
    if options.mode != "reverse":
        return [recorder, *through]
    return [Inward(options.target), recorder, Outward(options.target), *through]


def _mitmproxy_options(options: ProxyOptions, upstream: Upstream | None, confdir: Path) -> dict[str, Any]:
    target = options.target
    through = f"upstream:{upstream.address}" if upstream else "regular"
    return {
        "mode": [f"reverse:{target.origin}" if options.mode == "reverse" else through],
        "listen_host": options.listen[0],
        "listen_port": options.listen[1],
        "confdir": str(confdir),
        "keep_host_header": True,  # `Inward` needs the browser's name for the proxy, and sets the target's itself
        "ssl_insecure": options.insecure,
        "ssl_verify_upstream_trusted_ca": str(options.ca_file) if options.ca_file else None,
        "connection_strategy": "lazy",  # a target that cannot be reached fails a call, which is told and recorded
        # All other hosts stay closed: their TLS is tunnelled.
        "allow_hosts": [] if options.mode == "reverse" else [rf"^{re.escape(target.host)}:{target.port}$"],
        "stream_large_bodies": str(LONGEST_BODY),  # through to the other side, and not kept
        "dfrecord_catalog": options.catalog,
        "dfrecord_filter": list(options.filters),
        "dfrecord_redact": options.redact,
    }


@contextlib.contextmanager
def _ended_by_signals(master: Master) -> Iterator[list[int]]:
    """Ctrl-C, SIGTERM and a closed terminal end the recording; again, they change nothing, not even the exit code.

    Gives the signals that came.
    """
    came: list[int] = []

    def end(number: int, frame: FrameType | None) -> None:
        came.append(number)
        master.shutdown()

    numbers = [signal.SIGINT, *(number for number in ENDINGS if signal.getsignal(number) is not signal.SIG_IGN)]
    for number in numbers:
        signal.signal(number, end)
    try:
        yield came
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
