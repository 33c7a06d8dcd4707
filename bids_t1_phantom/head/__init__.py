"""The object: tissues, relaxation, place and transmit field."""
