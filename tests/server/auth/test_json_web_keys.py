"""The keys of a token issuer: fetched on demand, once for all waiting requests, and not used forever."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from joserfc.jwk import ECKey, Key, KeySet, OctKey, OKPKey, RSAKey

from server.auth.json_web_keys import JsonWebKeys, TokenNotTrusted
from server.auth.outbound import ServiceUnavailable, get_json
from tests.support.stand_ins import Issuer, new_key

# Much less than the ten seconds that another server is given to answer.
PROMPTLY_SECONDS = 5


class KeyServer:
    """The answer at an issuer's address: its keys, or none."""

    def __init__(self, *keys: Key) -> None:
        self.keys: list[Key] = list(keys)
        self.is_down = False
        self.fetches = 0

    async def __call__(self) -> dict[str, Any]:
        self.fetches += 1
        # Lets other requests arrive meanwhile.
        await asyncio.sleep(0)
        if self.is_down:
            raise ServiceUnavailable("down")
        return dict(KeySet(self.keys).as_dict(private=True))


class BlackHole:
    """Answers with the keys; while it stalls, only after it is released."""

    def __init__(self, served_keys: KeyServer) -> None:
        self.url = ""
        self.is_open = False
        self.fetches = 0
        self.asked, self.released = asyncio.Event(), asyncio.Event()
        self._served_keys = served_keys

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.fetches += 1
        if self.is_open:
            self.asked.set()
            await self.released.wait()
        body = json.dumps(await self._served_keys()).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        writer.close()


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (RSAKey.generate_key(2048, auto_kid=True), "PS256"),
        (ECKey.generate_key("P-384", auto_kid=True), "ES384"),
        (OKPKey.generate_key("Ed25519", auto_kid=True), "EdDSA"),
        (OKPKey.generate_key("Ed25519", auto_kid=True), "Ed25519"),
    ],
)
async def test_every_kind_of_key_verifies_signatures(key: Key, algorithm: str):
    keys = JsonWebKeys(KeyServer(key))
    _, claims = await keys.claims_of(Issuer(url="x", keys=[key], header={"alg": algorithm}).token())
    assert claims["sub"] == "ada"


async def test_a_secret_among_the_public_keys_is_ignored():
    secret = OctKey.generate_key(256, auto_kid=True)
    served_keys = KeyServer(new_key())
    keys = JsonWebKeys(served_keys)
    served_keys.keys.append(secret)
    with pytest.raises(TokenNotTrusted):
        await keys.claims_of(Issuer(url="x", keys=[secret], header={"alg": "HS256"}).token())


async def test_removed_keys_become_invalid_with_the_next_fetch():
    old, new = new_key(), new_key()
    served_keys = KeyServer(old)
    keys = JsonWebKeys(served_keys, fresh_seconds=0)
    token = Issuer(url="x", keys=[old]).token()
    await keys.claims_of(token)
    served_keys.keys = [new]
    async with asyncio.timeout(10):
        with pytest.raises(TokenNotTrusted):
            while True:
                # Requests do not wait for the fetch that this starts.
                await keys.claims_of(token)
                await asyncio.sleep(0)


async def test_keys_stay_valid_for_a_limited_time_without_their_server():
    served_keys = KeyServer(new_key())
    token = Issuer(url="x", keys=served_keys.keys).token()
    patient = JsonWebKeys(served_keys, fresh_seconds=0, retry_seconds=0)
    impatient = JsonWebKeys(served_keys, fresh_seconds=0, stale_seconds=0, retry_seconds=0)
    for keys in (patient, impatient):
        await keys.claims_of(token)
    served_keys.is_down = True
    await patient.claims_of(token)
    with pytest.raises(ServiceUnavailable):
        await impatient.claims_of(token)


async def test_a_server_that_is_down_is_not_queried_by_every_request():
    served_keys = KeyServer(new_key())
    token = Issuer(url="x", keys=served_keys.keys).token()
    served_keys.is_down = True
    keys = JsonWebKeys(served_keys)
    for _ in range(10):
        with pytest.raises(ServiceUnavailable):
            await keys.claims_of(token)
    assert served_keys.fetches == 1


async def test_concurrent_requests_share_one_fetch():
    served_keys = KeyServer(new_key())
    keys = JsonWebKeys(served_keys)
    token = Issuer(url="x", keys=served_keys.keys).token()
    await asyncio.gather(*(keys.claims_of(token) for _ in range(10)))
    assert served_keys.fetches == 1


@asynccontextmanager
async def black_hole(served_keys: KeyServer) -> AsyncGenerator[BlackHole]:
    """Fetch keys from a server that can stop answering, like a broken network."""
    hole = BlackHole(served_keys)
    server = await asyncio.start_server(hole.serve, "127.0.0.1")
    hole.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/jwks"
    try:
        yield hole
    finally:
        server.close()
        hole.released.set()
        await server.wait_closed()


async def test_requests_do_not_wait_for_a_refresh_while_the_keys_are_valid():
    served_keys = KeyServer(new_key())
    token = Issuer(url="x", keys=served_keys.keys).token()
    async with black_hole(served_keys) as hole:
        keys = JsonWebKeys(lambda: get_json(hole.url), fresh_seconds=0)
        await keys.claims_of(token)
        hole.is_open = True
        async with asyncio.timeout(PROMPTLY_SECONDS):
            await asyncio.gather(*(keys.claims_of(token) for _ in range(20)))
            await hole.asked.wait()
            await asyncio.gather(*(keys.claims_of(token) for _ in range(20)))
        assert hole.fetches == 2
        # A token with an unknown key waits for the same fetch, and delays no other token.
        stranger = asyncio.create_task(keys.claims_of(Issuer(url="x", keys=[new_key()]).token()))
        async with asyncio.timeout(PROMPTLY_SECONDS):
            await asyncio.sleep(0)
            await keys.claims_of(token)
        assert not stranger.done()
        assert hole.fetches == 2
        # Closing cancels the fetch; requests that wait for it continue without the key.
        async with asyncio.timeout(PROMPTLY_SECONDS):
            await keys.aclose()
            with pytest.raises(TokenNotTrusted):
                await stranger
        assert not [task for task in asyncio.all_tasks() if task.get_name() == "fetch of keys"]


async def test_keys_are_fetched_again_once_their_server_is_back():
    old, new = new_key(), new_key()
    served_keys = KeyServer(old)
    keys = JsonWebKeys(served_keys, fresh_seconds=0, retry_seconds=0)
    await keys.claims_of(Issuer(url="x", keys=[old]).token())
    served_keys.is_down = True
    await keys.claims_of(Issuer(url="x", keys=[old]).token())
    served_keys.is_down = False
    served_keys.keys = [new]
    _, claims = await keys.claims_of(Issuer(url="x", keys=[new]).token())
    assert claims["sub"] == "ada"


async def test_a_disconnecting_client_does_not_cancel_the_fetch_for_others():
    served_keys = KeyServer(new_key())
    token = Issuer(url="x", keys=served_keys.keys).token()
    async with black_hole(served_keys) as hole:
        hole.is_open = True
        keys = JsonWebKeys(lambda: get_json(hole.url))
        gone, patient = asyncio.create_task(keys.claims_of(token)), asyncio.create_task(keys.claims_of(token))
        async with asyncio.timeout(PROMPTLY_SECONDS):
            await hole.asked.wait()
            gone.cancel()
            hole.released.set()
            await patient
        assert hole.fetches == 1


async def test_a_malformed_answer_counts_as_a_failure():
    async def fetch() -> dict[str, Any]:
        return {"keys": ["x", None, 1]}

    keys = JsonWebKeys(fetch)
    with pytest.raises(ServiceUnavailable):
        await keys.claims_of(Issuer(url="x").token())
