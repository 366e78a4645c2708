"""The keys of who signs tokens: fetched when they are needed, once for all who wait, and not for ever."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from joserfc.jwk import ECKey, Key, KeySet, OctKey, OKPKey, RSAKey

from server.auth.json_web_keys import JsonWebKeys, TokenNotTrusted
from server.auth.outbound import Unavailable, get_json
from tests.support.stand_ins import Issuer, new_key

# Far less than the ten seconds that another server is given to answer.
PROMPTLY_SECONDS = 5


class KeyServer:
    """What a signer's address answers: its keys, or nothing."""

    def __init__(self, *keys: Key) -> None:
        self.keys: list[Key] = list(keys)
        self.is_down = False
        self.fetches = 0

    async def __call__(self) -> dict[str, Any]:
        self.fetches += 1
        # Others come meanwhile.
        await asyncio.sleep(0)
        if self.is_down:
            raise Unavailable("down")
        return dict(KeySet(self.keys).as_dict(private=True))


class BlackHole:
    """Answers with the keys; once it is open, only when it is released."""

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
async def test_keys_of_every_kind_check_signatures(key: Key, algorithm: str):
    keys = JsonWebKeys(KeyServer(key))
    _, claims = await keys.claims_of(Issuer(url="x", keys=[key], header={"alg": algorithm}).token())
    assert claims["sub"] == "ada"


async def test_a_secret_among_the_public_keys_checks_nothing():
    secret = OctKey.generate_key(256, auto_kid=True)
    served_keys = KeyServer(new_key())
    keys = JsonWebKeys(served_keys)
    served_keys.keys.append(secret)
    with pytest.raises(TokenNotTrusted):
        await keys.claims_of(Issuer(url="x", keys=[secret], header={"alg": "HS256"}).token())


async def test_keys_that_are_gone_are_good_no_longer_once_they_are_fetched_anew():
    old, new = new_key(), new_key()
    served_keys = KeyServer(old)
    keys = JsonWebKeys(served_keys, fresh_seconds=0)
    token = Issuer(url="x", keys=[old]).token()
    await keys.claims_of(token)
    served_keys.keys = [new]
    async with asyncio.timeout(10):
        with pytest.raises(TokenNotTrusted):
            while True:
                # Nobody waits for the fetch that this begins.
                await keys.claims_of(token)
                await asyncio.sleep(0)


async def test_keys_are_good_for_a_while_without_their_server_and_not_for_ever():
    served_keys = KeyServer(new_key())
    token = Issuer(url="x", keys=served_keys.keys).token()
    patient = JsonWebKeys(served_keys, fresh_seconds=0, retry_seconds=0)
    impatient = JsonWebKeys(served_keys, fresh_seconds=0, stale_seconds=0, retry_seconds=0)
    for keys in (patient, impatient):
        await keys.claims_of(token)
    served_keys.is_down = True
    await patient.claims_of(token)
    with pytest.raises(Unavailable):
        await impatient.claims_of(token)


async def test_a_server_that_is_down_is_not_asked_by_every_request():
    served_keys = KeyServer(new_key())
    token = Issuer(url="x", keys=served_keys.keys).token()
    served_keys.is_down = True
    keys = JsonWebKeys(served_keys)
    for _ in range(10):
        with pytest.raises(Unavailable):
            await keys.claims_of(token)
    assert served_keys.fetches == 1


async def test_many_who_come_at_once_share_one_fetch():
    served_keys = KeyServer(new_key())
    keys = JsonWebKeys(served_keys)
    token = Issuer(url="x", keys=served_keys.keys).token()
    await asyncio.gather(*(keys.claims_of(token) for _ in range(10)))
    assert served_keys.fetches == 1


@asynccontextmanager
async def black_hole(served_keys: KeyServer) -> AsyncGenerator[BlackHole]:
    """Fetch keys from a server that stops answering when it is told to, as a broken network does."""
    hole = BlackHole(served_keys)
    server = await asyncio.start_server(hole.serve, "127.0.0.1")
    hole.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/jwks"
    try:
        yield hole
    finally:
        server.close()
        hole.released.set()
        await server.wait_closed()


async def test_nobody_waits_for_fresh_keys_while_those_there_are_good():
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
        # A token with an unknown key waits, for the same fetch, and holds up no other.
        stranger = asyncio.create_task(keys.claims_of(Issuer(url="x", keys=[new_key()]).token()))
        async with asyncio.timeout(PROMPTLY_SECONDS):
            await asyncio.sleep(0)
            await keys.claims_of(token)
        assert not stranger.done()
        assert hole.fetches == 2
        # Who is closed gives the fetch up, and whoever waits goes on without it.
        async with asyncio.timeout(PROMPTLY_SECONDS):
            await keys.aclose()
            with pytest.raises(TokenNotTrusted):
                await stranger
        assert not [task for task in asyncio.all_tasks() if task.get_name() == "fetch of keys"]


async def test_keys_come_back_after_their_server_does():
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


async def test_a_client_that_goes_away_does_not_end_the_fetch_for_others():
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


async def test_an_answer_that_makes_no_sense_is_none():
    async def fetch() -> dict[str, Any]:
        return {"keys": ["x", None, 1]}

    keys = JsonWebKeys(fetch)
    with pytest.raises(Unavailable):
        await keys.claims_of(Issuer(url="x").token())
