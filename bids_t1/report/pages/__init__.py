"""Whole pages: of a participant, of all participants, of a calibration model."""
