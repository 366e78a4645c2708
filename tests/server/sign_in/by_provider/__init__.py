"""Signing in with a provider: the steps of a browser, and everything that can go wrong."""
