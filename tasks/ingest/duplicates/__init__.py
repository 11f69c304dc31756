"""Which texts say nearly the same."""
