"""The mitmproxy addon that records: `mitmdump -s "$(dfrecord addon)" --set dfrecord_output=tenant.har`.

It works in mitmdump, mitmweb and mitmproxy, and is what `dfrecord record` runs. Exchanges under the filter and session
calls are buffered and written to the HAR before their answer goes to the client, so that a call whose answer was seen
is on disk. All others are streamed through, whatever their size, and only counted.

From mitmproxy's own console: `dfrecord.render python @marked FILE` writes the script of the marked flows.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

try:
    from dfrecord import DfrecordError, UsageError
except ImportError:  # the user's own mitmproxy runs in another environment, or beside a folder named dfrecord
    sys.modules.pop("dfrecord", None)
    sys.path.append(str(Path(__file__).parents[2]))
    from dfrecord import DfrecordError, UsageError

from mitmproxy import command, ctx, exceptions, flow, http, types
from mitmproxy.addonmanager import Loader

import dfrecord
from dfrecord.capture.live import Call, LiveRecording
from dfrecord.capture.target import Target
from dfrecord.outputs import plain
from dfrecord.recording.coding import LONGEST_BODY
from dfrecord.recording.exchange import BodyState, Exchange
from dfrecord.recording.flow_reader import exchange_of, url_of
from dfrecord.system_api.catalog import load as load_catalog

_KEPT = "dfrecord_url"  # in a flow's metadata: its URL, when it is being recorded
_log = logging.getLogger(__name__)


class Recorder:
    """Records into one file. `tell` gets each recorded call; `target`, when given, is the only one recorded.

    A folder of the target that the API lies under is left out of what is recorded.
    An existing file is refused unless `overwrite`. `filtered_out` counts the exchanges that passed unrecorded, `lost`
    those that could not be written.
    """

    name = "dfrecord"

    def __init__(
        self, tell: Callable[[Call], None] | None = None, target: Target | None = None, *, overwrite: bool = False
    ) -> None:
        self._tell = tell or _log_call
        self._target = target
        self._overwrite = overwrite
        self._live: LiveRecording | None = None
        self.recorded = self.filtered_out = self.lost = 0

    def load(self, loader: Loader) -> None:
        """Declares the options."""
        loader.add_option("dfrecord_output", str, "", "Record API calls into this HAR file")
        loader.add_option(
            "dfrecord_filter",
            Sequence[str],
            load_catalog().default_filters,
            "Record calls under these paths, and logins",
        )
        loader.add_option("dfrecord_catalog", str, "", "What is known about the API, when it is not DreamFactory's")
        loader.add_option("dfrecord_redact", bool, True, "Replace secrets by placeholders before writing")

    def configure(self, updated: set[str]) -> None:
        """Starts, changes or ends the recording; raises OptionsError, and changes nothing, when the options make none.

        After an OptionsError mitmproxy calls this again with the options as they were.
        """
        if not updated & {"dfrecord_output", "dfrecord_filter", "dfrecord_redact", "dfrecord_catalog"}:
            return
        path, live = Path(ctx.options.dfrecord_output).expanduser(), self._live
        try:
            if live is not None and live.path == path:
                if live.redact != ctx.options.dfrecord_redact:
                    raise UsageError("dfrecord_redact: cannot change within one file; set another dfrecord_output too")
                live.filter(ctx.options.dfrecord_filter)
            else:
                started = self._start(path) if ctx.options.dfrecord_output else None
                self.done()
                self._live = started
        except DfrecordError as error:
            raise exceptions.OptionsError(str(error)) from None

    def _start(self, path: Path) -> LiveRecording:
        if not self._overwrite and path.is_file() and path.stat().st_size:
            raise UsageError(f"{path}: exists already; remove it or choose another name")
        try:
            catalog = load_catalog(ctx.options.dfrecord_catalog or None)
            live = LiveRecording(path, ctx.options.dfrecord_filter, catalog, redact=ctx.options.dfrecord_redact)
        except OSError as error:
            raise UsageError(f"{path}: cannot be written: {error.strerror or error}") from None
        if not live.redact:
            _log.warning("%s will hold passwords and tokens in clear; do not share it", path)
        return live

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """Decides whether the exchange is recorded or streamed."""
        if self._live is None:
            return
        if url := self._wanted(flow.request, url_of(flow)):
            flow.metadata[_KEPT] = url
        else:
            self.filtered_out += 1
            flow.request.stream = True

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """Streams the answers that are not recorded, and those that never end or are too large to keep."""
        assert flow.response is not None
        headers = flow.response.headers
        endless = headers.get("content-type", "").startswith("text/event-stream")
        length = headers.get("content-length", "")
        large = length.isascii() and length.isdigit() and int(length[:20]) > LONGEST_BODY
        if self._live is not None and (endless or large or _KEPT not in flow.metadata):
            flow.response.stream = True

    def response(self, flow: http.HTTPFlow) -> None:
        """Records an exchange that has its answer."""
        url = flow.metadata.pop(_KEPT, None)
        if self._live is None or url is None:
            return
        try:
            exchange = exchange_of(0, url, flow)
            call = self._live.append(exchange)
        except OSError as error:
            self._lose(f"{self._live.path}: cannot be written: {error.strerror or error}")
        except Exception as error:  # whatever a strange answer makes a rule raise: the browser must not feel it
            self._lose(f"a call was not recorded: {error or type(error).__name__}")
        else:
            self.recorded += 1
            self._tell(call)
            if flow.error is None:
                _tell_what_is_missing(call, exchange)

    def error(self, flow: http.HTTPFlow) -> None:
        """Records an exchange that was aborted or failed."""
        self.response(flow)

    def done(self) -> None:
        """Closes the file."""
        if self._live is not None:
            self._live.close()
            self._live = None

    @command.command("dfrecord.formats")
    def formats(self) -> Sequence[str]:
        """The formats that dfrecord.render writes."""
        from dfrecord.renderers import formats

        return list(formats())

    @command.command("dfrecord.render")
    @command.argument("format", type=types.Choice("dfrecord.formats"))
    def render(self, format: str, flows: Sequence[flow.Flow], path: types.Path) -> None:
        """Write the script that does again what these flows show, e.g. dfrecord.render python @marked FILE."""
        from dfrecord.outputs import stem_of, write_script
        from dfrecord.recording.exchange import Recording

        output = Path(path).expanduser()
        try:
            http_flows = enumerate(f for f in flows if isinstance(f, http.HTTPFlow))
            exchanges = tuple(exchange_of(number, url_of(f), f) for number, f in http_flows)
            recording = Recording(output.name, exchanges)
            catalog = load_catalog(ctx.options.dfrecord_catalog or None)
            journey = dfrecord.plan(recording, filters=tuple(ctx.options.dfrecord_filter), catalog=catalog)
            paths = write_script(dfrecord.render(journey, format, stem=stem_of(output)), output)
        except (DfrecordError, ValueError) as error:
            raise exceptions.CommandError(str(error)) from None
        _log.info("%s steps -> %s", len(journey.steps), ", ".join(map(str, paths)))

    def _wanted(self, request: http.Request, url: str) -> str:
        """The URL to record the exchange under, empty when it is not recorded."""
        assert self._live is not None
        if request.headers.get("upgrade", "").lower() == "websocket":
            return ""
        if self._target is None:
            return url if self._live.wants(request.method, url) else ""
        origin = self._target.origin
        for folder in self._target.folders:
            base = f"{origin}{folder}/"
            here = f"{origin}/{url[len(base) :]}"
            if url[: len(base)].lower() == base.lower() and self._live.wants(request.method, here):
                if folder and not self.recorded:
                    _log.warning("the API lies under %s, which is not recorded: it belongs into DF_BASE_URL", folder)
                return here
        return ""

    def _lose(self, why: str) -> None:
        self.lost += 1
        if self.lost == 1:
            _log.error("%s; the browser goes on working, but what fails to be written is not recorded", why)


def _tell_what_is_missing(call: Call, exchange: Exchange) -> None:
    most = f"is larger than {LONGEST_BODY // 1024**2} MB and not in the recording"
    if exchange.request.body.state is BodyState.NOT_RECORDED:
        _log.warning("%s: what was sent %s; no script can send it", plain(call.title), most)
    endless = (exchange.response.headers.get("content-type") or "").startswith("text/event-stream")
    if exchange.response.body.state is BodyState.NOT_RECORDED and not endless:
        _log.warning("%s: the answer %s", plain(call.title), most)


def _log_call(call: Call) -> None:
    _log.info("recorded: %s", plain(f"{call.title} ({call.status or call.failure})"))


addons = [Recorder()]
