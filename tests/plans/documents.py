"""Generates valid documents for any schema, with every feature of a document."""

# graphql-core does not type what its lists and non-null types wrap.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    get_named_type,
    is_composite_type,
    is_enum_type,
    is_leaf_type,
)

_MAX_DEPTH = 4


@dataclass(frozen=True)
class Document:
    """A document and its variables."""

    text: str
    variables: Mapping[str, Any]


@dataclass
class _Draft:
    """A document under construction."""

    schema: GraphQLSchema
    random: Random
    values: Mapping[str, Sequence[Any]]
    fragments: list[str] = field(default_factory=list[str])
    definitions: list[str] = field(default_factory=list[str])
    variables: dict[str, Any] = field(default_factory=dict[str, Any])
    names: int = 0

    def name(self, start: str) -> str:
        self.names += 1
        return f"{start}{self.names}"

    def selections(self, parent: GraphQLNamedType, depth: int, *, only: set[str] | None = None) -> str:
        count = self.random.randint(1, 3)
        parts = [self.selection(parent, depth, only) for _ in range(count)]
        return "{ " + " ".join(parts) + " }"

    def selection(self, parent: GraphQLNamedType, depth: int, only: set[str] | None) -> str:
        kind = self.random.choice(["field"] * 6 + ["inline", "fragment"] * (only is None))
        if kind == "field":
            return self.field(parent, depth, only)
        condition = self.random.choice(self.conditions(parent))
        body = self.selections(condition, depth)
        if kind == "inline":
            return f"... on {condition.name} {self.directives()} {body}"
        name = self.name("F")
        self.fragments.append(f"fragment {name} on {condition.name} {body}")
        again = f" ...{name}" if self.random.random() < 0.5 else ""
        return f"...{name} {self.directives()}{again}"

    def conditions(self, parent: GraphQLNamedType) -> list[GraphQLNamedType]:
        if isinstance(parent, GraphQLInterfaceType | GraphQLUnionType):
            return [parent, *self.schema.get_possible_types(parent)]
        assert isinstance(parent, GraphQLObjectType)
        return [parent, *parent.interfaces]

    def field(self, parent: GraphQLNamedType, depth: int, only: set[str] | None) -> str:
        has_fields = isinstance(parent, GraphQLObjectType | GraphQLInterfaceType)
        fields = dict(parent.fields) if has_fields else {}
        if only is not None:
            fields = {name: each for name, each in fields.items() if name in only}
        if depth >= _MAX_DEPTH:
            fields = {name: each for name, each in fields.items() if is_leaf_type(get_named_type(each.type))}
        names = sorted(fields)
        if only is None:
            names.append("__typename")
        name = self.random.choice(names or ["__typename"])
        if name == "__typename":
            return f"{name} {self.directives()}"
        definition = fields[name]
        arguments = [
            f"{key}: {self.value(key, argument)}"
            for key, argument in definition.args.items()
            if isinstance(argument.type, GraphQLNonNull) or self.random.random() < 0.5
        ]
        # A field without an alias is the same everywhere, so that it can be merged.
        alias = f"{self.name('a')}: " if definition.args or self.random.randint(0, 4) == 0 else ""
        given = f"({', '.join(arguments)})" if arguments else ""
        named = get_named_type(definition.type)
        body = self.selections(named, depth + 1) if is_composite_type(named) else ""
        return f"{alias}{name}{given} {self.directives()} {body}"

    def directives(self) -> str:
        if self.random.randint(0, 5):
            return ""
        name, value = self.random.choice(["skip", "include"]), self.random.random() < 0.5
        if self.random.random() < 0.5:
            return f"@{name}(if: {str(value).lower()})"
        variable = self.name("v")
        self.definitions.append(f"${variable}: Boolean!")
        self.variables[variable] = value
        return f"@{name}(if: ${variable})"

    def value(self, name: str, argument: GraphQLArgument) -> str:
        """Return a literal, or a variable that is given, omitted, or has a default."""
        value = self.of_type(name, argument.type)
        if self.random.random() < 0.5:
            return _literal(value, argument.type)
        variable = self.name("v")
        default = f" = {_literal(value, argument.type)}" if self.random.randint(0, 3) == 0 else ""
        self.definitions.append(f"${variable}: {argument.type}{default}")
        may_be_left_out = bool(default) or not isinstance(argument.type, GraphQLNonNull)
        if not (may_be_left_out and self.random.random() < 0.5):
            self.variables[variable] = value
        return f"${variable}"

    def of_type(self, name: str, kind: GraphQLInputType) -> Any:
        if isinstance(kind, GraphQLNonNull):
            return self.of_type_not_null(name, kind.of_type)
        return None if self.random.randint(0, 4) == 0 else self.of_type_not_null(name, kind)

    def of_type_not_null(self, name: str, kind: GraphQLInputType) -> Any:
        if name in self.values:
            return self.random.choice(self.values[name])
        if isinstance(kind, GraphQLList):
            return [self.of_type(name, kind.of_type) for _ in range(self.random.randint(0, 2))]
        if isinstance(kind, GraphQLInputObjectType):
            return {
                key: self.of_type(key, each.type)
                for key, each in kind.fields.items()
                if isinstance(each.type, GraphQLNonNull) or self.random.random() < 0.5
            }
        if is_enum_type(kind):
            return self.random.choice(sorted(kind.values))
        return self.random.choice(_SCALARS[get_named_type(kind).name])


_SCALARS: Mapping[str, Sequence[Any]] = {
    "Int": range(-3, 30),
    "String": ["", "a", "two words", "ü\n"],
    "ID": ["", "1", "xyz"],
    "Boolean": [True, False],
}


def _literal(value: Any, kind: GraphQLInputType) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, list):
        inner = kind.of_type if isinstance(kind, GraphQLNonNull) else kind
        item = inner.of_type if isinstance(inner, GraphQLList) else inner
        return "[" + ", ".join(_literal(each, item) for each in value) + "]"
    if isinstance(value, dict):
        named = get_named_type(kind)
        assert isinstance(named, GraphQLInputObjectType)
        parts = [f"{key}: {_literal(each, named.fields[key].type)}" for key, each in value.items()]
        return "{" + ", ".join(parts) + "}"
    if is_enum_type(get_named_type(kind)):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def document_from(
    random: Random,
    schema: GraphQLSchema,
    operation: str = "query",
    *,
    only: set[str] | None = None,
    values: Mapping[str, Sequence[Any]] | None = None,
) -> Document:
    """Return a valid document with one operation; its root fields are `only`.

    `values` are the choices for arguments and input fields of those names.
    """
    root = getattr(schema, f"{operation}_type")
    draft = _Draft(schema, random, values or {})
    # A subscription has one field, which must not be conditional.
    body = draft.field(root, 0, only) if operation == "subscription" else None
    body = f"{{ {body} }}" if body else draft.selections(root, 0, only=only)
    definitions = f"({', '.join(draft.definitions)})" if draft.definitions else ""
    text = "\n".join([f"{operation} {definitions} {body}", *draft.fragments])
    return Document(text, draft.variables)
