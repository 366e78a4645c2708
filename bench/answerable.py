"""Reduces documents to the fields that a schema has."""

from collections.abc import Mapping, Sequence
from typing import Any

from graphql import (
    REMOVE,
    FieldNode,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    parse,
    print_ast,
    validate,
    visit,
)


def forms(documents: Sequence[str], schema: GraphQLSchema) -> Mapping[str, str | None]:
    """Return each document without the fields that the schema does not have.

    A document becomes None if the schema cannot answer the rest: nothing is left, or an argument is unknown.
    """
    return {document: _form(document, schema) for document in documents}


def _form(document: str, schema: GraphQLSchema) -> str | None:
    whole = parse(document)
    if not validate(schema, whole):
        return document
    types = TypeInfo(schema)
    rest = visit(whole, TypeInfoVisitor(types, _Pruning(types)))
    if not rest.definitions or validate(schema, rest):
        return None
    return print_ast(rest)


class _Pruning(Visitor):
    """Removes unknown fields, all fields of unknown types, and selections that are then empty."""

    def __init__(self, types: TypeInfo) -> None:
        super().__init__()
        self._types = types

    def enter_field(self, _node: FieldNode, *_args: Any) -> Any:
        return None if self._types.get_field_def() else REMOVE

    def leave_field(self, node: FieldNode, *_args: Any) -> Any:
        return REMOVE if _is_empty(node) else None

    def leave_inline_fragment(self, node: InlineFragmentNode, *_args: Any) -> Any:
        return REMOVE if _is_empty(node) else None

    def leave_operation_definition(self, node: OperationDefinitionNode, *_args: Any) -> Any:
        return REMOVE if _is_empty(node) else None


def _is_empty(node: FieldNode | InlineFragmentNode | OperationDefinitionNode) -> bool:
    return node.selection_set is not None and not node.selection_set.selections
