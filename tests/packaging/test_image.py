"""deploy/Dockerfile: what it says, and what its stages make: installations that work on their own."""

import ast
import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from email.parser import Parser
from pathlib import Path

import pytest
import yaml
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import flashsale
from flashsale.process.ports import ReservedPort
from tests.packaging.checkout import ROOT, files, text_of
from tests.packaging.image import (
    Instruction,
    base_of,
    build,
    context_files,
    is_sent,
    number_of,
    sources,
    stages,
    values,
)
from tests.packaging.sale import ask, audit, reserve_one
from tests.packaging.server import ROOT_KEY, SHOPPER_SECRET, EmbeddedServer
from tests.packaging.test_locks import PROJECT, pins, version_of

COPIES = [i for stage in stages() for i in stage if i.verb == "COPY" and "--from" not in i.value]
LOAD = number_of("load")
IMAGES = [LOAD, -1]


@pytest.mark.parametrize("stage", IMAGES, ids=["load", "server"])
def test_it_ends_as_a_user_without_privileges(stage: int) -> None:
    (user,) = values(stage, "USER")
    uid, gid = user.split(":")
    assert int(uid) >= 10_000
    assert int(gid) >= 10_000
    assert f"--uid {uid}" in values(stage, "RUN")[0]


def test_all_stages_have_the_same_python_and_it_is_one_we_support() -> None:
    bases = {base for base in map(base_of, range(len(stages()))) if ":" in base}
    (base,) = bases
    tag = re.fullmatch(r"python:(\d+\.\d+)-slim-\w+", base)
    assert tag
    assert SpecifierSet(PROJECT["project"]["requires-python"]).contains(tag[1])
    assert f"Programming Language :: Python :: {tag[1]}" in PROJECT["project"]["classifiers"]


def test_everything_installed_is_checked_against_its_hash() -> None:
    runs = [i.value for stage in stages() for i in stage if i.verb == "RUN"]
    installs = re.findall(r"pip install [^&]*", " ".join(runs))
    assert installs
    for command in installs:
        assert "--require-hashes" in command or "--no-deps /dist/*.whl" in command


@pytest.mark.parametrize("copy", COPIES, ids=lambda copy: copy.value)
def test_every_path_it_copies_exists_and_is_sent(copy: Instruction) -> None:
    for source in sources(copy)[0]:
        assert (ROOT / source).exists()
        assert context_files(source)


def test_nothing_else_is_sent() -> None:
    copied = {path for copy in COPIES for source in sources(copy)[0] for path in context_files(source)}
    sent = {path for path in files() if is_sent(path)}
    assert {path for path in sent - copied if path.parts[0] != "requirements"} == set()
    for secret in (".env", ".git/config", ".venv/pyvenv.cfg", "flashsale/__pycache__/a.pyc"):
        assert not is_sent(Path(secret))


def test_it_is_as_healthy_as_compose_thinks() -> None:
    (check,) = values(-1, "HEALTHCHECK")
    command = json.loads(check[check.index("CMD") + 3 :])
    service = yaml.safe_load(text_of(Path("docker-compose.yml")))["services"]["server"]
    assert ["CMD", *command] == service["healthcheck"]["test"]
    assert values(-1, "EXPOSE") == [service["command"][-1]]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of a file system on which the stages that build were carried out."""
    root = tmp_path_factory.mktemp("image")
    build(root, number_of("build-load"))
    return root


def run(image: Path, *command: str, installation: str = "flashsale") -> str:
    """What a program of an installation prints, run as in a container: no environment, another folder."""
    program, *arguments = command
    done = subprocess.run(
        [image / "opt" / installation / "bin" / program, *arguments],
        cwd=image / "opt",
        env={"PATH": "/usr/bin:/bin", "HOME": str(image)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_wheel_holds_the_package_the_scripts_the_examples_and_the_load_test(image: Path) -> None:
    (path,) = (image / "dist").iterdir()
    with zipfile.ZipFile(path) as wheel:
        names = set(wheel.namelist())
        (about,) = [name for name in names if name.endswith(".dist-info/METADATA")]
        metadata = Parser().parsestr(wheel.read(about).decode())
        texts = {name: wheel.read(name).decode() for name in names if name.startswith("flashsale/")}
    ours = {path for path in files() if path.parts[0] == "flashsale"}
    assert {path.as_posix() for path in ours} <= names
    for folder in ("lua", "examples", "loadtest"):
        inside = {name: text for name, text in texts.items() if name.startswith(f"flashsale/{folder}/")}
        assert inside
        assert inside == {f"flashsale/{p.as_posix()}": text_of(p) for p in files() if p.parts[0] == folder}
    assert {name.split("/")[0].split("-")[0] for name in names} == {"flashsale"}
    assert (metadata["Name"], metadata["Version"]) == ("flashsale", flashsale.__version__)
    assert metadata["License-Expression"] == "MIT"


@pytest.mark.long
@pytest.mark.parametrize(("installation", "lock_name"), [("flashsale", "runtime"), ("load", "load")])
def test_the_installation_holds_what_is_pinned_and_nothing_else(
    image: Path, installation: str, lock_name: str
) -> None:
    listing = "import importlib.metadata as m; print([(d.name, d.version) for d in m.distributions()])"
    found = ast.literal_eval(run(image, "python", "-c", listing, installation=installation))
    installed = {canonicalize_name(name): version for name, version in found}
    lock = pins(Path(f"requirements/{lock_name}.txt"))
    wanted = {name: version_of(pin) for name, pin in lock.items() if not pin.marker or pin.marker.evaluate()}
    installed.pop(
        canonicalize_name("setuptools"), None
    )  # Python 3.11 puts it into a new environment, later versions do not
    assert installed == {**wanted, "flashsale": flashsale.__version__}


@pytest.mark.long
def test_the_installation_finds_its_scripts_in_itself(image: Path) -> None:
    told = run(image, "python", "-c", "import flashsale; print(flashsale.__file__)")
    assert Path(told).is_relative_to(image)
    assert "serve" in run(image, "flashsale", "--help")


@pytest.mark.long
def test_the_installation_has_the_pages(image: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    assert "version" in run(image, "flashsale", "pages", "export", str(site), "--console")
    (folder,) = (path for path in (site / "pages").iterdir() if path.is_dir())
    static = image / "src" / "flashsale" / "pages" / "static"
    ours = {path.relative_to(static) for path in static.rglob("*.*")} - {
        Path("shop.html"),
        Path("console.html"),
    }
    assert {path.relative_to(folder) for path in folder.rglob("*.*")} == ours | {Path("vendor/chart.js")}


@pytest.mark.long
def test_the_other_installation_can_load_a_server(image: Path) -> None:
    users = run(image, "locust", "-f", str(image / "src" / "loadtest"), "--list", installation="load")
    assert {"Shopper", "Refresher", "Bot", "OrderSystem"} <= set(users.split())
    where = (
        "from flashsale.rehearsal.crowd import check_installed, folder; check_installed(); print(folder())"
    )
    told = run(image, "python", "-c", where, installation="load").strip()
    assert Path(told).is_relative_to(image / "opt" / "load")
    assert (Path(told) / "profiles" / "smoke.toml").is_file()
    assert "--embedded" in run(image, "flashsale", "rehearse", "--help", installation="load")


@pytest.fixture
def server(image: Path, tmp_path: Path) -> Iterator[EmbeddedServer]:
    """`flashsale serve --embedded` of the installation, started in a folder of its own."""
    with ReservedPort() as reserved:
        program = image / "opt" / "flashsale" / "bin" / "flashsale"
        server = EmbeddedServer(program, tmp_path, reserved.port)
        yield server
        server.close()


@pytest.mark.long
async def test_the_installation_sells(server: EmbeddedServer) -> None:
    await server.start()
    assert (await ask("GET", f"{server.url}/healthz"))[0] == 200
    assert (await ask("GET", f"{server.url}/readyz"))[0] == 200
    assert (await ask("GET", f"{server.url}/pages/config.json"))[1]["languages"][0]["code"] == "en"
    reservation = await reserve_one(server.url, ROOT_KEY, SHOPPER_SECRET)
    assert (reservation["status"], reservation["place"], reservation["amount"]) == ("held", 1, 100)
    assert (await audit(server.url, ROOT_KEY))["ok"] is True
    assert server.stop() == 0
    assert not server.left_running()

    await server.start()
    told = await audit(server.url, ROOT_KEY)
    assert (told["ok"], told["items"][0]["held"]) == (True, 1)
    assert server.stop() == 0


@pytest.mark.long
def test_the_source_archive_builds_the_same_wheel(image: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONWARNINGS": ""})
    (ours,), (theirs,) = tmp_path.glob("*.whl"), (image / "dist").iterdir()
    with zipfile.ZipFile(ours) as one, zipfile.ZipFile(theirs) as other:
        records = [{i.filename: i.CRC for i in wheel.infolist()} for wheel in (one, other)]
    assert records[0] == records[1]
