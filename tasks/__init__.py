"""The stages as plain functions, and the store, tracking and runtime they stand on."""
