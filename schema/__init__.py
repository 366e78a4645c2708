"""The GraphQL schema: types, arguments and descriptions."""
