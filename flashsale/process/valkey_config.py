"""The configuration of the embedded Valkey (or Redis 7), and the words it answers a health check with."""

import os
import socket
from collections.abc import Sequence
from enum import Enum
from pathlib import Path

from flashsale.process.ports import LOOPBACK

PROBE_TIMEOUT_SECONDS = 1.0


def config_text(data_dir: Path, port: int, password: str, extra: Sequence[str] = ()) -> bytes:
    """The configuration as the server reads it from its standard input, so that no secret lies in a file.

    Every answer is kept: the append-only file is synced before a command is answered, and nothing is ever
    evicted. A torn last entry, from a crash in the middle of a write that nobody was told of, is dropped at
    the start. `extra` lines win over ours.
    """
    lines = [
        f"bind {LOOPBACK}",
        f"port {port}",
        "protected-mode yes",
        f"requirepass {password}",
        "daemonize no",
        "supervised no",
        'pidfile ""',
        'logfile ""',
        'save ""',
        "appendonly yes",
        "appendfsync always",
        "no-appendfsync-on-rewrite no",
        "aof-use-rdb-preamble yes",
        "aof-load-truncated yes",
        "auto-aof-rewrite-percentage 100",
        "auto-aof-rewrite-min-size 64mb",
        "maxmemory-policy noeviction",
        # A sale of a few hundred units would otherwise be searched from end to end by every reservation.
        "hash-max-listpack-entries 64",
    ]
    text = "\n".join([*lines, *extra]) + "\n"
    return text.encode() + b"dir " + quote(os.fsencode(data_dir)) + b"\n"


def quote(value: bytes) -> bytes:
    r"""A value in the double quotes of the configuration file: anything but plain ASCII becomes \xNN."""
    plain = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+ "
    return b'"' + b"".join(bytes([byte]) if byte in plain else b"\\x%02x" % byte for byte in value) + b'"'


class Health(Enum):
    """What a server said when it was asked: nothing (yet), that it loads its data, or that it is ready."""

    SILENT = "silent"
    LOADING = "loading"
    READY = "ready"


def probe(port: int, password: str, timeout_s: float = PROBE_TIMEOUT_SECONDS) -> Health:
    """Ask the server on this port how it is. A server that does not know the password is not ours: silent."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=timeout_s) as connection:
            file = connection.makefile("rwb")
            file.write(f"AUTH {password}\r\nPING\r\n".encode())
            file.flush()
            if file.readline() != b"+OK\r\n":
                return Health.SILENT
            answer = file.readline()
    except OSError:
        return Health.SILENT
    if answer.startswith(b"-LOADING"):
        return Health.LOADING
    return Health.READY if answer == b"+PONG\r\n" else Health.SILENT
