"""Foretells scores on the whole text from evaluations of parts of it."""
