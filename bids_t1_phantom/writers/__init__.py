"""What is written: BIDS, the files of scanners, and the truth."""
