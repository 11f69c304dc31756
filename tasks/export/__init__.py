"""Embeds every document of the corpus and writes the Parquet dataset that analysts read."""
