"""Write down what is installed, as CycloneDX: ``python sbom.py > sbom.cdx.json``.

Python packages are those of the interpreter that runs this, Debian packages those of the system. Nothing
else is needed to run it, so that it adds nothing to what it lists.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.metadata import distributions, version
from shutil import which

DEBIAN = "${Package}\t${Version}\t${Architecture}\n"


def python_packages() -> list[dict[str, str]]:
    """Return the packages of this interpreter."""
    found = {re.sub(r"[-_.]+", "-", one.metadata["Name"]).lower(): one.version for one in distributions()}
    return [component(name, release, f"pkg:pypi/{name}@{release}") for name, release in sorted(found.items())]


def debian_packages() -> list[dict[str, str]]:
    """Return the packages of the system; none where it is not Debian."""
    query = which("dpkg-query")
    if query is None:
        return []
    words = [query, "--show", "--showformat", DEBIAN]
    listed = subprocess.run(words, capture_output=True, text=True, check=True)  # noqa: S603 - fixed words  # nosec B603
    rows = sorted(line.split("\t") for line in listed.stdout.splitlines())
    return [component(name, release, f"pkg:deb/debian/{name}@{release}?arch={arch}") for name, release, arch in rows]


def component(name: str, release: str, purl: str) -> dict[str, str]:
    """Describe a package; a purl has its plus signs and colons as percent signs with their code."""
    purl = purl.replace("+", "%2B")
    return {"type": "library", "bom-ref": purl, "name": name, "version": release, "purl": purl}


def main() -> None:
    """Print the list; without times or numbers of its own, so that the same content is the same file."""
    subject = {"type": "container", "name": "bids_t1", "version": version("bids_t1")}
    bom = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": subject},
        "components": [*python_packages(), *debian_packages()],
    }
    sys.stdout.write(json.dumps(bom, indent=1) + "\n")


if __name__ == "__main__":
    main()
