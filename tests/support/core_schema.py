"""The graphql-core schema inside a Strawberry schema."""

import strawberry
from graphql import GraphQLSchema


def core_schema(schema: strawberry.Schema) -> GraphQLSchema:
    return schema._schema  # pyright: ignore[reportPrivateUsage]  # Strawberry does not publish it
