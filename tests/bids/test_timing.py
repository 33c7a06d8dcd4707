"""How long each stage took, written and read back: what is no such table never ends the command."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bids_t1.bids.timing import read_time_taken, timing_path, write_timing
from bids_t1.data.timing import Lap, Stage, told_duration
from bids_t1.stopwatch import Stopwatch

if TYPE_CHECKING:
    from pathlib import Path


def lap(stage: Stage, seconds: float) -> Lap:
    return Lap(stage=stage, of="sub-01", seconds=seconds, processor_seconds=2 * seconds)


def test_the_stages_of_all_sessions_of_a_participant_are_added(tmp_path: Path) -> None:
    write_timing(timing_path(tmp_path, "01", None), [lap(Stage.PAGE, 0.5)])
    write_timing(timing_path(tmp_path, "01", "a"), [lap(Stage.MAPS, 3.25), lap(Stage.TISSUES, 1.0)])
    write_timing(timing_path(tmp_path, "01", "b"), [lap(Stage.MAPS, 4.0)])
    write_timing(timing_path(tmp_path, "011", None), [lap(Stage.MAPS, 100.0)])
    taken = read_time_taken(tmp_path, "01")
    assert taken is not None
    assert (taken.seconds, taken.processor_seconds) == (8.75, 17.5)
    assert list(taken.by_stage.items()) == [(Stage.MAPS, 7.25), (Stage.TISSUES, 1.0), (Stage.PAGE, 0.5)]


@pytest.mark.parametrize("content", ["", "stage\tof\tseconds\tprocessor_seconds\n"])
def test_an_empty_table_tells_of_no_time(tmp_path: Path, content: str) -> None:
    path = timing_path(tmp_path, "01", None)
    path.parent.mkdir()
    path.write_text(content)
    assert read_time_taken(tmp_path, "01") is None


def test_without_a_table_nothing_is_known_of_the_time(tmp_path: Path) -> None:
    assert read_time_taken(tmp_path, "01") is None


@pytest.mark.parametrize(
    "content",
    [
        "stage\tof\tseconds\nmaps\tsub-01\t1\n",
        *(
            f"stage\tof\tseconds\tprocessor_seconds\n{line}\n"
            for line in ("", "maps\tsub-01\t1", "maps\tsub-01\t1\tnan", "maps\tsub-01\t-1\t1", "x\tsub-01\t1\t1", "\0")
        ),
    ],
)
def test_a_table_that_is_damaged_is_named_and_left_out(
    tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = timing_path(tmp_path, "01", None)
    path.parent.mkdir()
    path.write_text(content)
    assert read_time_taken(tmp_path, "01") is None
    assert "sub-01_timing.tsv: is no table of stage, of, seconds" in caplog.text


def test_a_stage_is_timed_also_where_it_fails() -> None:
    watch = Stopwatch()
    with pytest.raises(ZeroDivisionError), watch.stage(Stage.MAPS, "sub-01"):
        raise ZeroDivisionError
    assert [one.stage for one in watch.laps] == [Stage.MAPS]
    assert watch.laps[0].seconds >= 0


@pytest.mark.parametrize(
    ("seconds", "told"), [(0.04, "0.1 s"), (9.5, "9.5 s"), (59.64, "59.6 s"), (200, "3 min"), (3 * 3600, "3.0 h")]
)
def test_durations_are_told_in_the_unit_that_fits(seconds: float, told: str) -> None:
    assert told_duration(seconds) == told
