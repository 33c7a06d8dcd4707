"""The nouns: small frozen values in SI units, without effects."""
