"""The archive, for commands that work on a Redis or on a data directory themselves."""

import asyncio
import os
from pathlib import Path

import click

from flashsale.cli.output import plain
from flashsale.settings import Settings, env_name, load_settings

_ARCHIVE = env_name("archive")


def archive_env(data_dir: Path | None) -> dict[str, str]:
    """The archive that a server of one's own is told of: the one of the environment, or the file in the data directory.

    Raises:
        SettingsError: the one of the environment cannot be used.
    """
    settings = _settings(data_dir)
    return {_ARCHIVE: settings.archive} if settings is not None and settings.archive is not None else {}


def _settings(data_dir: Path | None) -> Settings | None:
    given = {_ARCHIVE: os.environ[_ARCHIVE]} if _ARCHIVE in os.environ else {}
    if data_dir is None:
        return load_settings(given)
    settings = load_settings(given, {"data_dir": data_dir}).with_archive()
    missing = not given and not (data_dir / Path(settings.archive_url or "").name).is_file()
    return None if missing else settings


def compare(redis_url: str, data_dir: Path) -> None:
    """Compares a store that was started for a command with its archive, as the background work would.

    Raises:
        click.ClickException: it cannot be compared, so that nobody would be let in.
        SettingsError: the archive of the environment cannot be used.
    """
    settings = _settings(data_dir)
    if settings is None or settings.archive_url is None:
        return
    # These take long to import, and few commands need them.
    from flashsale.archive import ArchiveError
    from flashsale.logs import configure_logs
    from flashsale.store.client import StoreUnavailableError

    configure_logs(settings.model_copy(update={"log_level": "critical"}), "command")
    try:
        asyncio.run(_compare(redis_url, settings.archive_url))
    except (ArchiveError, StoreUnavailableError) as error:
        raise click.ClickException(plain(str(error))) from error


async def _compare(redis_url: str, archive_url: str) -> None:
    from flashsale.archive import Archive
    from flashsale.engine.guard import Guard
    from flashsale.store.guarding import GuardStore

    archive = await asyncio.to_thread(Archive.open, archive_url)
    try:
        async with GuardStore(redis_url) as store:
            await Guard(store, archive).verify()
    finally:
        await asyncio.to_thread(archive.close)
