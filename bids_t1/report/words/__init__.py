"""How quantities, numbers and names are written, and what is published of them."""
