"""Curves over one relaxation time, and a second pool: variable projection. Read `engine` first."""
