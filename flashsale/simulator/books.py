"""The file in which the simulator's books outlive it: one JSON line a change, written before the change is answered.

A process that is killed loses nothing of it; a machine that loses its power may, as nothing waits for the disk.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from flashsale.simulator.records import Change

MAX_SENT: Final = 100_000


class BooksError(Exception):
    """The file cannot be used, or not written to; the message says why."""


class Sent(msgspec.Struct, frozen=True, tag="sent", array_like=True):
    """The webhook of this event needs no more sending."""

    event: str


Line = Change | Sent

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Line).decode


class Books:
    """An open file of changes, held by one process at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._sent: list[bytes] = []
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise BooksError(f"cannot open {path}: {error.strerror}") from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._fd)
            raise BooksError(f"{path} is in use by another simulator") from None

    def lines(self) -> Iterator[Line]:
        """What was written, from the beginning. A last line that was cut off by the end of a process is removed."""
        good = 0
        with self._path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    break
                try:
                    yield _decode(line)
                except msgspec.MsgspecError as error:
                    raise BooksError(f"{self._path}, line {number}: {error}") from error
                good += len(line)
        os.ftruncate(self._fd, good)

    def write(self, change: Change) -> None:
        """Appends a change. Raises `BooksError` when the disk does not take it; then nothing of it is there."""
        self._append(b"".join((*self._sent, _encode(change), b"\n")))
        self._sent.clear()

    def note_sent(self, event_id: str) -> None:
        """Appends that an event was delivered, with the next change or `flush`. If that gets lost, it is delivered again."""
        if len(self._sent) < MAX_SENT:
            self._sent.append(_encode(Sent(event_id)) + b"\n")

    def flush(self) -> None:
        """Writes what `note_sent` was told."""
        self._append(b"".join(self._sent))
        self._sent.clear()

    def close(self) -> None:
        """Flushes, and lets go of the file."""
        try:
            self.flush()
        finally:
            os.close(self._fd)

    def _append(self, data: bytes) -> None:
        if not data:
            return
        before = os.fstat(self._fd).st_size
        try:
            written = os.write(self._fd, data)
        except OSError:
            written = 0
        if written != len(data):
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, before)
            raise BooksError(f"cannot write to {self._path}: is the disk full?")
