"""The notebook runs from its first cell to its last, and prints what it shows."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

NOTEBOOK = Path(__file__).parents[1] / "examples" / "arrays.ipynb"


def run_cells(notebook: dict[str, Any]) -> list[str]:
    """Run the cells of code in one namespace; return what each prints."""
    names: dict[str, object] = {}
    printed = []
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            said = io.StringIO()
            with contextlib.redirect_stdout(said):
                exec("".join(cell["source"]), names)  # noqa: S102 - the notebook of this repository
            printed.append(said.getvalue())
    return printed


def shown(notebook: dict[str, Any]) -> list[str]:
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    return ["".join(text for output in cell["outputs"] for text in output["text"]) for cell in cells]


def test_the_notebook_runs_and_prints_what_it_shows() -> None:
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert run_cells(notebook) == shown(notebook)


if __name__ == "__main__":  # write what is printed into the notebook: python -m tests.test_notebook
    found = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    for cell, text in zip(
        [cell for cell in found["cells"] if cell["cell_type"] == "code"], run_cells(found), strict=True
    ):
        lines = text.splitlines(keepends=True)
        cell["outputs"] = [{"name": "stdout", "output_type": "stream", "text": lines}] if lines else []
    NOTEBOOK.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
