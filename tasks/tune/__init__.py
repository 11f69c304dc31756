"""Trains the encoder to give documents vectors by which they are found."""
