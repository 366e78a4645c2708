"""Populations and users that are in no database, for tests that build comparisons without running them."""

from uuid import UUID

from bench.population import Pair, Person, Population

PERSON = Person(UUID(int=0), "token")
PAIR = Pair(PERSON, PERSON, UUID(int=0))
# Of the lengths that an ordinary run measures.
POPULATION = Population(
    [PAIR], {1_000: PERSON}, {1_000: PAIR}, [], [], {"messages": (PERSON, 10_000)}, 10_000
)
