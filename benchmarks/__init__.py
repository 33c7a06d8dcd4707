"""What the program costs and what its numbers are worth; see README.md."""
