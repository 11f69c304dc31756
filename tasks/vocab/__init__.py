"""The vocab stage: from a corpus to a byte-level tokenizer."""
