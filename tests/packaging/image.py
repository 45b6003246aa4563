"""deploy/Dockerfile without a container engine: the stages that build, carried out below a folder."""

import io
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from dockerfile_parse import DockerfileParser

from tests.packaging.checkout import ROOT, files, text_of

# The folders at the root of the file system that the first stage makes.
STAGE_FOLDERS = re.compile(r"(?<![\w./-])/(src|opt|dist)\b")


@dataclass(frozen=True)
class Instruction:
    """One instruction of the Dockerfile, its continued lines joined."""

    verb: str
    value: str

    def assignments(self) -> dict[str, str]:
        """The `NAME=value` pairs of an ENV instruction."""
        return dict(pair.split("=", 1) for pair in self.value.split())


@cache
def stages() -> tuple[tuple[Instruction, ...], ...]:
    """The instructions of each stage, its FROM first."""
    parser = DockerfileParser(fileobj=io.BytesIO(text_of(Path("deploy/Dockerfile")).encode()))
    found: list[list[Instruction]] = []
    for entry in parser.structure:
        if entry["instruction"] == "FROM":
            found.append([])
        if entry["instruction"] != "COMMENT":
            found[-1].append(Instruction(entry["instruction"], entry["value"]))
    return tuple(tuple(stage) for stage in found)


def number_of(name: str) -> int:
    """The place of the stage of this name."""
    (found,) = (at for at, stage in enumerate(stages()) if stage[0].value.endswith(f" AS {name}"))
    return found


def base_of(stage: int) -> str:
    """What a stage begins with: the name of an image, or of a stage before it."""
    return stages()[stage][0].value.split(" AS ")[0]


def whole(stage: int) -> tuple[Instruction, ...]:
    """The instructions of a stage, behind those of the stage that it begins with."""
    base = base_of(stage)
    before = whole(number_of(base)) if ":" not in base else ()
    return (*before, *stages()[stage])


def values(stage: int, verb: str) -> list[str]:
    """The values of every such instruction of a stage, and of the stage that it begins with."""
    return [instruction.value for instruction in whole(stage) if instruction.verb == verb]


@cache
def _ignore_rules() -> list[tuple[bool, re.Pattern[str]]]:
    """.dockerignore in its order: whether a pattern leaves out or takes in again, and what it matches."""
    rules = []
    for line in text_of(Path(".dockerignore")).splitlines():
        pattern = line.strip().rstrip("/")
        if pattern and not pattern.startswith("#"):
            glob = re.escape(pattern.removeprefix("!")).replace(r"\*\*/", "(?:.*/)?").replace(r"\*", "[^/]*")
            rules.append((not pattern.startswith("!"), re.compile(glob)))
    return rules


def is_sent(path: Path) -> bool:
    """Whether a file is in the build context: the last pattern to match it or a folder above decides."""
    names = [path.as_posix(), *(parent.as_posix() for parent in path.parents if parent != Path())]
    sent = True
    for leaves_out, pattern in _ignore_rules():
        if any(pattern.fullmatch(name) for name in names):
            sent = not leaves_out
    return sent


def sources(copy: Instruction) -> tuple[list[Path], str]:
    """What a COPY from the build context copies, and where to."""
    *named, target = copy.value.split()
    return [Path(name) for name in named], target


def context_files(source: Path) -> list[Path]:
    """The files of the build context that a source of COPY stands for."""
    return [path for path in files() if (path == source or source in path.parents) and is_sent(path)]


def build(root: Path, stage: int = 0) -> None:
    """Carry out a stage that builds below `root`, with this machine's Python and its pip settings.

    Raises subprocess.CalledProcessError when a RUN instruction fails.
    """
    programs = root / "bin"
    programs.mkdir(parents=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    (programs / "python").symlink_to(Path(sys.base_prefix) / "bin" / version)
    env = {k: v for k, v in os.environ.items() if not re.match("FLASHSALE_|PYTHON|VIRTUAL_ENV", k)}
    env["PATH"] = f"{programs}{os.pathsep}{os.environ['PATH']}"
    folder = root

    def here(text: str) -> str:
        return STAGE_FOLDERS.sub(lambda match: f"{root}{match[0]}", text)

    for instruction in whole(stage):
        match instruction.verb:
            case "ENV":
                # pip's cache is kept, as this machine's is no layer of an image.
                env |= {k: v for k, v in instruction.assignments().items() if k != "PIP_NO_CACHE_DIR"}
            case "WORKDIR":
                folder = Path(here(instruction.value))
                folder.mkdir(parents=True)
            case "COPY":
                _copy(instruction, folder)
            case "FROM":
                continue
            case "RUN":
                subprocess.run(["/bin/sh", "-ec", here(instruction.value)], cwd=folder, env=env, check=True)
            case verb:
                raise NotImplementedError(f"a stage that builds has an instruction not known here: {verb}")


def _copy(instruction: Instruction, folder: Path) -> None:
    named, target = sources(instruction)
    for source in named:
        is_folder = (ROOT / source).is_dir()
        place = folder / target if is_folder or not target.endswith("/") else folder / target / source.name
        for path in context_files(source):
            copied = place / path.relative_to(source) if is_folder else place
            copied.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / path, copied)
