"""Bytes out of compressed files and archives, whatever they are made to do."""
