"""Tests of the server; the folders correspond to its packages."""
