"""Known vulnerabilities in what dfrecord installs: `audit.py SITE_PACKAGES`, with pip-audit.

Exit code 1 for one in a package that mitmproxy does not hold back; those that it does are told and explained in
docs/security.md. A mirror that tells nothing of single versions is asked for the package, of which it tells about the
newest version. What it does not tell of was not audited, and that is said.
"""

from __future__ import annotations

import re
import sys
from importlib.metadata import PathDistribution, distributions
from pathlib import Path
from typing import Any

import requests
from pip_audit._audit import Auditor
from pip_audit._dependency_source import PipSource
from pip_audit._service import ConnectionError, PyPIService, ServiceError

_OF_A_VERSION = re.compile(r"(?P<package>.+)/(?P<version>[^/]+)(?P<end>/json)")


def main(site_packages: str) -> int:
    """The exit code."""
    service = PyPIService(timeout=15)
    service.session.hooks["response"].append(_of_the_newest)
    try:
        told = list(Auditor(service).audit(PipSource(paths=[Path(site_packages)])))
    except (ConnectionError, ServiceError, requests.RequestException) as error:
        print(f"ci: NOT AUDITED for known vulnerabilities: the service does not answer here ({error})")
        return 0
    held_back = set(_capped_by("mitmproxy", site_packages))
    found = {(package, each.id, *each.fix_versions) for package, vulnerabilities in told for each in vulnerabilities}
    for package, name, *fixed in sorted(found, key=str):
        why = f"update to {', '.join(map(str, fixed))}" if fixed else "no version mends it"
        why = "held back by mitmproxy, see docs/security.md" if package.canonical_name in held_back else why
        print(f"ci: {package.name} {package.version}: {name}: {why}")
    unknown = sorted(package.canonical_name for package, _ in told if package.is_skipped())
    print(f"ci: {len(told) - len(unknown)} packages audited, the service does not tell of {', '.join(unknown)}")
    return 1 if any(package.canonical_name not in held_back for package, *_ in found) else 0


def _of_the_newest(answer: requests.Response, **options: Any) -> requests.Response | None:
    """What is told of a package instead of one of its versions, where that is its newest."""
    asked = _OF_A_VERSION.fullmatch(answer.request.url or "")
    if answer.status_code != 404 or asked is None:
        return None
    newest = requests.get(asked["package"] + asked["end"], timeout=15)
    return newest if newest.ok and newest.json()["info"]["version"] == asked["version"] else None


def _capped_by(name: str, site_packages: str) -> list[str]:
    """The packages that this one allows only up to a version."""
    for found in distributions(name=name, path=[site_packages]):
        assert isinstance(found, PathDistribution)
        capped = [line for line in found.requires or [] if "<" in line.partition(";")[0]]
        return [re.match(r"[\w.-]+", line)[0].lower().replace("_", "-") for line in capped]  # type: ignore[index]
    return []


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
