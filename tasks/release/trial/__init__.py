"""The trial: a challenger beside the released embedder, on documents that both hold out."""
