"""dfrecord: record what you click in DreamFactory's admin console once; get a script that does it again anywhere.

    recording = dfrecord.read("tenant.har")        # what was seen: a Recording of exchanges
    journey = dfrecord.plan(recording)             # what was done: a Journey of steps and variables
    files = dfrecord.render(journey, "python")     # how to do it again: the files of a script
    result = dfrecord.replay(journey, "https://test.example.com", values)  # doing it again, compared with the recording

Each function takes and gives immutable values and can be used alone. Everything raised is a `DfrecordError`. The types
of these values are here, too (`dfrecord.Journey`, `dfrecord.Connection`), and are imported when they are used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, BinaryIO

from dfrecord.errors import DfrecordError, SecretInOutput, UnreadableInput, UsageError, WorkFailed

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from dfrecord.journey.model import Journey
    from dfrecord.recording.exchange import Recording
    from dfrecord.renderers import OutputFile
    from dfrecord.replaying.client import Connection
    from dfrecord.replaying.planned import Plan
    from dfrecord.replaying.results import Replayed, StepResult
    from dfrecord.system_api.catalog import Catalog

__version__ = "0.1.0"

__all__ = [
    "Catalog",
    "Connection",
    "DfrecordError",
    "Journey",
    "OutputFile",
    "Plan",
    "Recording",
    "Replayed",
    "SecretInOutput",
    "StepResult",
    "UnreadableInput",
    "UsageError",
    "WorkFailed",
    "load_catalog",
    "plan",
    "preview",
    "read",
    "render",
    "replay",
]

_TYPES = {
    "Catalog": "dfrecord.system_api.catalog",
    "Connection": "dfrecord.replaying.client",
    "Journey": "dfrecord.journey.model",
    "OutputFile": "dfrecord.renderers",
    "Plan": "dfrecord.replaying.planned",
    "Recording": "dfrecord.recording.exchange",
    "Replayed": "dfrecord.replaying.results",
    "StepResult": "dfrecord.replaying.results",
}


def __getattr__(name: str) -> Any:
    if name not in _TYPES:
        raise AttributeError(f"module 'dfrecord' has no attribute {name!r}")
    return getattr(import_module(_TYPES[name]), name)


def load_catalog(path: str | os.PathLike[str]) -> Catalog:
    """The catalog in a file (docs/catalog.md): the knowledge of a platform's API that the other functions go by.

    Raises UnreadableInput that says what is wrong with it, and where.
    """
    from dfrecord.system_api.catalog import load

    return load(path)


def read(
    source: str | os.PathLike[str] | BinaryIO,
    *,
    filters: Sequence[str] = (),
    catalog: Catalog | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Recording:
    """The exchanges of a HAR (any dialect, also gzip, zip, zlib) or a mitmproxy flow file.

    `source` is a path, a folder, a binary stream, or `-` for standard input. Only exchanges under one of the path
    prefixes `filters` (after the host; the catalog's own when none are given), and logins, are decoded; the others are
    counted. `catalog` is another platform's, or an extended one (`load_catalog`). `progress` is told the bytes done and
    the bytes in all. A folder of its host that the API lies under is left out of the URLs: it belongs into the base
    URL. Raises UnreadableInput.
    """
    from dfrecord.normalise.folders import at_root
    from dfrecord.normalise.select import wanted_by
    from dfrecord.recording.reader import read as read_source
    from dfrecord.system_api.catalog import load

    catalog = catalog or load()
    wanted = wanted_by(filters or catalog.default_filters, catalog, catalog.at_root)
    return at_root(read_source(source, wanted, progress), catalog)


def plan(
    recording: Recording,
    *,
    filters: Sequence[str] = (),
    catalog: Catalog | None = None,
    reads: str = "used",
    literal: bool = False,
    whole_records: bool = False,
    name: str = "",
    parameters: Mapping[str, str] | None = None,
    upsert: bool = False,
    teardown: bool = False,
) -> Journey:
    """The journey that a recording shows: steps, variables and residue.

    `filters` and `catalog` as for `read`. `reads` is `used`, `all` or `none`; `literal` keeps every request verbatim;
    `whole_records` sends updates whole instead of only what changed; `name` names the journey (the source's name
    otherwise). `parameters` maps the name of a parameter to the recorded text it takes the place of, wherever a value
    holds it (`{"tenant": "acme"}`). With `upsert`, each write looks first and sends only what differs; with `teardown`,
    the script can also delete what it created. Raises UsageError.
    """
    from dfrecord.journey.build import PlanOptions, build
    from dfrecord.normalise.select import Reads
    from dfrecord.system_api.catalog import load

    if reads not in [choice.value for choice in Reads]:
        raise UsageError(f"reads: {reads!r} is not one of used, all, none")
    if literal and (parameters or upsert or teardown):
        raise UsageError("literal: nothing is linked, so there can be no parameters, no upsert and no teardown")
    chosen = tuple((parameters or {}).items())
    catalog = catalog or load()
    filters = filters or catalog.default_filters
    options = PlanOptions(tuple(filters), Reads(reads), literal, whole_records, name, chosen, upsert, teardown)
    return build(recording, options, catalog)


def render(
    journey: Journey, format: str, *, stem: str = "journey", template_dir: Path | None = None
) -> tuple[OutputFile, ...]:
    """The files of the script in a format that `dfrecord.renderers.formats()` lists; the first is the script itself.

    `stem` is the name, without ending, that companion files refer to. Raises UsageError for an unknown format and
    SecretInOutput when a recorded secret would stand in a file.
    """
    from dfrecord.renderers import RenderOptions
    from dfrecord.renderers import render as render_files

    return render_files(journey, format, RenderOptions(stem, template_dir))


def replay(
    journey: Journey,
    base_url: str,
    values: Mapping[str, str],
    *,
    catalog: Catalog | None = None,
    connection: Connection | None = None,
    yes: bool = False,
    first_step: int = 1,
    created_file: Path | None = None,
    undo: bool = False,
    tell: Callable[[StepResult], None] | None = None,
) -> Replayed:
    """Run the journey on the instance at `base_url` and compare each answer with the recorded one.

    `values` are the journey's variables by their `env` (`{"DF_EMAIL": "…", "DF_PASSWORD": "…"}`; `os.environ` is as
    good). `yes` agrees to dangerous steps, `first_step` (from 1) goes on after an interrupted run, `created_file` notes
    what is created, `catalog` is the one that the journey was planned with, `tell` hears each result as it comes.
    With `undo`, what earlier runs noted in that file is undone instead, the newest first.
    Raises UsageError before anything is sent; a step that fails is a result, no exception.
    """
    from dfrecord.replaying.client import Connection
    from dfrecord.replaying.run import ReplayOptions, tear_down
    from dfrecord.replaying.run import replay as run
    from dfrecord.system_api.catalog import load

    options = ReplayOptions(base_url, values, connection or Connection(), yes, first_step, created_file)
    return (tear_down if undo else run)(journey, options, catalog or load(), tell or (lambda result: None))


def preview(
    journey: Journey,
    base_url: str,
    values: Mapping[str, str],
    *,
    catalog: Catalog | None = None,
    connection: Connection | None = None,
    first_step: int = 1,
    created_file: Path | None = None,
    undo: bool = False,
) -> Plan:
    """What a replay would create, change and delete on the instance; only the login and reads are sent.

    Arguments as for `replay`. Raises UsageError, and WorkFailed when the instance cannot be read.
    """
    from dfrecord.replaying.client import Connection
    from dfrecord.replaying.plan import plan as make_plan
    from dfrecord.replaying.plan import teardown_plan
    from dfrecord.replaying.run import ReplayOptions
    from dfrecord.system_api.catalog import load

    options = ReplayOptions(
        base_url, values, connection or Connection(), first_step=first_step, created_file=created_file
    )
    return (teardown_plan if undo else make_plan)(journey, options, catalog or load())
