"""What no plan can be made for."""


class Unplannable(Exception):
    """The operation uses something that plans do not do; the message says what. graphql-core executes it."""
