"""The brain, its tissues, and T1 in them."""
