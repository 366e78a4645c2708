"""Generated source, compiled to functions."""

import itertools
import linecache
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import Any

_numbers = itertools.count(1)

# The only builtins that generated source can use.
_BUILTINS: dict[str, Any] = {
    each.__name__: each for each in (Exception, bool, float, getattr, int, len, list, str, type)
}


@dataclass(frozen=True, slots=True)
class GeneratedFunction:
    """A function and its source."""

    function: Callable[..., Any]
    source: str


def compile_function(name: str, source: str, constants: Mapping[str, Any]) -> GeneratedFunction:
    """Return the function that the source defines; `constants` are its global names.

    Tracebacks show its lines. It is freed without the garbage collector, unless a constant refers to it.
    """
    compiled = _compiled.get(source)
    if compiled is None:
        compiled = _compiled[source] = _Compiled(f"plan {next(_numbers)}, {name}", source)
    namespace = {**constants, "__builtins__": _BUILTINS, "__name__": __name__, "__loader__": compiled}
    return GeneratedFunction(FunctionType(compiled.code, namespace, name), compiled.source)


class _Compiled:
    """The code of a function, and its source for `linecache`, which asks a module's loader for it.

    `linecache` keeps the source for as long as a function has this code.
    """

    def __init__(self, filename: str, source: str) -> None:
        self.source = source
        module = compile(source, filename, "exec", dont_inherit=True)
        [self.code] = [each for each in module.co_consts if isinstance(each, CodeType)]
        # Not a method, because `linecache` would then keep this object too.
        self.get_source: Callable[[str], str] = lambda _name: source
        weakref.finalize(self, linecache.cache.pop, filename, None).atexit = False


# Many operations make the same selection of a type, and compiling takes most of the planning time.
_compiled = weakref.WeakValueDictionary[str, _Compiled]()
