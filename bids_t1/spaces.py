"""What the runs of one session say together: the brain, its tissues, and MP2RAGE in the space of inversion recovery.

Read `relate` first.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from bids_t1.bids.given import find_given
from bids_t1.bids.write_spaces import warp_name
from bids_t1.data.deformation import Displacement, points_of
from bids_t1.data.errors import BidsT1Error
from bids_t1.data.outputs import IN_REFERENCE_SPACE
from bids_t1.data.result import Anatomy, Comparison, InTemplate
from bids_t1.data.sequences import CALIBRATED, COMPARED, REFERENCES
from bids_t1.data.timing import Stage
from bids_t1.registration.itk import to_itk
from bids_t1.registration.rigid import align
from bids_t1.resampling import resample, resample_flags, resample_labels, resample_times
from bids_t1.runs.calibrated import calibrate_run
from bids_t1.threads import side_by_side
from bids_t1.tissue.agreement import compare
from bids_t1.tissue.picture import head_image
from bids_t1.tissue.segment import Given, NoBrainError, from_probabilities, segment
from bids_t1.tissue.statistics import describe_regions
from bids_t1.tissue.templates import RESOLUTION, every_second, grid_at, load_template

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bids_t1.data.alignment import Alignment
    from bids_t1.data.deformation import WayBack
    from bids_t1.data.entities import BidsName
    from bids_t1.data.grid import Grid
    from bids_t1.data.result import RunResult
    from bids_t1.data.shapes import Affine
    from bids_t1.data.tissue import Agreement, RegionStatistics, Segmentation
    from bids_t1.resampling import Bend
    from bids_t1.settings import Settings
    from bids_t1.stopwatch import Stopwatch
    from bids_t1.tissue.templates import Template

NOT_PLACED = "the head was not found in the template. Look at brain and tissues."
HOW_PLACED = (
    "twelve affine parameters by mutual information with the picture of the template, then symmetric demons "
    "(doi:10.1016/j.neuroimage.2008.10.040) between head and template painted by tissue; T1 averaged as 1/T1"
)
"""How runs are brought to a template, for the sidecar."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Related:
    """The runs of a session, calibrated where that was asked for, and what follows from having several."""

    runs: tuple[RunResult, ...]
    anatomies: tuple[Anatomy, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    transforms: tuple[Mapping[tuple[str, str], str], ...] = ()
    """Of each comparison: ITK texts by the spaces they lead from and to."""

    in_templates: tuple[InTemplate, ...] = ()
    regions: tuple[RegionStatistics, ...] = ()
    agreements: tuple[Agreement, ...] = ()
    failures: tuple[BidsT1Error, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Segmented:
    """A run of T1 and the tissues on its grid."""

    run: RunResult
    segmentation: Segmentation
    name: BidsName
    """Of ``desc-tissue_dseg``."""


def relate(runs: Sequence[RunResult], settings: Settings, watch: Stopwatch) -> Related:
    """Find brain and tissues of each T1 run, bring MP2RAGE to inversion recovery, and tell T1 in the tissues.

    The tissues come from MP2RAGE, which covers the head, and are carried to inversion recovery through the
    registration; where that cannot be trusted, or there is no MP2RAGE, they come from inversion recovery itself.
    Of several kinds of it in one session, MP2RAGE is brought to the one that `REFERENCES` names first.
    """
    compared = [run for run in runs if run.sequence in COMPARED]
    recoveries = _recoveries(runs)
    found = _Found(settings, watch)
    if settings.session.maps_only or not (compared or recoveries):
        calibrated = tuple(found.calibrated(run, None) for run in runs)
        return Related(runs=calibrated, failures=tuple(found.failures))
    template = load_template()
    for run in compared:
        with found.noting(run):
            found.compare(run, _partner(run, recoveries), template)
    for run in recoveries:
        with found.noting(run):
            found.complete(run, run.sequence if compared else None, template)
    return found.related(runs, template)


def _recoveries(runs: Sequence[RunResult]) -> list[RunResult]:
    found = [run for run in runs if run.sequence in REFERENCES]
    return sorted(found, key=lambda run: REFERENCES.index(run.sequence))


class _Found:
    """What is found of a session, run by run; one that fails leaves the others alone."""

    def __init__(self, settings: Settings, watch: Stopwatch) -> None:
        self.failures: list[BidsT1Error] = []
        self._settings = settings
        self._watch = watch
        self._segmented: dict[BidsName, _Segmented] = {}
        self._comparisons: list[Comparison] = []
        self._warned: dict[BidsName, str] = {}

    @contextmanager
    def noting(self, run: RunResult) -> Iterator[None]:
        """Keep the maps of a run whatever comes after them; that there is no brain is no failure."""
        try:
            yield
        except NoBrainError as error:
            self._warned[run.name] = str(error)
        except BidsT1Error as error:
            self.failures.append(error)

    def calibrated(self, run: RunResult, anatomy: Segmentation | None) -> RunResult:
        """Calibrate a run of MP2RAGE where a model was given; one that it does not fit stays as it is."""
        model = self._settings.calibrating.calibration
        if model is None or run.sequence not in CALIBRATED:
            return run
        try:
            with self._watch.stage(Stage.CALIBRATION, run.name):
                return calibrate_run(run, anatomy, model, self._settings)
        except BidsT1Error as error:
            self.failures.append(error)
            return run

    def compare(self, run: RunResult, partner: RunResult | None, template: Template) -> None:
        """Find the tissues of a run, calibrate it, and bring both to its partner, where there is one."""
        own = self._tissues(run, None, template)
        own = self._segmented[run.name] = replace(own, run=self.calibrated(run, own.segmentation))
        if partner is None:
            return
        with self._watch.stage(Stage.REGISTRATION, run.name, f"registration to {partner.name}"):
            comparison, carried = _compare(own, partner, self._settings.n_threads)
        self._comparisons.append(comparison)
        if carried is not None:
            self._segmented.setdefault(partner.name, carried)

    def complete(self, run: RunResult, space: str | None, template: Template) -> None:
        """Find the tissues of a run that none were carried to."""
        if run.name not in self._segmented:
            self._segmented[run.name] = self._tissues(run, space, template)

    def _tissues(self, run: RunResult, space: str | None, template: Template) -> _Segmented:
        with self._watch.stage(Stage.TISSUES, run.name):
            return self._segment(run, space, template)

    def _segment(self, run: RunResult, space: str | None, template: Template) -> _Segmented:
        """Find brain and tissues from the maps of one run, or take those that were given."""
        found = find_given(self._settings.session.derivatives, run.name, run.sequence, run.grid)
        given = Given(
            brain=found.brain, brain_source=found.brain_source, tissue=found.tissue, tissue_source=found.tissue_source
        )
        segmentation = segment(run.maps, run.grid, template=template, given=given, n_threads=self._settings.n_threads)
        missing = bool(self._settings.session.derivatives) and found.brain is None and found.tissue is None
        notes = ("Nothing in --derivatives fits this run: brain and tissues are computed.",) if missing else ()
        segmentation = replace(segmentation, warnings=(*notes, *found.warnings, *segmentation.warnings))
        return _Segmented(run=run, segmentation=segmentation, name=_tissue_name(run, self._space(run, space)))

    def _space(self, run: RunResult, space: str | None) -> str | None:
        """Return what tells the files of a run from those of another of the same name: its sequence, where needed."""
        taken = {other.name for other in self._segmented.values()}
        return run.sequence if _tissue_name(run, space) in taken else space

    def _in_templates(self, template: Template) -> tuple[InTemplate, ...]:
        """Bring every run to every space that was asked for."""
        wanted = self._settings.session.output_spaces
        if not wanted:
            return ()
        return tuple(brought for one in self._segmented.values() for brought in self._brought(one, wanted, template))

    def _brought(self, one: _Segmented, wanted: Sequence[str], template: Template) -> Iterator[InTemplate]:
        """Bring a run to spaces; say where its place in the template is not known."""
        deformation = one.segmentation.deformation
        if deformation is None:
            self._warned.setdefault(one.run.name, f"Not brought to {wanted[0]}: {NOT_PLACED}")
            return
        back = deformation.way_back()
        for space in wanted:
            with self._watch.stage(Stage.TEMPLATE, one.run.name, f"to {space}"):
                brought = _in_template(one, back, space, template)
            yield brought

    def related(self, runs: Sequence[RunResult], template: Template) -> Related:
        """Return what all runs say together."""
        segmented = self._segmented.values()
        in_templates = self._in_templates(template)
        with self._watch.stage(Stage.STATISTICS, runs[0].name):
            regions = tuple(chain.from_iterable(map(_regions, segmented)))
            agreements = tuple(row for one in self._comparisons for row in _agreements(one, runs, self._segmented))
        return Related(
            runs=tuple(map(self._known, runs)),
            anatomies=tuple(map(_anatomy, segmented)),
            comparisons=tuple(self._comparisons),
            transforms=tuple(map(_transforms, self._comparisons)),
            in_templates=in_templates,
            regions=regions,
            agreements=agreements,
            failures=tuple(self.failures),
        )

    def _known(self, run: RunResult) -> RunResult:
        known = self._segmented[run.name].run if run.name in self._segmented else run
        warned = self._warned.get(run.name)
        return known if warned is None else replace(known, warnings=(*known.warnings, warned))


def _tissue_name(run: RunResult, space: str | None) -> BidsName:
    return run.name.having({"desc": "tissue", "space": space}, suffix="dseg")


def _partner(run: RunResult, recoveries: Sequence[RunResult]) -> RunResult | None:
    """Return the inversion-recovery run whose name shares most with that of a run; of equals the first."""
    return max(recoveries, key=lambda other: len(set(run.name.entities) & set(other.name.entities)), default=None)


def _compare(moving: _Segmented, fixed: RunResult, n_threads: int) -> tuple[Comparison, _Segmented | None]:
    """Register a run to inversion recovery and bring its maps there; without trust, only say so."""
    run = moving.run
    picture = replace(head_image(run.maps, run.grid), brain=moving.segmentation.brain)
    alignment = align(head_image(fixed.maps, fixed.grid), picture)
    comparison = Comparison(
        name=run.name.having({"space": fixed.sequence}),
        sequence=run.sequence,
        moving=str(run.name),
        fixed=str(fixed.name),
        grid=fixed.grid,
        maps=_carried_maps(run, fixed.grid, alignment.matrix) if alignment.trusted else {},
        alignment=alignment,
        record={
            "Sources": [_uri(run.name), _uri(fixed.name)],
            "SpatialReference": _uri(fixed.name),
            "RegistrationParameters": list(alignment.estimated),
            "RegistrationHeadersKept": alignment.headers_kept,
            "RegistrationRotation": alignment.rotation,
            "RegistrationTranslation": alignment.translation,
            "RegistrationSimilarity": [alignment.similarity_before, alignment.similarity_after],
            **{key: value for key, value in run.record.items() if key.startswith("Calibration")},
        },
        warnings=alignment.warnings,
    )
    if not alignment.trusted:
        return comparison, None
    segmentation = _carried(moving, fixed, alignment, n_threads)
    return comparison, _Segmented(run=fixed, segmentation=segmentation, name=_tissue_name(fixed, fixed.sequence))


def _carried_maps(run: RunResult, target: Grid, matrix: Affine, bend: Bend | None = None) -> dict[str, np.ndarray]:
    """Bring T1, its SD and R1 to another grid, before and after calibration."""
    where = (run.grid, target, matrix, bend)
    time, time_sd = resample_times(run.maps["time"], run.maps["time_sd"], *where)
    carried = {"time": time, "time_sd": time_sd, "rate": 1 / time}
    if "slow" in run.maps:
        slow, slow_sd = resample_times(run.maps["slow"], run.maps["slow_sd"], *where)
        carried |= {"slow": slow, "slow_sd": slow_sd}
    if "calibrated" in run.maps:
        calibrated, _ = resample_times(run.maps["calibrated"], run.maps["calibrated_sd"], *where)
        # What the relation leaves uncertain, neighbours share: it does not average out as noise does.
        calibrated_sd = resample(run.maps["calibrated_sd"], *where)
        outside = resample_labels(run.maps["outside_training"], *where)
        carried |= {"calibrated": calibrated, "calibrated_sd": calibrated_sd, "outside_training": outside}
    return {quantity: carried[quantity] for quantity in IN_REFERENCE_SPACE if quantity in carried}


def _carried(moving: _Segmented, fixed: RunResult, alignment: Alignment, n_threads: int) -> Segmentation:
    """Bring brain and tissues to the grid of inversion recovery."""
    found, where = moving.segmentation, (moving.run.grid, fixed.grid, alignment.matrix)
    resampled = side_by_side(lambda values: resample(values, *where), found.probabilities.values(), n_threads)
    made = from_probabilities(
        dict(zip(found.probabilities, resampled, strict=True)),
        resample_flags(found.brain, *where),
        None if found.hemisphere is None else resample_labels(found.hemisphere, *where),
        fixed.grid,
        record={**found.record, "CarriedFrom": _uri(moving.name)},
    )
    bent = found.deformation
    return replace(made, deformation=None if bent is None else bent.seen_from(alignment.matrix))


def _in_template(one: _Segmented, back: WayBack, wanted: str, template: Template) -> InTemplate:
    """Bring the maps of a run, and tissues that were told in it, to the space of the template."""
    run = one.run
    space, _, edge = wanted.partition(":res-")
    grid = grid_at(template, int(edge or RESOLUTION))
    maps = _carried_maps(run, grid, *back)
    if one.name.get("space") is None:
        maps["tissue"] = resample_labels(one.segmentation.tissue, run.grid, grid, *back)
    name = run.name.having({"space": space, "res": edge or None})
    sparse = every_second(template.grid)
    points = points_of(sparse)
    return InTemplate(
        name=name,
        sequence=run.sequence,
        moving=str(run.name),
        grid=grid,
        maps=maps,
        warp=Displacement(grid=sparse, values=back.head_points(points) - points),
        record={
            "Sources": [_uri(run.name)],
            "SpatialReference": template.reference,
            **({"Resolution": f"voxels of {edge} mm"} if edge else {}),
            "Transformation": _uri(warp_name(name, run.sequence)),
            "TransformationMethod": HOW_PLACED,
            **{key: value for key, value in run.record.items() if key.startswith("Calibration")},
        },
    )


def _uri(name: BidsName) -> str:
    """Return the URI of a file of these derivatives."""
    return f"bids::{name.folder('anat')}/{name}"


def _anatomy(one: _Segmented) -> Anatomy:
    found = one.segmentation
    spatial = {} if one.name.get("space") is None else {"SpatialReference": _uri(one.run.name)}
    probabilities = {f"probability_{kind.abbreviation}": values for kind, values in found.probabilities.items()}
    return Anatomy(
        name=one.name,
        runs=(str(one.run.name),),
        grid=found.grid,
        maps={"brain": found.brain.astype(np.uint8), "tissue": found.tissue, **probabilities},
        record={"Sources": [_uri(one.run.name)], **spatial, **found.record},
        warnings=found.warnings,
    )


def _transforms(comparison: Comparison) -> dict[tuple[str, str], str]:
    """Return the transforms between both runs; none where they are not trusted."""
    matrix, reference = comparison.alignment.matrix, str(comparison.name.get("space"))
    if not comparison.alignment.trusted:
        return {}
    return {
        (comparison.sequence, reference): to_itk(matrix),
        (reference, comparison.sequence): to_itk(np.linalg.inv(matrix)),
    }


def _regions(one: _Segmented) -> list[RegionStatistics]:
    """Tell T1 in the tissues of one run, before and after calibration."""
    found = one.segmentation
    volume = float(abs(np.linalg.det(found.grid.affine[:3, :3]))) / 1000
    names = _names(one.run.name, one.run.sequence)
    return [
        row
        for quantity, name in names.items()
        if quantity in one.run.maps
        for row in describe_regions(name, one.run.maps[quantity], found.tissue, found.hemisphere, volume)
    ]


def _agreements(
    comparison: Comparison, runs: Sequence[RunResult], segmented: Mapping[BidsName, _Segmented]
) -> list[Agreement]:
    """Compare maps with inversion recovery, before and after calibration."""
    fixed = next(run for run in runs if str(run.name) == comparison.fixed)
    names = _names(comparison.name, comparison.sequence)
    return [
        row
        for quantity, name in names.items()
        if quantity in comparison.maps
        for row in compare(
            name,
            comparison.maps[quantity],
            comparison.fixed,
            fixed.maps["time"],
            segmented[fixed.name].segmentation.tissue,
        )
    ]


def _names(name: BidsName, sequence: str) -> dict[str, str]:
    """Return the file names of the maps of T1 of a run, as measured and corrected, by quantity."""
    corrected = {kind: str(name.having({"desc": f"{sequence}{kind}"})) for kind in ("calibrated", "slow")}
    return {"time": str(name), **corrected}
