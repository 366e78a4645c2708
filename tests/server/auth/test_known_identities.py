"""The identity of a token: read once, cached for seconds, and dropped immediately when its session ends."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from starlette.requests import Request

from db.engine import Database
from db.records import SessionTime
from resolvers.sessions import sign_in_by_name
from server.auth import authentication
from server.auth.authentication import Authenticator, Identity, KnownIdentities
from server.config.loading import load_settings
from server.limits.rate_limits import RateLimits
from tests.conftest import Noted


def request_with(token: str) -> Request:
    return Request({"type": "http", "headers": [(b"authorization", f"Bearer {token}".encode())]})


async def test_the_first_request_reads_the_session_and_later_ones_do_not(noted: Noted):
    database, statements = noted
    time = SessionTime(timedelta(days=14), timedelta(days=180))
    signed_in = await sign_in_by_name(database, f"ada-{uuid4().hex[:8]}", time)
    settings = load_settings()
    identities = Authenticator(database, "http://localhost", settings, RateLimits(settings, database))
    counts: list[int] = []
    for _ in range(5):
        statements.clear()
        identity = await identities.of(request_with(signed_in.token))
        assert identity.session is not None
        assert identity.session.id == signed_in.session.id
        counts.append(len(statements))
    assert counts == [1, 0, 0, 0, 0]
    identities.forget([signed_in.session.id])
    statements.clear()
    await identities.of(request_with(signed_in.token))
    assert len(statements) == 1
    # Invalid tokens are not cached: they may become valid, and there is no limit to their number.
    for _ in range(2):
        statements.clear()
        assert (await identities.of(request_with("wrong"))).refused
        assert len(statements) == 1


async def test_an_identity_read_before_its_session_ended_is_not_cached(database: Database):
    time = SessionTime(timedelta(days=14), timedelta(days=180))
    session = (await sign_in_by_name(database, f"ada-{uuid4().hex[:8]}", time)).session
    identity = Identity(session.user, session, session.expires_at)
    known = KnownIdentities(60)
    before = known.times_forgotten
    known.forget([session.id])
    known.learn("a token", identity, times_forgotten=before)
    assert known.get("a token") is None
    known.learn("a token", identity, times_forgotten=known.times_forgotten)
    assert known.get("a token") == identity
    known.forget([uuid4()])
    assert known.get("a token") == identity
    known.forget([session.id])
    assert known.get("a token") is None


async def test_identities_are_cached_for_a_few_seconds_and_in_a_limited_number(
    database: Database, monkeypatch: pytest.MonkeyPatch
):
    time = SessionTime(timedelta(days=14), timedelta(days=180))
    session = (await sign_in_by_name(database, f"ada-{uuid4().hex[:8]}", time)).session
    identity = Identity(session.user, session, session.expires_at)
    now = 100.0
    monkeypatch.setattr(authentication, "monotonic", lambda: now)
    known = KnownIdentities(10, max_size=3)

    def cached() -> list[str]:
        return [token for token in "abcde" if known.get(token) is not None]

    for token in "abcd":
        now += 1
        known.learn(token, identity, times_forgotten=0)
    assert cached() == ["b", "c", "d"]
    # A token that is read again is the newest, and takes no other one's place.
    known.learn("c", identity, times_forgotten=0)
    assert cached() == ["b", "c", "d"]
    known.learn("e", identity, times_forgotten=0)
    known.learn("a", identity, times_forgotten=0)
    assert cached() == ["a", "c", "e"]
    now += 9.5
    assert cached() == ["a", "c", "e"]
    now += 1
    assert cached() == []
    known.learn("b", identity, times_forgotten=0)
    assert (cached(), len(known)) == (["b"], 1)


async def test_an_expired_identity_is_not_returned(database: Database):
    time = SessionTime(timedelta(days=14), timedelta(days=180))
    session = (await sign_in_by_name(database, f"ada-{uuid4().hex[:8]}", time)).session
    known = KnownIdentities(60)
    known.learn("a", Identity(session.user, session, datetime.now(UTC)), times_forgotten=0)
    assert known.get("a") is None
