"""The journey as a Markdown runbook: what a person approves before the script runs.

A renderer has an `ending`, says what it `needs`, and turns a journey into files. Recorded text is untrusted: here every
piece of it goes through `plain`, which leaves no Markdown in it; a format for programs needs an encoder as careful.
"""

from __future__ import annotations

import re

from dfrecord.journey.model import Journey
from dfrecord.renderers import OutputFile, RenderOptions
from dfrecord.tree import Text


class Runbook:
    """The format `runbook`."""

    ending = ".md"
    needs = "a reader"

    def render(self, journey: Journey, options: RenderOptions) -> tuple[OutputFile, ...]:
        """One Markdown file."""
        lines = [f"# {plain(journey.title)}", ""]
        for number, step in enumerate(journey.steps, 1):
            warning = f" **{plain(step.danger)}**" if step.danger else ""
            lines.append(
                f"{number}. [ ] {plain(step.title)}: {step.request.method} {target(step.request.target)}{warning}"
            )
        return (OutputFile("\n".join([*lines, ""]).encode()),)


def target(text: Text) -> str:
    """Path and query, variables by name."""
    return plain("".join(part if isinstance(part, str) else f"<{part.name}>" for part in text.parts))


def plain(text: str) -> str:
    """Recorded text as one line of Markdown that shows as it is."""
    line = "".join(character if character.isprintable() else " " for character in text)
    return re.sub(r"([\\`*_{}\[\]<>()#+\-.!|~&])", r"\\\1", line)


RENDERER = Runbook()
