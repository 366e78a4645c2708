"""The schema: the printed version is current, and everything is described."""

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    build_schema,
)

from execution.api import Api
from tests.support.checkout import ROOT

PRINTED = ROOT / "graphql" / "schema.graphql"


def test_the_printed_schema_is_current():
    assert PRINTED.read_text() == Api().sdl(), "run `messenger schema > graphql/schema.graphql`"


def test_everything_in_the_schema_is_described():
    bare: list[str] = []
    for name, named_type in build_schema(Api().sdl()).type_map.items():
        if name.startswith("__") or name in {"Boolean", "Float", "ID", "Int", "String"}:
            continue
        bare += [name] * (not named_type.description)
        if isinstance(named_type, GraphQLEnumType):
            values = named_type.values.items()
            bare += [f"{name}.{value}" for value, definition in values if not definition.description]
        if isinstance(named_type, (GraphQLObjectType, GraphQLInterfaceType, GraphQLInputObjectType)):
            for field_name, field in named_type.fields.items():
                bare += [f"{name}.{field_name}"] * (not field.description)
                arguments = getattr(field, "args", {}).items()
                bare += [
                    f"{name}.{field_name}({argument})" for argument, each in arguments if not each.description
                ]
    assert bare == []
