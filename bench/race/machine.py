"""The machine of a race: its cores, who runs on which, and what it is called."""

import os
import platform
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

NAMED = ("aiohttp", "uvloop", "redis", "hiredis", "fastapi", "uvicorn", "asyncpg")


@dataclass(frozen=True, slots=True)
class Cores:
    """Who runs on which core; None where this system cannot pin."""

    server: int | None
    rest: frozenset[int]

    def pinned(self, command: Sequence[str], *, server: bool) -> list[str]:
        """The command, kept to the core of the server or to the others."""
        if self.server is None:
            return [*command]
        cores = [self.server] if server else sorted(self.rest)
        return ["taskset", "-c", ",".join(map(str, cores)), *command]

    def describe(self) -> str:
        if self.server is None:
            return "nothing is pinned on this system: figures move more than they should"
        others = ", ".join(map(str, sorted(self.rest)))
        return f"server on core {self.server}, store and load generator on core {others}"


def find_cores() -> Cores:
    """The first two cores of this process: the first for the server, the second for the store and whoever makes the load."""
    if not hasattr(os, "sched_getaffinity") or shutil.which("taskset") is None:
        return Cores(None, frozenset())
    cores = sorted(os.sched_getaffinity(0))
    return Cores(cores[0], frozenset(cores[1:2] or cores))


@contextmanager
def among_the_rest(cores: Cores) -> Iterator[None]:
    """This process, and whatever it starts inside, keeps off the core of the server."""
    if cores.server is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores.rest)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def describe_machine() -> str:
    """Cores, processor, memory and system, in a line."""
    try:
        info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        info = ""
    models = [line.partition(":")[2].strip() for line in info.splitlines() if line.startswith("model name")]
    processor = models[0] if models else platform.processor() or platform.machine()
    return f"{os.cpu_count()} cores ({processor}), {platform.system()} {platform.release()}"


def versions(extra: Sequence[str] = ()) -> str:
    """What was measured, with its versions, in a line."""
    found = [f"Python {platform.python_version()}"]
    for name in NAMED:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join([*found, *extra])


def said_by(*command: str) -> str:
    """The first line that a program says, such as its version; empty when it is not there."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    lines = (done.stdout or done.stderr).strip().splitlines()
    return lines[0] if lines else ""
