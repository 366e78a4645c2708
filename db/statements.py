"""Statements, written with SQLAlchemy or as text, compiled at import and executed by asyncpg."""

from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeAlias

from asyncpg import DataError, PostgresError, Record
from asyncpg.pool import PoolConnectionProxy
from sqlalchemy import ARRAY, BindParameter, Uuid, bindparam
from sqlalchemy.dialects.postgresql.asyncpg import dialect
from sqlalchemy.sql.elements import ClauseElement

if TYPE_CHECKING:
    Connection: TypeAlias = PoolConnectionProxy[Record]
else:
    # asyncpg's classes take parameters in its stubs only.
    Connection = PoolConnectionProxy

_DIALECT = dialect()


class Statement:
    """A statement whose values are given by name at each call."""

    def __init__(self, clause: ClauseElement) -> None:
        """Compile the clause. Values that it contains stay as they are."""
        compiled = clause.compile(dialect=_DIALECT)
        self.sql = str(compiled)
        names: Sequence[str] = getattr(compiled, "positiontup", None) or ()
        binds: dict[str, BindParameter[Any]] = getattr(compiled, "binds", {})
        self._names = tuple(names)
        self._held = {name: binds[name].value for name in names if not binds[name].required}
        self._count = len(self._names) - len(self._held)

    async def fetch(self, connection: Connection, **values: object) -> list[Record]:
        """Execute it and return all rows."""
        with _hiding_values:
            return await connection.fetch(self.sql, *self._in_order(values))

    async def fetchrow(self, connection: Connection, **values: object) -> Record | None:
        """Execute it and return the first row, or None without one."""
        with _hiding_values:
            return await connection.fetchrow(self.sql, *self._in_order(values))

    async def fetchval(self, connection: Connection, **values: object) -> Any:
        """Execute it and return the first column of the first row, or None without one."""
        with _hiding_values:
            return await connection.fetchval(self.sql, *self._in_order(values))

    async def execute(self, connection: Connection, **values: object) -> int:
        """Execute it and return the number of affected rows."""
        with _hiding_values:
            status = await connection.execute(self.sql, *self._in_order(values))
        return int(status.rpartition(" ")[2])

    def _in_order(self, values: dict[str, object]) -> list[object]:
        if len(values) != self._count:
            raise TypeError(f"{sorted(values)} are not the values of {self._names}")
        if self._held:
            values |= self._held
        return [values[name] for name in self._names]


class _HidingValues:
    """Removes values from errors, because errors are logged and users' texts must not be."""

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, PostgresError):
            # It contains the row if a constraint is violated.
            error.detail = None
        if isinstance(error, DataError):
            # asyncpg's message quotes the value that does not fit, as do many of the server's.
            error.args = ("a value does not fit its parameter",)


_hiding_values = _HidingValues()


def uuids(name: str) -> BindParameter[Sequence[object]]:
    """Return a parameter for a list of IDs, as in `column == func.any(...)`."""
    return bindparam(name, type_=ARRAY(Uuid))
