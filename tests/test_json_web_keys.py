"""The keys of who signs tokens: fetched when they are needed, once for all who wait, and not for ever."""

import asyncio
from typing import Any

import pytest
from joserfc.jwk import ECKey, Key, KeySet, OctKey, OKPKey, RSAKey

from server.json_web_keys import JsonWebKeys, TokenNotTrusted
from server.outbound import Unavailable
from tests.stand_ins import Issuer, new_key


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
    with pytest.raises(TokenNotTrusted):
        await keys.claims_of(token)


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
