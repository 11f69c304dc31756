"""What every reader shares: records, lines, and how a format is told."""
