"""Documents: parsed, measured and validated once for each text, at the cost of whoever sends a new one."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from time import thread_time
from typing import TypeAlias

from cachetools import LRUCache
from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSyntaxError,
    NameNode,
    NoSchemaIntrospectionCustomRule,
    OperationDefinitionNode,
    SelectionSetNode,
    parse,
    specified_rules,
    validate,
)
from graphql.validation.rules import overlapping_fields_can_be_merged
from strawberry.extensions import SchemaExtension

from execution.budgets import UNLIMITED, WORK_PER_SECOND, Budget
from execution.limits import DocumentLimits, DocumentTooComplex, check_document
from execution.operation import Preparation, PreparedOperation

_CACHED_CHARS = 1024 * 1024
# A field of a plan or parsed document takes up to 2 kB of memory; fragments count wherever they are spread.
_CHARS_PER_FIELD = 32
_REJECTED_CHARS = 4 * 1024 * 1024
# An error quotes names of the document, which may be long.
_MOST_ERROR_CHARS = 1000

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


class DocumentMalformed(Exception):
    """The text is not a document; `error` says where."""

    def __init__(self, error: GraphQLError) -> None:
        super().__init__(error.message)
        self.error = error


_Rejected: TypeAlias = "str | GraphQLError | Document"
"""Why a document is not executed: over the limit that the text names, malformed, or with errors."""


class DocumentCache:
    """Prepares documents, and keeps the recently used ones: some hundreds of usual size.

    Of those that are not executed, it keeps the reasons alone.
    """

    def __init__(self, limits: DocumentLimits, preparation: Preparation) -> None:
        """Make an empty cache; with `hides_schema` a document that introspects is not valid."""
        self._limits = limits
        self._preparation = preparation
        hides_schema = preparation.hides_schema
        self._rules = [*specified_rules, *([NoSchemaIntrospectionCustomRule] if hides_schema else [])]
        self._documents: LRUCache[str, Document] = LRUCache(_CACHED_CHARS, getsizeof=_size)
        self._rejected: LRUCache[bytes, _Rejected] = LRUCache(_REJECTED_CHARS, getsizeof=_size_of_rejected)

    def prepare(self, text: str, budget: Budget = UNLIMITED) -> Document:
        """Return the document of that text; the time that a new one takes is drawn from the budget.

        Raises:
            DocumentMalformed: the text is not a document.
            DocumentTooComplex: it is over a limit.
            RateLimited: the document is new, and the budget is used up.
        """
        document = self._documents.get(text)
        if document is not None:
            return document
        digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        found: _Rejected | None = self._rejected.get(digest)
        if found is None:
            budget.check()
            started = thread_time()
            found = self._prepare(text)
            budget.charge((thread_time() - started) * WORK_PER_SECOND)
            if not isinstance(found, Document) or found.errors:
                self._rejected[digest] = found
            elif _size(found) <= _CACHED_CHARS // 16:
                self._documents[text] = found
        if isinstance(found, str):
            raise DocumentTooComplex(found)
        if isinstance(found, GraphQLError):
            raise DocumentMalformed(found)
        return found

    def _prepare(self, text: str) -> _Rejected:
        try:
            return self._validated(text, self._parsed(text))
        except DocumentTooComplex as error:
            return str(error)
        except RecursionError:
            return _NESTED_TOO_DEEPLY
        except GraphQLSyntaxError as error:
            return _without_source(error)

    def _parsed(self, text: str) -> DocumentNode:
        try:
            return parse(text, max_tokens=self._limits.tokens)
        except GraphQLSyntaxError as error:
            if "tokens. Parsing aborted" in error.message:
                raise DocumentTooComplex(f"The document has over {self._limits.tokens} tokens.") from error
            if "nested too deeply" in error.message:
                raise DocumentTooComplex(_NESTED_TOO_DEEPLY) from error
            raise

    def _validated(self, text: str, node: DocumentNode) -> Document:
        fields = check_document(node, self._limits)
        schema, hides_schema = self._preparation.schema, self._preparation.hides_schema
        errors = validate(schema, node, self._rules, hide_suggestions=hides_schema)
        for error in errors:
            if error.message in _TOO_COMPLEX:
                raise DocumentTooComplex(_TOO_COMPLEX[error.message])
        if errors:
            return self._invalid(node, errors)
        return Document(text, node, (), self._operations(node), fields)

    def _invalid(self, node: DocumentNode, errors: Sequence[GraphQLError]) -> Document:
        """Return what is needed of a document that is not executed: its operations' names, and the errors."""
        emptied = DocumentNode(
            definitions=tuple(
                OperationDefinitionNode(
                    operation=definition.operation,
                    name=NameNode(value=definition.name.value) if definition.name else None,
                    selection_set=SelectionSetNode(selections=()),
                )
                for definition in node.definitions
                if isinstance(definition, OperationDefinitionNode)
            )
        )
        return Document("", emptied, tuple(map(_without_source, errors)), self._operations(emptied), 0)

    def _operations(self, node: DocumentNode) -> Mapping[str | None, PreparedOperation]:
        return {
            definition.name.value if definition.name else None: PreparedOperation(
                self._preparation, node, definition
            )
            for definition in node.definitions
            if isinstance(definition, OperationDefinitionNode)
        }


def _without_source(error: GraphQLError) -> GraphQLError:
    """Return the error without the document that it refers to."""
    message = error.message
    if len(message) > _MOST_ERROR_CHARS:
        message = message[:_MOST_ERROR_CHARS] + "..."
    copied = GraphQLError(message)
    copied.locations = error.locations
    return copied


def _size_of_rejected(rejected: _Rejected) -> int:
    if isinstance(rejected, str):
        return len(rejected)
    errors = rejected.errors if isinstance(rejected, Document) else [rejected]
    names = rejected.operations if isinstance(rejected, Document) else ()
    return sum(200 + len(each.message) for each in errors) + sum(500 + len(name or "") for name in names)


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
