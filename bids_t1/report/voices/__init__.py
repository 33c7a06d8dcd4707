"""What the page says of each sequence: cautions, methods, where values come from."""
