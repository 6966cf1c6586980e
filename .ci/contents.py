"""What the wheel and the sdist hold: all that git tracks of the program, templates, data, licence and types; no more.

Usage: contents.py DIST, a folder with one wheel and one sdist. A difference is told file by file, exit code 1.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path


def main(dist: Path) -> int:
    [wheel], [sdist] = dist.glob("*.whl"), dist.glob("*.tar.gz")
    name = "-".join(wheel.name.split("-")[:2])
    tracked = set(subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True).stdout.splitlines())
    facts = ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE")
    info = {f"{name}.dist-info/{file}" for file in facts}
    program = {file for file in tracked if file.startswith("dfrecord/")} | {"dfrecord_start.py"}
    templates = {f"dfrecord/{file}" for file in tracked if file.startswith("templates/")}
    pages = {f"{name}.data/data/share/man/man1/{Path(file).name}" for file in tracked if file.startswith("docs/man/")}
    wrong = differing(wheel, set(zipfile.ZipFile(wheel).namelist()), program | templates | pages | info)
    with tarfile.open(sdist) as archive:
        held = {member.name.partition("/")[2] for member in archive if member.isfile()}
    wrong += differing(sdist, held, {"PKG-INFO", *(file for file in tracked if not file.startswith(".ci/"))})
    print("\n".join(wrong) or f"{wheel.name} and {sdist.name} hold what they should")
    return bool(wrong)


def differing(file: Path, held: set[str], wanted: set[str]) -> list[str]:
    return [f"{file.name}: {path} {'is too much' if path in held else 'is missing'}" for path in sorted(held ^ wanted)]


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
