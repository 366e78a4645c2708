"""The settings, checked before anything starts."""
