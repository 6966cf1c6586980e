"""From a journey to files: the registry of formats, and the one door that all of them go through.

A renderer is a function `(Journey, RenderOptions) -> tuple[OutputFile, ...]`; the first file is the one the user named.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dfrecord.journey.model import Journey


@dataclass(frozen=True, slots=True)
class RenderOptions:
    """How to render. `stem` is the output's file name without its ending, for files that go beside the first one."""

    stem: str = "journey"
    template_dir: Path | None = None


@dataclass(frozen=True, slots=True)
class OutputFile:
    """One file to write. `suffix` follows the stem of the output path; it is empty for the file the user named."""

    content: bytes
    suffix: str = ""
    executable: bool = False


Renderer = Callable[[Journey, RenderOptions], tuple[OutputFile, ...]]
