"""What the server says about itself."""

from importlib import metadata

import httpx


async def test_server_info_needs_no_sign_in(http: httpx.AsyncClient):
    document = """{ serverInfo {
        version limits { messageCharacters editSeconds readMarksMaxParticipants } } }"""
    response = await http.post("/graphql", json={"query": document})
    info = response.json()["data"]["serverInfo"]
    assert info["version"] == metadata.version("messenger")
    assert info["limits"] == {
        "messageCharacters": 480,
        "editSeconds": 3600,
        "readMarksMaxParticipants": 32,
    }
