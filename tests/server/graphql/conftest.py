"""The user who sends the requests."""

import pytest

from tests.conftest import SignIn
from tests.support.people import Person


@pytest.fixture
async def ada(signs_in: SignIn) -> Person:
    return await signs_in("ada")
