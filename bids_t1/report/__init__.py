"""Step 6: one self-contained page per participant."""

from bids_t1.report.page import render_page, write_page

__all__ = ["render_page", "write_page"]
