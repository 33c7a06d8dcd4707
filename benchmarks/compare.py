"""This engine, that of 0.1.0, and others, on the same voxels in one run: make benchmark.

Each contender (`benchmarks.contenders`) is a process of its own, one after the other. Only ratios mean something on a
machine that others use, those of processor time most. Writes `results.json` and `table.md` into the folder;
`--into FILE` puts the table of an earlier run into a document.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

# The peak of memory of a process begins with that of its parent: nothing heavy is imported here.

HERE = Path(__file__).parent
FORMER = "efb3596"
"""The engine of 0.1.0."""

GROUPS = {
    "Inversion recovery, free efficiency": ("bids_t1 free", "bids_t1 learned", "curve_fit free", "qmrpy"),
    "Inversion recovery, ideal inversion": ("bids_t1 ideal", "curve_fit ideal", "mrpro dictionary", "mrpro Adam"),
    "MP2RAGE, two complex readouts": ("bids_t1 map of B1+", "bids_t1 B1+ integrated"),
    "MP2RAGE, UNI alone, nominal B1+": ("bids_t1 UNI, nominal", "look-up of UNI", "Monte Carlo of UNI"),
}
FORMER_TOO = "bids_t1"
"""How the names of those begin that 0.1.0 does as well."""

PEERS = ("mrpro", "qmrpy")
VERSIONS = ("torch", "numpy", "numba", "scipy")
MOST_OF_FORMER = {
    "bids_t1 learned": 1e4,
    "bids_t1 map of B1+": 1e5,
    "bids_t1 B1+ integrated": 1e5,
    "bids_t1 UNI, nominal": 1e5,
}
"""Voxels that the slow ones of 0.1.0 are given at most; ratios are of a voxel."""

MARKS = ("<!-- benchmark -->", "<!-- end of benchmark -->")


def former_engine(folder: Path) -> Path | None:
    """Return a folder with the source of 0.1.0, out of the history; None where there is none."""
    target = folder / f"engine-{FORMER}"
    if not target.exists():
        packed = subprocess.run(["git", "archive", FORMER], cwd=HERE.parent, capture_output=True, check=False)  # noqa: S607
        if packed.returncode:
            return None
        target.mkdir(parents=True)
        subprocess.run(["tar", "-x", "-C", str(target)], input=packed.stdout, check=True)  # noqa: S607
    return target


def run(python: str, path: Path | None, *arguments: str) -> list[dict[str, Any]] | str:
    """Return what a contender measured, or the last line of what it said instead."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {"OMP_NUM_THREADS": "1"}
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    command = [python, "-P", str(HERE / "contenders.py"), *arguments]
    done = subprocess.run(command, env=environment, cwd=path, capture_output=True, text=True, check=False)
    if done.returncode:
        return (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    return [json.loads(line) for line in done.stdout.splitlines()]


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run everything."""
    folder, threads = arguments.folder.resolve(), ",".join(str(count) for count in arguments.threads)
    folder.mkdir(parents=True, exist_ok=True)
    former, data = former_engine(folder), str(folder / "voxels.npz")
    simulated = run(sys.executable, HERE.parent, "simulate", data, str(max(arguments.voxels)), str(arguments.times))
    if isinstance(simulated, str):
        raise SystemExit(simulated)
    found: dict[str, Any] = {}
    for name in (name for names in GROUPS.values() for name in names):
        is_peer = name.startswith(PEERS)
        ways = {name: (str(arguments.peers), None) if is_peer else (sys.executable, HERE.parent)}
        if name.startswith(FORMER_TOO) and former is not None:
            ways[f"0.1.0{name.removeprefix(FORMER_TOO)}"] = (sys.executable, former)
        for title, (python, path) in ways.items():
            most = MOST_OF_FORMER.get(name, 1e12) if path == former else 1e12
            sizes = ",".join(str(int(min(size, most))) for size in arguments.voxels)
            print(title, flush=True)
            found[title] = run(python, path, name, data, sizes, threads, str(arguments.repeats))
            if isinstance(found[title], str):
                print(f"    not measured: {found[title]}", flush=True)
    Path(data).unlink()
    return {"machine": machine(str(arguments.peers)), "times": arguments.times, "found": found}


def machine(peers: str) -> dict[str, Any]:
    """Describe where this was measured."""
    names = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    script = "from importlib.metadata import version as v; print(*(v(name) for name in ('mrpro', 'qmrpy')))"
    asked = subprocess.run([peers, "-c", script], capture_output=True, text=True, check=False)
    return {
        "processor": names[0] if names else platform.machine(),
        "processors": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "versions": {name: installed(name) for name in VERSIONS} | dict(zip(PEERS, asked.stdout.split(), strict=False)),
    }


def installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"


def cost(row: dict[str, Any]) -> float:
    """Return the processor time of a voxel [us]."""
    return 1e6 * float(row["processor_seconds"]) / float(row["voxels"])


def table(result: dict[str, Any]) -> str:
    """Write the results in Markdown."""
    where, found = result["machine"], result["found"]
    versions = ", ".join(f"{name} {number}" for name, number in where["versions"].items())
    lines = [
        f"`make benchmark`: {where['processors']} processors of {where['processor']}, load {where['load']} at the end;",
        f"Python {where['python']}, {versions}. {result['times']} inversion times, SNR 50;",
        "readouts with noise of 0.001 of M0.",
        "*Times more* is processor time a voxel over that of the first row of the group at its most voxels; values of",
        "several numbers of threads stand side by side. RMSE of T1 from 0.3 to 0.7, 1.2, 2 and 3 s.",
    ]
    for group, names in GROUPS.items():
        base = cost(on_fewest_threads(found[names[0]])[-1]) if not isinstance(found[names[0]], str) else float("nan")
        lines += [
            f"\n**{group}**\n",
            "| | voxels | threads | voxels/s | processor time a voxel, us | times more | peak, MB | RMSE, ms |",
            "|---|---|---|---|---|---|---|---|",
        ]
        titles = (title for name in names for title in (name, f"0.1.0{name.removeprefix(FORMER_TOO)}"))
        lines += [row for title in titles if title in found for row in rows(title, found[title], base)]
    lines.append(f"\nCUDA: {'in the rows of that device' if has_card(found) else 'no card here'}.")
    return "\n".join(lines) + "\n"


def on_fewest_threads(measured: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what was measured on one thread, or so few as there were."""
    fewest = min(row["threads"] for row in measured)
    return [row for row in measured if row["device"] == "cpu" and row["threads"] == fewest]


def has_card(found: dict[str, Any]) -> bool:
    return any(row["device"] == "cuda" for measured in found.values() if isinstance(measured, list) for row in measured)


def rows(title: str, measured: list[dict[str, Any]] | str, base: float) -> Iterator[str]:
    """Write one contender, a row for each size and device."""
    if isinstance(measured, str):
        yield f"| {title} | | | not measured: {measured} | | | | |"
        return
    for voxels, device in dict.fromkeys((row["voxels"], row["device"]) for row in measured):
        same = [row for row in measured if (row["voxels"], row["device"]) == (voxels, device)]
        cells = (
            f"{voxels:,}",
            device if device == "cuda" else " / ".join(str(row["threads"]) for row in same),
            " / ".join(f"{row['voxels'] / row['seconds']:,.0f}" for row in same),
            " / ".join(f"{cost(row):,.3g}" for row in same),
            " / ".join(f"{cost(row) / base:,.3g}" for row in same),
            f"{max(row['peak_megabytes'] for row in same):,.0f}",
            ", ".join(f"{error:.0f}" for error in same[0]["rmse_ms"]),
        )
        yield f"| {title} | {' | '.join(cells)} |"


def put_into(document: Path, text: str) -> None:
    """Replace what stands between the marks of a document."""
    before, rest = document.read_text(encoding="utf-8").split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    document.write_text(f"{before}{MARKS[0]}\n\n{text}\n{MARKS[1]}{after}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("build/benchmark"))
    parser.add_argument("--voxels", type=lambda text: int(float(text)), nargs="+", default=[10**4, 4 * 10**5])
    parser.add_argument("--times", type=int, default=10, help="inversion times, 4 to 20")
    all_of_them = len(os.sched_getaffinity(0))
    parser.add_argument("--threads", type=int, nargs="+", default=sorted({1, all_of_them}))
    parser.add_argument("--repeats", type=int, default=5, help="of which the fastest counts")
    parser.add_argument(
        "--peers", type=Path, default=Path("build/peers/bin/python"), help="Python with mrpro and qmrpy"
    )
    parser.add_argument(
        "--into", type=Path, help="put the table of an earlier run into this document, and measure nothing"
    )
    arguments = parser.parse_args()
    results = arguments.folder / "results.json"
    if arguments.into is None:
        found = measure(arguments)
        results.write_text(json.dumps(found, indent=1), encoding="utf-8")
        (arguments.folder / "table.md").write_text(table(found), encoding="utf-8")
        print(table(found))
    else:
        put_into(arguments.into, table(json.loads(results.read_text(encoding="utf-8"))))


if __name__ == "__main__":
    main()
