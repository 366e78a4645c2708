"""Documents that are known beforehand: a frontend's build lists them, and sends their hashes instead of them.

https://the-guild.dev/graphql/codegen/plugins/presets/preset-client#persisted-documents
"""

from collections.abc import Mapping
from typing import Any

from server.http.refusals import HttpRefusal


class PersistedQueriesUnsupported(Exception):
    """A client with automatic persisted queries sent a hash, where there are no trusted documents.

    It sends the text when it is answered with this message and code:
    https://www.apollographql.com/docs/apollo-server/performance/apq
    """

    message = "PersistedQueryNotSupported"
    code = "PERSISTED_QUERY_NOT_SUPPORTED"


class TrustedDocuments:
    """The documents of a manifest, by hash; with a manifest, nothing else is executed."""

    def __init__(self, by_hash: Mapping[str, str] | None = None) -> None:
        """Trust the texts under these hashes, or without a manifest whatever comes."""
        self._by_hash = by_hash
        self._texts = frozenset((by_hash or {}).values())

    def document(self, query: str | None, document_id: str | None, extensions: Mapping[str, Any]) -> str:
        """Return the document that a request means: by its text, or by its hash.

        The hash comes as `documentId`, or as Apollo's `extensions.persistedQuery.sha256Hash`.

        Raises:
            HttpRefusal: 400, there is none, or it is not trusted.
            PersistedQueriesUnsupported: there is only a hash, and there are no trusted documents.
        """
        if query is None and self._by_hash is None and _apollo_hash(extensions) is not None:
            raise PersistedQueriesUnsupported
        document_id = document_id or _apollo_hash(extensions)
        known = self._by_hash or {}
        if document_id is not None:
            found = known.get(document_id, known.get(f"sha256:{document_id}"))
            if found is None and (query is None or self._by_hash is not None):
                raise HttpRefusal(
                    400,
                    "DOCUMENT_NOT_TRUSTED",
                    f"No document {document_id!r} is known here: deploy its manifest.",
                )
            query = found or query
        if query is None:
            raise HttpRefusal(400, "BAD_USER_INPUT", "`query` is missing: it is the document to execute.")
        if self._by_hash is not None and query not in self._texts:
            raise HttpRefusal(
                400, "DOCUMENT_NOT_TRUSTED", "Only the documents of the deployed manifest are executed here."
            )
        return query


def _apollo_hash(extensions: Mapping[str, Any]) -> str | None:
    match extensions.get("persistedQuery"):
        case {"sha256Hash": str(sha256_hash)}:
            return sha256_hash
        case _:
            return None
