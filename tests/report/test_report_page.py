from __future__ import annotations

import os
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from bids_t1.data.errors import CannotCreateOutputError
from bids_t1.data.estimate import VoxelStatus
from bids_t1.data.outputs import outputs_of
from bids_t1.data.result import SeriesNote
from bids_t1.report import render_page, write_page
from tests.report.echo_results import make_echo_run
from tests.report.pages import usual_page
from tests.report.reader import Reader
from tests.report.readout_results import make_readout_run
from tests.report.report_results import make_result, make_run
from tests.report.tissue_results import make_together


def test_every_output_is_shown_with_its_unit_and_file() -> None:
    text = Reader(usual_page()).text
    for row in outputs_of("IRT1"):
        assert f"sub-01_ses-2_acq-tse_desc-{row.desc}_{row.suffix}.nii.gz" in text
        if row.quantity != "status":
            assert row.view.label in text


def test_every_status_that_can_occur_is_explained() -> None:
    text = Reader(usual_page()).text
    of_other_sequences = {
        VoxelStatus.TWO_MODES,
        VoxelStatus.AT_PRIOR_LIMIT,
        VoxelStatus.LOW_CONFIDENCE,
        VoxelStatus.INVERSION_DOUBTFUL,
        VoxelStatus.SHARE_AT_BOUND,
    }
    assert all((status.meaning in text) == (status not in of_other_sequences) for status in VoxelStatus)


def test_the_page_loads_nothing() -> None:
    html = usual_page()
    reader = Reader(html)
    assert reader.open == []
    assert not {"link", "iframe", "object", "base"} & {tag for tag, _ in reader.tags}
    assert not any("src" in script for script in reader.all("script"))
    assert all((image["src"] or "").startswith("data:image/") for image in reader.all("img"))
    style = html[html.index("<style>") : html.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    links = [link["href"] or "" for link in reader.all("a")]
    beside = ("group.html", "sub-01/")  # files in the folder of the page, opened by a click only
    assert all(link.startswith(("#", "https://doi.org/", *beside)) for link in links)


def test_links_within_the_page_lead_somewhere() -> None:
    reader = Reader(render_page(make_result(warnings=("w",))))
    names = [attributes["id"] for _, attributes in reader.tags if attributes.get("id")]
    assert len(names) == len(set(names))
    assert {(a["href"] or "")[1:] for a in reader.all("a") if (a["href"] or "").startswith("#")} <= set(names)


def test_every_picture_is_described() -> None:
    images = Reader(usual_page()).all("img")
    assert len(images) > 20
    assert all(len(image["alt"] or "") > 10 for image in images)


def test_headings_do_not_skip_levels() -> None:
    levels = [int(tag[1]) for tag, _ in Reader(usual_page()).tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_hostile_descriptions_are_shown_and_not_obeyed() -> None:
    attack = "<script>alert('x')</script><img src=x onerror=y>\" {{ 7*7 }}"
    note = SeriesNote(number=None, description=attack, n_files=1, outcome=attack)
    html = render_page(
        make_result(
            series=(note,),
            failures=(attack,),
            warnings=(attack,),
            command=attack,
            versions={attack: attack},
            runs=(make_run(record={attack: attack, "DataKind": attack}, warnings=(attack,)),),
        )
    )
    reader = Reader(html)
    assert "<script>alert" not in html
    assert len(reader.all("script")) == 2  # those of the rating
    assert all("onerror" not in image for image in reader.all("img"))
    assert reader.text.count("{{ 7*7 }}") == 11


def test_failures_and_warnings_come_before_everything_else() -> None:
    run = make_run(warnings=("the third warning",))
    text = Reader(render_page(make_result(runs=(run,), failures=("it broke",), warnings=("one", "two")))).text
    assert "one failure" in text
    assert "three warnings" in text
    assert text.index("it broke") < text.index("the third warning") < text.index("Median T1")


def test_a_participant_with_failures_only_has_a_page_that_says_so() -> None:
    text = Reader(render_page(make_result(runs=(), failures=("no IRT1 images were found",)))).text
    assert "No map was made" in text
    assert "no IRT1 images were found" in text
    assert "Median T1" not in text
    assert "Methods" not in text


def test_a_participant_with_nothing_at_all_has_a_page() -> None:
    text = Reader(render_page(make_result(runs=(), series=(), versions={}))).text
    assert "nothing to fit" in text


def test_maps_without_any_value_are_shown_as_such() -> None:
    shape = (6, 7, 3)
    maps = {row.quantity: np.full(shape, np.nan, np.float32) for row in outputs_of("IRT1")}
    maps["status"] = np.full(shape, VoxelStatus.SIGNAL_TOO_LOW, np.uint8)
    text = Reader(render_page(make_result(runs=(make_run(shape, maps=maps, examples=()),)))).text
    assert "No voxel was fitted" in text
    assert "not available" in text
    assert not re.search(r"\bnan\b", text)


def test_a_map_that_was_not_made_is_named() -> None:
    run = make_run()
    maps = {name: values for name, values in run.maps.items() if name != "ratio"}
    text = Reader(render_page(make_result(runs=(make_run(maps=maps),)))).text
    assert re.search(r"Not made in this run:\s+inversion efficiency", text)


def test_a_single_slice_gives_one_large_picture() -> None:
    reader = Reader(render_page(make_result(runs=(make_run((20, 24, 1)),))))
    t1_slices = [image for image in reader.all("img") if (image["alt"] or "").startswith("T1, axial slice")]
    assert len(t1_slices) == 2, "a small one beside the verdict"
    assert "Axial slice;" in reader.text


def test_the_interval_follows_the_degrees_of_freedom() -> None:
    text = Reader(
        render_page(make_result(runs=(make_run(record={"DegreesOfFreedom": 3, "IntervalFactor": 3.182}),)))
    ).text
    assert "± 3.18 SD" in text
    assert "three degrees of freedom" in text
    unknown = Reader(render_page(make_result(runs=(make_run(record={"IntervalFactor": "absent"}),)))).text
    assert "95 %" not in unknown


def test_voxels_beyond_the_colour_bar_are_counted() -> None:
    maps = dict(make_run().maps)
    t1 = maps["time"].copy()
    t1[np.isfinite(t1)] = 1.0
    t1[10, :, :] = 4.0
    text = Reader(render_page(make_result(runs=(make_run(maps={**maps, "time": t1}),)))).text
    assert "5.9 % of values above 3, shown in the colour of the end" in text  # 1 of 17 fitted planes


def test_reference_values_are_shown_only_for_a_known_field_strength() -> None:
    assert "Wright et al. 2008" in usual_page()
    runs = tuple(make_run((4, 4, 1), record={"MagneticFieldStrength": unknown}) for unknown in ("absent", 4.7, "3 T"))
    assert "Wright" not in render_page(make_result(runs=runs))


def test_folders_of_absolute_paths_stay_off_the_page() -> None:
    result = make_result(
        failures=("/data/Hospital X/p/sub-01_IRT1.json: bad", "/home/jane/raw/sub-01_T1.nii: bad, 1/s and/or 2/3"),
        command="bids_t1 /home/jane/in /out participant",
    )
    html = render_page(result)
    assert "jane" not in html
    assert "1/s and/or 2/3" in html


def test_the_same_result_gives_the_same_bytes_in_every_process() -> None:
    # Addresses of objects and the seed of string hashes differ between processes.
    program = (
        "import random, sys\n"
        "random.seed(sys.argv[1])\n"
        "kept = [bytearray(random.randrange(600)) for _ in range(50_000)]\n"
        "del kept[:: random.randrange(2, 9)]\n"
        "from tests.report.report_results import make_result, make_run\n"
        "from tests.report.readout_results import make_readout_run\n"
        "from tests.report.echo_results import make_echo_run\n"
        "from tests.report.tissue_results import make_together\n"
        "from bids_t1.report import render_page\n"
        "run = make_run(examples=make_run().examples * 4)\n"
        "sys.stdout.buffer.write(render_page(make_result(runs=(run, make_readout_run(), make_echo_run()))).encode())\n"
        "sys.stdout.buffer.write(render_page(make_together(calibrated=True)).encode())\n"
    )
    pages = {
        subprocess.run(
            [sys.executable, "-c", program, seed],
            capture_output=True,
            check=True,
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(pages) == 1


def test_the_solver_whose_last_digits_depend_on_addresses_has_no_part(monkeypatch: pytest.MonkeyPatch) -> None:
    # Two runs may agree by chance; a plot that never calls the solver of constrained layout must agree.
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("constrained layout is in use")

    monkeypatch.setattr("matplotlib.layout_engine.ConstrainedLayoutEngine.execute", refuse)
    render_page(make_result(runs=(make_run((4, 4, 1)), make_readout_run((4, 4, 1)), make_echo_run((4, 4, 1)))))
    render_page(make_together())


def test_ambiguous_signs_are_counted_beside_the_voxels_fitted() -> None:
    maps = dict(make_run().maps)
    status = maps["status"].copy()
    status[10] = VoxelStatus.POLARITY_UNDECIDED
    text = Reader(render_page(make_result(runs=(make_run(maps={**maps, "status": status}),)))).text
    assert "5.9 % of them with two choices of sign" in text  # 1 of 17 fitted planes
    assert "of them with two choices" not in Reader(usual_page()).text


def test_two_runs_have_sections_of_their_own() -> None:
    run = make_run()
    second = make_run(name=run.name.having({"ses": "3"}), warnings=("dark",))
    reader = Reader(render_page(make_result(runs=(run, second))))
    assert "ses-2, ses-3" in reader.text
    assert "Two runs fitted" in reader.text
    assert [a["id"] for a in reader.all("section") if (a.get("id") or "").startswith("run-")] == ["run-1", "run-2"]


def test_pages_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    page = write_page(make_result(), tmp_path / "out")
    assert page == tmp_path / "out" / "sub-01.html"
    assert [path.name for path in page.parent.iterdir()] == ["sub-01.html"]
    assert page.read_text(encoding="utf-8") == usual_page()
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(CannotCreateOutputError, match="Check the output folder"):
        write_page(make_result(), blocked)


def test_whole_heads_give_pages_that_can_be_mailed() -> None:
    # White noise is the worst case: no two neighbours share a colour.
    assert len(render_page(make_result(runs=(make_run((180, 220, 30)),)))) < 6e6
