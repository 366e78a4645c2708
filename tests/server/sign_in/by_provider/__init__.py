"""Signing in with a provider: walked as a browser does, and everything that may go wrong there."""
