"""What became of every document, for people and for the next ingest."""
