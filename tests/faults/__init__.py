"""Faults, injected where they hurt; `make faults` runs all and tells what happened."""
