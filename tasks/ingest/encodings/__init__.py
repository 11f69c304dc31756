"""Text out of bytes in any encoding, and no guesses."""
