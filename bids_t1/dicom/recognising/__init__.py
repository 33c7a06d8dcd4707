"""What images of an examination are, and which are converted."""
