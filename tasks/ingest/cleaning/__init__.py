"""What becomes of a text before it is a document: normalised, masked, filtered."""
