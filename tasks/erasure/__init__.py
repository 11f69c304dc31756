"""Erasure: removes documents from everything a workspace holds, and says what it cannot reach."""
