"""Tests of the running program with a real PostgreSQL."""
