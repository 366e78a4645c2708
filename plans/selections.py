"""The fields that an operation selects on each type, compiled to functions that resolve and complete them."""

# graphql-core leaves the type parameters of its lists and non-null types unknown.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Sequence
from functools import partial

from graphql import (
    FragmentDefinitionNode,
    GraphQLObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
)
from graphql.execution.collect_fields import (
    CollectedFields,
    FieldDetailsList,
    FragmentDetails,
    collect_fields,
    collect_subfields,
)
from graphql.execution.values import VariableValues

from plans.completion import PlanObject
from plans.fields import PlannedField, ResolveField, object_of, plan_field
from plans.generation import Generation
from plans.info import SelectedField
from plans.unplannable import Unplannable

# The key's quotes, a colon, a comma, and the quotes of a string value or an average value of another type.
_SIZE_OF_A_FIELD = 6


class Selections:
    """Plans an operation's selections for one combination of skipped and included ones."""

    def __init__(
        self,
        schema: GraphQLSchema,
        operation: OperationDefinitionNode,
        fragments: dict[str, FragmentDefinitionNode],
        variables: VariableValues,
        generation: Generation,
    ) -> None:
        """Evaluate `@skip` and `@include` with these variables, and generate source up to a limit."""
        self._schema = schema
        self._operation = operation
        self._fragments = fragments
        self._details = {name: FragmentDetails(each) for name, each in fragments.items()}
        self._variables = variables
        self._generation = generation

    def root(self, root_type: GraphQLObjectType) -> tuple[list[ResolveField], int]:
        """Return the root fields in order, and the size of their keys.

        Raises:
            Unplannable: plans do not support one of the fields.
        """
        fields, size = self._fields(root_type)
        return [each.resolve for each in fields], size

    def root_field(self, root_type: GraphQLObjectType) -> SelectedField:
        """Return the only root field of a subscription."""
        [(selected, _)] = self.selected_on(root_type)
        return selected

    def selected_on(
        self, parent: GraphQLObjectType, details: FieldDetailsList | None = None
    ) -> list[tuple[SelectedField, FieldDetailsList]]:
        """Return the root fields; with the details of a field, the fields of its objects of this type.

        Raises:
            Unplannable: plans do not support one of them.
        """
        collected = self._collected(parent, details)
        return [(self._selected(parent, each), each) for each in collected.grouped_field_set.values()]

    def plan_object(self, details: FieldDetailsList, object_type: GraphQLObjectType) -> PlanObject:
        """Return the function that completes an object of this type with its selected fields.

        Raises:
            Unplannable: plans do not support one of the fields.
        """
        fields, size = self._fields(object_type, details)
        return self._generation.object(object_type, fields, size) or object_of(fields, size)

    @property
    def sources(self) -> Sequence[str]:
        """The sources of the generated functions, inner ones first."""
        return self._generation.sources

    def _fields(
        self, parent: GraphQLObjectType, details: FieldDetailsList | None = None
    ) -> tuple[list[PlannedField], int]:
        """Return the fields, and their approximate size in bytes without strings."""
        fields = [
            plan_field(selected, partial(self.plan_object, each))
            for selected, each in self.selected_on(parent, details)
        ]
        return fields, _size_of_keys(fields)

    def _collected(self, parent: GraphQLObjectType, details: FieldDetailsList | None) -> CollectedFields:
        if details is None:
            collected = collect_fields(self._schema, self._details, self._variables, parent, self._operation)
        else:
            collected = collect_subfields(
                self._schema, self._details, self._variables, self._operation, parent, details
            )
        if collected.new_defer_usages:
            raise Unplannable("@defer")
        return collected

    def _selected(self, parent: GraphQLObjectType, details: FieldDetailsList) -> SelectedField:
        if any(each.fragment_variable_values for each in details):
            raise Unplannable("a fragment with arguments")
        nodes = [each.node for each in details]
        name = nodes[0].name.value
        definition = self._schema.get_field(parent, name)
        if definition is None:
            raise Unplannable(f"{parent.name} has no field {name}")
        return SelectedField(self._schema, self._operation, self._fragments, parent, definition, nodes)


def _size_of_keys(fields: Sequence[PlannedField]) -> int:
    """Return the approximate size of an object in bytes, without the strings in its fields."""
    return 2 + sum(len(each.selected.key.encode()) + _SIZE_OF_A_FIELD for each in fields)
