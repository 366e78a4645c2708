"""HTTP for every endpoint: framing, heads, bodies, limits on connections, and responses."""
