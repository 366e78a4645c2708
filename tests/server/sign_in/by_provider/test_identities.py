"""The user for a subject of a provider, and their name."""

import asyncio
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.engine import Database
from resolvers.identities import Profile, SubjectRefused, possible_usernames, user_for
from resolvers.users import is_username


async def test_concurrent_first_sign_ins_of_one_person_create_one_user(database: Database):
    subject, name = uuid4().hex, f"ada-{uuid4().hex[:12]}"
    made = await asyncio.gather(
        *(user_for(database, "https://id.example", subject, Profile([name])) for _ in range(20))
    )
    assert {user.username for user in made} == {name}
    called_differently = await asyncio.gather(
        *(
            user_for(database, "https://id.example", f"{subject}-2", Profile([f"{name}-{number}"]))
            for number in range(20)
        )
    )
    assert len({user.id for user in called_differently}) == 1
    others = await asyncio.gather(
        *(user_for(database, "https://id.example", uuid4().hex, Profile([name])) for _ in range(20))
    )
    assert len({user.username.lower() for user in (*made, *others)}) == 21
    # The same subject at another issuer is another user.
    assert (await user_for(database, "https://other.example", subject, Profile())).id != made[0].id


@pytest.mark.parametrize("subject", ["", "x" * 256, "\0", "\ud800"])
async def test_a_subject_that_cannot_be_stored_is_rejected(database: Database, subject: str):
    with pytest.raises(SubjectRefused):
        await user_for(database, "https://id.example", subject, Profile())


@given(st.lists(st.text(max_size=60), max_size=3))
def test_every_candidate_name_is_valid_and_there_is_always_another(names: list[str]):
    tried = possible_usernames(names)
    found = [next(tried) for _ in range(30)]
    assert all(is_username(name) for name in found)
    assert len(set(found)) > 10


@pytest.mark.parametrize(
    ("names", "first"),
    [
        (["Zoë Müller"], "Zoe-Muller"),
        (["ada@example.com"], "ada"),
        (["山田", "yamada"], "yamada"),
        (["-.-"], "user"),
        (["x" * 50], "x" * 39),
        (["<script>"], "script"),
    ],
)
def test_a_provider_s_name_is_kept_as_far_as_possible(names: list[str], first: str):
    assert next(possible_usernames(names)) == first
