"""The timing of MP2RAGE is read with its origin, completed by a protocol, and never guessed."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from bids_t1.data.errors import InvalidInputError
from bids_t1.data.grid import Grid
from bids_t1.data.sidecar import Sidecar
from bids_t1.sequences.mp2rage_timing import GivenEfficiency, ImageFacts, read_timing

COMMON: dict[str, object] = {
    "RepetitionTimePreparation": 5.0,
    "RepetitionTimeExcitation": 0.0069,
    "NumberShots": [88, 88],
    "MagneticFieldStrength": 3,
}
TIMES, ANGLES = (0.7, 2.5), (4, 5)
SAGITTAL = np.array([[0.0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
"""Slices from left to right, as scanners store them."""

TURNED = np.eye(4)
"""To the axes of the body."""

PROTOCOL = Sidecar("mine.toml", {**COMMON, "InversionTime": list(TIMES), "FlipAngle": list(ANGLES)})


def sidecars(without: tuple[str, ...] = (), /, **changed: object) -> list[Sidecar]:
    found = []
    for number, (time, angle) in enumerate(zip(TIMES, ANGLES, strict=True), 1):
        fields = {**COMMON, "InversionTime": time, "FlipAngle": angle, **changed}
        kept = {key: value for key, value in fields.items() if key not in without}
        found.append(Sidecar(f"sub-01_inv-{number}_MP2RAGE.json", kept))
    return found


def before(found: list[Sidecar], protocol: Sidecar = PROTOCOL) -> list[Sidecar]:
    """Put a table of the protocol file behind sidecars."""
    return [replace(sidecar, behind=replace(protocol, origin=f"protocol file {protocol.name}")) for sidecar in found]


def test_sidecars_alone_give_the_whole_protocol() -> None:
    timing = read_timing(sidecars())
    model = timing.model
    assert model.cycle_time == 5.0
    assert model.inversion_times == TIMES
    assert model.excitation_times == (0.0069, 0.0069)
    assert model.flip_angles == pytest.approx([math.radians(4), math.radians(5)])
    assert list(model.excitations) == [(88, 88), (88, 88)]
    assert model.efficiency == 0.96
    assert timing.origins.pop("InversionEfficiency") == "default"
    assert timing.origins.pop("InversionEfficiencySD") == "default"
    assert set(timing.origins.values()) == {"sidecar"}
    assert not timing.notes


@pytest.mark.parametrize(
    "key", ["InversionTime", "FlipAngle", "RepetitionTimeExcitation", "RepetitionTimePreparation", "NumberShots"]
)
def test_what_sidecars_lack_comes_from_the_protocol_file(key: str) -> None:
    timing = read_timing(before(sidecars((key,))))
    assert timing.model == read_timing(sidecars()).model
    assert timing.origins[key] == "protocol file mine.toml"


def test_the_protocol_file_alone_serves_an_image_without_timing() -> None:
    timing = read_timing(before([Sidecar("sub-01_UNIT1.json", {"RepetitionTimePreparation": 5.0})]))
    assert timing.model == read_timing(sidecars()).model
    assert timing.origins["RepetitionTimePreparation"] == "sidecar"
    assert timing.origins["InversionTime"] == "protocol file mine.toml"


def test_an_image_of_several_readouts_may_tell_their_inversion_times() -> None:
    uni = Sidecar("sub-01_UNIT1.json", {**COMMON, "InversionTimes": list(TIMES), "FlipAngle": list(ANGLES)})
    timing = read_timing([uni])
    assert timing.model == read_timing(sidecars()).model
    assert timing.origins["InversionTime"] == "sidecar"


def test_one_flip_angle_in_the_protocol_file_is_that_of_all_readouts() -> None:
    protocol = Sidecar("mine.toml", {**PROTOCOL.fields, "FlipAngle": 4})
    assert read_timing(before([Sidecar("sub-01_UNIT1.json", {})], protocol)).model.flip_angles == (math.radians(4),) * 2
    assert read_timing(before(sidecars(("FlipAngle",)), protocol)).model.flip_angles == (math.radians(4),) * 2


def test_sidecars_win_over_the_protocol_file_and_the_difference_is_told() -> None:
    protocol = Sidecar("mine.toml", {**PROTOCOL.fields, "InversionTime": [0.8, 2.5], "RepetitionTimePreparation": 6.0})
    timing = read_timing(before(sidecars(), protocol))
    assert timing.model == read_timing(sidecars()).model
    assert any("0.8" in note and "0.7" in note and "mine.toml" in note for note in timing.notes)
    assert any("RepetitionTimePreparation" in note for note in timing.notes)


def test_every_missing_field_of_every_file_is_named_at_once_with_a_template() -> None:
    with pytest.raises(InvalidInputError) as refused:
        read_timing(sidecars(("RepetitionTimeExcitation", "NumberShots", "FlipAngle")))
    message = str(refused.value)
    for key in ("RepetitionTimeExcitation", "NumberShots", "FlipAngle"):
        (line,) = [line for line in message.splitlines() if line.strip().startswith(f"{key}: missing")]
        assert "inv-1" in line
        assert "inv-2" in line
        assert f"{key} = " in message
    assert "[MP2RAGE]" in message
    assert "InversionTime" not in message


@pytest.mark.parametrize(("share", "before", "after"), [(1.0, 88, 88), (0.75, 44, 88), (6 / 8, 44, 88)])
def test_partitions_and_their_partial_fourier_give_the_excitations(share: float, before: float, after: float) -> None:
    facts = ImageFacts(grid=Grid((240, 256, 176), SAGITTAL))
    timing = read_timing(sidecars(NumberShots=176, SlicePartialFourier=share), facts=facts)
    assert timing.model.excitations == ((before, after),) * 2


def test_a_number_of_partitions_without_partial_fourier_is_not_enough() -> None:
    with pytest.raises(InvalidInputError, match="SlicePartialFourier"):
        read_timing(sidecars(NumberShots=176))


def test_an_odd_number_of_partitions_has_its_centre_between_two() -> None:
    assert read_timing(sidecars(NumberShots=175, SlicePartialFourier=1)).model.excitations[0] == (87.5, 87.5)


def test_old_names_are_read_under_their_rule() -> None:
    old = sidecars(("RepetitionTimePreparation", "RepetitionTimeExcitation"), RepetitionTime=5.0, EchoSpacing=0.0069)
    timing = read_timing(old)
    assert timing.model == read_timing(sidecars()).model
    assert timing.origins["RepetitionTimePreparation"] == "sidecar, as RepetitionTime"
    assert timing.origins["RepetitionTimeExcitation"] == "sidecar, as EchoSpacing"


def test_a_second_cycle_time_is_told_where_it_could_be_meant() -> None:
    notes = " ".join(read_timing(sidecars(RepetitionTime=6.0)).notes)
    assert "RepetitionTime is 6 s, and RepetitionTimePreparation, 5 s, is used" in notes
    assert not read_timing(sidecars(RepetitionTime=0.0069)).notes


@pytest.mark.parametrize(("key", "value"), [("RepetitionTime", 0.0069), ("EchoSpacing", 6.9)])
def test_old_names_outside_of_their_rule_are_not_read(key: str, value: float) -> None:
    missing = {"RepetitionTime": "RepetitionTimePreparation", "EchoSpacing": "RepetitionTimeExcitation"}[key]
    with pytest.raises(InvalidInputError, match=f"{missing}: missing"):
        read_timing(sidecars((missing,), **{key: value}))


def test_an_efficiency_that_is_given_comes_first_then_the_metadata() -> None:
    given = read_timing(sidecars(InversionEfficiency=0.9), efficiency=GivenEfficiency(1.02, -0.4, origin="option"))
    assert (given.model.efficiency, given.model.efficiency_slope) == (1.02, -0.4)
    assert given.origins["InversionEfficiency"] == "option"
    assert read_timing(sidecars(InversionEfficiency=0.9)).model.efficiency == 0.9


def test_the_efficiency_has_an_sd_that_command_line_metadata_and_protocol_may_tell() -> None:
    assert read_timing(sidecars()).model.efficiency_sd == 0.025
    known = sidecars(InversionEfficiency=0.9, InversionEfficiencySD=0)
    assert read_timing(known).model.is_exact
    given = read_timing(known, efficiency=GivenEfficiency(0.97, sd=0.01, origin="option"))
    assert (given.model.efficiency, given.model.efficiency_sd) == (0.97, 0.01)
    assert given.origins["InversionEfficiencySD"] == "option"


def test_a_pulse_and_a_table_tell_the_efficiency_by_b1() -> None:
    table = {"InversionEfficiencyTableB1": [0.5, 0.8, 1.2], "InversionEfficiencyTable": [0.5, 0.9, 0.94]}
    timing = read_timing(before(sidecars(), Sidecar("mine.toml", table)))
    assert timing.origins["InversionEfficiencyTable"] == "protocol file mine.toml"
    fields = torch.tensor([0.3, 0.65, 0.8, 1.0], dtype=torch.float64)
    found = timing.model.inversion_efficiency(torch.ones(4, dtype=torch.float64), fields)
    assert found.tolist() == pytest.approx([0.5, 0.7, 0.9, 0.92])
    assert 0.75 < timing.model.lowest_transmit < 0.85
    pulse = read_timing(sidecars(InversionPulse="HS", InversionPulsePeak=14, InversionEfficiency=0.95)).model
    weak = pulse.inversion_efficiency(torch.ones(2, dtype=torch.float64), torch.tensor([0.5, 1.0]).double())
    assert weak.tolist() == pytest.approx([0.95 * 0.863 / 0.937, 0.95], abs=0.003)


@pytest.mark.parametrize(
    "fields",
    [
        {"InversionPulse": "HS"},
        {"InversionPulse": "HS", "InversionPulsePeak": 0.014},
        {"InversionPulse": "square", "InversionPulsePeak": 14},
        {"InversionEfficiencyTable": [0.5, 0.9]},
        {"InversionEfficiencyTable": [0.5, 0.9], "InversionEfficiencyTableB1": [1.2, 0.5]},
        {"InversionEfficiencyTable": [50, 90], "InversionEfficiencyTableB1": [0.5, 1.2]},
    ],
)
def test_half_a_table_and_a_pulse_of_unknown_strength_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(InvalidInputError, match="expected"):
        read_timing(sidecars(**fields))


def test_fields_that_the_user_gave_at_conversion_say_so() -> None:
    timing = read_timing(sidecars(ProtocolFields=["RepetitionTimeExcitation"]))
    assert timing.origins["RepetitionTimeExcitation"] == "protocol file, at conversion"
    assert timing.origins["InversionTime"] == "sidecar"


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"InversionTime": 700}, "milliseconds"),
        ({"RepetitionTimeExcitation": 6.9}, "milliseconds"),
        ({"FlipAngle": 0.07}, "radians"),
        ({"NumberShots": [1, 2, 3]}, "before, after"),
        ({"NumberShots": "many"}, "number"),
        ({"NumberShots": 176, "SlicePartialFourier": 6}, "0.5 to 1"),
        ({"RepetitionTimePreparation": 2.0}, "overlap"),
    ],
)
def test_impossible_values_are_refused(changed: dict[str, object], word: str) -> None:
    with pytest.raises(InvalidInputError, match=word):
        read_timing(sidecars(**changed))


@pytest.mark.parametrize("key", ["NumberShots", "ExcitationsPerReadout"])
@pytest.mark.parametrize("number", [0, -88, [0], 0.3])
@pytest.mark.parametrize("share", [None, 1.0, 0.75])
def test_excitations_that_cannot_be_are_refused_by_the_field_that_tells_them(
    key: str, number: object, share: float | None
) -> None:
    fields: dict[str, object] = {key: number} if share is None else {key: number, "SlicePartialFourier": share}
    with pytest.raises(InvalidInputError, match=rf"^sub-01_inv-1_MP2RAGE\.json: {key} is .*; expected numbers of exc"):
        read_timing(sidecars(("NumberShots",) if key != "NumberShots" else (), **fields))
    with pytest.raises(InvalidInputError, match=rf"^mine\.toml: {key} is "):
        read_timing(before(sidecars(("NumberShots",)), Sidecar("mine.toml", fields)))


@pytest.mark.parametrize("value", [0, -0.007, 7])
def test_an_old_name_that_cannot_be_used_is_told_beside_what_is_missing(value: float) -> None:
    with pytest.raises(InvalidInputError, match=rf"EchoSpacing is {value:g}, and not used; expected seconds"):
        read_timing(sidecars(("RepetitionTimeExcitation",), EchoSpacing=value))


def test_the_peak_of_a_pulse_without_its_name_is_told() -> None:
    (note,) = read_timing(sidecars(InversionPulsePeak=14)).notes
    assert note == "InversionPulsePeak is 14, and not used: InversionPulse, the name of the pulse, is missing."


def test_readouts_of_different_cycles_are_not_one_run() -> None:
    first, second = sidecars()
    other = Sidecar(second.name, {**second.fields, "RepetitionTimePreparation": 6.0})
    with pytest.raises(InvalidInputError, match="differs between the readouts"):
        read_timing([first, other])


def test_a_protocol_of_another_number_of_readouts_is_refused() -> None:
    protocol = Sidecar("mine.toml", {**PROTOCOL.fields, "InversionTime": [0.7, 1.6, 2.5]})
    with pytest.raises(InvalidInputError, match="3 values"):
        read_timing(before(sidecars(("InversionTime",)), protocol))


@pytest.mark.parametrize(
    ("shots", "grid", "said"),
    [
        (132, Grid((240, 256, 176), SAGITTAL), "excitations played, by the slices"),
        (176, Grid((240, 256, 176), SAGITTAL), "partitions, by the slices"),
        (132, Grid((176, 240, 256), TURNED), "excitations played, by the slices"),
        (176, Grid((176, 240, 256), TURNED), "partitions, by the slices"),
    ],
)
def test_one_number_of_shots_is_read_by_the_slices_of_the_image(shots: int, grid: Grid, said: str) -> None:
    timing = read_timing(sidecars(NumberShots=shots, SlicePartialFourier=0.75), facts=ImageFacts(grid=grid))
    assert timing.model == read_timing(sidecars(NumberShots=[44, 88])).model
    assert said in timing.origins["NumberShots"]


@pytest.mark.parametrize("shots", [132, 176, [[132], [132]]])
@pytest.mark.parametrize(
    "grid", [None, Grid((20, 20, 6), SAGITTAL), Grid((240, 256, 208), SAGITTAL), Grid((176, 132, 235), TURNED)]
)
def test_one_number_of_shots_that_may_be_either_is_refused_with_both(shots: object, grid: Grid | None) -> None:
    with pytest.raises(InvalidInputError, match="two readings") as refused:
        read_timing(sidecars(NumberShots=shots, SlicePartialFourier=0.75), facts=ImageFacts(grid=grid))
    n = shots if isinstance(shots, int) else 132
    both = {132: ("[33.0, 66.0]", "[44.0, 88.0]"), 176: ("[44.0, 88.0]", "[58.667, 117.333]")}[n]
    assert all(pair in str(refused.value) for pair in both)
    assert "ExcitationsPerReadout" in str(refused.value)


def test_a_reading_that_does_not_fit_into_the_cycle_is_none() -> None:
    narrow = sidecars(NumberShots=176, SlicePartialFourier=0.75, RepetitionTimeExcitation=0.0132)
    timing = read_timing(narrow)
    assert list(timing.model.excitations) == [(44, 88)] * 2
    assert "otherwise the trains would overlap" in timing.origins["NumberShots"]


@pytest.mark.parametrize("played", [132, [132], [132, 132]])
@pytest.mark.parametrize("shots", [None, 132, 176, [44, 88]])
def test_the_excitations_played_have_a_field_of_their_own(played: object, shots: object) -> None:
    fields = {"ExcitationsPerReadout": played, "SlicePartialFourier": 0.75}
    found = sidecars(("NumberShots",) if shots is None else (), **fields, **({"NumberShots": shots} if shots else {}))
    timing = read_timing(found)
    assert np.array(timing.model.excitations) == pytest.approx(np.array(((44, 88), (44, 88))))
    assert "ExcitationsPerReadout" in timing.origins["NumberShots"]
    in_file = Sidecar("mine.toml", fields)
    assert read_timing(before(sidecars(("NumberShots",)), in_file)).model == timing.model


def test_excitations_that_contradict_each_other_are_refused() -> None:
    for shots in (160, [88, 88]):
        with pytest.raises(InvalidInputError, match="expected numbers of the same readout"):
            read_timing(sidecars(NumberShots=shots, ExcitationsPerReadout=132, SlicePartialFourier=0.75))


def test_lists_of_one_value_per_readout_are_that_of_each() -> None:
    lists = {"InversionTime": list(TIMES), "FlipAngle": list(ANGLES), "RepetitionTimeExcitation": [0.0069, 0.007]}
    timing = read_timing(sidecars(NumberShots=[[44, 88], [50, 88]], RepetitionTimePreparation=[5.0, 5.0], **lists))
    assert timing.model.inversion_times == TIMES
    assert timing.model.flip_angles == pytest.approx([math.radians(4), math.radians(5)])
    assert timing.model.excitation_times == (0.0069, 0.007)
    assert timing.model.excitations == ((44, 88), (50, 88))


def test_lists_of_one_value_per_echo_are_that_value() -> None:
    timing = read_timing(sidecars(RepetitionTimeExcitation=[0.0069] * 4, EchoTime=[0.002, 0.003, 0.004, 0.005]))
    assert timing.model.excitation_times == (0.0069, 0.0069)
    with pytest.raises(InvalidInputError, match="FlipAngle has 3 numbers; expected one, or one for each of the 2"):
        read_timing(sidecars(FlipAngle=[4, 5, 6]))


@pytest.mark.parametrize("key", ["RepetitionTimeExcitation", "EchoSpacing"])
def test_excitations_do_not_follow_before_the_last_echo(key: str) -> None:
    without = ("RepetitionTimeExcitation",) if key == "EchoSpacing" else ()
    found = sidecars(without, **{"NumberShots": [44, 44], key: 0.0085})
    facts = ImageFacts(echo_times=((0.003,), (0.0315,)))
    with pytest.raises(InvalidInputError, match=r"is 0\.0085 s .*last EchoTime of the readout is 0\.0315 s"):
        read_timing(found, facts=facts)
    assert read_timing(found, facts=ImageFacts(echo_times=((0.003,), (0.004,)))).model.excitation_times[1] == 0.0085


def test_the_spacing_of_several_echoes_is_no_excitation_time() -> None:
    found = sidecars(("RepetitionTimeExcitation",), NumberShots=[44, 44], EchoSpacing=0.0085)
    facts = ImageFacts(echo_times=((0.003,), (0.002, 0.004)))
    with pytest.raises(InvalidInputError, match=r"RepetitionTimeExcitation: missing in sub-01_inv-2_MP2RAGE\.json"):
        read_timing(found, facts=facts)
    told = read_timing(before(found, Sidecar("mine.toml", {"RepetitionTimeExcitation": 0.0085})), facts=facts)
    assert told.model.excitation_times == (0.0085, 0.0085)


def test_unit1_that_is_fully_timed_serves_its_readouts() -> None:
    uni = Sidecar("sub-01_UNIT1.json", {**COMMON, "InversionTimes": list(TIMES), "FlipAngle": list(ANGLES)})
    alone = {"InversionTime": 2.5, "FlipAngle": 5}
    timing = read_timing([Sidecar("sub-01_inv-2_MP2RAGE.json", alone)], facts=ImageFacts(uni=uni))
    assert timing.model == read_timing(sidecars()).model
    assert timing.origins["InversionTime"] == "sidecar sub-01_UNIT1.json"
    bare = [Sidecar(f"sub-01_inv-{number}_MP2RAGE.json", {}) for number in (1, 2)]
    assert read_timing(bare, facts=ImageFacts(uni=uni)).model == timing.model


def test_echoes_that_names_number_are_several_whatever_their_times() -> None:
    found = sidecars(("RepetitionTimeExcitation",), NumberShots=[44, 44], EchoSpacing=0.0085)
    with pytest.raises(InvalidInputError, match="RepetitionTimeExcitation: missing"):
        read_timing(found, facts=ImageFacts(several_echoes=(False, True)))


def test_one_image_of_all_readouts_has_room_for_its_echoes_too() -> None:
    uni = Sidecar("sub-01_UNIT1.json", {**COMMON, "InversionTimes": list(TIMES), "FlipAngle": list(ANGLES)})
    with pytest.raises(InvalidInputError, match="last EchoTime"):
        read_timing([uni], facts=ImageFacts(echo_times=((0.0315,),)))


def test_one_number_of_a_sequence_of_compressed_sensing_is_refused_with_halves() -> None:
    found = sidecars(NumberShots=132, SlicePartialFourier=0.75, PulseSequenceDetails="%CustomerSeq%_CS_MP2RAGE")
    with pytest.raises(InvalidInputError, match=r"compressed sensing.* \[66\.0, 66\.0\] if these are 132"):
        read_timing(found, facts=ImageFacts(grid=Grid((240, 256, 176), SAGITTAL)))
    found = sidecars(NumberShots=[66, 66], PulseSequenceDetails="%CustomerSeq%_CS_MP2RAGE")
    assert list(read_timing(found).model.excitations) == [(66, 66)] * 2


def test_one_readout_that_stands_for_all_is_not_said_to_lack_its_own_numbers() -> None:
    alone = Sidecar("sub-01_inv-2_MP2RAGE.json", {**COMMON, "InversionTime": 2.5})
    with pytest.raises(InvalidInputError) as refused:
        read_timing([alone])
    assert "InversionTime: missing in sub-01_inv-2_MP2RAGE.json (which has that of one readout)" in str(refused.value)
    assert "FlipAngle: missing in sub-01_inv-2_MP2RAGE.json\n" in str(refused.value)
