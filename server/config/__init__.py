"""The settings, which are validated before anything else starts."""
