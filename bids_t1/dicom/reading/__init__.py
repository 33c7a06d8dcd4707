"""From files to slices and volumes: headers only."""
