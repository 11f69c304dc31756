"""Where source files lie: finding, opening and hashing them, on this machine or elsewhere."""
