"""Black over a generated script; in a long one, over one step of each shape.

Black takes milliseconds a step, and most steps of a long journey differ only in their texts, names and numbers. What
black does to a step depends on how long these are, not on what they say: so it is given one step of each shape, with
meaningless words of the same length, and each step's own words are put into what comes out.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from keyword import iskeyword

from dfrecord.errors import UsageError

LINE_LENGTH = 88
LONG = 250_000
"""From this many characters on, starting processes pays."""
MANY = 12
"""From this many steps on, looking for equal shapes pays."""

_STEP = re.compile(r"(?m)^(?=    # \d+\.(?: |$))")
_WORD = re.compile(
    r"""(?P<prefix>(?:\b[A-Za-z]{1,2})?)(?:"(?P<text>[ !#-\[\]-~]*)"|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')"""
    r"""|(?P<comment>\#[^\n]*)|(?P<name>\b[^\W\d]\w*)|(?P<number>\d[\w.]*)""",
    re.VERBOSE,
)
_DIRECTIVE = re.compile(r"fmt|yapf|pylint|pragma|noqa|type:|#.*#|\s$")  # comments that black looks into
_CHILD = (
    "import sys; from dfrecord.renderers.python_format import once; "
    "sys.stdout.buffer.write(once(sys.stdin.buffer.read().decode()).encode())"
)


def formatted(source: str) -> str:
    """The source in black's style, as `once` gives it. Raises UsageError when it is no Python.

    The script has one long function, a comment `    # 7. …` before each of its steps.
    """
    return _by_shapes(source) or once(source)


def _by_shapes(source: str) -> str | None:
    """The same, one step of each shape seen by black; None when that does not pay, or could give something else."""
    start, *steps = _STEP.split(source)
    if len(steps) < MANY:
        return None
    *steps, end = steps
    shapes = [_shape(step) for step in steps]
    try:
        by_shape = _by_text(shape for shape, _ in shapes)
        # Where black also changes words (quotes become double ones), it sees the steps as they are.
        same = {shape for shape, done in by_shape.items() if _words(done) == _words(shape)}
        as_they_are = _by_text(step for step, (shape, _) in zip(steps, shapes, strict=True) if shape not in same)
        frame = once(start + end)
    except UsageError:
        return None  # `once` says where it is no Python, in the words of the template
    last = _STEP.search(frame)
    if last is None:
        return None
    filled = (
        _filled(by_shape[shape], words) if shape in same else as_they_are[step]
        for step, (shape, words) in zip(steps, shapes, strict=True)
    )
    return "".join([frame[: last.start()], *(f"{step}\n\n" for step in filled), frame[last.start() :]])


def _by_text(steps: Iterable[str]) -> dict[str, str]:
    """Each step with what black makes of it."""
    distinct = list(dict.fromkeys(steps))
    return dict(zip(distinct, _formatted_steps(distinct), strict=True)) if distinct else {}


def once(source: str) -> str:
    """The source in black's style. Raises UsageError when it is no Python."""
    import black
    from black.mode import TargetVersion
    from black.parsing import InvalidInput

    try:
        return black.format_str(source, mode=black.Mode(line_length=LINE_LENGTH, target_versions={TargetVersion.PY311}))
    except InvalidInput as error:
        raise UsageError(f"the python template does not make valid Python: {str(error).splitlines()[0]}") from error


# ---------------------------------------------------------------- shapes


def _shape(step: str) -> tuple[str, list[str]]:
    """The step with meaningless words, and its own words in their order."""
    words: list[str] = []

    def meaningless(word: re.Match[str]) -> str:
        other = _meaningless(word)
        if other is None:
            return word[0]
        words.append(word[0])
        return other

    return _WORD.sub(meaningless, step), words


def _words(step: str) -> list[str]:
    return [word[0] for word in _WORD.finditer(step)]


def _filled(step: str, words: Sequence[str]) -> str:
    rest = iter(words)
    return _WORD.sub(lambda word: word[0] if _meaningless(word) is None else next(rest), step)


def _meaningless(word: re.Match[str]) -> str | None:
    """What stands in the place of a word; None where black looks at more than its length."""
    text = word[0]
    if word["text"] is not None:
        return f'{word["prefix"]}"{"x" * len(word["text"])}"'
    if word["comment"]:
        if _DIRECTIVE.search(text) or not text.startswith("# "):
            return None
        return "# 1. x" if re.match(r"# \d+\. ", text) else "# x"
    if word["name"]:
        return "n" * len(text) if text.isascii() and not iskeyword(text) else None
    if word["number"]:
        return "1" * len(text) if text.isdigit() else None
    return None


# ---------------------------------------------------------------- black


def _formatted_steps(steps: Sequence[str]) -> Iterator[str]:
    """Each step in black's style, without the empty line after it; in several processes when they are many."""
    workers = (os.cpu_count() or 1) if sum(map(len, steps)) >= LONG else 1
    size = -(-len(steps) // workers)
    chunks = ["".join(steps[at : at + size]) for at in range(0, len(steps), size)]
    with ThreadPoolExecutor(len(chunks)) as threads:
        for text in threads.map(_in_a_process if workers > 1 else _as_a_function, chunks):
            yield from (step.rstrip("\n") for step in _STEP.split(text)[1:])


def _as_a_function(steps: str) -> str:
    return once(f"def steps():\n{steps}")


def _in_a_process(steps: str) -> str:
    """Steps, formatted as they stand in a function; in this process when another one cannot do it."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, sys.path))}
    source = f"def steps():\n{steps}".encode()
    done = subprocess.run([sys.executable, "-c", _CHILD], input=source, capture_output=True, env=environment)
    return done.stdout.decode() if done.returncode == 0 else _as_a_function(steps)
