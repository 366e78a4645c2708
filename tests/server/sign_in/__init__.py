"""Signing in and out: who gets a token, where it is accepted, and what other sites cannot do with it."""
