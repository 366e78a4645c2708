"""The `info` argument of this API's resolvers, with its context typed."""

import strawberry

from resolvers.context import Context

Info = strawberry.Info[Context, None]
