"""How images of a measurement of the transmit field become the field: one closed form per method."""
