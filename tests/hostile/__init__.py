"""What nobody well-meaning sends: it costs little, breaks nothing, and tells nothing of our insides."""
