"""The error for operations that plans do not support."""


class Unplannable(Exception):
    """Plans do not support the operation, so graphql-core has to execute it. The message says why."""
