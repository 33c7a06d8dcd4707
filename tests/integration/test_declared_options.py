"""Options that are declared once do something, under each of their names."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
import pytest

from bids_t1.cli import build_parser
from bids_t1.settings import choose
from tests import command
from tests.small_bids import AFFINE, SHAPE, sidecar, write_image, write_json, write_root, write_run

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

ECHO_TIMES = (0.002, 0.006, 0.012, 0.02, 0.03)
"""Of the echoes [s]."""


def parsed(*options: str) -> dict[str, object]:
    return vars(build_parser().parse_args(["in", "out", "participant", *options]))


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("--n-cpus", "nprocs"),
        ("--n_cpus", "nprocs"),
        ("--n_procs", "nprocs"),
        ("--nthreads", "omp_nthreads"),
        ("--mem", "mem_mb"),
    ],
)
def test_an_alias_is_its_option(alias: str, name: str) -> None:
    assert parsed(alias, "3")[name] == 3


def test_a_session_has_an_alias_and_the_beginning_of_both_names_is_not_ambiguous() -> None:
    for name in ("--session-id", "--session_id", "--session", "--session-l", "--session_l"):
        assert parsed(name, "a")["session_label"] == ["a"]


def test_processes_by_their_alias_share_the_memory(tmp_path: Path) -> None:
    words = [str(tmp_path), str(tmp_path / "out"), "participant", "--n-cpus", "1000"]
    settings = choose(build_parser().parse_args(words))
    assert (settings.running.nprocs, settings.n_threads) == (1000, 1)
    assert settings.command.endswith(" --nprocs 1000")


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["--ir-nois", "floor", "--ir-noize", "floor"], "unrecognized arguments: --ir-noize; did you mean --ir-noise?"),
        (["--ir-noise", "rican"], "(choose from 'floor', 'gaussian', 'rician'); did you mean 'rician'?"),
        (["--b1-"], "ambiguous option: --b1- could match --b1-map, --b1-map-sd, --b1-prior"),
    ],
)
def test_a_mistyped_word_is_answered_with_what_may_be_meant(
    words: list[str], answer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        parsed(*words)
    assert end.value.code == 64
    assert answer in capsys.readouterr().err.replace("did you mean rician?", "did you mean 'rician'?")


def test_restored_polarity_makes_signs_of_real_images_irrelevant(tmp_path: Path) -> None:
    dataset = write_root(tmp_path / "data")
    write_run(dataset, parts=("real",))
    assert command.participant(dataset, tmp_path / "kept").code == 0
    assert command.participant(dataset, tmp_path / "restored", "--ir-polarity", "restore").code == 0
    told = [
        json.loads((tmp_path / name / "sub-01/anat/sub-01_desc-IRT1_T1map.json").read_text())["PolarityRestored"]
        for name in ("kept", "restored")
    ]
    assert told == [False, True]


@pytest.fixture(scope="module")
def echoes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Magnitudes of five echoes that end in their noise."""
    dataset = write_root(tmp_path_factory.mktemp("echoes") / "data")
    rng = np.random.default_rng(1)
    for number, time in enumerate(ECHO_TIMES, start=1):
        noise = rng.standard_normal((2, *SHAPE))
        path = dataset / "sub-01" / "anat" / f"sub-01_echo-{number}_MEGRE.nii.gz"
        write_image(path, np.abs(10 * np.exp(-time / 0.01) + noise[0] + 1j * noise[1]), AFFINE)
        write_json(sidecar(path), {"EchoTime": time})
    return dataset


def t2star(out_dir: Path) -> NDArray[np.float64]:
    image = nib.Nifti1Image.from_filename(out_dir / "sub-01/anat/sub-01_desc-MEGRE_T2starmap.nii.gz")
    return np.asarray(image.get_fdata())


def test_t2star_lies_in_its_range(echoes: Path, tmp_path: Path) -> None:
    answer = command.participant(echoes, tmp_path / "out", "--t2star-range", "0.004", "0.02")
    assert answer.code == 0, answer.said
    assert np.nanmax(t2star(tmp_path / "out")) <= 0.02 * (1 + 1e-5)


def test_noise_taken_as_signal_lengthens_t2star(echoes: Path, tmp_path: Path) -> None:
    for noise in ("rician", "gaussian"):
        answer = command.participant(echoes, tmp_path / noise, "--t2star-noise", noise)
        assert answer.code == 0, answer.said
    rician, gaussian = (np.nanmedian(t2star(tmp_path / noise)) for noise in ("rician", "gaussian"))
    assert gaussian > 1.1 * rician


def test_no_network_is_trained_where_the_preset_is_none(tmp_path: Path) -> None:
    dataset = write_root(tmp_path / "data")
    write_run(dataset)
    assert command.participant(dataset, tmp_path / "out").code == 0
    answer = command.run(dataset, tmp_path / "out", "group", "--calibration-preset", "none")
    assert answer.code == 0, answer.said
    assert "No calibration was asked for (--calibration-preset none)." in (tmp_path / "out/group.html").read_text()
