"""Documents out of text and markup."""
