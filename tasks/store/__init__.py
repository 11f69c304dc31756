"""The store: the only code that creates, renames or deletes artifacts."""
