"""Step 6: one self-contained page per participant."""

from bids_t1.report.pages.participant import render_page, write_page

__all__ = ["render_page", "write_page"]
