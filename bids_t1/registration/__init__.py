"""Images of one head brought into one space."""
