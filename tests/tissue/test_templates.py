from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest
from nilearn.datasets import load_mni152_brain_mask

from bids_t1.data.errors import InvalidInputError
from bids_t1.tissue.template_files import NAME, TABLE
from bids_t1.tissue.templates import grid_at, load_template
from tests.real_data import real_data

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of TemplateFlow that may be changed."""
    for path in real_data("templateflow_home").rglob("*.*"):
        if path.is_file():
            copy = tmp_path / path.relative_to(real_data("templateflow_home"))
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(tmp_path))
    return tmp_path


def one(home: Path, pattern: str) -> Path:
    (found,) = home.glob(f"tpl-{NAME}/{pattern}")
    return found


@pytest.mark.usefixtures("home")
def test_names_of_labels_decide_and_not_their_numbers() -> None:
    template = load_template()
    assert template.subcortical is not None
    at = np.linalg.inv(template.grid.affine)
    thalamus, hippocampus, lobe = (
        tuple(np.rint(at @ [*place, 1.0]).astype(int)[:3]) for place in ((12, -18, 8), (28, -22, -14), (40, -60, 30))
    )
    assert template.subcortical[thalamus] > 0.5
    assert template.subcortical[hippocampus] < 0.3
    assert template.subcortical[lobe] < 0.01
    assert all(not name.startswith("/") for name in template.record["Files"])  # type: ignore[attr-defined]
    assert not template.warnings


@pytest.mark.usefixtures("home")
def test_expectations_are_probabilities_within_the_brain() -> None:
    template = load_template()
    assert template.subcortical is not None
    total = template.grey + template.white + template.subcortical
    assert total.min() >= 0
    assert total.max() <= 1 + 1e-4
    assert total[template.brain == 0].max() < 0.5


def test_the_table_of_all_spaces_serves_where_there_is_none_beside_the_atlas(home: Path) -> None:
    beside = one(home, "*.tsv")
    elsewhere = home / TABLE
    elsewhere.parent.mkdir()
    beside.rename(elsewhere)
    template = load_template()
    assert template.subcortical is not None
    assert TABLE in template.record["Files"]  # type: ignore[operator]


def test_labels_that_are_not_known_are_ignored_with_a_warning(home: Path) -> None:
    table = one(home, "*.tsv")
    table.write_text(table.read_text().replace("Left thalamus", "Left gizmo"))
    assert load_template().warnings == (f"{table.name}: labels that are not known are ignored: Left gizmo.",)


@pytest.mark.parametrize("pattern", ["*.tsv", "*HOSPA*.nii.gz"])
def test_without_atlas_or_table_there_is_no_split_and_a_warning(home: Path, pattern: str) -> None:
    one(home, pattern).unlink()
    template = load_template()
    assert template.subcortical is None
    assert "deep (subcortical) grey matter is counted with the cortex" in template.warnings[0]
    assert "fetch.py" in template.warnings[0]


def test_an_empty_placeholder_counts_as_missing_and_nothing_is_downloaded(home: Path) -> None:
    one(home, "*label-GM_probseg.nii.gz").write_bytes(b"")
    template = load_template()
    assert template.record["Source"].startswith("nilearn")  # type: ignore[attr-defined]
    assert f"{NAME}, is not there (grey)" in template.warnings[0]


def test_a_folder_without_templates_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(tmp_path / "nothing"))
    template = load_template()
    assert template.subcortical is None
    assert template.white.max() > 0.9
    assert not (tmp_path / "nothing").exists()


def test_the_grid_of_1_mm_is_that_of_the_template_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(tmp_path / "nothing"))
    fine = load_mni152_brain_mask(resolution=1)
    grid = grid_at(load_template(), 1)
    assert grid.shape == fine.shape
    np.testing.assert_allclose(grid.affine, fine.affine)


def test_a_damaged_file_is_named(home: Path) -> None:
    path = one(home, "*label-WM_probseg.nii.gz")
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(InvalidInputError, match=f"{path.name}: no image of the template can be read"):
        load_template()
