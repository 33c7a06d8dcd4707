"""A digital head with known truth, scanned by direct simulation: a BIDS or DICOM dataset to test against."""
