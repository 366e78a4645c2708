"""Tests of the database: statements, the pool, migrations, the embedded PostgreSQL."""
