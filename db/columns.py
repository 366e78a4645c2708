"""The columns that a record is read from, which have the names of its fields."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from operator import itemgetter
from typing import Any, Generic, NamedTuple, TypeVar, cast

from asyncpg import Record
from sqlalchemy import ColumnElement, Table

_R = TypeVar("_R", bound=NamedTuple)


class Columns(Generic[_R]):
    """The columns of a record with several fields, one for each field.

    `prefix` distinguishes them from other columns of the same name in a statement.
    """

    def __init__(self, record: type[_R], prefix: str = "") -> None:
        self._prefix = prefix
        self._names: tuple[str, ...] = record._fields
        values: Callable[[Record], tuple[object, ...]] = itemgetter(*(prefix + name for name in self._names))
        make = cast("Callable[[Iterable[object]], _R]", partial(tuple[object, ...].__new__, record))

        def read(row: Record) -> _R:
            return make(values(row))

        self.read = read
        """Returns the record in a row. A closure, because a list reads it for every row."""

    def sql(self, source: str) -> str:
        """Return the list of columns to select from the table or subquery `source`."""
        return ", ".join(f"{source}.{name} AS {self._prefix}{name}" for name in self._names)

    def of(self, table: Table) -> Sequence[ColumnElement[Any]]:
        """Return the columns of the table, for an SQLAlchemy select."""
        columns = [table.c[name] for name in self._names]
        return [column.label(self._prefix + column.name) for column in columns] if self._prefix else columns
