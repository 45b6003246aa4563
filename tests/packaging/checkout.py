"""What the checkout holds: the files that belong to the repository, and the modules of the package."""

import os
from functools import cache
from pathlib import Path

from pathspec import GitIgnoreSpec

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "flashsale"


@cache
def files() -> tuple[Path, ...]:
    """Every file that is not ignored, relative to the root; also where there is no git, as in an archive."""
    ignored = GitIgnoreSpec.from_lines((ROOT / ".gitignore").read_text(encoding="utf-8").splitlines())
    found: list[Path] = []
    for folder, names, leaves in os.walk(ROOT):
        here = Path(folder).relative_to(ROOT)
        names[:] = [
            name
            for name in names
            if name != ".git" and not ignored.match_file(f"{(here / name).as_posix()}/")
        ]
        found += [here / leaf for leaf in leaves if not ignored.match_file((here / leaf).as_posix())]
    return tuple(sorted(found))


def with_suffix(*suffixes: str) -> list[Path]:
    """The files of the repository that end so."""
    return [path for path in files() if path.suffix in suffixes]


def text_of(path: Path) -> str:
    """The text of a file named relative to the root."""
    return (ROOT / path).read_text(encoding="utf-8")
