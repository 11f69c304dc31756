"""Masked language modelling of the packed tokens, from fresh weights or from a given encoder."""
