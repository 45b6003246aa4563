"""Scripts with a fault put in, to prove that the tests would find it.

`tampered(folder, "reserve", old, new)` copies lua/ to `folder` with one text replaced in one file, which must contain it
exactly once; `use(folder)` makes every wrapper run the scripts of that folder inside the block.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flashsale.scripts import loader


def tampered(folder: Path, name: str, old: str, new: str) -> Path:
    copy = folder / "lua"
    shutil.copytree(loader.directory(), copy)
    path = copy / f"{name}.lua"
    source = path.read_text(encoding="utf-8")
    assert source.count(old) == 1, f"{name}.lua has {source.count(old)} times: {old}"
    path.write_text(source.replace(old, new), encoding="utf-8")
    return copy


@contextmanager
def use(folder: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loader, "directory", lambda: folder)
        loader.load.cache_clear()
        try:
            yield
        finally:
            loader.load.cache_clear()
