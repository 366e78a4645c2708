"""What an operation may cost: how many fields its answer has if every page and list in it is full."""

# graphql-core leaves open what its lists and non-null types are of.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Mapping
from fractions import Fraction
from math import ceil
from typing import Any, NamedTuple, TypeAlias, cast

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLNamedType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_named_type,
    get_nullable_type,
    is_composite_type,
    is_list_type,
    is_object_type,
)

from resolvers.paging import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE
from schema.list_sizes import IntrospectionSizes, max_items


class _Given(NamedTuple):
    """What a variable's value means to the cost: as a page's size, which may be null, and as a list."""

    size: int | None
    length: int

    @classmethod
    def of(cls, value: object) -> "_Given":
        """Say what a value means."""
        if isinstance(value, list):
            return cls(MAX_PAGE_SIZE, len(cast("list[object]", value)))
        if value is None or isinstance(value, int):
            return cls(value if value is None else min(max(value, 0), MAX_PAGE_SIZE), 1)
        return cls(MAX_PAGE_SIZE, 1)


Sizes: TypeAlias = tuple[_Given | None, ...]
"""An operation's variables as far as they decide its cost, in their order; None for what is left out."""


class Cost:
    """The cost of an operation of a valid document; pages in pages multiply."""

    def __init__(
        self,
        schema: GraphQLSchema,
        introspection: IntrospectionSizes,
        document: DocumentNode,
        operation: OperationDefinitionNode,
    ) -> None:
        """Take the operation; nothing is counted yet."""
        self._schema = schema
        self._introspection = introspection
        self._operation = operation
        self._variables = [each.variable.name.value for each in operation.variable_definitions or ()]
        self._defaults = {
            definition.variable.name.value: definition.default_value
            for definition in operation.variable_definitions or ()
        }
        self._fragments = {
            definition.name.value: definition
            for definition in document.definitions
            if isinstance(definition, FragmentDefinitionNode)
        }

    def sizes(self, variables: Mapping[str, Any]) -> Sizes:
        """Return what the variables mean to the cost."""
        return tuple(_Given.of(variables[name]) if name in variables else None for name in self._variables)

    def with_sizes(self, sizes: Sizes) -> int:
        """Return the cost with variables of these sizes.

        Every fragment is measured once, so the time is proportional to the document's text.
        """
        root = self._schema.get_root_type(self._operation.operation)
        if root is None:
            return 0
        given = {name: size for name, size in zip(self._variables, sizes, strict=True) if size is not None}
        answer = _Answer(self._schema, self._introspection, self._defaults, self._fragments, given)
        return ceil(answer.fields(self._operation.selection_set, root.name, _Place()))


_Count: TypeAlias = int | Fraction


class _Place(NamedTuple):
    """What an object's place in the answer means to the sizes of its lists.

    `edges` is the size of the page that it is, for a connection. `of_all` is true where the answer has all
    of the schema's objects of its type, for a type of introspection.
    """

    edges: int = 0
    of_all: bool = False


class _Answer:
    def __init__(
        self,
        schema: GraphQLSchema,
        introspection: IntrospectionSizes,
        defaults: Mapping[str, ValueNode | None],
        fragments: Mapping[str, FragmentDefinitionNode],
        variables: Mapping[str, _Given],
    ) -> None:
        self._schema = schema
        self._introspection = introspection
        self._defaults = defaults
        self._fragments = fragments
        self._variables = variables
        self._in_fragments: dict[tuple[str, _Place], _Count] = {}

    def fields(self, selection_set: SelectionSetNode | None, type_name: str, place: _Place) -> _Count:
        """Return how many fields an object of the type may have in the answer, with all that is below it."""
        parent = self._schema.get_type(type_name)
        if selection_set is None or not is_composite_type(parent):
            return 0
        total: _Count = 0
        for selection in selection_set.selections:
            if isinstance(selection, FragmentSpreadNode):
                total += self._in_fragment(selection.name.value, place)
            elif isinstance(selection, InlineFragmentNode):
                condition = selection.type_condition
                total += self.fields(
                    selection.selection_set, condition.name.value if condition else type_name, place
                )
            elif isinstance(selection, FieldNode):
                field = self._schema.get_field(parent, selection.name.value)
                if field is not None:
                    total += self._in_field(field, selection, type_name, place)
        return total

    def _in_fragment(self, name: str, place: _Place) -> _Count:
        if (name, place) not in self._in_fragments:
            fragment = self._fragments[name]
            type_name = fragment.type_condition.name.value
            self._in_fragments[name, place] = self.fields(fragment.selection_set, type_name, place)
        return self._in_fragments[name, place]

    def _in_field(self, field: GraphQLField, node: FieldNode, parent: str, place: _Place) -> _Count:
        """Return how many fields the field comes to: itself, and what is in it."""
        named = _named_type(field)
        if not is_composite_type(named):
            return 1
        of_all = IntrospectionSizes.is_of_all(parent, node.name.value, of_all=place.of_all)
        items: _Count = 1
        edges = 0
        if _is_list(field):
            items = self._list_size(field, node, parent, place)
        elif is_object_type(named) and "edges" in named.fields:
            edges = self._page_size(field, node)
        return 1 + items * self.fields(node.selection_set, named.name, _Place(edges, of_all))

    def _list_size(self, field: GraphQLField, node: FieldNode, parent: str, place: _Place) -> _Count:
        """Return how many items a list holds at most."""
        if node.name.value == "edges":
            return place.edges
        given = {argument.name.value: argument.value for argument in node.arguments or ()}
        if "ids" in field.args:
            return self._length(given.get("ids"))
        if "first" in field.args:
            return self._page_size(field, node)
        noted = max_items(field)
        if noted is None:
            noted = self._introspection.of(parent, node.name.value, of_all=place.of_all)
        # A list of which nothing is known may be as long as a page.
        return MAX_PAGE_SIZE if noted is None else noted

    def _page_size(self, field: GraphQLField, node: FieldNode) -> int:
        """Return how many items a page holds at most."""
        given = {argument.name.value: argument.value for argument in node.arguments or ()}
        sizes = [self._size(given[name]) for name in ("first", "last") if name in given]
        found = [size for size in sizes if size is not None]
        if not found:
            default = field.args["first"].default_value
            return default if isinstance(default, int) else DEFAULT_PAGE_SIZE
        # A size out of range is refused when the field is resolved.
        return min(max(0, *found), MAX_PAGE_SIZE)

    def _size(self, value: ValueNode | None) -> int | None:
        """Return the number that a size stands for; None where it is not given."""
        if isinstance(value, VariableNode):
            name = value.name.value
            given = self._variables.get(name)
            return self._size(self._defaults.get(name)) if given is None else given.size
        return int(value.value) if isinstance(value, IntValueNode) else None

    def _length(self, value: ValueNode | None) -> int:
        """Return how many items a list has; one item need not be in a list."""
        if isinstance(value, VariableNode):
            name = value.name.value
            given = self._variables.get(name)
            return self._length(self._defaults.get(name)) if given is None else given.length
        return len(value.values) if isinstance(value, ListValueNode) else 1


def _named_type(field: GraphQLField) -> GraphQLNamedType:
    return get_named_type(field.type)


def _is_list(field: GraphQLField) -> bool:
    return is_list_type(get_nullable_type(field.type))
