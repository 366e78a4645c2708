"""Whether a client that applies events shows what it would fetch again."""
