"""The Jinja2 environment that all renderers share: the user's own templates first, then the built-in ones.

Templates hold structure and never quote, join or escape; every recorded value in them goes through the encoder of the
language, which each renderer registers as a filter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from traceback import extract_tb
from typing import TYPE_CHECKING

from dfrecord.errors import UsageError
from dfrecord.normalise.select import STATEMENT

if TYPE_CHECKING:
    import jinja2

PACKAGE = Path(__file__).resolve().parent.parent
CHECKOUT = None if (PACKAGE / "templates").is_dir() else PACKAGE.parent
"""The checkout that this is, which keeps templates at the top level; None for what an installer has put in place."""
TEMPLATES = (CHECKOUT or PACKAGE) / "templates"

BRACES = ("{%", "%}", "{{", "}}", "{#", "#}")
BRACKETS = ("[%", "%]", "[[", "]]", "[#", "#]")
"""Delimiters of blocks, values and comments: brackets for a language that has Jinja2's braces itself."""


def environment(
    template_dir: Path | None,
    filters: Mapping[str, Callable[..., str]],
    delimiters: tuple[str, str, str, str, str, str] = BRACES,
) -> jinja2.Environment:
    """An environment over `template_dir` (may be None) and the built-in templates, with the language's encoders."""
    import jinja2

    if template_dir is not None and not template_dir.is_dir():
        raise UsageError(f"--template-dir {template_dir}: is no folder")
    folders = [folder for folder in (template_dir, TEMPLATES) if folder is not None]
    env = jinja2.Environment(
        *delimiters,
        loader=jinja2.FileSystemLoader(folders),
        undefined=jinja2.StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    env.filters.update(filters)
    env.globals["statement"] = STATEMENT
    return env


def broken_template(error: BaseException) -> UsageError | None:
    """What is wrong with a template, where (file and line); None when the error is not a template's."""
    import jinja2

    if isinstance(error, jinja2.TemplateSyntaxError):
        place = f"{error.filename or error.name or 'a template'}, line {error.lineno}"
        return UsageError(f"{place}: {error.message}; correct the template")
    lines = [frame for frame in extract_tb(error.__traceback__) if frame.filename.endswith(".j2")]
    if isinstance(error, jinja2.TemplateNotFound):
        where = f" that {lines[-1].filename}, line {lines[-1].lineno}, asks for" if lines else ""
        return UsageError(f"there is no template {error.name}{where}; correct the name")
    if not lines or not isinstance(error, (jinja2.TemplateError, ValueError, TypeError, LookupError, ArithmeticError)):
        return None
    return UsageError(f"{lines[-1].filename}, line {lines[-1].lineno}: {error}; correct the template")
