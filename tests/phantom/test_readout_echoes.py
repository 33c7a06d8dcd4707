"""Multi-echo MP2RAGE: names and decay of the echoes, and readouts that stay comparable."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray

from bids_t1.data.errors import InvalidInputError
from bids_t1_phantom.cli import main
from bids_t1_phantom.head.anatomy import Atlas
from bids_t1_phantom.head.head import HeadOptions, make_head
from bids_t1_phantom.physics.simulate import rapid_gradient_echo_trains
from bids_t1_phantom.physics.trains import MULTI_ECHO_MP2RAGE, ReadoutProtocol
from bids_t1_phantom.sequences.mp2rage import acquire_readouts, default_sequence
from tests import validator

ECHOES = (0.003, 0.0115, 0.020, 0.0285)
TINY = ["--resolution", "10", "--slices", "2", "--sequences"]
WORDS = ["--mp2rage-echoes", *map(str, ECHOES)]


def _make(folder: Path, *arguments: str) -> Path:
    assert main([str(folder), *TINY, *arguments]) == 0
    return folder


def _values(path: Path) -> NDArray[np.float64]:
    image = nibabel.load(path)
    assert isinstance(image, nibabel.Nifti1Image)
    return np.asarray(image.get_fdata())


def test_the_second_readout_has_its_echoes_and_everything_validates(tmp_path: Path) -> None:
    folder = _make(tmp_path / "out", "MP2RAGE", *WORDS)
    anat = folder / "sub-01" / "anat"
    names = {path.name.removesuffix("_MP2RAGE.nii.gz").removeprefix("sub-01_") for path in anat.glob("*.nii.gz")}
    assert names == {
        *(f"inv-1_part-{part}" for part in ("mag", "phase")),
        *(f"echo-{echo}_inv-2_part-{part}" for echo in range(1, 5) for part in ("mag", "phase")),
    }
    for echo, time in enumerate(ECHOES, start=1):
        sidecar = json.loads((anat / f"sub-01_echo-{echo}_inv-2_part-mag_MP2RAGE.json").read_text())
        assert (sidecar["EchoTime"], sidecar["InversionTime"]) == (time, 3.738)
        assert sidecar["RepetitionTimeExcitation"] == 0.031
    first = json.loads((anat / "sub-01_inv-1_part-mag_MP2RAGE.json").read_text())
    assert (first["EchoTime"], first["RepetitionTimeExcitation"]) == (0.003, 0.0062)
    assert validator.errors(folder) == []
    assert validator.errors(folder / "derivatives" / "truth") == []


def test_echoes_decay_with_the_true_time_from_the_signal_of_the_readout(tmp_path: Path) -> None:
    folder = _make(tmp_path / "out", "MP2RAGE", *WORDS, "--mp2rage-noise", "0", "--mp2rage-form", "uni-mag")
    anat, truth = folder / "sub-01" / "anat", folder / "derivatives" / "truth" / "sub-01"
    images = np.stack([_values(anat / f"sub-01_echo-{echo}_inv-2_MP2RAGE.nii.gz") for echo in range(1, 5)])
    t1, t2_star, m0 = (_values(truth / "anat" / f"sub-01_desc-truth_{name}.nii.gz") for name in
                       ("T1map", "T2starmap", "M0map"))  # fmt: skip
    matter = m0 > 0
    slope, intercept = np.polyfit(ECHOES, np.log(images[:, matter]), 1)
    np.testing.assert_allclose(-1 / slope, t2_star[matter], rtol=1e-3)
    expected = rapid_gradient_echo_trains(
        t1[matter], m0[matter], protocol=MULTI_ECHO_MP2RAGE, inversion_efficiency=0.96,
        transmit_field=_values(truth / "fmap" / "sub-01_desc-truth_TB1map.nii.gz")[matter],
    )  # fmt: skip
    np.testing.assert_allclose(np.exp(intercept), np.abs(expected[1]), rtol=1e-3)
    # Both readouts lose the same until the first echo, so that UNI does not know T2*.
    uni = _values(anat / "sub-01_UNIT1.nii.gz")[matter] / 4095 - 0.5
    product = expected[0] * expected[1] / (expected[0] ** 2 + expected[1] ** 2)
    np.testing.assert_allclose(uni, product, atol=1e-3)


def test_one_echo_is_what_it_was_before_there_were_several(atlas: Atlas) -> None:
    head = make_head(atlas, HeadOptions(resolution=10.0, slices=2), seed=0)
    scan = acquire_readouts(head, default_sequence("MP2RAGE", noise=0.0), seed=0)
    assert scan.later_echoes is None
    assert scan.sequence.protocol.echo_times == (0.0029,)


def test_partial_fourier_shortens_the_trains_of_several_echoes() -> None:
    protocol = default_sequence("MP2RAGE", slice_partial_fourier=0.75, echo_times=ECHOES).protocol
    assert (protocol.n_before, protocol.n_after, protocol.echo_times) == (40, 80, ECHOES)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["MP2RAGE", "--mp2rage-echoes", "0.003"], "two or more"),
        (["MP2RAGE", "--mp2rage-echoes", "0.003", "0.031"], "before 0.031 s"),
        (["MP2RAGE", "--mp2rage-echoes", "0.01", "0.02"], "before 0.0062 s"),
        (["MP2RAGE", "--mp2rage-echoes", "3", "11.5"], "Divide ms"),
        (["IRT1", "--mp2rage-echoes", "0.003", "0.0115"], "MP2RAGE"),
        (["MP2RAGE", "--mp2rage-echoes", "0.003", "0.0115", "--format", "dicom"], "bids"),
    ],
)
def test_echoes_that_cannot_be_are_usage_errors(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main([str(tmp_path / "out"), *TINY, *arguments]) == 64
    assert message in capsys.readouterr().err


def test_echoes_after_the_next_excitation_are_no_protocol() -> None:
    with pytest.raises(InvalidInputError, match="next excitation"):
        ReadoutProtocol(
            cycle_time=5.0, inversion_times=(0.7, 2.5), excitation_times=(0.007,), flip_angles=(4.0, 5.0), n_before=88,
            n_after=88, later_echo_times=(0.008,),
        )  # fmt: skip
