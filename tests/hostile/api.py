"""The schema as a client sees it: every call, and every place that takes a value."""

import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import httpx


@dataclass(frozen=True)
class Call:
    """A field of the API with its arguments as variables, and valid values for the required ones."""

    operation: str
    field: str
    document: str
    arguments: Mapping[str, Any]
    good: dict[str, Any]


@dataclass(frozen=True)
class Place:
    """A place for a value in a call's variables: an argument, a field of an input, or an item of a list."""

    call: Call
    path: tuple[str | int, ...]
    type_name: str

    def variables(self, value: object) -> dict[str, Any]:
        """Return the call's valid values, except for this place."""
        variables = deepcopy(self.call.good)
        into: Any = variables
        for step in self.path[:-1]:
            if isinstance(step, str) and step not in into:
                # A list that may be left out has no valid value.
                into[step] = [None]
            into = into[step]
        into[self.path[-1]] = value
        return variables


@dataclass(frozen=True)
class Api:
    """The schema as a client sees it, and valid values for its arguments by name."""

    types: Mapping[str, Any]
    roots: Mapping[str, str]
    good: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def calls(self) -> Iterator[Call]:
        """Yield every root field, and every field with arguments that is reachable from one."""
        seen: set[str] = set()
        waiting = [(operation, name, "", "") for operation, name in self.roots.items()]
        while waiting:
            operation, type_name, before, after = waiting.pop(0)
            seen.add(type_name)
            for each in self.types[type_name]["fields"]:
                arguments = {argument["name"]: argument for argument in each["args"]}
                good = {name: self.example(one) for name, one in arguments.items() if _is_required(one)}
                kind = named(each["type"])
                is_object = kind["kind"] in {"OBJECT", "INTERFACE", "UNION"}
                if arguments or not before:
                    declared = " ".join(_declared(one) for one in arguments.values())
                    passed = " ".join(f"{name}: ${name}" for name in arguments)
                    head = f"{operation} ({declared})" if arguments else operation
                    call = each["name"] + (f"({passed})" if arguments else "")
                    end = " { __typename }" if is_object else ""
                    document = f"{head} {{ {before}{call}{end}{after} }}"
                    yield Call(operation, each["name"], document, arguments, good)
                if is_object and kind["name"] not in seen and operation == "query":
                    literal = ", ".join(f"{name}: {json.dumps(value)}" for name, value in good.items())
                    here = each["name"] + (f"({literal})" if literal else "")
                    waiting.append((operation, kind["name"], f"{before}{here} {{ ", f" }}{after}"))

    def places(self) -> Iterator[Place]:
        """Yield every argument of every call, and the places inside of inputs and lists."""
        for call in self.calls():
            for name, argument in call.arguments.items():
                yield from self._places_in(call, (name,), argument["type"])

    def _places_in(self, call: Call, path: tuple[str | int, ...], kind: Mapping[str, Any]) -> Iterator[Place]:
        yield Place(call, path, named(kind)["name"])
        if kind["kind"] == "NON_NULL":
            kind = kind["ofType"]
        if kind["kind"] == "LIST":
            yield Place(call, (*path, 0), named(kind)["name"])
        if kind["kind"] == "INPUT_OBJECT":
            for each in self.types[kind["name"]]["inputFields"]:
                yield from self._places_in(call, (*path, each["name"]), each["type"])

    def example(self, argument: Mapping[str, Any]) -> Any:
        """Return a valid value for an argument or a field of an input."""
        name, kind = argument["name"], named(argument["type"])
        if name in self.good:
            return self.good[name]
        if kind["kind"] == "INPUT_OBJECT":
            inputs = self.types[kind["name"]]["inputFields"]
            return {each["name"]: self.example(each) for each in inputs if each["name"] in self.good}
        return {"Int": 1, "Boolean": False}.get(kind["name"], "x")


def named(kind: Mapping[str, Any]) -> Mapping[str, Any]:
    return named(kind["ofType"]) if kind["ofType"] else kind


def spelled(kind: Mapping[str, Any]) -> str:
    if kind["kind"] == "NON_NULL":
        return spelled(kind["ofType"]) + "!"
    return f"[{spelled(kind['ofType'])}]" if kind["kind"] == "LIST" else kind["name"]


def _declared(argument: Mapping[str, Any]) -> str:
    default = "" if argument["defaultValue"] is None else f" = {argument['defaultValue']}"
    return f"${argument['name']}: {spelled(argument['type'])}{default}"


def _is_required(argument: Mapping[str, Any]) -> bool:
    return argument["type"]["kind"] == "NON_NULL" and argument["defaultValue"] is None


def _close(kind: dict[str, Any]) -> None:
    """Add the end of a type that the introspection query omits."""
    if kind.setdefault("ofType", None):
        _close(kind["ofType"])


async def learned_from(http: httpx.AsyncClient, good: Mapping[str, Any]) -> Api:
    """Ask a server for its schema; `good` contains values for its arguments by name."""
    query = """
        {
            __schema {
                queryType { name } mutationType { name } subscriptionType { name }
                types {
                    kind name
                    fields { name type { ...type } args { name defaultValue type { ...type } } }
                    inputFields { name defaultValue type { ...type } }
                }
            }
        }
        fragment type on __Type { kind name ofType { kind name ofType { kind name ofType { kind name } } } }
    """
    schema = (await http.post("/graphql", json={"query": query})).json()["data"]["__schema"]
    for kind in schema["types"]:
        for each in kind["fields"] or ():
            _close(each["type"])
            for argument in each["args"]:
                _close(argument["type"])
        for each in kind["inputFields"] or ():
            _close(each["type"])
    return Api(
        {kind["name"]: kind for kind in schema["types"]},
        {name: schema[f"{name}Type"]["name"] for name in ("query", "mutation", "subscription")},
        good,
    )
