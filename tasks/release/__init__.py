"""Releases: an embedder together with its complete export, published as one."""
