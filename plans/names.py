"""The names in generated source."""

import builtins
import keyword
from typing import Any

_RESERVED = frozenset({*keyword.kwlist, *keyword.softkwlist, *dir(builtins)})


class Names:
    """The names in the source of one function, which are unique.

    Names from the schema are used where possible. Python's keywords and builtins get an underscore, and
    names that are taken get a number.
    """

    def __init__(self, *taken: str) -> None:
        """Reserve the names that the source always uses."""
        self._taken = {*_RESERVED, *taken}
        self._names_of: dict[int, str] = {}
        self.constants: dict[str, Any] = {}
        """The values of the names that `constant` has returned."""

    def constant(self, wanted: str, value: Any) -> str:
        """Return a name for a value; the same name for the same value."""
        name = self._names_of.get(id(value))
        if name is None:
            name = self._names_of[id(value)] = self.local(wanted)
            # This also keeps the value alive, so that its `id` is not used again.
            self.constants[name] = value
        return name

    def local(self, wanted: str) -> str:
        """Return a new name, similar to the one that is wanted."""
        name = start = wanted if is_name(wanted) else "unnamed"
        number = 1
        while name in self._taken:
            name = f"{start}_" if start in _RESERVED and number == 1 else f"{start}_{number}"
            number += 1
        self._taken.add(name)
        return name


def is_name(text: str) -> bool:
    """Return whether the text is an identifier that Python leaves unchanged.

    Python normalizes characters outside ASCII in identifiers.
    """
    return text.isascii() and text.isidentifier()


def attribute(source: str, name: str) -> str:
    """Return the expression for an attribute."""
    if is_name(name) and not keyword.iskeyword(name):
        return f"{source}.{name}"
    return f"getattr({source}, {name!a})"
