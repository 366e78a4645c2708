"""A server that only executes the documents of a manifest."""

import json
from collections.abc import AsyncGenerator
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

from db.embedded import Cluster
from db.engine import Database
from tests.support.clients import http_client
from tests.support.serving import running_server

VIEWER = "query Viewer { viewer { username } }"
HASH = sha256(VIEWER.encode()).hexdigest()


@pytest.fixture(scope="module")
async def http(
    cluster: Cluster, database: Database, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[httpx.AsyncClient]:
    folder = tmp_path_factory.mktemp("trusted")
    manifest = folder / "documents.json"
    manifest.write_text(json.dumps({f"sha256:{HASH}": VIEWER}))
    with running_server(folder, database_url=cluster.url(), trusted_documents=str(manifest)) as server:
        async with http_client(server.url) as client:
            yield client


@pytest.mark.parametrize(
    "asked",
    [
        {"documentId": f"sha256:{HASH}"},
        {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": HASH}}},
        {"query": VIEWER},
    ],
)
async def test_documents_in_the_manifest_are_executed(http: httpx.AsyncClient, asked: dict[str, Any]):
    assert (await http.post("/graphql", json=asked)).json() == {"data": {"viewer": None}}
    parameters = {name: each if isinstance(each, str) else json.dumps(each) for name, each in asked.items()}
    assert (await http.get("/graphql", params=parameters)).json() == {"data": {"viewer": None}}


@pytest.mark.parametrize(
    "asked",
    [
        {"documentId": "sha256:unknown"},
        {"documentId": f"sha256:{HASH}x", "query": VIEWER},
        {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": "unknown"}}},
        {"query": VIEWER + " "},
        {"query": "{ __schema { types { name } } }"},
    ],
)
async def test_other_documents_are_rejected(http: httpx.AsyncClient, asked: dict[str, Any]):
    response = await http.post("/graphql", json=asked)
    assert response.status_code == 400
    assert response.json()["errors"][0]["extensions"]["code"] == "DOCUMENT_NOT_TRUSTED"


async def test_an_invalid_manifest_prevents_the_start(tmp_path: Path):
    (tmp_path / "documents.json").write_text("[]")
    with (
        pytest.raises(AssertionError, match="MESSENGER_TRUSTED_DOCUMENTS must be "),
        running_server(tmp_path, trusted_documents=str(tmp_path / "documents.json")),
    ):
        pass
