"""Look for known vulnerabilities of what the containers install: ``python audit.py PIP_AUDIT``.

Fails where there is one. Where the advisories cannot be reached, it says so and does not fail: nothing is known then.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

LOCKS = Path(__file__).parent / "locks"
AUDITED = (LOCKS / "gpu.txt", LOCKS / "build.txt")
"""PyPI's PyTorch stands for the CPU build, which its advisories do not name."""


def ask(pip_audit: str) -> tuple[list[dict[str, Any]], str]:
    """Return what pip-audit says of each package, and what it says besides."""
    words = [pip_audit, "--require-hashes", "--disable-pip", "--progress-spinner", "off", "--format", "json"]
    words += [word for path in AUDITED for word in ("--requirement", str(path))]
    done = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603 - fixed words  # nosec B603
    said = (done.stderr.strip().splitlines() or [f"code {done.returncode}"])[-1]
    return (json.loads(done.stdout)["dependencies"] if done.stdout.startswith("{") else []), said


def judge(packages: list[dict[str, Any]], said: str) -> tuple[list[str], int]:
    """Return what to say, and the exit code."""
    audited = [one for one in packages if "vulns" in one]
    if not audited:
        reason = packages[0]["skip_reason"] if packages else said
        return [f"audit: the advisories cannot be reached from here; NOTHING WAS AUDITED ({reason})"], 0
    found = [
        f"{one['name']} {one['version']}: {weakness['id']}, mended in {', '.join(weakness['fix_versions']) or 'none'}"
        for one in audited
        for weakness in one["vulns"]
    ]
    skipped = [f"{one['name']}: {one['skip_reason']}" for one in packages if "vulns" not in one]
    total = f"audit: {len(found)} known vulnerabilities in {len(audited)} packages, {len(skipped)} not audited"
    return [*found, *skipped, total], min(len(found), 1)


def main() -> int:
    """Print what is known."""
    lines, code = judge(*ask(sys.argv[1]))
    sys.stdout.write("\n".join(lines) + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
