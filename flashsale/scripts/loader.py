"""Reads the scripts of `lua/` and puts in what they include.

A line `-- @include name` is replaced by `lua/includes/name.lua`, once in a script however often it is asked for.
"""

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_INCLUDE = re.compile(r"^-- @include ([a-z_]+)\n", re.MULTILINE)
_PACKAGE = Path(__file__).resolve().parent.parent


class ScriptError(Exception):
    """A script file is missing or includes itself."""


@dataclass(frozen=True, slots=True)
class Script:
    """One script as it is sent to the server."""

    name: str
    source: str
    sha: str


def directory() -> Path:
    """Where the Lua files are: inside the installed package, or beside it in a checkout."""
    for folder in (_PACKAGE / "lua", _PACKAGE.parent / "lua"):
        if (folder / "reserve.lua").is_file():
            return folder
    raise ScriptError(
        f"the Lua scripts are not where they belong, {_PACKAGE / 'lua'}: install the package again"
    )


@cache
def load(name: str) -> Script:
    """The script `lua/<name>.lua` with its includes.

    Raises:
        ScriptError: a file is missing, or the includes form a circle.
    """
    return assemble(directory(), name)


def assemble(folder: Path, name: str) -> Script:
    """As `load`, from any folder and without remembering."""
    shebang, _, rest = _read(folder / f"{name}.lua").partition("\n")
    source = f"{shebang}\n{_expand(rest, folder, (), set())}"
    return Script(name, source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


def _expand(source: str, folder: Path, open_files: tuple[str, ...], done: set[str]) -> str:
    def included(match: re.Match[str]) -> str:
        name = match[1]
        if name in open_files:
            raise ScriptError(f"includes form a circle: {' -> '.join((*open_files, name))}")
        if name in done:
            return ""
        text = _expand(_read(folder / "includes" / f"{name}.lua"), folder, (*open_files, name), done)
        done.add(name)
        return text

    return _INCLUDE.sub(included, source)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ScriptError(f"cannot read {path}: {error.strerror}") from error
