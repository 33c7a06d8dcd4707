"""Whether two checkouts make the same bytes: ``python -m tests.identity BEFORE AFTER``, for changes without effect.

Each case runs the phantom and the command of both checkouts, in fresh processes, and compares every file of the phantom
and of the results. Logs are left out, as they hold the record of the run; pages count only with ``--pages``.
Cases on real data run where they are at hand, as for the tests.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from tests.real_data import place_of

_TINY = "--resolution 8 --slices 4"
_PROTOCOL = "--protocol {data}/derivatives/truth/protocol.toml"
_PROTOCOL_BESIDE = "--protocol {data}_truth/protocol.toml"
"""What the phantom writes for the user: among its files, and beside those of a scanner."""


@dataclass(frozen=True)
class Case:
    """A dataset and what is made of it."""

    name: str
    phantom: str = ""
    """Options of the phantom; empty where the data are real."""

    real: str = ""
    """Folder of the real data."""

    options: str = ""
    group: str | None = None
    """Options of the level group, where it is run too."""

    estimated: bool = True
    """Whether the command is run at all."""


CASES = (
    Case("ir", f"{_TINY}"),
    Case("ir-learned", f"{_TINY} --part real", options="--ir-efficiency learned"),
    Case("ir-ideal", f"{_TINY} --part polar --repetition-times 9", options="--ir-efficiency ideal --ir-noise rician"),
    Case("ir-complex", f"{_TINY} --part complex --participants 2", options="--nprocs 2"),
    Case("ir-dicom", f"{_TINY} --format dicom --vendor philips --layout sourcedata"),
    Case("ir-dicom-enhanced", f"{_TINY} --format dicom --enhanced"),
    Case("mp2rage", f"{_TINY} --sequences MP2RAGE"),
    Case("mp2rage-complex", f"{_TINY} --sequences MP2RAGE --mp2rage-form complex --b1-map none"),
    Case("mp2rage-uni", f"{_TINY} --sequences MP2RAGE --mp2rage-form uni --b1-map afi", options=_PROTOCOL),
    Case("mp2rage-uni-mag", f"{_TINY} --sequences MP2RAGE --mp2rage-form uni-mag --b1-map dam"),
    Case(
        "mp2rage-uni-last", f"{_TINY} --sequences MP2RAGE --mp2rage-form uni-last --b1-map percent", options=_PROTOCOL
    ),
    Case("mp2rage-mag", f"{_TINY} --sequences MP2RAGE --mp2rage-form mag --b1-map tfl"),
    Case("mp2rage-dicom", f"{_TINY} --sequences MP2RAGE --format dicom --b1-map tfl", options=_PROTOCOL_BESIDE),
    Case(
        "mp2rage-philips",
        f"{_TINY} --sequences MP2RAGE --format dicom --vendor philips --b1-map none",
        options=_PROTOCOL_BESIDE,
    ),
    Case("mp3rage", f"{_TINY} --sequences MP3RAGE --b1-map ratio", options=_PROTOCOL),
    Case("megre", f"{_TINY} --sequences MEGRE"),
    Case("megre-complex", f"{_TINY} --sequences MEGRE --megre-part polar", options="--t2star-noise floor"),
    Case("megre-dicom", f"{_TINY} --sequences MEGRE --format dicom --vendor ge"),
    Case("vfa", f"{_TINY} --sequences VFA"),
    Case("sir", f"{_TINY} --bias mt --inversion-times .015 .278 1.007 2 --recovery-times .684 2.73 .01 1"),
    Case("whole", "--resolution 4 --sequences IRT1 MP2RAGE MEGRE --misalignment 4 3 --format dicom"),
    Case(
        "cohort",
        "--resolution 6 --participants 3 --sequences IRT1 MP2RAGE --bias mt",
        group="--folds 3 --calibration-preset none",
    ),
    Case("nist-ge", real="nist_ir/ge_1p5t"),
    Case("nist-philips", real="nist_ir/philips_1p5t", options="--ir-efficiency learned"),
)

_ALL = f"{_TINY} --sequences IRT1 MP2RAGE MP3RAGE MEGRE"
_DICOM = f"{_ALL} --format dicom"
PHANTOMS = (
    *(
        Case(f"phantom-{vendor}-{part}", f"{_DICOM} --vendor {vendor} --part {part} --megre-part {echoes}{more}")
        for vendor in ("siemens", "philips", "ge")
        for part, echoes, more in (
            ("mag", "mag", ""),
            ("real", "polar", " --one-series"),
            ("complex", "complex", " --echo-series each --layout sourcedata --mp2rage-noise 0"),
            ("polar", "polar", " --layout flat --misalignment 4 3 --slice-partial-fourier 0.75"),
        )
    ),
    *(
        Case(
            f"phantom-enhanced-{vendor}-{part}",
            f"{_TINY} --format dicom --enhanced --vendor {vendor} --part {part}{more}",
        )
        for vendor in ("siemens", "philips")
        for part, more in (("mag", " --one-series"), ("real", ""), ("complex", " --one-series"), ("polar", ""))
    ),
    Case("phantom-dicom-tfl", f"{_DICOM} --b1-map tfl --bias mt"),
    Case("phantom-dicom-afi", f"{_TINY} --sequences MEGRE --format dicom --b1-map afi --one-series"),
    *(
        Case(f"phantom-form-{form}", f"{_ALL} --mp2rage-form {form} --uni-scale {scale} --b1-map {b1} --part {part}")
        for form, scale, b1, part in (
            ("all", "signed", "thousand", "mag"),
            ("uni-last", "unit", "angle", "polar"),
            ("complex", "4095", "sa2rage", "complex"),
            ("uni", "unit", "epi", "real"),
            ("all", "4095", "dam", "mag"),
            ("uni-mag", "4095", "tfl", "mag"),
            ("mag", "4095", "afi", "mag"),
        )
    ),
    Case(
        "phantom-echoes", f"{_TINY} --sequences MP2RAGE --mp2rage-echoes 0.003 0.012 0.02 --mp2rage-form all --snr inf"
    ),
    Case(
        "phantom-megre",
        f"{_TINY} --sequences MEGRE --megre-part complex --megre-snr inf --echo-times 0.005 0.07 --bias mt",
    ),
    Case(
        "phantom-slab",
        f"{_TINY} --sequences IRT1 MEGRE --ir-slices 2 --ir-slice-thickness 16 --misalignment 3 2 --snr inf",
    ),
    Case(
        "phantom-leaves",
        f"{_TINY} --sequences IRT1 MP2RAGE --bias mt --inversion-leaves 0.6 0.9 --b1-shift 5 --participants 2",
    ),
    Case("phantom-flat", f"{_TINY} --b1-map ratio --b1-range 1 1 --inversion-times 0.1 1 2 --repetition-times 3 4 5"),
)
"""What the phantom can write, compared with ``--phantom`` only: nothing is estimated from it."""


def main() -> int:
    """Run the cases in both checkouts and tell what differs."""
    parser = argparse.ArgumentParser(description="Compare, byte for byte, what two checkouts make.")
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--only", nargs="+", help="names of cases")
    parser.add_argument("--phantom", action="store_true", help="compare what the phantom can write only")
    parser.add_argument("--pages", action="store_true", help="compare pages too")
    parser.add_argument(
        "--keep", type=Path, help="folder to keep what is made; cases made there before are not repeated"
    )
    parser.add_argument("-j", "--jobs", type=int, default=2)
    arguments = parser.parse_args()
    cases = [replace(case, estimated=False) for case in PHANTOMS] if arguments.phantom else CASES
    chosen = [case for case in cases if not arguments.only or case.name in arguments.only]
    with tempfile.TemporaryDirectory() as scratch:
        root = arguments.keep or Path(scratch)
        job = partial(_differences, arguments.before.resolve(), arguments.after.resolve(), root.resolve())
        with ThreadPoolExecutor(arguments.jobs) as pool:
            found = [[name for name in names if _counts(name, arguments.pages)] for names in pool.map(job, chosen)]
    for case, names in zip(chosen, found, strict=True):
        sys.stdout.write(f"{case.name:20} {'the same' if not names else 'DIFFERS: ' + ' '.join(names[:6])}\n")
    return int(any(found))


def _counts(name: str, with_pages: bool) -> bool:
    return "/logs/" not in name and (with_pages or not name.endswith(".html"))


def _differences(before: Path, after: Path, root: Path, case: Case) -> list[str]:
    """Return the files that differ, or that only one checkout makes."""
    listings = [
        _listing(_made(checkout, root / side, case)) for checkout, side in ((before, "before"), (after, "after"))
    ]
    return sorted({name for name, _ in listings[0].items() ^ listings[1].items()})


def _made(checkout: Path, root: Path, case: Case) -> Path:
    """Make the dataset and the results of a case, in a folder that has the same name for both checkouts."""
    folder = root / case.name
    done = folder / "done"
    if done.is_file():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    data, out = folder / "data", folder / "out"
    if case.phantom:
        phantom = next(name for name in ("bids_t1_phantom", "bids_t1.phantom") if _is_there(checkout, name))
        _run(checkout, "-m", phantom, str(data), *case.phantom.split())
    elif not _link_real(case.real, data):
        return folder
    if case.estimated:
        options = case.options.format(data=data).split()
        _run(checkout, "-m", "bids_t1", str(data), str(out), "participant", "--device", "cpu", *options)
    if case.group is not None:
        _run(checkout, "-m", "bids_t1", str(data), str(out), "group", "--device", "cpu", *case.group.split())
    done.touch()
    return folder


def _is_there(checkout: Path, module: str) -> bool:
    return (checkout / module.replace(".", "/") / "__main__.py").is_file()


def _link_real(name: str, target: Path) -> bool:
    source = place_of(name)
    if source.is_dir() and not target.is_symlink():
        target.symlink_to(source)
    return source.is_dir()


def _run(checkout: Path, *words: str) -> None:
    environment = os.environ | {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, *words], cwd=checkout, env=environment, capture_output=True, check=False)
    if done.returncode:
        raise SystemExit(f"{checkout}: {' '.join(words)} ended with {done.returncode}:\n{done.stderr.decode()[-2000:]}")


def _listing(folder: Path) -> dict[str, str]:
    files = [path for part in ("data", "data_truth", "out") for path in sorted((folder / part).rglob("*"))]
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if path.is_file()
    }


if __name__ == "__main__":
    sys.exit(main())
