"""Conversion of argument values to the input types and Python names that Strawberry's resolvers expect."""

# Strawberry distinguishes its types at run time.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false

from collections.abc import Callable
from dataclasses import MISSING
from typing import Any, TypeAlias

import strawberry
from strawberry.relay import GlobalID
from strawberry.scalars import is_scalar
from strawberry.types.arguments import convert_argument
from strawberry.types.base import (
    StrawberryList,
    StrawberryMaybe,
    StrawberryObjectDefinition,
    StrawberryOptional,
    get_object_definition,
)
from strawberry.types.enum import StrawberryEnumDefinition
from strawberry.types.field import StrawberryField

from plans.info import PlannedInfo

Convert: TypeAlias = "Callable[[dict[str, Any], PlannedInfo], dict[str, Any]]"
"""Converts the arguments of a field to those of its resolver."""

_ConvertValue: TypeAlias = "Callable[[Any, PlannedInfo], Any]"


def plan_inputs(field: StrawberryField, schema: strawberry.Schema) -> Convert:
    """Return the function that converts the field's arguments."""
    inputs = _Inputs(schema)
    name_of = schema.config.name_converter.from_argument
    planned = [
        (name, argument.python_name, inputs.value(argument.type, name))
        for argument in field.arguments
        for name in (name_of(argument),)
    ]

    def convert(given: dict[str, Any], info: PlannedInfo) -> dict[str, Any]:
        return {
            python_name: convert_value(given[name], info)
            for name, python_name, convert_value in planned
            if name in given
        }

    return convert


class _Inputs:
    def __init__(self, schema: strawberry.Schema) -> None:
        self._registry = schema.schema_converter.scalar_registry
        self._config = schema.config

    def value(self, kind: Any, *path: str) -> _ConvertValue:
        """Return the function that converts a value of this type; special types are left to Strawberry."""
        if self._is_leaf(kind):
            return _unchanged
        if isinstance(kind, StrawberryOptional) and not isinstance(kind, StrawberryMaybe):
            return _unless_none(self.value(kind.of_type, *path))
        if isinstance(kind, StrawberryList):
            item = kind.of_type
            if self._is_leaf(item) or (isinstance(item, StrawberryOptional) and self._is_leaf(item.of_type)):
                # All requests share the default value, and a resolver may modify its list.
                return _unless_none(_copied)
        definition = get_object_definition(kind)
        if definition is not None and definition.is_input and definition.from_input is None:
            return self._object(definition, *path)
        return self._by_strawberry(kind, *path)

    def _is_leaf(self, kind: Any) -> bool:
        return isinstance(kind, StrawberryEnumDefinition) or (
            kind is not GlobalID and is_scalar(kind, self._registry)
        )

    def _object(self, definition: StrawberryObjectDefinition, *path: str) -> _ConvertValue:
        make = definition.origin
        absent: dict[str, Any] = {
            field.python_name: None
            for field in definition.fields
            if field.default_value is MISSING and field.default_factory is MISSING
        }
        planned: list[tuple[str, str, _ConvertValue]] = []
        for field in definition.fields:
            name = self._config.name_converter.from_field(field)
            kind = field.resolve_type(type_definition=definition)
            inner = kind.of_type if isinstance(kind, StrawberryOptional) else kind
            # Planning nested types here would not terminate for a recursive type.
            nested = get_object_definition(inner) is not None
            convert = self._by_strawberry(kind, *path, name) if nested else self.value(kind, *path, name)
            planned.append((name, field.python_name, convert))

        def convert_object(value: Any, info: PlannedInfo) -> Any:
            if value is None or value is strawberry.UNSET:
                return value
            named = absent.copy()
            for name, python_name, convert in planned:
                if name in value:
                    named[python_name] = convert(value[name], info)
            return make(**named)

        return convert_object

    def _by_strawberry(self, kind: Any, *path: str) -> _ConvertValue:
        def convert(value: Any, info: PlannedInfo) -> Any:
            return convert_argument(value, kind, self._registry, self._config, info, path=path)

        return convert


def _unchanged(value: Any, _info: PlannedInfo) -> Any:
    return value


def _copied(value: Any, _info: PlannedInfo) -> Any:
    return list(value)


def _unless_none(convert: _ConvertValue) -> _ConvertValue:
    if convert is _unchanged:
        return convert

    def convert_some(value: Any, info: PlannedInfo) -> Any:
        return value if value is None or value is strawberry.UNSET else convert(value, info)

    return convert_some
