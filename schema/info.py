"""What a field is handed besides its arguments."""

import strawberry

from resolvers.context import Context

Info = strawberry.Info[Context, None]
