"""Documents: parsed, measured and validated once for each text."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from cachetools import LRUCache
from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    NoSchemaIntrospectionCustomRule,
    OperationDefinitionNode,
    parse,
    specified_rules,
    validate,
)
from graphql.validation.rules import overlapping_fields_can_be_merged
from strawberry.extensions import SchemaExtension

from schema.limits import DocumentLimits, DocumentTooComplex, check_document
from schema.operations import PreparedOperation

_CACHED_CHARS = 1024 * 1024
# A field of a plan or parsed document takes up to 2 kB of memory; fragments count wherever they are spread.
_CHARS_PER_FIELD = 32

_NESTED_TOO_DEEPLY = "The document is nested too deeply."
# What graphql-core says when it gives up, by the words for the client.
_TOO_COMPLEX = {
    "Validation aborted.": "The document selects the same fields too often, or has too many fragments.",
    "Maximum introspection depth exceeded": "The introspection is circular.",
}
# Fields that are to become one are compared in pairs, while the process does nothing else: for a second up to
# the library's own limit, for a fifth of one up to this, which allows 130 fragments on one object.
overlapping_fields_can_be_merged.MAX_COMPLEXITY_BUDGET = 100_000


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed document, and what is wrong with it; with `errors` it is not executed.

    `fields` is how many it has, its fragments spread out.
    """

    text: str
    node: DocumentNode
    errors: tuple[GraphQLError, ...]
    operations: Mapping[str | None, PreparedOperation]
    fields: int

    def operation(self, name: str | None) -> PreparedOperation:
        """Return the operation of that name, or without a name the only one.

        Raises:
            OperationUnknown: there is none, or more than one.
        """
        if name is None and len(self.operations) == 1:
            return next(iter(self.operations.values()))
        if name is None and self.operations:
            raise OperationUnknown("The document has several operations: say which with `operationName`.")
        if name is None:
            raise OperationUnknown("The document has no operation.")
        if name not in self.operations:
            raise OperationUnknown(f"The document has no operation named {name!r}.")
        return self.operations[name]


class OperationUnknown(Exception):
    """Which operation of the document to execute cannot be told; the message says why."""


class DocumentCache:
    """Prepares documents, and keeps the recently used ones: some hundreds of usual size."""

    def __init__(self, limits: DocumentLimits, *, introspection: bool) -> None:
        """Make an empty cache; without `introspection` a document that introspects is not valid."""
        self._limits = limits
        self._hides_schema = not introspection
        self._rules = [*specified_rules, *([NoSchemaIntrospectionCustomRule] if self._hides_schema else [])]
        self._documents: LRUCache[str, Document] = LRUCache(_CACHED_CHARS, getsizeof=_size)

    def prepare(self, schema: GraphQLSchema, text: str) -> Document:
        """Return the document of that text.

        Raises:
            GraphQLSyntaxError: the text is no document.
            DocumentTooComplex: it is over a limit.
        """
        document = self._documents.get(text)
        if document is None:
            try:
                document = self._prepare(schema, text)
            except RecursionError as error:
                raise DocumentTooComplex(_NESTED_TOO_DEEPLY) from error
            if _size(document) <= _CACHED_CHARS // 16:
                self._documents[text] = document
        return document

    def _prepare(self, schema: GraphQLSchema, text: str) -> Document:
        try:
            node = parse(text, max_tokens=self._limits.tokens)
        except GraphQLSyntaxError as error:
            if "tokens. Parsing aborted" in error.message:
                raise DocumentTooComplex(f"The document has over {self._limits.tokens} tokens.") from error
            if "nested too deeply" in error.message:
                raise DocumentTooComplex(_NESTED_TOO_DEEPLY) from error
            raise
        fields = check_document(node, self._limits)
        operations = {
            definition.name.value if definition.name else None: PreparedOperation(
                schema, node, definition, fields=fields
            )
            for definition in node.definitions
            if isinstance(definition, OperationDefinitionNode)
        }
        errors = validate(schema, node, self._rules, hide_suggestions=self._hides_schema)
        for error in errors:
            if error.message in _TOO_COMPLEX:
                raise DocumentTooComplex(_TOO_COMPLEX[error.message])
        return Document(text, node, tuple(errors), operations, fields)


def _size(document: Document) -> int:
    return len(document.text) + _CHARS_PER_FIELD * document.fields + 1


class PreparedDocument(SchemaExtension):
    """Hands Strawberry a prepared document, so that it neither parses nor validates again."""

    def __init__(self, prepare: Callable[[str], Document]) -> None:
        """Take documents from there."""
        self._prepare = prepare

    def on_parse(self) -> Iterator[None]:
        """Put the document where the parser would."""
        context = self.execution_context
        document = self._prepare(context.query or "")
        context.graphql_document = document.node
        context.pre_execution_errors = list(document.errors)
        yield
