"""The cost of an operation: the number of fields in its answer if every page and list in it is full.

A field that searches through much costs more than its answer.
"""

# graphql-core leaves the type parameters of its lists and non-null types unknown.
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
from schema.list_sizes import IntrospectionSizes, is_paged, max_items, search_cost


class _Given(NamedTuple):
    """A variable's value as far as it affects the cost: as a page size, which may be null, and as a list."""

    size: int | None
    length: int

    @classmethod
    def of(cls, value: object) -> "_Given":
        if isinstance(value, list):
            return cls(MAX_PAGE_SIZE, len(cast("list[object]", value)))
        if value is None or isinstance(value, int):
            return cls(value if value is None else min(max(value, 0), MAX_PAGE_SIZE), 1)
        return cls(MAX_PAGE_SIZE, 1)


Sizes: TypeAlias = tuple[_Given | None, ...]
"""An operation's variables, in order, as far as they affect its cost; None for an omitted one."""


class Cost:
    """Computes the cost of an operation of a valid document. The sizes of nested pages multiply."""

    def __init__(
        self,
        schema: GraphQLSchema,
        introspection: IntrospectionSizes,
        document: DocumentNode,
        operation: OperationDefinitionNode,
    ) -> None:
        self._schema = schema
        self._introspection = introspection
        self._operation = operation
        self.variables = [each.variable.name.value for each in operation.variable_definitions or ()]
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
        """Return the variables as far as they affect the cost."""
        return tuple(_Given.of(variables[name]) if name in variables else None for name in self.variables)

    def with_sizes(self, sizes: Sizes) -> int:
        """Return the cost with variables of these sizes.

        Each fragment is measured once, so the time is proportional to the length of the document.
        """
        root = self._schema.get_root_type(self._operation.operation)
        if root is None:
            return 0
        given = {name: size for name, size in zip(self.variables, sizes, strict=True) if size is not None}
        answer = _Answer(self._schema, self._introspection, self._defaults, self._fragments, given)
        return ceil(answer.fields(self._operation.selection_set, root.name, _Place()))


_Count: TypeAlias = int | Fraction


class _Place(NamedTuple):
    """The position of an object in the answer, as far as it determines the lengths of the object's lists.

    `page` is the page size if the object is a page, such as a connection. `exhaustive` says that the answer
    has every object of this type in the schema, for the types of introspection.
    """

    page: int = 0
    exhaustive: bool = False


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
        """Return the maximum number of fields in an object of the type, with all that is nested in it."""
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
        """Return the maximum cost of the selection: of what it adds to the answer, and of searching."""
        named = _named_type(field)
        if not is_composite_type(named):
            return 1
        exhaustive = IntrospectionSizes.is_exhaustive(parent, node.name.value, exhaustive=place.exhaustive)
        items: _Count = 1
        page = 0
        if _is_list(field):
            items = self._list_size(field, node, parent, place)
        elif is_object_type(named) and any(_is_paged(name, each) for name, each in named.fields.items()):
            page = self._page_size(field, node)
        nested = self.fields(node.selection_set, named.name, _Place(page, exhaustive))
        return 1 + search_cost(field) + items * nested

    def _list_size(self, field: GraphQLField, node: FieldNode, parent: str, place: _Place) -> _Count:
        """Return the maximum length of a list."""
        if _is_paged(node.name.value, field):
            return place.page
        given = {argument.name.value: argument.value for argument in node.arguments or ()}
        if "ids" in field.args:
            return self._length(given.get("ids"))
        if "first" in field.args:
            return self._page_size(field, node)
        noted = max_items(field)
        if noted is None:
            noted = self._introspection.of(parent, node.name.value, exhaustive=place.exhaustive)
        # A list that declares no maximum is assumed to be as long as the largest page.
        return MAX_PAGE_SIZE if noted is None else noted

    def _page_size(self, field: GraphQLField, node: FieldNode) -> int:
        """Return the maximum number of items on a page."""
        given = {argument.name.value: argument.value for argument in node.arguments or ()}
        sizes = [self._size(given[name]) for name in ("first", "last") if name in given]
        found = [size for size in sizes if size is not None]
        if not found:
            default = field.args["first"].default_value
            return default if isinstance(default, int) else DEFAULT_PAGE_SIZE
        # The resolver rejects sizes that are out of range.
        return min(max(0, *found), MAX_PAGE_SIZE)

    def _size(self, value: ValueNode | None) -> int | None:
        """Return the value of a page size argument; None if it is omitted or null."""
        if isinstance(value, VariableNode):
            name = value.name.value
            given = self._variables.get(name)
            return self._size(self._defaults.get(name)) if given is None else given.size
        return int(value.value) if isinstance(value, IntValueNode) else None

    def _length(self, value: ValueNode | None) -> int:
        """Return the length of a list argument. GraphQL accepts a single item in place of a list of one."""
        if isinstance(value, VariableNode):
            name = value.name.value
            given = self._variables.get(name)
            return self._length(self._defaults.get(name)) if given is None else given.length
        return len(value.values) if isinstance(value, ListValueNode) else 1


def _named_type(field: GraphQLField) -> GraphQLNamedType:
    return get_named_type(field.type)


def _is_paged(name: str, field: GraphQLField) -> bool:
    """Return whether the field is the list of a page, whose size the field of the page determines."""
    return name == "edges" or is_paged(field)


def _is_list(field: GraphQLField) -> bool:
    return is_list_type(get_nullable_type(field.type))
