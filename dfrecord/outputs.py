"""Writing what was made: files that are whole or not there, and recorded text on a terminal."""

from __future__ import annotations

import os
import re
import stat
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dfrecord.errors import UsageError

if TYPE_CHECKING:
    from dfrecord.renderers import OutputFile

INVISIBLE = re.compile(
    "[\x00-\x1f\x7f-\xa0\xad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u2000-\u200f\u2028-\u202f"
    "\u205f-\u206f\u3000\u3164\ud800-\udfff\ue000-\uf8ff\ufeff\uffa0\ufff0-\uffff\U0001d173-\U0001d17a"
    "\U000e0000-\U0010ffff]"
)
"""Characters that cannot be seen, that move others, or that are none. A table of our own: Python's changes."""


def write_file(path: Path, content: bytes, *, executable: bool = False, private: bool = False) -> None:
    """Write beside, then rename, so that a file is whole or not there. Raises UsageError when it cannot be written."""
    try:
        handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(content)
            umask = os.umask(0)
            os.umask(umask)
            mode = 0o600 if private else (0o777 if executable else 0o666) & ~umask
            Path(beside).chmod(stat.S_IMODE(mode))
            Path(beside).replace(path)
        except BaseException:
            Path(beside).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}; choose another place with -o") from None


def stem_of(path: Path) -> str:
    """The name that the files of a script share: the output's name without its ending."""
    collection = ".postman_collection.json"
    return path.name.removesuffix(collection) if path.name.endswith(collection) else path.stem


def write_script(files: Sequence[OutputFile], output: Path) -> list[Path]:
    """Writes a rendered script to `output` and its companions beside it; gives their paths. Raises UsageError."""
    paths = [_place(file, output) for file in files]
    for path, file in zip(paths, files, strict=True):
        if file.beside:
            _make_folder(path.parent)
        write_file(path, file.content, executable=file.executable)
    return paths


def _place(file: OutputFile, output: Path) -> Path:
    if file.beside:
        return output.parent / file.beside
    return output.with_name(stem_of(output) + file.suffix) if file.suffix else output


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder}: cannot be made: {error.strerror}; choose another place with -o") from None


def plain(text: str) -> str:
    """Recorded text on one line, without characters that could steer a terminal or turn the reading direction."""
    return INVISIBLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
