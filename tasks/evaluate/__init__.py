"""Scores an embedder, with and without labels, beside classic baselines."""
