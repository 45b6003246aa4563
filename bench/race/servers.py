"""Starts a contender on its core, and ends it."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.race.books import Books, books_of
from bench.race.field import PEERS, ROOT, ROOT_KEY, SECRET, Contender
from bench.race.machine import Cores, free_port
from bench.race.stores import Store
from flashsale.process.ports import LOOPBACK

START_SECONDS = 60
STOP_SECONDS = 30


class StartError(Exception):
    """A contender did not start; the text holds the end of what it said."""


@dataclass(frozen=True, slots=True)
class Server:
    """A contender that answers."""

    contender: Contender
    port: int
    pid: int
    store: Store
    books: Books

    def processes(self) -> list[psutil.Process]:
        first = psutil.Process(self.pid)
        return [first, *first.children(recursive=True)]

    def worker(self) -> psutil.Process:
        """The process that has the most memory: with flashsale the HTTP worker, not its supervisor."""
        found: psutil.Process = max(self.processes(), key=lambda each: each.memory_info().rss)
        return found


def _environment(contender: Contender, store: Store, changes: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FLASHSALE_")}
    own = {"RACE_SCRIPT": str(PEERS / "reserve.lua")}
    if contender.store == "ours":
        own = {
            "FLASHSALE_ROOT_KEY": ROOT_KEY,
            "FLASHSALE_SHOPPER_SECRET": SECRET,
            "FLASHSALE_REDIS_URL": store.url,
            "FLASHSALE_LOG_LEVEL": "warning",
        }
    elif contender.store == "redis":
        own["RACE_REDIS_URL"] = store.url
    elif contender.store == "postgres":
        own["RACE_POSTGRES_URL"] = store.url
    return {**kept, **own, **contender.environment, **changes}


@contextmanager
def running(
    contender: Contender,
    store: Store,
    cores: Cores,
    built: Path,
    *,
    changes: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """The contender on a port of its own; `changes` are environment variables. Raises StartError."""
    port = free_port()
    command = [part.format(port=port, built=built) for part in contender.command]
    command = cores.pinned(command, server=True)
    log = built / f"{contender.key}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env=_environment(contender, store, changes or {}), stdout=output, stderr=output
        )
    try:
        _wait(process, port, log)
        yield Server(contender, port, process.pid, store, books_of(contender, store, port))
    finally:
        _end(process)


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket() as attempt:
            listening = attempt.connect_ex((LOOPBACK, port)) == 0
        if listening:
            time.sleep(0.5)  # what it does on its first breath is no part of the race
            return
        time.sleep(0.05)
    said = log.read_text(encoding="utf-8", errors="replace")[-1000:]
    raise StartError(f"{log.stem} does not answer on port {port}. It said:\n{said}")


def _end(process: subprocess.Popen[bytes]) -> None:
    family = []
    if process.poll() is None:
        family = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for each in family:
        if each.is_running():
            each.kill()
