"""The machine that stages run on: its devices and their precision."""
