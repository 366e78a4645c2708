"""The fields that an operation selects on each type, compiled to functions that resolve and complete them."""

# graphql-core leaves the type parameters of its lists and non-null types unknown.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

from graphql import (
    FragmentDefinitionNode,
    GraphQLObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    TypeNameMetaFieldDef,
    is_non_null_type,
    located_error,
)
from graphql.execution.collect_fields import (
    CollectedFields,
    FieldDetailsList,
    FragmentDetails,
    collect_fields,
    collect_subfields,
)
from graphql.execution.values import VariableValues
from graphql.pyutils import is_awaitable

from plans.completion import Completion, PlanObject, unchanged_class
from plans.info import SelectedField
from plans.resolvers import Resolve, attribute_of, plan_resolver
from plans.run import MAX_UNCOUNTED_CHARS, Place, Run, path_of
from plans.unplannable import Unplannable

ResolveField: TypeAlias = Callable[[Run, Any, "dict[str, Any]", "Place | None"], None]
"""Stores a field of a source in the response's object; raises if a non-nullable field fails."""

# The key's quotes, a colon, a comma, and the quotes of a string value or an average value of another type.
_SIZE_OF_A_FIELD = 6
_NOTHING_TO_AWAIT = (str, int, float, type(None), list, dict)


class Selections:
    """Plans an operation's selections for one combination of skipped and included ones."""

    def __init__(
        self,
        schema: GraphQLSchema,
        operation: OperationDefinitionNode,
        fragments: dict[str, FragmentDefinitionNode],
        variables: VariableValues,
    ) -> None:
        """Evaluate `@skip` and `@include` with these variables."""
        self._schema = schema
        self._operation = operation
        self._fragments = fragments
        self._details = {name: FragmentDetails(each) for name, each in fragments.items()}
        self._variables = variables

    def root(self, root_type: GraphQLObjectType) -> tuple[list[ResolveField], int]:
        """Return the root fields in order, and the size of their keys."""
        collected = self._collected_root(root_type)
        return self._fields(root_type, collected), _size_of_keys(collected)

    def root_field(self, root_type: GraphQLObjectType) -> SelectedField:
        """Return the only root field of a subscription."""
        [details] = self._collected_root(root_type).grouped_field_set.values()
        return self._selected(root_type, details)

    def _collected_root(self, root_type: GraphQLObjectType) -> CollectedFields:
        return collect_fields(self._schema, self._details, self._variables, root_type, self._operation)

    def _fields(self, parent: GraphQLObjectType, collected: CollectedFields) -> list[ResolveField]:
        if collected.new_defer_usages:
            raise Unplannable("@defer")
        return [self._field(parent, details) for details in collected.grouped_field_set.values()]

    def _field(self, parent: GraphQLObjectType, details: FieldDetailsList) -> ResolveField:
        selected = self._selected(parent, details)
        if selected.definition is TypeNameMetaFieldDef:
            return _type_name(selected.key, parent.name)
        field = _Field(selected, Completion(selected, partial(self._object, details)))
        name, unchanged = attribute_of(selected), unchanged_class(selected.definition.type)
        if name is None or unchanged is None:
            return _planned_resolver(field, plan_resolver(selected))
        return _planned_text(field, name) if unchanged is str else _planned_attribute(field, name, unchanged)

    def _selected(self, parent: GraphQLObjectType, details: FieldDetailsList) -> SelectedField:
        if any(each.fragment_variable_values for each in details):
            raise Unplannable("a fragment with arguments")
        nodes = [each.node for each in details]
        name = nodes[0].name.value
        definition = self._schema.get_field(parent, name)
        if definition is None:
            raise Unplannable(f"{parent.name} has no field {name}")
        return SelectedField(self._schema, self._operation, self._fragments, parent, definition, nodes)

    def _object(self, details: FieldDetailsList, object_type: GraphQLObjectType) -> PlanObject:
        """Return the function that completes an object of this type with its selected fields."""
        collected = collect_subfields(
            self._schema, self._details, self._variables, self._operation, object_type, details
        )
        fields = self._fields(object_type, collected)
        count, size = len(fields), _size_of_keys(collected)

        def plan_object(run: Run, source: Any, place: Place) -> dict[str, Any]:
            run.work += count
            run.size += size
            response: dict[str, Any] = {}
            for resolve in fields:
                resolve(run, source, response, place)
            return response

        return plan_object


def _size_of_keys(collected: CollectedFields) -> int:
    """Return the approximate size of an object in bytes, without the strings in its fields."""
    return 2 + sum(len(key.encode()) + _SIZE_OF_A_FIELD for key in collected.grouped_field_set)


def _type_name(key: str, name: str) -> ResolveField:
    def resolve(_run: Run, _source: Any, response: dict[str, Any], _parent: "Place | None") -> None:
        response[key] = name

    return resolve


class _Field:
    """A selected field: stores its values in the response's object, or records that it failed.

    https://spec.graphql.org/draft/#sec-Executing-Fields
    """

    __slots__ = ("_complete", "_nodes", "complete_exact", "exact_class", "key", "nullable")

    def __init__(self, selected: SelectedField, completion: Completion) -> None:
        kind = selected.definition.type
        self.key = selected.key
        self.nullable = not is_non_null_type(kind)
        self._nodes = selected.nodes
        self._complete = completion.of(kind)
        self.exact_class, self.complete_exact = completion.exact(kind)

    def put(self, run: Run, value: Any, response: dict[str, Any], place: Place) -> None:
        """Complete and store what the field resolved to."""
        if isinstance(value, _NOTHING_TO_AWAIT) or not is_awaitable(value):
            response[self.key] = self._complete(run, value, place)
        else:
            # Reserves the key now: the fields of a response are in the order of their selection.
            response[self.key] = None
            run.wait_for(value, self._complete, self._nodes, place)

    def fail(self, run: Run, error: Exception, place: Place) -> None:
        """Record an error of the field, or raise it if the field is not nullable."""
        locate = partial(located_error, error, self._nodes, path_of(place))
        if not self.nullable:
            raise locate() from error
        run.fail(locate, place)


def _planned_resolver(field: _Field, resolve: Resolve) -> ResolveField:
    """Resolve the field by calling its resolver."""
    key, nullable, put, fail = field.key, field.nullable, field.put, field.fail
    exact_class, complete_exact = field.exact_class, field.complete_exact

    def resolve_field(run: Run, source: Any, response: dict[str, Any], parent: "Place | None") -> None:
        place = (parent, key, response, nullable)
        try:
            value = resolve(run, source, place)
            if type(value) is exact_class:
                response[key] = complete_exact(run, value, place)
            else:
                put(run, value, response, place)
        except Exception as error:
            fail(run, error, place)

    return resolve_field


def _planned_text(field: _Field, name: str) -> ResolveField:
    """Resolve the field to an attribute of its source that is a string."""
    key, nullable, put, fail = field.key, field.nullable, field.put, field.fail

    def resolve_text(run: Run, source: Any, response: dict[str, Any], parent: "Place | None") -> None:
        try:
            value = getattr(source, name)
            if type(value) is str:
                response[key] = value
                if len(value) > MAX_UNCOUNTED_CHARS:
                    run.count_text(value)
            elif value is None and nullable:
                response[key] = None
            else:
                put(run, value, response, (parent, key, response, nullable))
        except Exception as error:
            fail(run, error, (parent, key, response, nullable))

    return resolve_text


def _planned_attribute(field: _Field, name: str, unchanged: type) -> ResolveField:
    """Resolve the field to an attribute of its source that is the response's value if it is of this class."""
    key, nullable, put, fail = field.key, field.nullable, field.put, field.fail

    def resolve_attribute(run: Run, source: Any, response: dict[str, Any], parent: "Place | None") -> None:
        try:
            value = getattr(source, name)
            if type(value) is unchanged or (value is None and nullable):
                response[key] = value
            else:
                put(run, value, response, (parent, key, response, nullable))
        except Exception as error:
            fail(run, error, (parent, key, response, nullable))

    return resolve_attribute
