"""Where a feed keeps how far its consumer has come."""

import asyncio
import glob
import os
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Protocol, runtime_checkable

import orjson

from flashsale.client.errors import CursorStoreError

_VERSION: Final = 1
_BESIDE: Final = ".new"


@runtime_checkable
class CursorStore(Protocol):
    """Keeps a cursor: text that means nothing to whoever keeps it. Each consumer has one of its own."""

    async def load(self) -> str | None:
        """The cursor that was saved last; None when none ever was."""
        ...

    async def save(self, cursor: str) -> None:
        """Keeps a cursor; when it returns, the cursor has to outlast a crash."""
        ...


class MemoryCursor:
    """Forgets when the process ends: for consumers that begin anew each time, or keep the cursor themselves."""

    def __init__(self, cursor: str | None = None) -> None:
        self._cursor = cursor

    async def load(self) -> str | None:
        """The cursor that was saved last."""
        return self._cursor

    async def save(self, cursor: str) -> None:
        """Keeps a cursor."""
        self._cursor = cursor


class FileCursor:
    """One small file, replaced whole: whenever the process or the machine dies, it holds the old cursor or the new one."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    async def load(self) -> str | None:
        """The cursor that was saved last; None while there is no file.

        Raises:
            CursorStoreError: the file cannot be read, or is damaged.
        """
        return await asyncio.to_thread(self._load)

    async def save(self, cursor: str) -> None:
        """Writes a file beside it and renames that, each followed by fsync.

        Raises:
            CursorStoreError: the file cannot be written.
        """
        await asyncio.to_thread(self._save, cursor)

    def _load(self) -> str | None:
        try:
            self._tidy()
            content = self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise CursorStoreError(f"the cursor file {self.path} cannot be read: {error.strerror}") from error
        cursor = _read(content)
        if cursor is None:
            raise CursorStoreError(
                f"the cursor file {self.path} is damaged: put back a copy of it, or remove it to read every order "
                "from the first one on"
            )
        return cursor

    def _save(self, cursor: str) -> None:
        folder = self.path.parent
        try:
            # In the same folder, as a rename is atomic on one file system only.
            descriptor, beside = tempfile.mkstemp(_BESIDE, f".{self.path.name}.", folder)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(_written(cursor))
                    file.flush()
                    os.fsync(file.fileno())
                Path(beside).replace(self.path)
            except BaseException:
                Path(beside).unlink(missing_ok=True)
                raise
            _sync_folder(folder)
        except OSError as error:
            said = error.strerror or str(error)
            raise CursorStoreError(f"the cursor file {self.path} cannot be written: {said}") from error

    def _tidy(self) -> None:
        """Removes what was being written when an earlier process died."""
        for left in self.path.parent.glob(f".{glob.escape(self.path.name)}.*{_BESIDE}"):
            left.unlink(missing_ok=True)


def store_of(cursor: "CursorStore | str | os.PathLike[str] | None") -> CursorStore:
    """The store that `OrderFeed(cursor=...)` names: a path, a store, or None for memory."""
    if cursor is None:
        return MemoryCursor()
    if isinstance(cursor, str | os.PathLike):
        return FileCursor(cursor)
    return cursor


def _sync_folder(folder: Path) -> None:
    """Makes the rename itself outlast a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _written(cursor: str) -> bytes:
    return orjson.dumps({"version": _VERSION, "cursor": cursor, "sha256": _sum(cursor)}) + b"\n"


def _read(content: bytes) -> str | None:
    """The cursor in a file; None when the file is damaged."""
    try:
        said: Any = orjson.loads(content)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(said, dict) or not isinstance(cursor := said.get("cursor"), str):
        return None
    return cursor if (said.get("version"), said.get("sha256")) == (_VERSION, _sum(cursor)) else None


def _sum(cursor: str) -> str:
    return sha256(cursor.encode()).hexdigest()
