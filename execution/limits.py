"""Limits on the size of a document, checked before it is validated or executed."""

from dataclasses import dataclass

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
)

# Each error in an answer contains the aliases above it.
_MAX_ALIAS_CHARS = 1000


@dataclass(frozen=True, slots=True)
class DocumentLimits:
    """The limits of a document that is executed. A fragment counts once per spread.

    `answer_fields` limits the fields of an answer in which every page and list is full, and `event_fields`
    those of each event of a subscription. `answer_bytes` limits the size of an answer.
    """

    tokens: int = 5000
    depth: int = 15
    fields: int = 5000
    aliases: int = 200
    directives: int = 200
    answer_fields: int = 125_000
    event_fields: int = 1000
    answer_bytes: int = 16 * 1024 * 1024


class DocumentTooComplex(Exception):
    """The document exceeds a limit, which the message names."""


@dataclass(frozen=True, slots=True)
class _Size:
    depth: int = 0
    fields: int = 0
    aliases: int = 0
    directives: int = 0


def check_document(document: DocumentNode, limits: DocumentLimits) -> int:
    """Check a parsed document, valid or not, and return the number of its fields.

    Each fragment is measured once, so the time is proportional to the length of the document even if its
    fragments expand exponentially.

    Raises:
        DocumentTooComplex: the document exceeds a limit.
    """
    measure = _Measure(document, limits)
    return sum(
        measure.check(definition)
        for definition in document.definitions
        if isinstance(definition, OperationDefinitionNode | FragmentDefinitionNode)
    )


class _Measure:
    def __init__(self, document: DocumentNode, limits: DocumentLimits) -> None:
        self._limits = limits
        self._fragments = {
            definition.name.value: definition
            for definition in document.definitions
            if isinstance(definition, FragmentDefinitionNode)
        }
        self._sizes: dict[str, _Size] = {}

    def check(self, definition: OperationDefinitionNode | FragmentDefinitionNode) -> int:
        """Check an operation or fragment, and return the number of its fields.

        Unused fragments are checked too, because validation takes time for them.
        """
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
                raise DocumentTooComplex(
                    f"The operation has more than {limit} {name}. Split it into several requests."
                )
        return size.fields

    def _selection_size(self, selection_set: SelectionSetNode | None, level: int) -> _Size:
        """Measure a selection set; `level` is its depth in the text of its operation or fragment."""
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
                if selection.alias is not None:
                    aliases += 1
                    if len(selection.alias.value) > _MAX_ALIAS_CHARS:
                        raise DocumentTooComplex(
                            f"An alias has more than {_MAX_ALIAS_CHARS} characters. Choose a shorter one."
                        )
            elif isinstance(selection, FragmentSpreadNode):
                inner = self._fragment_size(selection.name.value)
                depth = max(depth, inner.depth)
            elif isinstance(selection, InlineFragmentNode):
                # An inline fragment adds no level to the answer, but one to this recursion.
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
            # A fragment that spreads itself has this size for now. Validation rejects such cycles.
            self._sizes[name] = _Size()
            fragment = self._fragments.get(name)
            known = self._selection_size(fragment.selection_set if fragment else None, 1)
            self._sizes[name] = known
        return known

    def _too_deep(self) -> DocumentTooComplex:
        return DocumentTooComplex(
            f"The operation has more than {self._limits.depth} levels. Split it into several requests."
        )
