"""Tests of the database: statements, the pool, migrations and the embedded PostgreSQL."""
