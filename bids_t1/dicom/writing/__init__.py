"""From volumes to a raw BIDS dataset."""
