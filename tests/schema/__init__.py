"""Tests of the API: its contract, and what each operation does."""
