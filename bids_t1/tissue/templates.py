"""The template that says where tissues are expected: TemplateFlow's, or what nilearn brings along."""

from __future__ import annotations

import csv
import hashlib
import re
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from bids_t1.data.errors import InvalidInputError, NoInputError
from bids_t1.data.grid import Grid, in_millimetres
from bids_t1.data.tissue import Tissue, tissue_named
from bids_t1.resampling import resample, resample_labels
from bids_t1.tissue.template_files import NAME, TABLE, template_home

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from templateflow.client import TemplateFlowClient

    from bids_t1.data.shapes import Map

OF_NILEARN = "MNI152NLin2009aSym"
"""What BIDS calls the template that nilearn brings along."""

RESOLUTION = 2
"""TemplateFlow's version of the template with voxels of 2 mm: averages of many brains are blurred over more."""

FILES: Mapping[str, Mapping[str, object]] = {
    "picture": {"suffix": "T1w", "desc": "brain"},
    "brain": {"suffix": "mask", "desc": "brain"},
    "grey": {"suffix": "probseg", "label": "GM"},
    "white": {"suffix": "probseg", "label": "WM"},
    "labels": {"suffix": "dseg", "atlas": "HOSPA", "desc": "th25"},
}
"""TemplateFlow's entities of each file. Fluid is what grey and white matter leave of the brain."""

NEEDED = ("picture", "brain", "grey", "white")
"""Files without which another template is used."""

OF_SEVERAL_TISSUES = frozenset({"background", "brainstem"})
"""Labels of the atlas that are no single tissue, without spaces and dashes."""

HINT = (
    "To have it, once, on a machine with network, in the source of bids_t1: python templates/fetch.py FOLDER; then set "
    "TEMPLATEFLOW_HOME to FOLDER."
)

_EDGE = 1.0
"""SD of the Gaussian that softens the borders of atlas labels [mm]."""

_VICINITY = 3.0
"""SD of the Gaussian by which grey matter is counted to the nearer of cortex and nuclei [mm]."""


TRUST = 0.7
"""Share of the grey matter within the nuclei of the atlas that is expected to be theirs: its T1 has a say."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Template:
    """What is known of brains before the data, in template coordinates [mm], right-anterior-superior."""

    grid: Grid
    picture: Map
    """T1-weighted, brain only, 0 to 1, (x, y, z)."""

    brain: Map
    """1 in the brain with its fluid, 0 outside."""

    grey: Map
    """Probability of cortical grey matter; of all grey matter where `subcortical` is None."""

    white: Map
    subcortical: Map | None
    """Probability of grey matter below the cortex; None without an atlas."""

    record: Mapping[str, object]
    """Name, source and files, in JSON types."""

    space: str
    """What BIDS calls its space."""

    warnings: tuple[str, ...] = ()

    @property
    def reference(self) -> str:
        """What its space is defined by, in words."""
        return f"{self.space}: {self.record['Name']}, {self.record['Source']}"


def grid_at(template: Template, edge: int) -> Grid:
    """Return the template's own grid at voxels of 1 or 2 mm, the first of which lies at the same place."""
    if edge == RESOLUTION:
        return template.grid
    x, y, z = (2 * n - 1 for n in template.grid.shape)
    affine = template.grid.affine @ np.diag([0.5, 0.5, 0.5, 1.0])
    return Grid((x, y, z), affine)


def every_second(grid: Grid) -> Grid:
    """Return every second voxel of a grid: enough for what is smooth."""
    x, y, z = (-(-n // 2) for n in grid.shape)
    return Grid((x, y, z), grid.affine @ np.diag([2.0, 2.0, 2.0, 1.0]))


def load_template(*, download: bool = False) -> Template:
    """Load the template from TemplateFlow's folder, TEMPLATEFLOW_HOME, or from nilearn where it is not there.

    Parameters
    ----------
    download
        Whether TemplateFlow may fetch what the folder does not hold; without, the network is not used.

    Raises
    ------
    NoInputError
        Where a download was asked for and failed.
    InvalidInputError
        Where a file of the template cannot be read, or files do not fit together.
    """
    home = template_home()
    paths = _found(home, download=download)
    missing = [name for name in NEEDED if name not in paths]
    if missing:
        return _from_nilearn(f"TemplateFlow's {NAME}, is not there ({', '.join(missing)})")
    return _from_templateflow(home, paths)


def require_space(space: str) -> None:
    """Refuse the space of a template that is not the one at hand.

    Raises
    ------
    NoInputError
        With what to do.
    """
    here = NAME if set(NEEDED) <= _found(template_home(), download=False).keys() else OF_NILEARN
    if space == here:
        return
    if space == NAME:
        raise NoInputError(
            f"--output-spaces is {space}, which the folder of TemplateFlow does not hold; expected {here}, the "
            f"template that is at hand. {HINT}"
        )
    raise NoInputError(
        f"--output-spaces is {space}; expected {here}, the template that tissues are told with here. Without "
        f"TEMPLATEFLOW_HOME it is {space}."
    )


def _found(home: Path, *, download: bool) -> dict[str, Path]:
    # TemplateFlow fills an empty folder with thousands of placeholders when it is imported: only where it is at home.
    return _paths(home, download=download) if download or (home / f"tpl-{NAME}").is_dir() else {}


def _paths(home: Path, *, download: bool) -> dict[str, Path]:
    """Return those of `FILES` that are there; others are missing, or empty placeholders."""
    from templateflow.client import TemplateFlowClient  # noqa: PLC0415 - writes into its folder when imported

    client = TemplateFlowClient(root=home)
    found = {}
    for name, entities in FILES.items():
        if download:
            _fetch(client, entities)
        listed = client.ls(NAME, resolution=RESOLUTION, extension=".nii.gz", **entities)
        present = [path for path in listed if path.stat().st_size]
        if present:
            found[name] = present[0]
    return found


def _fetch(client: TemplateFlowClient, entities: Mapping[str, object]) -> None:
    try:
        client.get(NAME, resolution=RESOLUTION, extension=".nii.gz", raise_empty=True, **entities)
    except Exception as error:  # TemplateFlow raises plain exceptions, and those of what it downloads with
        wanted = ", ".join(f"{key} {value}" for key, value in entities.items())
        raise NoInputError(f"TemplateFlow, {NAME}, {wanted}: {type(error).__name__}: {error}. {HINT}") from error


def _from_templateflow(home: Path, paths: Mapping[str, Path]) -> Template:
    images = {name: _read(path) for name, path in paths.items()}
    grid = images["brain"][1]
    values = {name: resample(*images[name], grid) for name in NEEDED}
    table = _table(home)
    files = [*paths.values()]
    if "labels" not in paths or table is None:
        nuclei = None
        warnings: tuple[str, ...] = (
            f"The folder of TemplateFlow holds no atlas-HOSPA with its table: {_NO_SPLIT}. {HINT}",
        )
    else:
        chosen, warnings = _subcortical(table)
        labels, of_labels = images["labels"]
        nuclei = np.isin(resample_labels(labels.astype(np.uint8), of_labels, grid), chosen)
        files.append(table)
    record = {
        "Name": NAME,
        "Source": f"TemplateFlow {version('templateflow')}",
        "Files": {path.relative_to(home).as_posix(): _checksum(path) for path in files},
    }
    return _template(NAME, grid, values, nuclei, record, warnings)


def _read(path: Path) -> tuple[Map, Grid]:
    import nibabel  # noqa: PLC0415 - with what reads templates only
    from nibabel.filebasedimages import ImageFileError  # noqa: PLC0415

    try:
        image = nibabel.nifti1.Nifti1Image.from_filename(path)
        values = np.asarray(image.dataobj, dtype=np.float32)
    except (ImageFileError, OSError, EOFError, ValueError) as error:
        raise InvalidInputError(f"{path.name}: no image of the template can be read ({error}). {HINT}") from error
    affine = in_millimetres(image.affine, int(image.header["xyzt_units"]))
    return values, Grid((values.shape[0], values.shape[1], values.shape[2]), affine)


def _table(home: Path) -> Path | None:
    """Return the table of the atlas: one beside it, else that of all spaces."""
    beside = sorted((home / f"tpl-{NAME}").glob("*atlas-HOSPA_dseg*.tsv"))
    return next((path for path in [*beside, home / TABLE] if path.is_file() and path.stat().st_size), None)


def _subcortical(table: Path) -> tuple[list[int], tuple[str, ...]]:
    """Return the labels that are subcortical grey matter by their names, and what to say of names not known."""
    chosen, unknown = [], []
    with table.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            tissue = tissue_named(row["name"])
            if tissue is Tissue.SUBCORTICAL_GREY_MATTER:
                chosen.append(int(row["index"]))
            elif tissue is None and re.sub("[^a-z]", "", row["name"].lower()) not in OF_SEVERAL_TISSUES:
                unknown.append(row["name"])
    if not unknown:
        return chosen, ()
    return chosen, (f"{table.name}: labels that are not known are ignored: {', '.join(unknown)}.",)


def _checksum(path: Path) -> str:
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


_NO_SPLIT = "deep (subcortical) grey matter is counted with the cortex"


def _from_nilearn(reason: str) -> Template:
    """Read what nilearn brings along: ICBM 2009a, symmetric (doi 10.1016/j.neuroimage.2010.07.033)."""
    from nilearn.datasets import (  # noqa: PLC0415 - takes seconds
        load_mni152_brain_mask,
        load_mni152_gm_template,
        load_mni152_template,
        load_mni152_wm_template,
    )

    makers = {
        "picture": load_mni152_template,
        "brain": load_mni152_brain_mask,
        "grey": load_mni152_gm_template,
        "white": load_mni152_wm_template,
    }
    images = {name: make(resolution=RESOLUTION) for name, make in makers.items()}
    values = {name: np.asarray(image.dataobj, dtype=np.float32) for name, image in images.items()}
    record = {"Name": "ICBM 2009a nonlinear symmetric", "Source": f"nilearn {version('nilearn')}"}
    warning = f"D{_NO_SPLIT[1:]}: the template that shows where it lies, {reason}. That of nilearn is used. {HINT}"
    grid = Grid(images["brain"].shape, images["brain"].affine)
    return _template(OF_NILEARN, grid, values, None, record, (warning,))


def _template(  # noqa: PLR0913, PLR0917 - what a template is made of
    space: str,
    grid: Grid,
    values: Mapping[str, Map],
    nuclei: np.ndarray | None,
    record: Mapping[str, object],
    warnings: tuple[str, ...],
) -> Template:
    brain = (values["brain"] > 0.5).astype(np.float32)  # noqa: PLR2004 - a mask
    total = np.maximum(values["grey"] + values["white"], 1)
    grey, white = (np.clip(values[name] / total, 0, 1) * brain for name in ("grey", "white"))
    subcortical = None
    if nuclei is not None:
        subcortical, grey, white = _split(nuclei, grey, white, grid)
    picture = values["picture"] * brain
    return Template(
        grid=grid,
        picture=np.clip(picture / np.quantile(picture[brain > 0], 0.99), 0, 1).astype(np.float32),
        brain=brain,
        grey=grey.astype(np.float32),
        white=white.astype(np.float32),
        subcortical=subcortical,
        record=record,
        space=space,
        warnings=warnings,
    )


def _split(nuclei: np.ndarray, grey: Map, white: Map, grid: Grid) -> tuple[Map, Map, Map]:
    """Give to the nuclei what the atlas claims, and the grey matter that is nearer to them than to cortex."""
    edge, vicinity = ([length / size for size in grid.voxel_sizes] for length in (_EDGE, _VICINITY))
    claimed = ndimage.gaussian_filter(nuclei.astype(np.float32), edge)
    near_nuclei = ndimage.gaussian_filter(claimed, vicinity)
    near_cortex = ndimage.gaussian_filter((1 - claimed) * grey, vicinity)
    share = near_nuclei / np.maximum(near_nuclei + near_cortex, 1e-6)
    matter, left = claimed * (grey + white), (1 - claimed) * grey
    all_grey, subcortical = matter + left, TRUST * (matter + share * left)
    return subcortical.astype(np.float32), all_grey - subcortical, (1 - claimed) * white
