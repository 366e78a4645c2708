"""Tests of the server, by its rooms."""
