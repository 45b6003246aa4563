"""Which server a client command talks to: one at an address, or one of its own in front of a Redis.

Every command speaks the HTTP API, so each exists once. Given a Redis (or the data directory of an embedded
Valkey) instead of an address, the command starts the same API in its own process, on a free port of the
loopback interface with a key of its own, and talks to that.
"""

import asyncio
import functools
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeVar

import click
from aiohttp import web
from click.core import ParameterSource

from flashsale.cli.archived import compare
from flashsale.cli.output import plain
from flashsale.client import ApiError, Client, UnreachableError
from flashsale.process.embedded import DataDirError, EmbeddedError, EmbeddedValkey, find_running
from flashsale.process.own_simulator import find_simulator
from flashsale.settings import SettingsError, env_name, load_settings
from flashsale.settings.payments import PaymentSettings
from flashsale.settings.simulator import SimulatorSettings
from flashsale.settings.stripe import StripeSettings

LOOPBACK: Final = "127.0.0.1"
STORE_PATIENCE_MS: Final = 20_000
"""How long a command waits for a Redis that is slow: one person waits here, and not a crowd whose next press is better
answered soon. Less than a `Client` waits for an answer."""
T = TypeVar("T")

WAYS: Final = ("url", "redis_url", "data_dir")
"""How a server can be named, in order of precedence."""


class CommandFailedError(click.ClickException):
    """The command did not do what it was asked to: one line on standard error, exit code 1."""

    def __init__(self, message: str) -> None:
        super().__init__(plain(message))


@dataclass(frozen=True, slots=True)
class Target:
    """The server to talk to: exactly one of `url`, `redis_url` and `data_dir` is set."""

    url: str | None = None
    redis_url: str | None = None
    data_dir: Path | None = None
    api_key: str | None = None


def server_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add `--url`, `--api-key`, `--redis-url` and `--data-dir`; the command is given a `target` instead."""

    @click.option(
        "--url",
        envvar="FLASHSALE_URL",
        show_envvar=True,
        metavar="URL",
        help="Server to talk to. Wins over --redis-url and --data-dir.  [default: http://127.0.0.1:8080]",
    )
    @click.option(
        "--api-key",
        envvar=["FLASHSALE_API_KEY", "FLASHSALE_ROOT_KEY"],
        show_envvar=True,
        metavar="KEY",
        help="API key for --url. Others on this machine can read it here: better use the variable.",
    )
    @click.option(
        "--redis-url",
        envvar="FLASHSALE_REDIS_URL",
        show_envvar=True,
        metavar="URL",
        help="Work on this Redis or Valkey directly, without a server and a key.",
    )
    @click.option(
        "--data-dir",
        envvar="FLASHSALE_DATA_DIR",
        show_envvar=True,
        type=click.Path(path_type=Path),
        metavar="DIR",
        help="Work on the embedded Valkey of this directory directly, whether it runs now or not.",
    )
    @click.pass_context
    @functools.wraps(command)
    def with_target(
        ctx: click.Context,
        /,
        *,
        url: str | None,
        api_key: str | None,
        redis_url: str | None,
        data_dir: Path | None,
        **arguments: Any,
    ) -> None:
        given = {"url": url, "redis_url": redis_url, "data_dir": data_dir}
        command(target=_chosen(ctx, given, api_key), **arguments)

    return with_target


def run(
    target: Target, action: Callable[[Client], Awaitable[T]], *, env: Mapping[str, str] = MappingProxyType({})
) -> T:
    """Do `action` with a client of the target and answer its result.

    `env` are the settings that a server of one's own is to have, as environment variables; one at an address has its own.

    Raises `CommandFailedError` when the server refuses, cannot be reached or cannot be started, `click.UsageError` when
    the settings cannot be used.
    """
    try:
        with _redis(target) as redis_url:
            return asyncio.run(_with_client(target, redis_url, env, action))
    except SettingsError as error:
        raise click.UsageError(str(error)) from error
    except (ApiError, UnreachableError, EmbeddedError, DataDirError) as error:
        raise CommandFailedError(_advice(target, error)) from error


def payment_env(target: Target) -> dict[str, str]:
    """What is known here of payments and their providers, by the environment and by the data directory.

    An embedded server notes there how to reach the simulator that it has brought along.

    Raises `click.UsageError` when the settings cannot be used.
    """
    parts = (PaymentSettings, SimulatorSettings, StripeSettings)
    names = {env_name(field) for part in parts for field in part.model_fields if field != "embedded"}
    env = {name: os.environ[name] for name in sorted(names) if name in os.environ}
    if target.data_dir is None:
        return env
    try:
        beside = find_simulator(load_settings(env, {"data_dir": target.data_dir, "embedded": True}))
    except SettingsError as error:
        raise click.UsageError(str(error)) from error
    if beside.simulator_url is not None and beside.simulator_secret is not None:
        env[env_name("simulator_url")] = beside.simulator_url
        env[env_name("simulator_secret")] = beside.simulator_secret.get_secret_value()
    return env


async def _with_client(
    target: Target, redis_url: str | None, env: Mapping[str, str], action: Callable[[Client], Awaitable[T]]
) -> T:
    if target.url is not None:
        async with Client(target.url, target.api_key) as client:
            return await action(client)
    if redis_url is None:
        raise ValueError("a target without an address has a Redis")
    async with _own_server(redis_url, env) as (url, api_key), Client(url, api_key) as client:
        return await action(client)


def _chosen(ctx: click.Context, given: dict[str, Any], api_key: str | None) -> Target:
    """The target that the options name: one on the command line before one of the environment."""
    for source in (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT):
        for way in WAYS:
            if given[way] is not None and ctx.get_parameter_source(way) is source:
                return _checked(way, given[way], api_key)
    return _checked("url", None, api_key)


def _checked(way: str, value: object, api_key: str | None) -> Target:
    """The target when the settings accept the value. Raises `click.UsageError` when they do not."""
    try:
        settings = load_settings({}, {way: value}, purpose="client")
    except SettingsError as error:
        raise click.UsageError(str(error)) from error
    return Target(**{way: getattr(settings, way)}, api_key=api_key)


@contextmanager
def _redis(target: Target) -> Iterator[str | None]:
    """The Redis of a target that is no server; a Valkey of a data directory is started for now if need be."""
    if target.data_dir is None:
        yield target.redis_url
        return
    if not target.data_dir.is_dir():
        raise DataDirError(f"there is no data directory {target.data_dir}")
    running = find_running(target.data_dir)
    if running is not None:
        yield running
        return
    with EmbeddedValkey(target.data_dir) as server:
        compare(server.url, target.data_dir)
        yield server.url


@asynccontextmanager
async def _own_server(redis_url: str, env: Mapping[str, str]) -> AsyncIterator[tuple[str, str]]:
    """Address and root key of an API of our own, for as long as it is needed; no other machine reaches it."""
    # Imported here, as few commands need it: those that talk to a running server start much faster without.
    from flashsale.api.app import build_app
    from flashsale.logs import configure_logs

    key = secrets.token_urlsafe(32)
    settings = load_settings(
        env,
        {
            "redis_url": redis_url,
            "root_key": key,
            "shopper_secret": secrets.token_urlsafe(32),
            "redis_timeout_ms": STORE_PATIENCE_MS,
            "request_deadline_ms": STORE_PATIENCE_MS,
            "log_level": "critical",  # what fails is the command's own to tell
        },
        purpose="serve",
    )
    configure_logs(settings, "command")
    runner = web.AppRunner(build_app(settings), access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, LOOPBACK, 0).start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}", key
    finally:
        await runner.cleanup()


def _advice(target: Target, error: Exception) -> str:
    """What went wrong, and what to do about it where that is known."""
    if isinstance(error, UnreachableError) and target.url is not None:
        return f"{error}. Start one with `flashsale serve`, or name it with --url (FLASHSALE_URL)."
    if isinstance(error, ApiError) and error.status == 401:
        return f"{error}. Give an API key of this server in FLASHSALE_API_KEY."
    return str(error)
