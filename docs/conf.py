"""The documentation site: `make docs` builds it, and takes every warning as an error."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

from bids_t1 import __version__

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "bids_t1"
author = "the authors of bids_t1"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
myst_links_external_new_tab = False
highlight_language = "none"

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
napoleon_google_docstring = False

html_theme = "furo"
html_title = f"bids_t1 {release}"
html_show_copyright = False
html_copy_source = False
html_math_renderer = "mathml"


FORMULA = "overflow-x: auto; padding: 0.5em 0; line-height: 2"
"""Room above and below: a box that scrolls sideways cuts off what is higher than a line, such as exponents."""


def write_inline(translator: Any, node: nodes.math) -> None:
    """Write a formula within a line as MathML, which needs no script and no network."""
    translator.body.append(str(tex2mathml(node.astext(), as_block=False)))
    raise nodes.SkipNode


def write_block(translator: Any, node: nodes.math_block) -> None:
    """Write a formula of its own line as MathML."""
    translator.body.append(f'<div style="{FORMULA}">{tex2mathml(node.astext(), as_block=True)}</div>')
    raise nodes.SkipNode


def keep_stars(_app: Sphinx, _what: str, _name: str, _obj: object, _options: object, lines: list[str]) -> None:
    """Keep the star of a shape such as (measurement, *voxels) from opening emphasis."""
    lines[:] = [re.sub(r"(?<![`*\w])\*(?=\w+\))", r"\\*", line) for line in lines]


def setup(app: Sphinx) -> None:
    """Add the writer of formulas, and what docstrings go through."""
    app.connect("autodoc-process-docstring", keep_stars)
    app.add_html_math_renderer("mathml", (write_inline, None), (write_block, None))
