"""The HTTP endpoints: GraphQL, the web client, GraphiQL, health and metrics."""
