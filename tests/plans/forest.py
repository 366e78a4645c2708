"""A schema with all kinds of types, values and failures, immediate or asynchronous."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from enum import Enum
from random import Random
from typing import Annotated, Any, cast

import strawberry
from strawberry.permission import BasePermission


class Broken(Exception):
    """The error that a resolver raises."""


@dataclass
class Growth:
    """The data at one place: attributes by name; an exception stands for a failure."""

    kind: str
    values: dict[str, Any] = field(default_factory=dict[str, Any])
    later: frozenset[str] = frozenset()


def _grow(growth: Growth, name: str) -> Any:
    value = growth.values.get(name)
    if isinstance(value, Exception):
        raise value
    if isinstance(value, Growth):
        return _thing(value)
    if isinstance(value, list):
        return [_thing(each) if isinstance(each, Growth) else each for each in cast("list[Any]", value)]
    return value


def _thing(growth: Growth) -> Any:
    if growth.kind == "Stone":
        return Stone(growth=growth)
    key = strawberry.ID(str(growth.values["id"]))
    if growth.kind == "Leaf":
        return Leaf(id=key, size=growth.values["size"], growth=growth)
    return Branch(id=key, growth=growth)


def grown(name: str, annotation: Any) -> Any:
    """Return a field that resolves to the attribute of that name, now or later, as the data says."""

    def resolve(self: Any, info: strawberry.Info) -> Any:
        if name in self.growth.later:

            async def later() -> Any:
                await asyncio.sleep(0)
                return _grow(self.growth, name)

            return later()
        return _grow(self.growth, name)

    return strawberry.field(resolver=resolve, graphql_type=annotation)


@strawberry.enum
class Colour(Enum):
    RED = "red"
    GREEN = "green"


class Allowed(BasePermission):
    message = "not allowed"

    def has_permission(self, source: Any, info: strawberry.Info, **kwargs: Any) -> bool:
        return source.growth.values.get("allowed", True)


@strawberry.input
class Echoed:
    text: str
    times: int = 2
    colours: list[Colour] | None = None
    inner: "Echoed | None" = strawberry.UNSET


@strawberry.interface
class Thing:
    id: strawberry.ID
    growth: strawberry.Private[Growth]

    label: str | None = grown("label", str | None)


@strawberry.type
class Leaf(Thing):
    size: int

    @classmethod
    def is_type_of(cls, value: Any, _info: Any) -> bool:
        return isinstance(value, Leaf)

    colour: Colour | None = grown("colour", Colour | None)
    strict_label: str = grown("strict_label", str)


@strawberry.type
class Stone:
    growth: strawberry.Private[Growth]

    inscription: str = grown("strict_label", str)


Either = Annotated[Leaf | Stone, strawberry.union("Either")]


@strawberry.type
class Branch(Thing):
    child: Thing | None = grown("child", Thing | None)
    strict_child: Thing = grown("strict_child", Thing)
    children: list[Thing] = grown("children", list[Thing])
    loose_children: list[Thing | None] | None = grown("loose_children", list[Thing | None] | None)
    either: Either | None = grown("either", Either | None)
    leaf: Leaf | None = grown("leaf", Leaf | None)
    grid: list[list[int] | None] | None = grown("grid", list[list[int] | None] | None)

    @strawberry.field
    def echo(self, input: Echoed | None = None, number: int = 3, tags: list[str] | None = None) -> str:
        return f"{input} {number} {tags}"

    @strawberry.field
    async def path(self, info: strawberry.Info, id: strawberry.ID) -> str:
        return f"{info.path.as_list()} {info.field_name} {id} {len(info.selected_fields)} {info.context}"

    @strawberry.field(permission_classes=[Allowed])
    def guarded(self) -> str | None:
        return "guarded"

    @strawberry.field
    @staticmethod
    def of_parent(parent: strawberry.Parent["Branch"]) -> str:
        return parent.id


@strawberry.type
class Query:
    @strawberry.field
    def branch(self, root: Any) -> Branch | None:
        return _thing(root)

    @strawberry.field
    async def thing(self, root: Any) -> Thing:
        return _thing(root)

    @strawberry.field
    def strict_leaf(self, root: Any) -> Leaf:
        return _grow(root, "leaf")


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def note(self, info: strawberry.Info, text: str) -> int:
        """Return how much has been noted before."""
        await asyncio.sleep(0)
        info.context.append(text)
        return len(info.context)

    @strawberry.mutation
    def fail(self, info: strawberry.Info, text: str) -> int | None:
        info.context.append(text)
        raise Broken(text)

    @strawberry.mutation
    async def fail_for_good(self, info: strawberry.Info, text: str) -> int:
        info.context.append(text)
        raise Broken(text)


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def grown(self, root: Any, count: int = 2) -> AsyncGenerator[Branch, None]:
        for _ in range(max(0, min(count, 3))):
            yield _thing(root)

    @strawberry.subscription
    async def refused(self, text: str) -> AsyncGenerator[Branch, None]:
        raise Broken(text)
        yield


FOREST = strawberry.Schema(Query, Mutation, Subscription, types=[Leaf, Branch])

_NAMES = (
    *("id", "size", "label", "colour", "strict_label", "child", "strict_child", "children"),
    *("loose_children", "either", "leaf", "grid"),
)


def growth_from(random: Random, *, at_once: bool, kind: str = "Branch", depth: int = 3) -> Growth:
    """Return generated data; with `at_once`, nothing is asynchronous."""

    def some(value: Any, name: str) -> Any:
        return random.choice([None, Broken(f"{name} at {depth}"), *[value] * 10])

    def growth(*kinds: str) -> Growth:
        chosen = random.choice(kinds) if depth > 1 else "Leaf"
        return growth_from(random, at_once=at_once, kind=chosen, depth=depth - 1)

    def several(name: str) -> list[Any]:
        count = random.randint(0, 3)
        return [
            random.choice([None, Broken(f"one of {name}"), *[growth("Leaf", "Branch")] * 6])
            for _ in range(count)
        ]

    values: dict[str, Any] = {
        "id": random.randint(0, 99),
        "allowed": random.random() < 0.7,
        "label": some(random.choice(["", "birch", 7, True]), "label"),
        "strict_label": some(random.choice(["", "birch", 7, True]), "strict_label"),
        "size": random.choice([1, 2, 3, 4, "4", "five", None, 2**40]),
        "colour": some(random.choice([Colour.RED, Colour.GREEN, "purple"]), "colour"),
    }
    if kind == "Branch":
        values |= {
            "child": some(growth("Leaf", "Branch"), "child"),
            "strict_child": some(growth("Leaf", "Branch"), "strict_child"),
            "either": some(growth("Leaf", "Stone"), "either"),
            "leaf": some(growth("Leaf"), "leaf"),
            "children": some(several("children"), "children"),
            "loose_children": some(several("loose_children"), "loose_children"),
            "grid": some(
                [random.choice([None, [], [1, 2], [3, None]]) for _ in range(random.randint(0, 3))], "grid"
            ),
        }
    later = frozenset[str]() if at_once else frozenset(name for name in _NAMES if random.random() < 0.5)
    return Growth(kind, values, later)
