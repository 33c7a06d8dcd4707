"""The datasets that cases start from: two participants of the phantom, made once and copied for every case."""

from __future__ import annotations

import shutil
from contextlib import redirect_stderr
from functools import cache
from io import StringIO
from typing import TYPE_CHECKING

from bids_t1_phantom import dataset
from bids_t1_phantom.cli import main as make_phantom
from bids_t1_phantom.head.anatomy import load_atlas
from tests.corpus.case import Case, Place
from tests.corpus.forks import Fork

if TYPE_CHECKING:
    from pathlib import Path

    from tests.corpus.forks import Ran

SMALL = ("--resolution", "8", "--slices", "4", "--participants", "2")
TIMES = ("--inversion-times", "0.1", "0.5", "1.2", "3.0")
DICOM = ("--format", "dicom", "--sequences", "IRT1", *TIMES)

FORMS: dict[str, tuple[str, ...]] = {
    "ir": ("--sequences", "IRT1", *TIMES),
    "ir of 3": ("--sequences", "IRT1", "--inversion-times", "0.1", "0.8", "3.0"),
    "ir of 3, no noise": ("--sequences", "IRT1", "--inversion-times", "0.1", "0.8", "3.0", "--snr", "inf"),
    "ir complex": ("--sequences", "IRT1", "--part", "polar", *TIMES),
    "mp2rage": ("--sequences", "MP2RAGE"),
    "mp2rage mag": ("--sequences", "MP2RAGE", "--mp2rage-form", "mag"),
    "unit1": ("--sequences", "MP2RAGE", "--mp2rage-form", "uni"),
    "unit1 and mag": ("--sequences", "MP2RAGE", "--mp2rage-form", "uni-mag"),
    "megre": ("--sequences", "MEGRE", "--echo-times", "0.004", "0.010", "0.020", "0.030"),
    "megre of 2": ("--sequences", "MEGRE", "--echo-times", "0.004", "0.02"),
    "dicom": DICOM,
    "philips": (*DICOM, "--vendor", "philips"),
    "ge": (*DICOM, "--vendor", "ge"),
    "enhanced": (*DICOM, "--enhanced"),
    "enhanced philips": (*DICOM, "--enhanced", "--vendor", "philips"),
}
"""Options of the phantom."""

SCANNER_FILES = frozenset(form for form, options in FORMS.items() if "dicom" in options)


class Datasets:
    """Intact datasets and what comes of them."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._made: dict[str, Path] = {}
        self._processed: dict[tuple[str, tuple[str, ...]], tuple[Path, Ran]] = {}
        self._number = 0

    def of(self, form: str) -> Path:
        """Return the intact dataset of a form."""
        if form not in self._made:
            folder = self._scratch / f"form{len(self._made)}"
            dataset.load_atlas = _atlas  # type: ignore[attr-defined]
            with redirect_stderr(StringIO()):
                assert make_phantom([str(folder), *SMALL, *FORMS[form]]) == 0
            shutil.rmtree(folder / "derivatives", ignore_errors=True)
            self._made[form] = folder
        return self._made[form]

    def processed(self, case: Case) -> Path:
        """Return out_dir of the intact dataset, processed with the options of a case."""
        return self._process(case.form, options_for_good(case))

    def _process(self, form: str, options: tuple[str, ...]) -> Path:
        key = form, options
        if key not in self._processed:
            place = self._fresh(form)
            ran = Fork(arguments(place, options, "participant"), place.root / "said").wait()
            self._processed[key] = place.out_dir, ran
        return self._processed[key][0]

    def place(self, case: Case) -> Place:
        """Make the folders of a case, its data changed."""
        place = self._fresh(case.form)
        place.aside.mkdir()
        if case.finished or case.level == "group":
            shutil.copytree(self._process(case.form, ()), place.out_dir)
        case.change(place)
        return place

    def _fresh(self, form: str) -> Place:
        self._number += 1
        place = Place(self._scratch / f"case{self._number:04d}")
        shutil.copytree(self.of(form), place.bids_dir)
        return place


_atlas = cache(load_atlas)


def options_for_good(case: Case) -> tuple[str, ...]:
    """Return the options that show in the results of the other participant: those that name no file."""
    return () if any("{" in option for option in case.options) else case.options


def arguments(place: Place, options: tuple[str, ...], level: str) -> list[str]:
    """Return the arguments of the command."""
    paths = {"aside": place.aside, "bids_dir": place.bids_dir, "out_dir": place.out_dir}
    given = [option.format(**paths) for option in options]
    computing = [] if level == "group" else ["--device", "cpu", "--maps-only"]
    return [str(place.bids_dir), str(place.out_dir), level, *computing, *given]
