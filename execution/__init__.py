"""Parses, limits, caches and executes GraphQL documents, and formats the answers."""
