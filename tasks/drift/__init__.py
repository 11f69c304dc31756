"""Measures whether the newest documents are still like those the embedder was examined on."""
