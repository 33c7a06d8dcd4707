"""Many tiny participants in one command, with a bomb, junk and a killed process: ``python -m tests.soak FOLDER``.

Says what came of them, and how processor time and memory of the first fifty compare with those of the last fifty.
Processor time, because other work on the machine changes the time that passes.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import nibabel as nib
import numpy as np

from tests.small_bids import AFFINE, sidecar, write_root, write_run

TICKS = os.sysconf("SC_CLK_TCK")
MEMBER = 16 * 1024**2
"""Bytes of zeros in each member of the bomb's gzip file."""

WINDOW = 50
"""Participants at the beginning, and at the end, that are compared."""

WARM = 6
"""Participants until every process has loaded what it needs."""


def make(bids_dir: Path, n_participants: int) -> None:
    """Make participants that are links to the files of the first, one with a bomb and one of junk."""
    write_root(bids_dir)
    first = write_run(bids_dir, "001")
    for number in range(2, n_participants - 1):
        for path in (*first, *map(sidecar, first)):
            renamed = Path(str(path).replace("sub-001", f"sub-{number:03d}"))
            renamed.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, renamed)
    write_bomb(write_run(bids_dir, "bomb")[2])
    (bids_dir / "sub-junk" / "anat").mkdir(parents=True)
    (bids_dir / "sub-junk" / "anat" / "scans.zip").write_bytes(b"PK\3\4 no more")


def write_bomb(path: Path) -> None:
    """Write an image of 8.6 GB of zeros with an honest header, in some MB."""
    header = nib.Nifti1Image(np.zeros((2, 2, 2), np.int16), AFFINE).header
    header.set_data_shape((2048, 2048, 1024))
    header["magic"], header["vox_offset"] = b"n+1", 352
    zeros = gzip.compress(bytes(MEMBER))
    path.write_bytes(gzip.compress(header.binaryblock + bytes(4)) + zeros * (2 * 2048 * 2048 * 1024 // MEMBER))


@dataclass
class Watch:
    """What was seen of the processes of a command: cumulated processor time and memory against participants done."""

    pid: int
    cpu: dict[int, float] = field(default_factory=dict)
    """Of each process [s]."""

    seen: list[tuple[int, float, float, float]] = field(default_factory=list)
    """Participants done, time that passed [s], processor time [s], largest memory of a worker [MB]."""

    own: float = 0.0
    """Largest memory of the first process [MB]."""

    def workers(self) -> list[int]:
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text(encoding="utf-8").split()
        return [int(pid) for pid in children if b"spawn_main" in Path("/proc", pid, "cmdline").read_bytes()]

    def look(self, n_done: int) -> None:
        workers = self.workers()
        for pid in (self.pid, *workers):
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            self.cpu[pid] = (int(fields[11]) + int(fields[12])) / TICKS
        self.own = max(self.own, memory_of(self.pid))
        memory = max((memory_of(pid) for pid in workers), default=0.0)
        self.seen.append((n_done, time.monotonic(), sum(self.cpu.values()), memory))

    def between(self, first: int, last: int) -> tuple[float, float, float]:
        """Return seconds and processor seconds for each participant of some, and the largest memory [MB]."""
        rows = [row for row in self.seen if first <= row[0] <= last]
        count = rows[-1][0] - rows[0][0]
        return (rows[-1][1] - rows[0][1]) / count, (rows[-1][2] - rows[0][2]) / count, max(row[3] for row in rows)


def memory_of(pid: int) -> float:
    """Return the resident memory of a process [MB]."""
    (value,) = re.findall(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(encoding="utf-8"))
    return int(value) / 1024


def run(bids_dir: Path, out_dir: Path, n_participants: int) -> tuple[int, str, Watch]:
    """Run the command, killing one of its processes when a third is done."""
    words = [
        sys.executable,
        "-m",
        "bids_t1",
        str(bids_dir),
        str(out_dir),
        "participant",
        "--nprocs",
        "2",
        "--maps-only",
    ]
    said = out_dir.parent / "said.txt"
    with said.open("w") as file, subprocess.Popen(words, stderr=file) as process:
        watch, killed = Watch(process.pid), False
        while process.poll() is None:
            time.sleep(0.5)
            n_done = sum(1 for _ in (out_dir / "logs").glob("sub-*.json"))
            try:
                watch.look(n_done)
                if not killed and n_done > n_participants / 3:
                    os.kill(watch.workers()[0], signal.SIGKILL)
                    killed = True
            except (OSError, ValueError, IndexError):  # a process ended meanwhile
                continue
    return process.returncode, said.read_text(encoding="utf-8"), watch


def main() -> int:
    """Make, run, say; exit with 1 where anything is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--participants", type=int, default=500)
    given = parser.parse_args()
    bids_dir, out_dir = given.folder / "bids", given.folder / "out"
    make(bids_dir, given.participants)
    code, said, watch = run(bids_dir, out_dir, given.participants)
    failed = re.findall("participants? with failures: ([^;]*)", said)
    maps = len(list(out_dir.glob("sub-*/anat/*desc-IRT1_T1map.nii.gz")))
    window = min(WINDOW, given.participants // 4)
    first = watch.between(WARM, WARM + window)
    last = watch.between(given.participants - 3 - window, given.participants - 3)
    left = [path.name for path in out_dir.rglob(".*") if path.name != ".bidsignore"]
    figures = {
        "exit code": code,
        "participants with maps": maps,
        "named": failed,
        "lines of them": re.findall(r"^sub-(?:bomb|junk): .*|^sub-\w+: its process .*", said, re.MULTILINE),
        "hidden files left": left,
        "seconds, processor seconds and memory [MB] of the first": [round(value, 3) for value in first],
        "of the last": [round(value, 3) for value in last],
        "memory of the first process [MB]": round(watch.own),
        "tracebacks": said.count("Traceback"),
    }
    sys.stdout.write(json.dumps(figures, indent=1) + "\n")
    named = bool(failed) and len(failed[0].split(", ")) == 3
    whole = code == 1 and maps == given.participants - 3 and not left and "Traceback" not in said
    well = named and whole and last[1] <= 1.1 * first[1]
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
