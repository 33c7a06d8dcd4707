"""What is scanned: one file per sequence."""
