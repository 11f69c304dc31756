"""The tokenize stage: from a corpus and a vocabulary to token ids and a packing plan."""
