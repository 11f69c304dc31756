"""Alignment: new vectors rotated onto the space of older ones, for those who built on these."""
