"""Curves over one relaxation time: variable projection. Read `engine` first."""
