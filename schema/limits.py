"""How large a document may be, checked before anything is spent on it."""

from dataclasses import dataclass

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    is_composite_type,
)

from resolvers.pages import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE

# What a list without arguments is taken to hold: participants, or the fields of a type.
_LIST_SIZE = 5


@dataclass(frozen=True, slots=True)
class DocumentLimits:
    """The largest document that is executed, its fragments counted wherever they are spread.

    `answer_fields` is how many fields the answer may have if every page and list in it is full.
    """

    tokens: int = 5000
    depth: int = 15
    fields: int = 5000
    aliases: int = 200
    directives: int = 200
    answer_fields: int = 125_000


class DocumentTooComplex(Exception):
    """A document is over one of the limits; the message names it."""


@dataclass(frozen=True, slots=True)
class _Size:
    depth: int = 0
    fields: int = 0
    aliases: int = 0
    directives: int = 0


def check_document(document: DocumentNode, limits: DocumentLimits) -> None:
    """Accept a parsed document, valid or not.

    Every fragment is measured once, so the time is proportional to the document's text even where its
    fragments unfold exponentially.

    Raises:
        DocumentTooComplex: it is over a limit.
    """
    measure = _Measure(document, limits)
    for definition in document.definitions:
        if isinstance(definition, OperationDefinitionNode | FragmentDefinitionNode):
            measure.check(definition)


class _Measure:
    def __init__(self, document: DocumentNode, limits: DocumentLimits) -> None:
        self._limits = limits
        self._fragments = {
            definition.name.value: definition
            for definition in document.definitions
            if isinstance(definition, FragmentDefinitionNode)
        }
        self._sizes: dict[str, _Size] = {}

    def check(self, definition: OperationDefinitionNode | FragmentDefinitionNode) -> None:
        """Accept an operation, or a fragment, which need not be used: it is validated all the same."""
        size = self._selection_size(definition.selection_set, 1)
        directives = size.directives + sum(
            len(each.directives or ()) for each in (definition, *(definition.variable_definitions or ()))
        )
        counts = (
            ("fields", size.fields, self._limits.fields),
            ("aliases", size.aliases, self._limits.aliases),
            ("directives", directives, self._limits.directives),
        )
        for name, count, limit in counts:
            if count > limit:
                raise DocumentTooComplex(f"The operation has over {limit} {name}: split it.")

    def _selection_size(self, selection_set: SelectionSetNode | None, level: int) -> _Size:
        """Measure what is selected; `level` is how deep in the document's own text it stands."""
        if selection_set is None:
            return _Size()
        if level > self._limits.depth:
            raise self._too_deep()
        depth = fields = aliases = directives = 0
        for selection in selection_set.selections:
            directives += len(selection.directives or ())
            if isinstance(selection, FieldNode):
                inner = self._selection_size(selection.selection_set, level + 1)
                depth = max(depth, inner.depth + 1)
                fields += 1
                aliases += selection.alias is not None
            elif isinstance(selection, FragmentSpreadNode):
                inner = self._fragment_size(selection.name.value)
                depth = max(depth, inner.depth)
            elif isinstance(selection, InlineFragmentNode):
                # It adds no level to the answer, but one to the recursion here.
                inner = self._selection_size(selection.selection_set, level + 1)
                depth = max(depth, inner.depth)
            else:
                continue
            fields += inner.fields
            aliases += inner.aliases
            directives += inner.directives
        if depth > self._limits.depth:
            raise self._too_deep()
        return _Size(depth, fields, aliases, directives)

    def _fragment_size(self, name: str) -> _Size:
        known = self._sizes.get(name)
        if known is None:
            # Met again before it is measured, it is a cycle, which validation turns down by name.
            self._sizes[name] = _Size()
            fragment = self._fragments.get(name)
            known = self._selection_size(fragment.selection_set if fragment else None, 1)
            self._sizes[name] = known
        return known

    def _too_deep(self) -> DocumentTooComplex:
        return DocumentTooComplex(
            f"The operation is over {self._limits.depth} levels deep: fetch in several requests."
        )


def check_answer(schema: GraphQLSchema, document: DocumentNode, limits: DocumentLimits) -> None:
    """Accept a valid document by what its answers may come to: pages within pages multiply.

    Raises:
        DocumentTooComplex: it is over the limit.
    """
    answer = _Answer(schema, document)
    for definition in document.definitions:
        if isinstance(definition, OperationDefinitionNode):
            root = schema.get_root_type(definition.operation)
            if root is not None and answer.fields(definition.selection_set, root.name) > limits.answer_fields:
                raise DocumentTooComplex(
                    f"The answer could have over {limits.answer_fields} fields: ask for smaller pages."
                )


class _Answer:
    def __init__(self, schema: GraphQLSchema, document: DocumentNode) -> None:
        self._schema = schema
        self._fragments = {
            definition.name.value: definition
            for definition in document.definitions
            if isinstance(definition, FragmentDefinitionNode)
        }
        self._in_fragments: dict[str, int] = {}

    def fields(self, selection_set: SelectionSetNode | None, type_name: str) -> int:
        """Return how many fields an object of the type may have in the answer, with all that is below it."""
        parent = self._schema.get_type(type_name)
        if selection_set is None or not is_composite_type(parent):
            return 0
        total = 0
        for selection in selection_set.selections:
            if isinstance(selection, FragmentSpreadNode):
                total += self._in_fragment(selection.name.value)
            elif isinstance(selection, InlineFragmentNode):
                condition = selection.type_condition
                total += self.fields(
                    selection.selection_set, condition.name.value if condition else type_name
                )
            elif isinstance(selection, FieldNode):
                field = self._schema.get_field(parent, selection.name.value)
                if field is not None:
                    below = self.fields(selection.selection_set, _spelt_type(field).strip("[]!"))
                    total += _most_items(field, selection) * (1 + below)
        return total

    def _in_fragment(self, name: str) -> int:
        if name not in self._in_fragments:
            fragment = self._fragments[name]
            self._in_fragments[name] = self.fields(fragment.selection_set, fragment.type_condition.name.value)
        return self._in_fragments[name]


def _most_items(field: GraphQLField, node: FieldNode) -> int:
    """Return how many items a field may give: those of its page, for a field that is paged."""
    given = {argument.name.value: argument.value for argument in node.arguments or ()}
    if "first" in field.args:
        sizes = [given[name] for name in ("first", "last") if name in given]
        if not sizes:
            default = field.args["first"].default_value
            return default if isinstance(default, int) else DEFAULT_PAGE_SIZE
        # What is out of range is refused when it comes to that.
        literals = [int(size.value) if isinstance(size, IntValueNode) else MAX_PAGE_SIZE for size in sizes]
        return min(max(0, *literals), MAX_PAGE_SIZE)
    if "ids" in field.args:
        ids = given["ids"]
        return len(ids.values) if isinstance(ids, ListValueNode) else MAX_PAGE_SIZE
    # The edges are as many as the page that they are in.
    is_list = "[" in _spelt_type(field) and node.name.value != "edges"
    return _LIST_SIZE if is_list else 1


def _spelt_type(field: GraphQLField) -> str:
    """Return the field's type as in the schema: `[User!]!`."""
    # graphql-core leaves open what its lists are of.
    return str(field.type)  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
