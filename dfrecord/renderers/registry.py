"""The formats: built-in renderers and those of plug-ins, found by name and loaded through one door.

A format is an entry point in the group `dfrecord.renderers` of an installed package, dfrecord itself among them. Its
name is what `--format` takes, its value leads to a `Renderer`. Nothing is imported before it is asked for.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from traceback import extract_tb
from typing import Protocol, runtime_checkable

from dfrecord.errors import DfrecordError, UsageError, stop_code
from dfrecord.journey.model import Journey
from dfrecord.renderers.templates import CHECKOUT, broken_template

GROUP = "dfrecord.renderers"
BUILT_IN = "built in"


@dataclass(frozen=True, slots=True)
class RenderOptions:
    """How to render. `stem` is the output's file name without its ending, for files that go beside the first one."""

    stem: str = "journey"
    template_dir: Path | None = None


@dataclass(frozen=True, slots=True)
class OutputFile:
    """One file to write. `suffix` follows the stem of the output path; it is empty for the file the user named.

    `beside` is the place of a file that its program looks for under this name: a path relative to the output's folder.
    """

    content: bytes
    suffix: str = ""
    executable: bool = False
    beside: str = ""


@runtime_checkable
class Renderer(Protocol):
    """What an entry point of the group `dfrecord.renderers` leads to.

    `ending` is the usual ending of the output's name (`.sh`), `needs` says in words what running the result takes.
    """

    ending: str
    needs: str

    def render(self, journey: Journey, options: RenderOptions) -> tuple[OutputFile, ...]:
        """The files of the journey, the one that the user named first. May raise UsageError."""


@dataclass(frozen=True, slots=True)
class FunctionRenderer:
    """A renderer made of one function."""

    ending: str
    needs: str
    function: Callable[[Journey, RenderOptions], tuple[OutputFile, ...]]

    def render(self, journey: Journey, options: RenderOptions) -> tuple[OutputFile, ...]:
        return self.function(journey, options)


@dataclass(frozen=True, slots=True)
class Format:
    """A format that can be asked for. `reference` is `module:attribute`, `origin` where it comes from."""

    name: str
    reference: str
    origin: str = BUILT_IN

    def load(self) -> Renderer:
        """The renderer. Raises UsageError when the plug-in is broken."""
        module, _, attribute = self.reference.partition(":")
        try:
            renderer = importlib.import_module(module)
            for name in attribute.split("."):
                renderer = getattr(renderer, name)
        except (Exception, SystemExit) as error:  # a plug-in may fail in any way when it is imported
            if stop_code(error):
                raise
            raise self._broken(f"cannot be loaded ({type(error).__name__}: {error})") from error
        texts = [getattr(renderer, name, None) for name in ("ending", "needs")]
        made = not isinstance(renderer, type) and callable(getattr(renderer, "render", None))
        if not made or not all(isinstance(text, str) for text in texts):
            raise self._broken(f"has no object with the texts ending and needs, and render, at {self.reference}")
        return renderer

    def render(self, journey: Journey, options: RenderOptions) -> tuple[OutputFile, ...]:
        """The files of the journey. Raises UsageError when the plug-in or a template of the user's is broken."""
        renderer = self.load()
        try:
            files = renderer.render(journey, options)
        except DfrecordError:
            raise
        except (Exception, SystemExit) as error:
            if stop_code(error):
                raise
            if (broken := broken_template(error)) is not None:
                raise broken from error
            if self.origin == BUILT_IN:
                raise
            frame = extract_tb(error.__traceback__)[-1]
            place = f"{frame.filename}, line {frame.lineno}"
            raise self._broken(f"failed ({type(error).__name__}: {error}; {place})") from error
        if not isinstance(files, tuple) or not files or not all(map(_can_be_written, files)):
            raise self._broken(
                "gave no files that can be written: a tuple of OutputFile with bytes, for the output's folder"
            )
        return files

    def _broken(self, how: str) -> UsageError:
        return UsageError(f"format {self.name}: {self.origin} {how}; update or remove it")


def _can_be_written(file: object) -> bool:
    if not isinstance(file, OutputFile) or not isinstance(file.content, bytes):
        return False
    names = (PurePath(file.beside), PurePath(f"x{file.suffix}"))
    return not any(name.is_absolute() or ".." in name.parts for name in names) and len(names[1].parts) == 1


def built_in() -> dict[str, Format]:
    """The formats that come with dfrecord, by name: the entry points of its own package.

    A checkout is asked for what an installer would make entry points of, since what was installed of it may be older.
    Raises UsageError when there are none.
    """
    if CHECKOUT is not None:
        import tomllib

        project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["project"]
        return {name: Format(name, reference) for name, reference in project["entry-points"][GROUP].items()}
    from importlib import metadata

    try:
        points = metadata.distribution("dfrecord").entry_points.select(group=GROUP)
    except metadata.PackageNotFoundError:
        raise UsageError("dfrecord is not installed here, so it has no formats; run pip install dfrecord") from None
    return {point.name: Format(point.name, point.value) for point in points}


def formats() -> dict[str, Format]:
    """Every format by name, the built-in ones first; a plug-in cannot take the name of one that is there already."""
    known = built_in()
    for format in _plugged_in():
        known.setdefault(format.name, format)
    return known


def unused() -> list[Format]:
    """The formats of plug-ins that nobody gets, since another one has their name."""
    known = formats()
    return [format for format in _plugged_in() if known[format.name] != format]


def _plugged_in() -> Iterator[Format]:
    from importlib import metadata  # it reads the facts of everything that is installed

    for point in sorted(metadata.entry_points(group=GROUP), key=lambda point: point.name):
        origin = f"{point.dist.name} {point.dist.version}" if point.dist else "a plug-in"
        if point.dist is None or point.dist.name != "dfrecord":  # whose formats are the built-in ones
            yield Format(point.name, point.value.replace(" ", ""), origin)


def find(name: str) -> Format:
    """The format of that name. Raises UsageError that lists the known ones."""
    known = built_in()
    if name not in known:
        known = formats()
    if name not in known:
        raise UsageError(f"unknown format {name!r}: choose one of {', '.join(known)}")
    return known[name]
