"""HTTP for every request: framing, heads, bodies, limits on connections, and responses."""
