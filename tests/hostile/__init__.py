"""Hostile input: it costs little, breaks nothing, and reveals nothing internal."""
