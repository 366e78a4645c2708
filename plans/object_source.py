"""Source of the functions that build the objects of a response, one for each selection of a type.

    def complete_Message(run, source, place):
        run.work += 3
        run.size += 59
        id = NOT_READ
        try:
            value = source.id  # Message.id: ID!
            if type(value) is str:
                if len(value) > 64: run.count_text(value)
                id = value
            else:
                id = complete_id(run, value, place)
        except Exception as error:
            return resume(run, source, place, (id,), error)
        response = {'id': id, 'kind': 'Message', 'author': None}
        at = (place, 'author', response, False)
        try:
            value = author(source, PlannedInfo(run, Message_author, place))  # Message.author: User!
            if type(value) is User:
                response['author'] = complete_User(run, value, at)
            else:
                put_author(run, value, response, at)
        except Exception as error:
            fail_author(run, error, at)
        return response

The leading fields that read scalars and enum values from attributes are completed before the response's
object exists. The others need it, because it is part of their place. Values that do not match the schema
go to the functions of the field. Text from a document only occurs in string literals.
"""

# graphql-core leaves the type parameters of its lists and non-null types unknown.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import takewhile

from graphql import GraphQLLeafType, GraphQLObjectType, get_nullable_type, is_leaf_type, is_list_type

from plans.fields import Field, PlannedField
from plans.info import PlannedInfo, SelectedField
from plans.leaf_source import leaf_source
from plans.names import Names, attribute
from plans.resolvers import direct_call_of
from plans.resuming import NOT_READ, complete_leaf_of, resume_with
from plans.source import GeneratedFunction, compile_function

_LOCALS = ("run", "source", "place", "response", "value", "coerced", "at", "error")


def generate_object(kind: GraphQLObjectType, fields: Sequence[PlannedField], size: int) -> GeneratedFunction:
    """Return the function that completes an object of this type with these fields.

    `size` is the approximate size of the object in bytes, without the strings in its fields.
    """
    names = Names(*_LOCALS)
    name = names.local(f"complete_{kind.name}")
    lines = [
        f"def {name}(run, source, place):",
        f'    """Return the selected fields of {kind.name}."""',
        f"    run.work += {len(fields)}",
        f"    run.size += {size}",
        *_indented(_ObjectSource(kind, fields, names).lines()),
    ]
    return compile_function(name, "\n".join(lines) + "\n", names.constants)


class _ObjectSource:
    def __init__(self, kind: GraphQLObjectType, fields: Sequence[PlannedField], names: Names) -> None:
        self._kind = kind
        self._fields = fields
        self._names = names

    def lines(self) -> Iterator[str]:
        """Yield the statements that build and return the object."""
        leading = list(takewhile(_is_leading, self._fields))
        following = [each for each in self._fields[len(leading) :] if each.field is not None]
        values: dict[str, str] = {}
        reading: list[str] = []
        for planned in leading:
            if planned.field is not None:
                local = values[planned.selected.key] = self._names.local(planned.field.attribute or "")
                reading += self._leading(planned.selected, planned.field, local)
        if values:
            resume = self._names.constant("resume", resume_with(self._fields))
            yield " = ".join([*values.values(), self._names.constant("NOT_READ", NOT_READ)])
            completed = ", ".join(values.values())
            yield from _tried(reading, f"return {resume}(run, source, place, ({completed},), error)")
        if not following:
            yield f"return {self._object(values)}"
            return
        yield f"response = {self._object(values)}"
        for planned in following:
            if planned.field is not None:
                yield from self._following(planned.selected, planned.field)
        yield "return response"

    def _object(self, values: Mapping[str, str]) -> str:
        """Return the expression for the object with all keys in their order; `values` is by key."""
        items: list[str] = []
        for planned in self._fields:
            key = planned.selected.key
            value = f"{self._kind.name!a}" if planned.field is None else values.get(key, "None")
            items.append(f"{key!a}: {value}")
        return f"{{{', '.join(items)}}}"

    def _leading(self, selected: SelectedField, field: Field, local: str) -> Iterator[str]:
        """Yield the statements that set the local variable to the value of a scalar or enum attribute."""
        complete = self._names.constant(f"complete_{field.attribute}", complete_leaf_of(field))
        leaf = leaf_source(_leaf_type(selected), self._names)
        yield f"value = {attribute('source', field.attribute or '')}{_comment(selected)}"
        yield f"if {leaf.condition}:"
        yield from _indented([*leaf.statements, f"{local} = {leaf.result}"])
        if field.nullable:
            yield "elif value is None:"
            yield f"    {local} = None"
        yield "else:"
        yield f"    {local} = {complete}(run, value, place)"

    def _following(self, selected: SelectedField, field: Field) -> Iterator[str]:
        """Yield the statements that resolve the field and store its value in the response's object."""
        kind, name, key = get_nullable_type(selected.definition.type), selected.name, f"{field.key!a}"
        place = f"(place, {key}, response, {field.nullable})"
        resolve, needs_place = self._resolve(selected, field)
        store, put = f"response[{key}]", self._names.constant(f"put_{name}", field.put)
        cases: list[tuple[str, list[str]]] = []
        if is_leaf_type(kind):
            leaf = leaf_source(kind, self._names)
            cases.append((leaf.condition, [*leaf.statements, f"{store} = {leaf.result}"]))
        elif field.exact_class is not None:
            exact = self._names.constant(field.exact_class.__name__, field.exact_class)
            complete = self._names.constant(_name_of(field.complete_exact), field.complete_exact)
            cases.append((f"type(value) is {exact}", [f"{store} = {complete}(run, value, at)"]))
            needs_place = True
        elif is_list_type(kind):
            complete = self._names.constant(f"complete_{name}", field.complete_nullable)
            cases.append(("type(value) is list", [f"{store} = {complete}(run, value, at)"]))
            needs_place = True
        if needs_place:
            yield f"at = {place}"
            place = "at"
        if field.nullable:
            cases.append(("value is None", ["pass"]))
        fail = self._names.constant(f"fail_{name}", field.fail)
        statements = [f"value = {resolve}{_comment(selected)}"]
        for number, (condition, then) in enumerate(cases):
            statements += [f"{'elif' if number else 'if'} {condition}:", *_indented(then)]
        put_value = f"{put}(run, value, response, {place})"
        statements += ["else:", f"    {put_value}"] if cases else [put_value]
        yield from _tried(statements, f"{fail}(run, error, {place})")

    def _resolve(self, selected: SelectedField, field: Field) -> tuple[str, bool]:
        """Return the expression that resolves the field, and whether it refers to the field's place."""
        if field.attribute is not None:
            return attribute("source", field.attribute), False
        call = direct_call_of(selected)
        if call is None:
            return f"{self._names.constant(f'resolve_{selected.name}', field.resolve)}(run, source, at)", True
        function = self._names.constant(selected.name, call.function)
        arguments = ["source"] if call.takes_source else []
        arguments += [f"{name}=source" for name in call.source_names]
        if call.info_name is not None:
            described = self._names.constant(f"{self._kind.name}_{selected.name}", selected)
            info = f"{self._names.constant('PlannedInfo', PlannedInfo)}(run, {described}, place)"
            if call.takes_info_second:
                arguments.insert(1, info)
            else:
                arguments.append(f"{call.info_name}={info}")
        return f"{function}({', '.join(arguments)})", False


def _is_leading(planned: PlannedField) -> bool:
    """Return whether the field needs no place to be completed, except for errors and awaitables."""
    if planned.field is None:
        return True
    kind = get_nullable_type(planned.selected.definition.type)
    return planned.field.attribute is not None and is_leaf_type(kind)


def _leaf_type(selected: SelectedField) -> GraphQLLeafType:
    kind = get_nullable_type(selected.definition.type)
    assert is_leaf_type(kind)
    return kind


def _name_of(function: object) -> str:
    return getattr(function, "__name__", "complete")


def _comment(selected: SelectedField) -> str:
    return f"  # {selected.parent.name}.{selected.name}: {selected.definition.type}"


def _tried(statements: Iterable[str], handling: str) -> Iterator[str]:
    yield "try:"
    yield from _indented(statements)
    yield "except Exception as error:"
    yield f"    {handling}"


def _indented(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        yield f"    {line}"
