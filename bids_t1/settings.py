"""Every choice of one run, made once and passed by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path

    from bids_t1.data.protocol import Protocol

Efficiency = Literal["free", "learned", "ideal"]
FastChoice = Literal["auto", "none", "fit", "exclude"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The command line, checked."""

    bids_dir: Path
    out_dir: Path
    work_dir: Path
    participants: tuple[str, ...]
    sessions: tuple[str, ...]
    filter_file: Path | None
    database: Path | None
    efficiency: Efficiency
    fast_component: FastChoice
    """What becomes of the fast component of tissue in inversion recovery."""

    noise: Literal["floor", "gaussian", "rician"]
    restore_polarity: bool
    pools: Literal[1, 2]
    """Of selective inversion recovery: free water alone, or with macromolecules."""

    exchange_rate: float
    """From macromolecules to free water in selective inversion recovery [1/s]."""

    saturation: float
    """Share of the macromolecular magnetisation that its inversion leaves."""

    protocol: Protocol
    """What sidecars lack."""

    inversion_efficiency: tuple[float, float] | None
    """Of MP2RAGE, and its slope with R1 [s]; None: from the metadata or the default."""

    inversion_efficiency_prior: tuple[float, float] | None
    """Mean and SD; None: `inversion_efficiency` with the SD of the metadata or the default."""

    transmit_map: Path | None
    """A map of the transmit field to use for all runs."""

    ignore_transmit_map: bool
    transmit_map_sd: float
    """Of a measured map, relative to nominal; 0: it is taken as true."""

    transmit_prior: tuple[float, float]
    """Mean and SD, for voxels whose transmit field is not known."""

    noise_sd: float | None
    """Of one channel of MP2RAGE images; None: from the data."""

    t1_range: tuple[float, float]
    t2star_range: tuple[float, float]
    t2star_noise: Literal["floor", "gaussian", "rician"]
    maps_only: bool
    """Whether to leave out what brings runs together: brain, tissues, registration, tables."""

    derivatives: tuple[Path, ...]
    """Datasets with masks and segmentations of the participants."""

    calibration: Path | None
    """Weights of a model to calibrate MP2RAGE runs with."""

    calibration_force: bool
    """Whether to calibrate runs of another protocol too."""

    calibration_preset: Literal["auto", "small", "full", "none"]
    """What the level group trains."""

    folds: int | None
    """Of the cross-validation; None: as many as participants, at most ten."""

    random_seed: int
    """Of the training."""

    device: str
    skip_validation: bool
    reports_only: bool
    force: bool
    """Whether finished participants are processed again."""

    stop_on_first_crash: bool
    n_processes: int
    n_threads: int
    """Of each process."""

    memory_mb: int | None
    """What a run may need at most [MB]; None: no limit."""

    command: str
    """The command line without its paths."""

    def without_paths(self, text: str) -> str:
        """Put words for the folders and files of the command line: their names may be those of people."""
        named = {"bids_dir": self.bids_dir, "out_dir": self.out_dir, "work_dir": self.work_dir}
        others = (self.filter_file, self.transmit_map, self.calibration, *self.derivatives)
        words = {str(path): word for word, path in named.items()} | {str(path): path.name for path in others if path}
        for path in sorted(words, key=len, reverse=True):
            text = text.replace(path, words[path])
        return text
