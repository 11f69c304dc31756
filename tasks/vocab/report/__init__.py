"""What a vocabulary is worth: measures on validation text, peers, sizes, examples, pitfalls."""
