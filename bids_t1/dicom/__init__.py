"""Step 0: scanner files to a raw BIDS dataset; start at `convert` and `sources`."""
