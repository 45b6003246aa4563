"""`flashsale recover`: brings a sale back whose journal in Redis is older than the archive."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from flashsale.cli.options import setting_options, settings_or_exit
from flashsale.cli.output import console, count, plain

if TYPE_CHECKING:
    from flashsale.engine.recovery import Recovered
    from flashsale.settings import Settings

EXIT_FAILED = 1
EXIT_SETTINGS = 2


@click.command("recover")
@click.argument("sale")
@setting_options("archive", "redis_url", "embedded", "data_dir", "redis_timeout_ms")
def command(sale: str, **options: object) -> None:
    """Bring SALE back from the archive, when Redis has an older journal of it: after a failover, a lost disk, an old backup.

    Such a sale refuses to sell (503 `recovering`). All facts are replayed from the archive, and the sale goes on where the
    archive ends. It may be run while everything else runs, as often as one likes; a sale that lacks nothing stays as it is.

    The archive is an SQLite file in the data directory unless --archive says otherwise. Without --redis-url it is about the
    embedded Valkey server of the data directory, which is started if it does not run.
    """
    settings = settings_or_exit(options, "client").with_archive()

    # Imported once the settings are known to be good, so that their faults are named at once.
    from flashsale.archive import ArchiveError
    from flashsale.engine.recovery import RecoveryError
    from flashsale.logs import configure_logs
    from flashsale.model.ids import is_sale_id
    from flashsale.process.embedded import DataDirError, EmbeddedError
    from flashsale.store.client import StoreUnavailableError

    if settings.redis_url is None and not settings.embedded and "data_dir" not in settings.model_fields_set:
        click.echo(
            "name the Redis with --redis-url, or the directory of an embedded one with --data-dir", err=True
        )
        sys.exit(EXIT_SETTINGS)
    if settings.archive_url is None:
        click.echo("flashsale cannot recover anything without an archive: name it with --archive", err=True)
        sys.exit(EXIT_SETTINGS)
    if not is_sale_id(sale) and sale != "_stray":
        click.echo(f"{plain(sale)} cannot be the id of a sale", err=True)
        sys.exit(EXIT_SETTINGS)
    # What is found and what fails is the command's own to tell.
    configure_logs(settings.model_copy(update={"log_level": "critical"}), "command")
    try:
        with _redis(settings) as redis_url:
            done = asyncio.run(_recover(sale, settings.archive_url, redis_url, settings.redis_timeout_ms))
    except StoreUnavailableError as error:
        _fail(f"{error.reason}; run this again when it is back")
    except (ArchiveError, RecoveryError, EmbeddedError, DataDirError) as error:
        _fail(str(error))
    else:
        _tell(done)


async def _recover(sale: str, archive_url: str, redis_url: str, timeout_ms: int) -> "Recovered":
    from flashsale.archive import Archive
    from flashsale.engine.recovery import Recovery
    from flashsale.store.guarding import GuardStore

    def tell(done: int, of: int) -> None:
        click.echo(f"{done:,} of {of:,} facts", err=True)

    archive = await asyncio.to_thread(Archive.open, archive_url)
    try:
        async with GuardStore(redis_url, timeout_ms=max(timeout_ms, 30_000)) as store:
            return await Recovery(store, archive, sale, tell=tell).run()
    finally:
        await asyncio.to_thread(archive.close)


@contextmanager
def _redis(settings: "Settings") -> Iterator[str]:
    """The address of the store; an embedded one is started for now if need be."""
    from flashsale.process.embedded import DataDirError, EmbeddedValkey, find_running

    if settings.redis_url is not None and not settings.embedded:
        yield settings.redis_url
        return
    if not settings.data_dir.is_dir():
        raise DataDirError(f"there is no data directory {settings.data_dir}")
    running = find_running(settings.data_dir)
    if running is not None:
        yield running
        return
    with EmbeddedValkey(settings.data_dir) as server:
        yield server.url


def _tell(done: "Recovered") -> None:
    out, sale = console(), plain(done.sale)
    if not done.missing:
        out.print(f"{sale} lacks nothing: there was nothing to do.")
        return
    out.print(f"{sale} is back: {count(done.facts, 'fact')}, of which {done.missing:,} were missing.")
    if done.undefined:
        out.print(
            "It had not opened yet, and its definition is lost: put it again (flashsale sale put FILE)."
        )
        return
    orders, holds = count(done.orders, "order"), count(done.holds, "hold")
    jobs = f"; {count(done.jobs, 'payment job')} queued again" if done.jobs else ""
    out.print(f"It goes on with {orders} and {holds}{jobs}.")


def _fail(message: str) -> None:
    click.echo(f"flashsale recover: {plain(message)}", err=True)
    sys.exit(EXIT_FAILED)
