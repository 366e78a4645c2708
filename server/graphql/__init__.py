"""GraphQL over HTTP: requests, execution, and the formats of answers."""
