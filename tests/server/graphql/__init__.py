"""GraphQL over HTTP and SSE: media types, status codes, framing, logs and metrics.

https://graphql.github.io/graphql-over-http/draft/ and
https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md
"""
