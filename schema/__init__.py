"""What the API says: the GraphQL types and the built schema."""
