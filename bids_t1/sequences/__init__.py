"""The physics: one file per sequence, with its timing, its metadata and its signal."""
