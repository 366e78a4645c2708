"""GraphQL over HTTP and SSE: media types, status codes, frames; and what the operator is told of it all.

https://graphql.github.io/graphql-over-http/draft/ and
https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md
"""
