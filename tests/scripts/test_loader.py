"""Putting scripts together from files."""

import hashlib
from pathlib import Path

import pytest

from flashsale.scripts import calls
from flashsale.scripts.loader import ScriptError, assemble, directory, load


def write(folder: Path, **files: str) -> Path:
    """`name="text"` is a script, `_name="text"` a file of includes."""
    (folder / "includes").mkdir()
    for name, text in files.items():
        path = folder / "includes" / f"{name[1:]}.lua" if name.startswith("_") else folder / f"{name}.lua"
        path.write_text(text, encoding="utf-8")
    return folder


def test_includes_take_the_place_of_their_lines(tmp_path: Path) -> None:
    write(tmp_path, verb="#!lua\n-- @include one\nreturn one\n", _one="local one = 1\n")
    assert assemble(tmp_path, "verb").source == "#!lua\nlocal one = 1\n\nreturn one\n".replace("\n\n", "\n")


def test_an_include_asked_for_twice_is_there_once(tmp_path: Path) -> None:
    write(
        tmp_path,
        verb="#!lua\n-- @include left\n-- @include right\n-- @include base\nreturn 1\n",
        _left="-- @include base\nlocal left\n",
        _right="-- @include base\nlocal right\n",
        _base="local base\n",
    )
    source = assemble(tmp_path, "verb").source
    assert [source.count(f"local {name}\n") for name in ("base", "left", "right")] == [1, 1, 1]
    assert source.index("base") < source.index("left") < source.index("right")


def test_a_circle_is_refused_and_spelled_out(tmp_path: Path) -> None:
    write(
        tmp_path,
        verb="#!lua\n-- @include one\n",
        _one="-- @include two\n",
        _two="-- @include three\n",
        _three="-- @include one\n",
    )
    with pytest.raises(ScriptError, match="circle: one -> two -> three -> one"):
        assemble(tmp_path, "verb")


def test_a_file_that_includes_itself_is_refused(tmp_path: Path) -> None:
    write(tmp_path, verb="#!lua\n-- @include one\n", _one="-- @include one\n")
    with pytest.raises(ScriptError, match="circle: one -> one"):
        assemble(tmp_path, "verb")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    write(tmp_path, verb="#!lua\n-- @include one\n")
    with pytest.raises(ScriptError, match=r"includes/one\.lua: No such file"):
        assemble(tmp_path, "verb")
    with pytest.raises(ScriptError, match=r"other\.lua: No such file"):
        assemble(tmp_path, "other")


@pytest.mark.parametrize("name", calls.NAMES)
def test_a_script_is_known_by_the_sha_of_its_source(name: str) -> None:
    script = load(name)
    assert script.source.startswith("#!lua")
    assert "@include" not in script.source
    assert script.sha == hashlib.sha1(script.source.encode()).hexdigest()
    assert load(name) is script
    assert assemble(directory(), name) == script
