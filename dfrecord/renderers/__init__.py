"""From a journey to files: the registry of formats, and the one door that all of them go through.

A renderer is a function `(Journey, RenderOptions) -> tuple[OutputFile, ...]`; the first file is the one the user named.
Behind the door stands the last check: nothing that holds a recorded secret gets out.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Iterator
from pathlib import Path

from dfrecord.errors import SecretInOutput, UsageError
from dfrecord.journey.model import Journey
from dfrecord.normalise.secrets import standing_in


@dataclasses.dataclass(frozen=True, slots=True)
class RenderOptions:
    """How to render. `stem` is the output's file name without its ending, for files that go beside the first one."""

    stem: str = "journey"
    template_dir: Path | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class OutputFile:
    """One file to write. `suffix` follows the stem of the output path; it is empty for the file the user named."""

    content: bytes
    suffix: str = ""
    executable: bool = False


Renderer = Callable[[Journey, RenderOptions], tuple[OutputFile, ...]]


@dataclasses.dataclass(frozen=True, slots=True)
class Format:
    """A format: its file ending, what running the result needs, and the module whose `render` makes it."""

    name: str
    ending: str
    needs: str
    module: str


FORMATS = {
    format.name: format
    for format in (
        Format("curl", ".sh", "bash, curl, jq", "dfrecord.renderers.curl"),
        Format("python", ".py", "Python 3.11 or later, requests", "dfrecord.renderers.python"),
        Format("postman", ".postman_collection.json", "Postman, or newman", "dfrecord.renderers.postman"),
    )
}


def render(journey: Journey, format: str, options: RenderOptions) -> tuple[OutputFile, ...]:
    """The files of the journey in a format of `FORMATS`.

    Raises UsageError for an unknown format, SecretInOutput when a recorded secret would stand in a file.
    """
    if format not in FORMATS:
        raise UsageError(f"unknown format {format!r}: choose one of {', '.join(FORMATS)}")
    renderer: Renderer = importlib.import_module(FORMATS[format].module).render
    files = renderer(journey, options)
    refuse_secrets(journey, format, *(file.content for file in files))
    return files


def refuse_secrets(journey: Journey, what: str, *contents: bytes) -> None:
    """The last check. Raises SecretInOutput when a recorded secret stands in the contents, or in the journey itself.

    `what` says in a word or two what the contents are.
    """
    recorded = "\n".join(_strings(dataclasses.replace(journey, secrets=frozenset()))).encode("utf-8", "surrogatepass")
    if any(standing_in(journey.secrets, content) for content in (recorded, *contents)):
        raise SecretInOutput(
            f"a recorded secret would stand in the {what} output, so nothing was written; please report this "
            "with the recording made by `dfrecord import`"
        )


def _strings(value: object) -> Iterator[str]:
    """Every text in a journey, typed values included: a language's escaping cannot hide a secret from the check."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, bytes):
        yield value.decode("utf-8", "replace")
    elif isinstance(value, (tuple, frozenset)):
        for item in value:
            yield from _strings(item)
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from _strings(getattr(value, field.name))
