"""Signing in: by username for development, and with GitHub or an OpenID provider."""
