"""SQL statements that are compiled once, at import, by SQLAlchemy, and executed by asyncpg."""

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
    # asyncpg's classes are generic only in its stubs.
    Connection = PoolConnectionProxy

_DIALECT = dialect()


class Statement:
    """A compiled statement with named parameters."""

    def __init__(self, clause: ClauseElement) -> None:
        """Compile the clause. Literal values in it become fixed parameters."""
        compiled = clause.compile(dialect=_DIALECT)
        self.sql = str(compiled)
        names: Sequence[str] = getattr(compiled, "positiontup", None) or ()
        binds: dict[str, BindParameter[Any]] = getattr(compiled, "binds", {})
        self._names = tuple(names)
        self._held = {name: binds[name].value for name in names if not binds[name].required}
        self._count = len(self._names) - len(self._held)

    async def fetch(self, connection: Connection, **values: object) -> list[Record]:
        """Execute the statement and return all rows."""
        with _hiding_values:
            return await connection.fetch(self.sql, *self._in_order(values))

    async def fetchrow(self, connection: Connection, **values: object) -> Record | None:
        """Execute the statement and return the first row; None if there is none."""
        with _hiding_values:
            return await connection.fetchrow(self.sql, *self._in_order(values))

    async def fetchval(self, connection: Connection, **values: object) -> Any:
        """Execute the statement and return the first column of the first row; None if there is none."""
        with _hiding_values:
            return await connection.fetchval(self.sql, *self._in_order(values))

    async def execute(self, connection: Connection, **values: object) -> int:
        """Execute the statement and return the number of affected rows."""
        with _hiding_values:
            status = await connection.execute(self.sql, *self._in_order(values))
        return int(status.rpartition(" ")[2])

    def _in_order(self, values: dict[str, object]) -> list[object]:
        if len(values) != self._count:
            raise TypeError(f"the statement has the parameters {self._names}, not {sorted(values)}")
        if self._held:
            values |= self._held
        return [values[name] for name in self._names]


class _HidingValues:
    """Removes values from errors, because errors are logged and message texts must not be."""

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, PostgresError):
            # If a constraint is violated, the detail contains the row.
            error.detail = None
        if isinstance(error, DataError):
            # The messages of asyncpg, and many of the server, quote the value.
            error.args = ("a value does not match the type of its parameter",)


_hiding_values = _HidingValues()


def uuids(name: str) -> BindParameter[Sequence[object]]:
    """Return a parameter for a list of IDs, for `column == func.any(...)`."""
    return bindparam(name, type_=ARRAY(Uuid))
