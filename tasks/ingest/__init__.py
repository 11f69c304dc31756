"""Reads the user's files into clean, distinct, split documents, and accounts for every one."""
