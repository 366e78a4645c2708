"""Documents, parsed, measured and validated once per text. The client that sends a new one pays for it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from importlib import import_module
from typing import Any, TypeAlias

from cachetools import LRUCache
from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSyntaxError,
    NameNode,
    Node,
    NoSchemaIntrospectionCustomRule,
    OperationDefinitionNode,
    SelectionSetNode,
    parse,
    print_ast,
    specified_rules,
    validate,
)
from graphql.validation.rules import overlapping_fields_can_be_merged
from strawberry.extensions import SchemaExtension

from execution.budgets import UNLIMITED, Budget
from execution.limits import DocumentLimits, DocumentTooComplex, check_document
from execution.operation import Preparation, PreparedOperation
from execution.work_thread import WorkThread
from plans import MAX_GENERATED_FIELDS

_CACHED_CHARS = 1024 * 1024
# A field of a plan or parsed document takes up to 3 kB of memory. A fragment counts once per spread.
_CHARS_PER_FIELD = 32
# The source of a field, and its code, take up to another 2 kB.
_CHARS_PER_GENERATED_FIELD = 16
_REJECTED_CHARS = 4 * 1024 * 1024
# Errors quote names from the document, which may be long.
_MAX_ERROR_CHARS = 1000

_NESTED_TOO_DEEPLY = "The document is nested too deeply. Split it into several requests."
# The messages with which graphql-core aborts validation, and those that the client gets instead.
_TOO_COMPLEX = {
    "Validation aborted.": "The document selects the same fields too often, or has too many fragments."
    " Split it into several requests.",
    "Maximum introspection depth exceeded": "The introspection is nested too deeply. Request fewer levels.",
}
# Validation compares fields of one response name in pairs: it takes a second at the library's own limit, and
# a fifth of a second at this one, which allows 130 fragments on one object.
overlapping_fields_can_be_merged.MAX_COMPLEXITY_BUDGET = 100_000
# Each error takes time, and a client fixes the first ones first.
_MAX_VALIDATION_ERRORS = 20
_MAX_QUOTED_CHARS = 200


def _quote(node: Node) -> str:
    """Return the beginning of a value as it stands in the document."""
    text = print_ast(node) if node.loc is None else node.loc.source.body[node.loc.start : node.loc.end]
    return text if len(text) <= _MAX_QUOTED_CHARS else f"{text[:_MAX_QUOTED_CHARS]}..."


# An error about a field of an input object quotes the whole object. graphql-core prints the object again for
# each of them, which takes seconds for an object with a thousand unknown fields. The module is looked up by
# its name, because its package has a function of the same name.
_literals: Any = import_module("graphql.utilities.validate_input_value")
assert hasattr(_literals, "print_for_error")
_literals.print_for_error = _quote


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed document with its validation errors. A document with errors is not executed.

    `fields` is the number of its fields, counting a fragment once per spread.
    """

    text: str
    node: DocumentNode
    errors: tuple[GraphQLError, ...]
    operations: Mapping[str | None, PreparedOperation]
    fields: int

    def operation(self, name: str | None) -> PreparedOperation:
        """Return the operation with this name, or the only operation if `name` is None.

        Raises:
            OperationUnknown: there is no such operation, or there are several and `name` is None.
        """
        if name is None and len(self.operations) == 1:
            return next(iter(self.operations.values()))
        if name is None and self.operations:
            raise OperationUnknown("The document has several operations. Select one with `operationName`.")
        if name is None:
            raise OperationUnknown("The document has no operation.")
        if name not in self.operations:
            raise OperationUnknown(f"The document has no operation named {name!r}.")
        return self.operations[name]


class OperationUnknown(Exception):
    """The request does not identify an operation of the document. The message says why."""


class DocumentMalformed(Exception):
    """The text is not a GraphQL document. `error` has the location of the syntax error."""

    def __init__(self, error: GraphQLError) -> None:
        super().__init__(error.message)
        self.error = error


_Prepared: TypeAlias = "str | GraphQLError | Document"
"""A document, which may have validation errors; or the message of an exceeded limit, or a syntax error."""


class DocumentCache:
    """Prepares documents, and caches the recently used ones: hundreds of documents of typical size.

    For a rejected document it caches only the reason. With `hides_schema`, introspection is invalid.
    """

    def __init__(self, limits: DocumentLimits, preparation: Preparation, thread: WorkThread) -> None:
        self._limits = limits
        self._thread = thread
        self._preparation = preparation
        hides_schema = preparation.hides_schema
        self._rules = [*specified_rules, *([NoSchemaIntrospectionCustomRule] if hides_schema else [])]
        self._documents: LRUCache[str, Document] = LRUCache(_CACHED_CHARS, getsizeof=_size)
        self._rejected: LRUCache[bytes, _Prepared] = LRUCache(_REJECTED_CHARS, getsizeof=_size_of_rejected)

    def known(self, text: str) -> Document | None:
        """Return the document if it is cached and valid."""
        try:
            return self._documents[text]
        except KeyError:
            return None

    async def prepare(self, text: str, budget: Budget = UNLIMITED) -> Document:
        """Return the prepared document. A thread prepares one that is not cached, charged to the budget.

        Raises:
            DocumentMalformed: the text is not a GraphQL document.
            DocumentTooComplex: the document exceeds a limit.
            RateLimited: the document is not cached, and the budget is exhausted.
        """
        document = self.known(text)
        if document is not None:
            return document
        digest = _digest(text)
        prepared: _Prepared | None = self._rejected.get(digest)
        if prepared is None:
            async with self._thread.turn_of(budget):
                # Another request may have had the turn, and the same document.
                prepared = self._documents.get(text) or self._rejected.get(digest)
                if prepared is None:
                    prepared = await self._thread.run(partial(self._prepared, text), budget)
                    self._keep(text, digest, prepared)
        return _accepted(prepared)

    def prepare_now(self, text: str) -> Document:
        """Return the prepared document, and block until it is prepared.

        Raises:
            DocumentMalformed: the text is not a GraphQL document.
            DocumentTooComplex: the document exceeds a limit.
        """
        return self._documents.get(text) or _accepted(self._prepared(text))

    def _keep(self, text: str, digest: bytes, prepared: "_Prepared") -> None:
        if not isinstance(prepared, Document) or prepared.errors:
            self._rejected[digest] = prepared
        elif _size(prepared) <= _CACHED_CHARS // 16:
            self._documents[text] = prepared

    def _prepared(self, text: str) -> _Prepared:
        try:
            return self._validated(text, self._parsed(text))
        except DocumentTooComplex as error:
            return str(error)
        except RecursionError:
            return _NESTED_TOO_DEEPLY
        except GraphQLSyntaxError as error:
            return _without_source(error)

    def _parsed(self, text: str) -> DocumentNode:
        # To locate an error takes as long as to find the lines before it.
        if text.count("\n") + text.count("\r") > self._limits.tokens:
            raise DocumentTooComplex(
                f"The document has more than {self._limits.tokens} lines. Join some, or split it into several"
                " requests."
            )
        try:
            node = parse(text, max_tokens=self._limits.tokens)
        except GraphQLSyntaxError as error:
            if "tokens. Parsing aborted" in error.message:
                raise DocumentTooComplex(
                    f"The document has more than {self._limits.tokens} tokens. Split it into several"
                    " requests."
                ) from error
            if "nested too deeply" in error.message:
                raise DocumentTooComplex(_NESTED_TOO_DEEPLY) from error
            raise
        _unlink_tokens(node)
        return node

    def _validated(self, text: str, node: DocumentNode) -> Document:
        fields = check_document(node, self._limits)
        schema, hides_schema = self._preparation.schema, self._preparation.hides_schema
        errors = validate(
            schema, node, self._rules, max_errors=_MAX_VALIDATION_ERRORS, hide_suggestions=hides_schema
        )
        for error in errors:
            if error.message in _TOO_COMPLEX:
                raise DocumentTooComplex(_TOO_COMPLEX[error.message])
        if errors:
            return self._invalid(node, errors)
        return Document(text, node, (), self._operations(node), fields)

    def _invalid(self, node: DocumentNode, errors: Sequence[GraphQLError]) -> Document:
        """Return a document with only the errors and the names of the operations, to be cached."""
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


def _unlink_tokens(document: DocumentNode) -> None:
    """Break the links between a document's tokens, so that it is freed without the garbage collector."""
    token = None if document.loc is None else document.loc.start_token
    while token is not None:
        following, token.prev, token.next = token.next, None, None
        token = following


def _digest(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _accepted(prepared: _Prepared) -> Document:
    if isinstance(prepared, str):
        raise DocumentTooComplex(prepared)
    if isinstance(prepared, GraphQLError):
        raise DocumentMalformed(prepared)
    return prepared


def _without_source(error: GraphQLError) -> GraphQLError:
    """Return a copy of the error that does not keep the document alive."""
    message = error.message
    if len(message) > _MAX_ERROR_CHARS:
        message = message[:_MAX_ERROR_CHARS] + "..."
    copied = GraphQLError(message)
    copied.locations = error.locations
    return copied


def _size_of_rejected(rejected: _Prepared) -> int:
    if isinstance(rejected, str):
        return len(rejected)
    errors = rejected.errors if isinstance(rejected, Document) else [rejected]
    names = rejected.operations if isinstance(rejected, Document) else ()
    return sum(200 + len(each.message) for each in errors) + sum(500 + len(name or "") for name in names)


def _size(document: Document) -> int:
    generated = _CHARS_PER_GENERATED_FIELD * min(document.fields, MAX_GENERATED_FIELDS)
    return len(document.text) + _CHARS_PER_FIELD * document.fields + generated + 1


class PreparedDocument(SchemaExtension):
    """Gives Strawberry the prepared document, so that it does not parse and validate it again."""

    def __init__(self, prepare: Callable[[str], Document]) -> None:
        self._prepare = prepare

    def on_parse(self) -> Iterator[None]:
        """Set the document and its errors in place of the parser."""
        context = self.execution_context
        document = self._prepare(context.query or "")
        context.graphql_document = document.node
        context.pre_execution_errors = list(document.errors)
        yield
