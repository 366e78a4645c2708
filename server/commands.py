"""The command line: `messenger serve`, `migrate`, `schema`, `seed`, `token`."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from datetime import timedelta
from typing import Annotated

import structlog
import typer
import uvloop
from sqlalchemy.exc import SQLAlchemyError

from db import users
from db.embedded import EmbeddedPostgresError
from db.engine import Database, open_database
from db.migrations import migrate as bring_up_to_date
from realtime.broadcaster import Broadcaster
from resolvers import sessions
from schema.api import Api
from server.application import Application
from server.database import DatabaseAddress, database_for_command, database_for_server
from server.logs import set_up_logging
from server.seed import sow
from server.serving import CannotStart, listening_socket
from server.serving import serve as serve_until_stopped
from server.settings import (
    Settings,
    SettingsError,
    describe_settings,
    load_settings,
    unknown_settings,
)

log = structlog.stdlib.get_logger(__name__)

app = typer.Typer(
    name="messenger",
    help="A self-hosted messenger backend: GraphQL, with live delivery over Server-Sent Events.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

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
) -> None:
    """Serve the API until Ctrl-C."""
    with _clean_errors():
        settings = load_settings(host=host, port=port)
        set_up_logging(settings.log_format)
        for name in unknown_settings():
            log.warning("there is no such setting: is it mistyped?", name=name)
        listening = listening_socket(settings.host, settings.port, settings.write_timeout_seconds)
        with listening, database_for_server(settings) as address:

            def announce(application: Application, public_url: str) -> None:
                host, bound_port, *_ = listening.getsockname()
                log.info(
                    "serving",
                    url=public_url,
                    listening=f"http://{host}:{bound_port}",
                    database=address.shown,
                )
                print(_welcome(settings, application, public_url, address), flush=True)

            _run(serve_until_stopped(settings, listening, address, announce))


@app.command()
def migrate() -> None:
    """Bring the database to the newest schema."""
    _with_database(_nothing_more)
    typer.echo("The database is at the newest schema.")


@app.command()
def schema() -> None:
    """Print the GraphQL schema in SDL."""
    typer.echo(Api().sdl(), nl=False)


@app.command()
def seed() -> None:
    """Make demo users and conversations: john, jane and others. What is there already stays."""

    async def fill(settings: Settings, database: Database) -> None:
        typer.echo(await sow(database, Broadcaster()))

    _with_database(fill)


@app.command()
def token(username: Annotated[str, typer.Argument(help="Who the token is for, in any case.")]) -> None:
    """Print a new access token for that user, who must exist."""

    async def sign_in(settings: Settings, database: Database) -> None:
        async with database.snapshot() as connection:
            user = await users.by_username(connection, username)
        if user is None:
            raise CannotStart(f"nobody is called {username!r}")
        signed_in = await sessions.open_session(database, user, timedelta(days=settings.session_days))
        typer.echo(signed_in.token)

    _with_database(sign_in)


def _with_database(work: Callable[[Settings, Database], Awaitable[None]]) -> None:
    """Do the work on the migrated database, then let go of it."""

    async def connected(settings: Settings, url: str) -> None:
        async with open_database(url) as database:
            try:
                await bring_up_to_date(database)
            except (OSError, SQLAlchemyError) as error:
                raise CannotStart.because("the database cannot be used", error) from error
            await work(settings, database)

    with _clean_errors():
        settings = load_settings()
        set_up_logging(settings.log_format)
        with database_for_command(settings) as url:
            _run(connected(settings, url))


async def _nothing_more(settings: Settings, database: Database) -> None:
    return


def _run(work: Awaitable[None]) -> None:
    async def main() -> None:
        await work

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


@contextmanager
def _clean_errors() -> Generator[None]:
    """Turn what the operator can put right into one line, and exit status 1."""
    try:
        yield
    except* (SettingsError, CannotStart, EmbeddedPostgresError) as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        print(f"messenger: {error}", file=sys.stderr)
        raise typer.Exit(1) from None


def _welcome(settings: Settings, application: Application, public_url: str, address: DatabaseAddress) -> str:
    lines = [f"The messenger is at {public_url}/graphql"]
    if settings.graphiql:
        lines.append("  Open it in a browser for GraphiQL.")
    if application.dev_login:
        lines.append(
            f"  Sign in: curl {public_url}/auth/dev/login -H 'content-type: application/json'"
            """ -d '{"username": "john"}'"""
        )
    else:
        lines.append("  Sign in: messenger token USERNAME prints a token (development sign-in is off).")
    lines.append(f"  Its data: {address.shown}")
    lines.append("  Stop it with Ctrl-C.")
    return "\n".join(lines)
