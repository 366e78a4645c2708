"""Relays carry hints between processes: over NATS, PostgreSQL or Unix sockets."""
