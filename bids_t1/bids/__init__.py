"""Steps 1 and 5: find, open and write images. No other step opens image files of a BIDS dataset."""
