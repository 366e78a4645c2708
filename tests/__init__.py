"""Tests against the running program and a real PostgreSQL."""
