"""One run of one sequence, from its files to maps: a file per sequence."""
