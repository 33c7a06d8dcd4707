"""Broken and odd data: a table of cases, and what runs them."""
