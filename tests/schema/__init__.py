"""Tests of the API: its contract, and the effect of each operation."""
