"""From a journey to files: the one door that all formats, built in or plugged in (`registry`), go through.

Behind the door stands the last check: nothing that holds a recorded secret gets out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import msgspec

from dfrecord.errors import SecretInOutput
from dfrecord.journey.model import Journey
from dfrecord.normalise.secrets import standing_in
from dfrecord.renderers.registry import Format, OutputFile, Renderer, RenderOptions, find, formats, unused
from dfrecord.renderers.templates import PACKAGE, TEMPLATES

__all__ = ["Format", "OutputFile", "RenderOptions", "Renderer", "find", "formats", "refuse_secrets", "render", "unused"]


def render(journey: Journey, format: str, options: RenderOptions) -> tuple[OutputFile, ...]:
    """The files of the journey in one of the `formats()`.

    Raises UsageError for an unknown format, a broken plug-in or a broken template of the user's, SecretInOutput when a
    recorded secret would stand in a file.
    """
    files = find(format).render(journey, options)
    refuse_secrets(journey, format, *(file.content for file in files))
    return files


def refuse_secrets(journey: Journey, what: str, *contents: bytes) -> None:
    """The last check. Raises SecretInOutput when a recorded secret stands in the contents, or in the journey itself.

    `what` says in a word or two what the contents are.
    """
    recorded = "\n".join(_strings(dataclasses.replace(journey, secrets=frozenset()))).encode("utf-8", "surrogatepass")
    if standing_in(journey.secrets, recorded) or any(
        standing_in(journey.secrets, content) and standing_in(_told_apart(journey.secrets), content)
        for content in contents
    ):
        raise SecretInOutput(
            f"a recorded secret would stand in the {what} output, so nothing was written; please report this "
            "with the recording made by `dfrecord import`"
        )


@lru_cache(maxsize=8)
def _told_apart(secrets: frozenset[str]) -> frozenset[str]:
    """Those that do not stand in what dfrecord itself writes into scripts and pages, as `123456` does."""
    files = (file for folder in (TEMPLATES, PACKAGE) for file in folder.rglob("*.[jcp]*") if file.is_file())
    written = b"\n".join(file.read_bytes() for file in files if file.suffix in (".j2", ".js", ".css", ".py"))
    return frozenset(secret for secret in secrets if not standing_in(frozenset({secret}), written))


def _strings(value: object) -> Iterator[str]:
    """Every text in a journey, typed values included: a language's escaping cannot hide a secret from the check."""
    rest = [value]
    while rest:
        value = rest.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, bytes):
            yield value.decode("utf-8", "replace")
        elif isinstance(value, (tuple, frozenset)):
            rest += value
        elif isinstance(value, msgspec.Struct):
            rest += [getattr(value, name) for name in value.__struct_fields__]
        elif dataclasses.is_dataclass(value) and not isinstance(value, type):
            rest += [getattr(value, name) for name in _field_names(type(value))]


@lru_cache(maxsize=64)
def _field_names(kind: type[Any]) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind))
