"""Vectors: inputs, and what a peer's own code made of them, compared with what a protocol makes of them here."""
