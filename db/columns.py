"""The columns that a record is read from, which have the names of its fields."""

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, Generic, NamedTuple, TypeVar

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
        self._values: Callable[[Record], tuple[object, ...]] = itemgetter(
            *(prefix + name for name in self._names)
        )
        self._make = record._make

    def sql(self, source: str) -> str:
        """Return the list of columns to select from the table or subquery `source`."""
        return ", ".join(f"{source}.{name} AS {self._prefix}{name}" for name in self._names)

    def of(self, table: Table) -> Sequence[ColumnElement[Any]]:
        """Return the columns of the table, for an SQLAlchemy select."""
        columns = [table.c[name] for name in self._names]
        return [column.label(self._prefix + column.name) for column in columns] if self._prefix else columns

    def read(self, row: Record) -> _R:
        """Return the record in the row."""
        return self._make(self._values(row))
