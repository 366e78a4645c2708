"""Trusted documents: the build of a frontend lists its documents, and the frontend sends their hashes.

https://the-guild.dev/graphql/codegen/plugins/presets/preset-client#persisted-documents
"""

from collections.abc import Mapping
from typing import Any

from server.http.refusals import HttpRefusal


class PersistedQueriesUnsupported(Exception):
    """A client with automatic persisted queries sent a hash, but no trusted documents are configured.

    On this message and code the client sends the document itself:
    https://www.apollographql.com/docs/apollo-server/performance/apq
    """

    message = "PersistedQueryNotSupported"
    code = "PERSISTED_QUERY_NOT_SUPPORTED"


class TrustedDocuments:
    """The documents of a manifest, by hash; with a manifest, all others are rejected."""

    def __init__(self, by_hash: Mapping[str, str] | None = None) -> None:
        """Trust only these documents, or without a manifest all documents."""
        self._by_hash = by_hash
        self._texts = frozenset((by_hash or {}).values())

    def document(self, query: str | None, document_id: str | None, extensions: Mapping[str, Any]) -> str:
        """Return the request's document, which it names by its text or by its hash.

        The hash is `documentId`, or Apollo's `extensions.persistedQuery.sha256Hash`.

        Raises:
            HttpRefusal: 400, the document is missing or not trusted.
            PersistedQueriesUnsupported: the request has only a hash, and there is no manifest.
        """
        if query is not None and self._by_hash is None:
            return query
        if self._by_hash is None and _apollo_hash(extensions) is not None:
            raise PersistedQueriesUnsupported
        document_id = document_id or _apollo_hash(extensions)
        known = self._by_hash or {}
        if document_id is not None:
            found = known.get(document_id, known.get(f"sha256:{document_id}"))
            if found is None and (query is None or self._by_hash is not None):
                raise HttpRefusal(
                    400,
                    "DOCUMENT_NOT_TRUSTED",
                    f"The document {document_id!r} is not in the server's manifest. Deploy the manifest that"
                    " lists it.",
                )
            query = found or query
        if query is None:
            raise HttpRefusal(400, "BAD_USER_INPUT", "`query`, the document to execute, is missing.")
        if self._by_hash is not None and query not in self._texts:
            raise HttpRefusal(400, "DOCUMENT_NOT_TRUSTED", "The document is not in the server's manifest.")
        return query


def _apollo_hash(extensions: Mapping[str, Any]) -> str | None:
    match extensions.get("persistedQuery"):
        case {"sha256Hash": str(sha256_hash)}:
            return sha256_hash
        case _:
            return None
