"""Logs, metrics and the log of requests."""
