"""Known vulnerabilities in what dfrecord installs: `audit.py PIP_AUDIT SITE_PACKAGES`.

Exit code 1 for one that an update would mend. On Python 3.11 mitmproxy 11 holds some packages back; those are told and
explained in docs/security.md. Where the vulnerability service does not answer, nothing was audited, and that is said.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.metadata import PathDistribution, distributions


def main(pip_audit: str, site_packages: str) -> int:
    """The exit code."""
    command = [pip_audit, "--path", site_packages, "--format", "json", "--progress-spinner", "off", "--timeout", "15"]
    done = subprocess.run(command, capture_output=True, text=True)
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        packages = []
    audited = [package for package in packages if "skip_reason" not in package]
    if not audited:
        reason = next((package["skip_reason"] for package in packages), done.stderr.strip().rpartition("\n")[2])
        print(f"ci: NOT AUDITED for known vulnerabilities: the service does not answer here ({reason})")
        return 0
    held_back = set(_capped_by("mitmproxy", site_packages))
    mendable = 0
    for package in audited:
        for found in package["vulns"]:
            held = package["name"] in held_back
            mendable += not held
            why = "held back by mitmproxy, see docs/security.md" if held else f"update to {found['fix_versions']}"
            print(f"ci: {package['name']} {package['version']}: {found['id']}: {why}")
    print(f"ci: {len(audited)} packages audited, {len(packages) - len(audited)} unknown to the service")
    return 1 if mendable else 0


def _capped_by(name: str, site_packages: str) -> list[str]:
    """The packages that this one allows only up to a version."""
    for found in distributions(name=name, path=[site_packages]):
        assert isinstance(found, PathDistribution)
        capped = [line for line in found.requires or [] if "<" in line.partition(";")[0]]
        return [re.match(r"[\w.-]+", line)[0].lower().replace("_", "-") for line in capped]  # type: ignore[index]
    return []


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
