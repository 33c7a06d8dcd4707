"""Calibration of MP2RAGE T1 to inversion recovery by networks on patches."""
