"""The fence: nobody works on a store that has come back until what it has was compared with the archive.

A server that starts again may have an older journal than the archive has seen: a replica that was behind took over, a disk
was lost, a backup was put back. `fs:guard` has the run id of the server process that was compared since it started, which
only that process has. Every new connection looks whether the two are the same; a server cannot start again without losing
its connections, so nothing has to be remembered for longer than one of them.
"""

import re
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Any, Final

from redis import exceptions

from flashsale import keys

RUN_ID: Final = "run_id"
"""Field of `fs:guard`: the server that was compared."""
WAITS: Final = "waits"
"""Field of `fs:guard`: why it could not be compared, when somebody has tried."""
_RUN_ID = re.compile(r"^run_id:([0-9a-f]+)\s*$", re.MULTILINE)


class Fence(Enum):
    """How a process stands to the fence."""

    NONE = "none"
    """It passes: it is the one that compares."""
    IF_GUARDED = "if guarded"
    """It heeds the fence of a store in which there is one: somebody keeps an archive of it."""
    ALWAYS = "always"
    """Its settings name an archive: a store without a fence has lost it, with everything else."""

    @classmethod
    def of(cls, archive_url: str | None) -> "Fence":
        """That of a process that knows of this archive, or of none."""
        return cls.IF_GUARDED if archive_url is None else cls.ALWAYS


class FencedError(exceptions.ConnectionError):
    """The server has not been compared with the archive; the message is fit to show."""


class NoRunIdError(exceptions.ConnectionError):
    """The server does not tell its run id; the message is fit to show."""


def connect_hook(fence: Fence) -> Callable[[Any], Awaitable[None]] | None:
    """What redis-py is to do with every connection it opens; None leaves it to itself."""
    if fence is Fence.NONE:
        return None

    async def connected(connection: Any) -> None:
        await connection.on_connect()
        await _check(connection, always=fence is Fence.ALWAYS)

    return connected


def run_id_of(info: object) -> str | None:
    """The run id in the text that INFO answers."""
    text = info.decode(errors="replace") if isinstance(info, bytes) else str(info)
    found = _RUN_ID.search(text)
    return found[1] if found else None


async def _check(connection: Any, *, always: bool) -> None:
    """One round trip.

    Raises:
        FencedError, NoRunIdError: the connection must not be used.
    """
    commands = [("HMGET", keys.GUARD, RUN_ID, WAITS), ("INFO", "server")]
    await connection.send_packed_command(connection.pack_commands(commands), check_health=False)
    guard, info = await _reply(connection), await _reply(connection)
    if isinstance(guard, exceptions.ResponseError):
        raise guard
    verified, waits = (value.decode() if value is not None else None for value in guard)
    if verified is None and not always:
        return
    if isinstance(info, exceptions.NoPermissionError):
        raise NoRunIdError(
            "the store does not allow our user INFO, by which we know that it is the same server as before"
        )
    if isinstance(info, exceptions.ResponseError):
        raise info
    run_id = run_id_of(info)
    if run_id is None:
        raise NoRunIdError(
            "the store does not tell its run_id, by which we know that it is the same server as before"
        )
    if verified != run_id:
        because = f": {waits}" if waits else ""
        raise FencedError(f"the store has started, and is yet to be compared with the archive{because}")


async def _reply(connection: Any) -> Any:
    """The next reply; an error reply as it is, so that the one after it is read too."""
    try:
        return await connection.read_response()
    except exceptions.ResponseError as error:
        return error
