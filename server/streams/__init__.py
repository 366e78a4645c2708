"""Event streams: which are open, and what is sent on them."""
