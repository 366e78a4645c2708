"""A schema of plain attributes: every kind of leaf, awkward names, and values other than the schema says.

Each read of an attribute is noted, so that two executions can be compared by what they read in which order.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from inspect import get_annotations, isawaitable
from random import Random
from typing import Annotated, Any, Generic, NewType, TypeVar, cast

import strawberry
from strawberry.schema.config import StrawberryConfig


class Wilted(Exception):
    """The error of an attribute."""


@dataclass
class Seed:
    """The data of an object: the values of its attributes by name."""

    make: "Callable[[], type]"
    values: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass
class Raised:
    """Stands for an attribute that raises an error."""

    error: Exception


@dataclass
class Later:
    """Stands for an attribute whose value has to be awaited."""

    value: Any


class Text(str):
    """A string of another class."""


class Watched:
    """An attribute whose reads are noted."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, grown: Any, _owner: object) -> Any:
        if grown is None:
            return self
        grown.reads.append(self._name)
        value = grown.values.get(self._name)
        if isinstance(value, Raised):
            raise value.error
        if isinstance(value, Later):
            return _later(value.value, grown.reads)
        return _grown(value, grown.reads)


async def _later(value: Any, reads: list[str]) -> Any:
    await asyncio.sleep(0)
    if isinstance(value, Raised):
        raise value.error
    return _grown(value, reads)


def _grown(value: Any, reads: list[str]) -> Any:
    if isinstance(value, Seed):
        return grow(value, reads)
    if isinstance(value, list):
        return [_grown(each, reads) for each in cast("list[Any]", value)]
    return value


def grow(seed: Seed, reads: list[str]) -> Any:
    """Return the object of a seed. Its reads, and those of the objects in it, are appended."""
    grown: Any = object.__new__(cast("Any", seed.make()))
    grown.values, grown.reads = seed.values, reads
    cast_to = seed.values.get("cast")
    return grown if cast_to is None else strawberry.cast(cast_to, grown)


def watched(kind: type) -> None:
    """Note the reads of the attributes of a Strawberry type."""
    for name in get_annotations(kind):
        setattr(kind, name, Watched(name))


@strawberry.enum
class Colour(Enum):
    RED = "red"
    GREEN = "green"


def _shown(moment: Any) -> Any:
    return moment.isoformat() if isinstance(moment, datetime) else {"none": None}.get(moment, moment)


Moment = NewType("Moment", object)
MOMENT = strawberry.scalar(name="Moment", serialize=_shown)
Item = TypeVar("Item")


@strawberry.type
class Box(Generic[Item]):
    content: Item


@strawberry.interface
class Living:
    id: strawberry.ID


@strawberry.type
class Animal(Living):
    noise: str


@strawberry.type
class Statue(Living):
    of: str


@strawberry.type
class Weed:
    height: float


Either = Annotated[Animal | Weed, strawberry.union("Either")]


@strawberry.type
class Plot:
    """An object with names that mean something in Python, or in generated source."""

    id: strawberry.ID
    title: str
    subtitle: str | None
    class_: str | None = strawberry.field(name="class")
    type: str | None
    len: int
    run: bool
    source: str | None
    place: float
    response: float | None
    value: int | None
    at: bool | None
    error: str | None
    coerced: strawberry.ID | None
    NOT_READ: str | None = strawberry.field(name="NOT_READ")
    resume: str | None
    complete_Plot: str | None = strawberry.field(name="complete_Plot")
    put_value: str | None = strawberry.field(name="put_value")
    Plot: str | None = strawberry.field(name="Plot")
    größe: int | None = strawberry.field(name="groesse")  # noqa: PLC2401  # a name that is not ASCII
    colour: Colour
    other_colour: Colour | None
    moment: Moment
    other_moment: Moment | None
    words: list[str]
    grid: list[list[int | None]] | None
    near: "Plot | None"
    strict_near: "Plot"
    plots: list["Plot"]
    loose_plots: list["Plot | None"] | None
    many: list[list["Plot"]] | None
    box: Box[int] | None
    text_box: Box[str] | None
    living: Living | None
    either: Either | None

    @strawberry.field
    def is_here(self, info: strawberry.Info) -> bool:
        # The objects are of another class, which notes what is read.
        plot = cast(Any, self)
        plot.reads.append(f"is_here at {info.path.as_list()} of {info.python_name}")
        return plot.values.get("run") is True

    @strawberry.field
    def nearest(self) -> "Plot | None":
        return self.near

    @strawberry.field
    def named(root: "strawberry.Parent[Plot]", info: strawberry.Info) -> str | None:
        return f"{type(root).__name__} {info.field_name}"

    @strawberry.field
    def by_keyword(self, *, info: strawberry.Info) -> str:
        return info.field_name

    @strawberry.field
    @staticmethod
    def alone() -> "Weed":
        return Weed(height=0.5)

    @strawberry.field
    def one_of(self, info: strawberry.Info, number: int = 1) -> int:
        return number + len(info.path.as_list())

    @strawberry.field
    async def soon(self) -> "list[Plot] | None":
        plots: Any = self.plots
        return await plots if isawaitable(plots) else plots


class Allotment(Plot):
    """A subclass that is not a type of the schema."""


for each in (Plot, Animal, Living, Statue, Weed):
    watched(each)


@strawberry.type
class Query:
    @strawberry.field
    def plot(self, root: Any) -> Plot | None:
        return root

    @strawberry.field
    async def plots(self, root: Any) -> list[Plot]:
        return [root, root]


MEADOW = strawberry.Schema(
    Query, types=[Animal, Statue], config=StrawberryConfig(), scalar_overrides={Moment: MOMENT}
)

_LONG = ["x" * 65, "ü" * 80, "\U0001f331" * 70]
RIGHT: dict[str, list[Any]] = {
    "ID": ["P1", "", "ü", *_LONG],
    "String": ["birch", "", "ü", *_LONG],
    "Int": [0, 3, -(2**31), 2**31 - 1],
    "Float": [0.5, -1e300, 0.0],
    "Boolean": [True, False],
    "Colour": list(Colour),
    "Moment": [datetime(2026, 11, 28, tzinfo=UTC), "now", *_LONG],
}
ODD: list[Any] = [
    *(
        None,
        7,
        2**31,
        -(2**31) - 1,
        2.0,
        2.5,
        True,
        "7",
        "red",
        "none",
        Text("birch"),
        b"bytes",
        strawberry.UNSET,
    ),
    *(float("inf"), float("nan"), [], {}, Text("y" * 100), Weed),
]
LEAVES = {
    **dict.fromkeys(("title", "subtitle", "class_", "type", "source", "error", "NOT_READ"), "String"),
    **dict.fromkeys(("resume", "complete_Plot", "put_value", "Plot"), "String"),
    **dict.fromkeys(("id", "coerced"), "ID"),
    **dict.fromkeys(("len", "value", "größe"), "Int"),
    **dict.fromkeys(("run", "at"), "Boolean"),
    **dict.fromkeys(("place", "response"), "Float"),
    **dict.fromkeys(("colour", "other_colour"), "Colour"),
    **dict.fromkeys(("moment", "other_moment"), "Moment"),
}
COMPOSITE = {
    **dict.fromkeys(("near", "strict_near", "plots", "loose_plots", "many"), "{ title }"),
    **dict.fromkeys(("words", "grid"), ""),
}
"""What to select of attributes that are lists or objects."""


def seed_from(random: Random, *, at_once: bool, odd: float, depth: int = 3) -> Seed:
    """Return generated data, of which about a part `odd` is not as the schema says.

    With `at_once`, nothing has to be awaited.
    """

    def some(right: Any, *others: Any) -> Any:
        if random.random() >= odd:
            return right
        kinds = [random.choice(others or ODD), Wilted("returned"), Raised(Wilted("raised"))]
        return random.choice(kinds if at_once else [*kinds, Later(right), Later(Raised(Wilted("later")))])

    def plot() -> Any:
        if depth == 0:
            return None
        return some(seed_from(random, at_once=at_once, odd=odd, depth=depth - 1))

    def several(one: Callable[[], Any]) -> Any:
        return some([one() for _ in range(random.randint(0, 3))])

    def number() -> Any:
        return some(random.choice([1, 2, None]))

    def animal() -> Any:
        return Seed(lambda: Animal, {"id": some("A1"), "noise": some("moo")})

    def statue() -> Any:
        return Seed(
            lambda: Statue, {"id": some("S1"), "of": some("an animal"), "cast": random.choice([None, Animal])}
        )

    values: dict[str, Any] = {name: some(random.choice(RIGHT[kind])) for name, kind in LEAVES.items()}
    values |= {
        "words": several(lambda: some("word")),
        "grid": several(lambda: several(number)),
        "near": plot(),
        "strict_near": plot(),
        "plots": several(plot),
        "loose_plots": several(plot),
        "many": several(lambda: several(plot)),
        "box": some(Box(content=number()), None),
        "text_box": some(Box(content=some("text")), None),
        "living": some(random.choice([animal(), statue()]), None),
        "either": some(random.choice([animal(), Seed(lambda: Weed, {"height": some(0.5)})]), None),
    }
    return Seed(random.choice([lambda: Plot] * 5 + [lambda: Allotment]), values)
