"""Probes of words and trees, against a treebank the user names."""
