"""The transmit field B1+: from the images of a measurement to the grid of a run."""
