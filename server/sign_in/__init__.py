"""Ways to sign in: by username in development, and with a provider."""
