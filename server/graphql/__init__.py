"""GraphQL over HTTP: reading requests, executing operations, and the formats of responses."""
