"""The command line: `messenger serve` and the other commands."""

import asyncio
import socket
import sys
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from datetime import timedelta
from importlib import metadata
from pathlib import Path
from typing import Annotated, Protocol, TypeAlias, TypeVar
from uuid import UUID

import structlog
import typer
import uvloop
from graphql import GraphQLError, parse, print_ast, separate_operations

from db import users
from db.embedded import EmbeddedPostgresError
from db.engine import Database, open_database
from db.records import User
from execution.api import Api
from execution.documents import DocumentMalformed, OperationUnknown
from execution.limits import DocumentTooComplex
from execution.operation import NotPlanned
from realtime.broadcaster import Broadcaster
from resolvers import removals, retention, sessions
from resolvers.users import is_username
from server.config.loading import SettingsError, load_settings
from server.config.mistyped import unknown_settings
from server.config.reference import describe_settings, settings_page
from server.config.settings import Settings
from server.observability.logs import set_up_logging
from server.process.database import DatabaseAddress, database_for_command, database_for_server
from server.process.listening import listening_socket, offers_dev_login, public_url_of, shown_address
from server.process.seed import create_demo_data
from server.process.serving import serve as serve_alone
from server.process.start import (
    CannotStart,
    bring_up_to_date,
    raise_file_limit,
    using_database,
    watch_database,
)
from server.process.supervisor import serve_with_workers

_T = TypeVar("_T")
_Work: TypeAlias = Callable[[Settings, Database], Awaitable[_T]]

log = structlog.stdlib.get_logger(__name__)

app = typer.Typer(
    name="messenger",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(is_given: bool) -> None:
    if is_given:
        typer.echo(f"messenger {metadata.version('messenger')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    """A self-hosted messenger backend: GraphQL, with live delivery over Server-Sent Events."""


_SETTINGS = "\n\n".join(
    ["Every setting is an environment variable, or a line in .env:"]
    + [
        f"{name}{f' ({default})' if default else ''}: {meaning}"
        for name, default, meaning in describe_settings()
    ]
)


@app.command(epilog=_SETTINGS)
def serve(
    host: Annotated[str | None, typer.Option(help="MESSENGER_HOST", show_default=False)] = None,
    port: Annotated[int | None, typer.Option(help="MESSENGER_PORT", show_default=False)] = None,
    workers: Annotated[int | None, typer.Option(help="MESSENGER_WORKERS", show_default=False)] = None,
) -> None:
    """Serve the API until Ctrl-C."""
    with _clean_errors():
        settings = load_settings(host=host, port=port, workers=workers)
        set_up_logging(settings.log_format)
        for name in unknown_settings():
            log.warning("unknown setting ignored", name=name)
        raise_file_limit()
        with listening_socket(settings) as listening, database_for_server(settings) as address:
            _run(_serve(settings, listening, address))


async def _serve(settings: Settings, listening: socket.socket, address: DatabaseAddress) -> None:
    await bring_up_to_date(address.url, address.shown, behind_pooler=settings.database_pooler)
    public_url = public_url_of(settings, listening)
    dev_login = offers_dev_login(settings, listening)
    watching = [] if address.process is None else [watch_database(address.process, address)]

    def announce(_: object = None) -> None:
        log.info("serving", url=public_url, listening=shown_address(listening), database=address.shown)
        if settings.dev_login:
            log.warning(
                "development sign-in enabled: anyone who reaches the server can sign in as any user",
                setting="MESSENGER_DEV_LOGIN",
            )
        print(_welcome(settings, public_url, address, dev_login=dev_login), flush=True)

    if settings.workers == 1:
        await serve_alone(settings, listening, address.url, announce, *watching)
    else:
        announce()
        await serve_with_workers(settings, listening, address.url, *watching)


@app.command()
def migrate() -> None:
    """Migrate the database to the newest schema."""
    _with_database(_do_nothing, creates=True)
    typer.echo("The database has the newest schema.")


@app.command()
def schema() -> None:
    """Print the GraphQL schema in SDL."""
    typer.echo(Api().sdl(), nl=False)


@app.command()
def plan(
    files: Annotated[
        list[str],
        typer.Argument(
            help="Files with operations and their fragments; - for standard input.", metavar="FILE..."
        ),
    ],
    operation: Annotated[
        str | None,
        typer.Option(help="Name of the operation, if there are several.", show_default=False),
    ] = None,
) -> None:
    """Print how an operation is executed: where each field comes from, and the generated Python source."""
    with _clean_errors():
        text = "\n".join(map(_text_of, files))
        try:
            typer.echo(_run(Api().plan_listing(_with_used_fragments(text, operation), operation)), nl=False)
        except (DocumentMalformed, DocumentTooComplex, OperationUnknown, NotPlanned) as error:
            raise CannotStart(str(error)) from error


def _with_used_fragments(text: str, operation: str | None) -> str:
    """Return the document of the operation, with the fragments that it uses."""
    try:
        found = separate_operations(parse(text, no_location=True))
    except GraphQLError:
        return text
    if len(found) == 1 and operation is None:
        [operation] = found
    if found and operation not in found:
        raise CannotStart(f"choose an operation with --operation: {', '.join(sorted(found))}")
    return print_ast(found[operation]) if operation in found else text


def _text_of(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except OSError as error:
        raise CannotStart(f"cannot read {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CannotStart(f"cannot read {file}: it is not UTF-8") from error


@app.command()
def settings() -> None:
    """Print the reference of all settings, in Markdown."""
    typer.echo(settings_page(), nl=False)


@app.command()
def seed() -> None:
    """Create demo users (john, jane and others) and conversations. Existing data is kept."""

    async def fill(settings: Settings, database: Database) -> None:
        typer.echo(await create_demo_data(database, Broadcaster()))

    _with_database(fill, creates=True)


@app.command()
def trim() -> None:
    """Delete inbox entries older than the retention time, as a running server does once an hour."""

    async def drop(settings: Settings, database: Database) -> None:
        dropped = await retention.trim(database, timedelta(days=settings.inbox_retention_days))
        typer.echo(f"{dropped} inbox entries deleted.")

    _with_database(drop)


@app.command()
def renew_epoch() -> None:
    """Invalidate all cursors. Run this once after restoring the database from a backup."""

    async def renew(settings: Settings, database: Database) -> None:
        await retention.renew_epoch(database)
        typer.echo("All existing cursors have expired.")

    _with_database(renew)


@app.command()
def token(
    username: Annotated[str, typer.Argument(help="Username of an existing user (case-insensitive).")],
) -> None:
    """Open a session for an existing user and print its token."""

    async def sign_in(settings: Settings, database: Database) -> None:
        user = await _user_called(username, database)
        signed_in = await sessions.open_session(database, user, settings.session_time(), "messenger token")
        typer.echo(signed_in.token)

    _with_database(sign_in)


@app.command()
def sign_out(
    username: Annotated[str, typer.Argument(help="Username of an existing user (case-insensitive).")],
) -> None:
    """End all sessions and streams of a user."""

    async def end(settings: Settings, database: Database) -> None:
        ended = await sessions.end_all(database, await _user_called(username, database))
        typer.echo(f"{ended} sessions ended.")

    _with_database(end)


@app.command()
def remove_user(
    username: Annotated[
        str,
        typer.Argument(
            help="Username of the user to remove (case-insensitive), or with --delete-messages the ID of a"
            " user who has already been removed."
        ),
    ],
    delete_messages: Annotated[
        bool, typer.Option("--delete-messages", help="Delete all messages of the user as well.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
) -> None:
    """Remove a user for good: name, picture, sessions, identities and inbox. Messages are kept by default."""

    async def find(settings: Settings, database: Database) -> User:
        removed = await _removed_user(username, database) if delete_messages else None
        return removed or await _user_called(username, database)

    async def remove(settings: Settings, database: Database) -> str:
        if user.removed_at is not None:
            await removals.delete_messages(database, user.id)
            return f"All messages of {user.id} have been deleted."
        # Without a relay: the servers find what has been appended when they next check inboxes.
        if not await removals.remove_user(database, Broadcaster(), user.id, delete_messages=delete_messages):
            raise CannotStart(f"there is no user named {username!r}")
        removed = f"{user.username} has been removed. Their ID is {user.id}."
        return f"{removed} Their messages are {'deleted' if delete_messages else 'kept'}."

    with _clean_errors():
        if not (yes or sys.stdin.isatty()):
            raise CannotStart("removing a user cannot be undone, so confirm it with the option --yes")
        with _database() as run:
            user = run(find)
            # Not while an event loop is running, which would handle Ctrl-C.
            if not yes:
                typer.confirm(_question(user, delete_messages=delete_messages), abort=True)
            typer.echo(run(remove))


def _question(user: User, *, delete_messages: bool) -> str:
    if user.removed_at is not None:
        return f"Delete all messages of the removed user {user.id}? This cannot be undone."
    also = " and delete all their messages" if delete_messages else ""
    return f"Remove {user.username} (ID {user.id}){also}? This cannot be undone."


async def _removed_user(user_id: str, database: Database) -> User | None:
    try:
        ids = [UUID(user_id)]
    except ValueError:
        return None
    async with database.connection() as connection:
        found = await users.by_ids(connection, ids)
    return next((user for user in found if user.removed_at is not None), None)


async def _user_called(username: str, database: Database) -> User:
    user = None
    if is_username(username):
        async with database.connection() as connection:
            user = await users.by_username(connection, username)
    if user is None:
        raise CannotStart(f"there is no user named {username!r}")
    return user


def _with_database(work: _Work[None], *, creates: bool = False) -> None:
    """Run the work with a connection to the database, as with `_database`."""
    with _clean_errors(), _database(creates=creates) as run:
        run(work)


class _RunsWork(Protocol):
    """Runs work with a connection to the database, and returns its result."""

    def __call__(self, work: _Work[_T], /) -> _T: ...


@contextmanager
def _database(*, creates: bool = False) -> Generator[_RunsWork]:
    """Yield what runs work with a connection to the database, which has been migrated.

    If there is no embedded database, it is created only if `creates` is True.
    """
    settings = load_settings()
    set_up_logging(settings.log_format)
    with database_for_command(settings, creates=creates) as address:
        url, behind_pooler = address.url, settings.database_pooler

        async def connected(work: _Work[_T]) -> _T:
            with using_database("the database"):
                async with open_database(url, behind_pooler=behind_pooler) as database:
                    return await work(settings, database)

        def run(work: _Work[_T], /) -> _T:
            return _run(connected(work))

        _run(bring_up_to_date(url, "the database", behind_pooler=behind_pooler))
        yield run


async def _do_nothing(settings: Settings, database: Database) -> None:
    return


def _run(work: Awaitable[_T]) -> _T:
    async def main() -> _T:
        return await work

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main())


@contextmanager
def _clean_errors() -> Generator[None]:
    """Print errors that the operator can fix as one line, and exit with status 1."""
    found: BaseException | None = None
    try:
        yield
    except* (SettingsError, CannotStart, EmbeddedPostgresError) as group:
        found = group
    if found is not None:
        while isinstance(found, BaseExceptionGroup):
            found = found.exceptions[0]
        print(f"messenger: {found}", file=sys.stderr)
        # Not above, where it would become a group, which is shown with its traceback.
        raise typer.Exit(1)


def _welcome(settings: Settings, public_url: str, address: DatabaseAddress, *, dev_login: bool) -> str:
    lines = [f"The messenger is running at {public_url}"]
    lines.append(f"  API: {public_url}/graphql" + " (GraphiQL in a browser)" * settings.graphiql)
    if dev_login:
        lines.append(
            f"  Sign in: curl {public_url}/auth/dev/login -H 'content-type: application/json'"
            """ -d '{"username": "john"}'"""
        )
    else:
        lines.append("  Sign in: messenger token USERNAME prints a token (development sign-in is off).")
    lines.append(f"  Data: {address.shown}")
    lines.append("  Press Ctrl-C to stop.")
    return "\n".join(lines)
