from __future__ import annotations

import base64
import io
import math

import cmap
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bids_t1.data.estimate import VoxelStatus
from bids_t1.data.outputs import OUTPUTS, T1_VIEW, UNI_VIEW, View
from bids_t1.report import render_page
from bids_t1.report.figures import colours
from tests.report.reader import Reader
from tests.report.report_results import make_result


def test_the_log_like_curve_has_the_published_landmarks() -> None:
    # From 0: half of the colour map below 1/e of the upper limit, equal ratios at equal distances above.
    shares = np.array([0.0, 1 / math.e, math.exp(-0.5), 1.0])
    assert colours.log_like(shares, (0.0, 3.0)) == pytest.approx([0.0, 0.5, 0.75, 1.0])


@given(lower=st.floats(0, 10), width=st.floats(0.01, 10))
def test_the_log_like_curve_rises_from_one_end_to_the_other(lower: float, width: float) -> None:
    places = colours.log_like(np.linspace(0, 1, 500), (lower, lower + width))
    assert places[0] == pytest.approx(0, abs=1e-9)
    assert places[-1] == pytest.approx(1)
    assert np.all(np.diff(places) > 0)


def test_relaxation_maps_use_the_curve_and_others_do_not() -> None:
    end = colours.N_COLOURS - 1
    for name, expected in (("lipari", 0.5), ("viridis", 1 / math.e)):
        table = colours.colour_table(View(colour_map=name, limits=(0, 1), label=""), (0.0, 1.0))
        wanted = 255 * np.asarray(cmap.Colormap(name)(expected))[:3]
        assert table[round(end / math.e)] == pytest.approx(wanted, abs=3)


def test_every_colour_map_of_the_outputs_table_exists() -> None:
    for row in OUTPUTS:
        table = colours.colour_table(row.view, row.view.limits or (0.0, 1.0))
        assert table.shape == (256, 3)
        assert not (table[: colours.MISSING] == table[colours.MISSING]).all(1).any()


def test_missing_values_are_not_the_colour_of_a_value() -> None:
    codes = colours.indices(np.array([np.nan, np.inf, -1.0, 0.0, 0.5, 1.0, 2.0]), (0.0, 1.0))
    assert codes.tolist() == [255, 255, 0, 0, 127, 254, 254]


def test_limits_from_the_data_are_round_and_hold_nearly_all_of_them() -> None:
    view = View(colour_map="grey", limits=None, label="")
    assert colours.limits_of(view, np.linspace(0, 1234, 1000)) == (0.0, 1500.0)
    assert colours.limits_of(view, np.full(5, np.nan)) == (0.0, 1.0)
    assert colours.limits_of(view, np.zeros(5)) == (0.0, 1.0)


def test_the_window_of_a_head_is_widened_where_a_quarter_of_the_values_lie_above_it() -> None:
    head = np.array([0.8] * 80 + [4.0] * 20)
    plate = np.array([0.8] * 60 + [4.2] * 40)
    assert colours.limits_of(T1_VIEW, head) == (0.0, 3.0)
    assert colours.limits_of(T1_VIEW, plate) == (0.0, 5.0)
    assert colours.limits_of(UNI_VIEW, plate) == (-0.5, 0.5)


def test_every_status_has_a_colour_of_its_own() -> None:
    assert set(colours.STATUS_COLOURS) == set(VoxelStatus)
    assert len(set(colours.STATUS_COLOURS.values())) == len(VoxelStatus)


def test_pictures_are_clear_where_there_is_no_value_and_the_page_has_a_ground_for_light_and_for_dark() -> None:
    page = render_page(make_result())
    tiles = [image for image in Reader(page).all("img") if image.get("class") in {"plain", "greys", "status"}]
    assert len({image["class"] for image in tiles}) == 3
    first = Image.open(io.BytesIO(base64.b64decode((tiles[0]["src"] or "").split(",")[1])))
    assert first.info["transparency"] == colours.MISSING
    style = page[page.index("<style>") : page.index("</style>")]
    for ground in (*colours.GROUNDS.values(), colours.STATUS_GROUND):
        assert style.count(f"--ground-{ground}:") == 2
