"""Fuzzes the reading of requests by the fast lane, with aiohttp's parser as the judge.

    python -m tests.fuzz.lane --seconds 30
    python -m tests.fuzz.lane --again FILE      what a run has found, once more

It begins with the corpus of tests/lane, and ends with 1 as soon as the two disagree: then it says which bytes they disagree
about and leaves them in a file. `atheris` (libFuzzer for Python) has wheels for Linux on x86-64 only.
"""

import argparse
import hashlib
import importlib
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from flashsale.api import lane_request
from tests.fuzz.target import check, seeds
from tests.lane.mutations import TRICKY

WORDS: Final = (
    *TRICKY, b"Content-Length", b"Transfer-Encoding", b"Connection", b"Host", b"Idempotency-Key", b"Content-Type", b"Expect",
    b"Upgrade", b"Content-Encoding", b"Proxy-Connection", b"keep-alive", b"close", b"application/json", b"/reservations",
)  # fmt: skip
TELL_EVERY: Final = 500


def main(arguments: list[str]) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.lane", description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=30, help="how long (30)")
    parser.add_argument("--seed", type=int, default=0, help="of libFuzzer; 0 takes another one each time (0)")
    parser.add_argument("--found", type=Path, default=Path("fuzz-found"), help="the folder for what it finds")
    parser.add_argument("--again", type=Path, help="a file that was found")
    parser.add_argument("--fuzz", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.again is not None:
        say(f"{check(options.again.read_bytes())} requests for the fast lane, and aiohttp reads them alike")
        return 0
    if options.fuzz is not None:
        fuzz(options.fuzz)
    return supervise(options.seconds, options.seed, options.found)


def supervise(seconds: int, seed: int, found: Path) -> int:
    """Runs libFuzzer in a process of its own, which it ends as it likes, and says what came of it."""
    with tempfile.TemporaryDirectory(prefix="flashsale-fuzz-") as name:
        folder = Path(name)
        corpus, words, tally = folder / "corpus", folder / "words", folder / "tally"
        corpus.mkdir()
        found.mkdir(exist_ok=True)
        for data in seeds():
            (corpus / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
        words.write_text("".join(map(quoted, WORDS)))
        command = [
            sys.executable, "-m", "tests.fuzz.lane", "--fuzz", str(tally), str(corpus), f"-max_total_time={seconds}",
            f"-seed={seed}", f"-dict={words}", f"-artifact_prefix={found}/", "-max_len=4096", "-timeout=10",
            "-print_final_stats=1", "-verbosity=0", "-close_fd_mask=0",
        ]  # fmt: skip
        done = subprocess.run(command, check=False, timeout=seconds + 300)
        told = tally.read_text().split() if tally.exists() else ["0", "0"]
    inputs, requests = map(int, told)
    say(f"{inputs} inputs, in which the fast lane read {requests} requests; exit code {done.returncode}")
    if not any(found.iterdir()):
        found.rmdir()
    if done.returncode == 0 and not requests:
        say("It has read none, so nothing was compared.")
        return 1
    return 1 if done.returncode else 0


def say(what: str) -> None:
    """One line of what is told."""
    sys.stdout.write(what + "\n")


def quoted(word: bytes) -> str:
    """A line of libFuzzer's dictionary."""
    return '"' + "".join(rf"\x{byte:02x}" for byte in word) + '"\n'


def fuzz(arguments: list[str]) -> None:
    """The process of libFuzzer; does not return."""
    atheris: Any = importlib.import_module("atheris")  # by name: it has no types, and is not everywhere
    for function in (lane_request.parse, lane_request._read, lane_request._target, lane_request.wanted):
        atheris.instrument_func(function)
    tally = Path(arguments[0])
    counted = [0, 0]

    def one_input(data: bytes) -> None:
        counted[0] += 1
        counted[1] += check(data)
        if counted[0] % TELL_EVERY == 0:
            tally.write_text(f"{counted[0]} {counted[1]}")

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        """libFuzzer's changes to the bytes, and now and then ours to the lines."""
        draw = random.Random(seed)
        if draw.random() < 0.5:
            changed: bytes = atheris.Mutate(data, len(data))
            return changed[:max_size]
        return of_lines(data, draw)[:max_size]

    mutator: dict[str, Any] = {"custom_mutator": mutate}
    atheris.Setup([sys.argv[0], *arguments[1:]], one_input, **mutator)
    atheris.Fuzz()
    os._exit(0)


def of_lines(data: bytes, draw: random.Random) -> bytes:
    """One line of the head more, less, again, elsewhere, or with a word in it."""
    lines = data.split(b"\r\n")
    at = draw.randrange(len(lines))
    line = lines[at]
    kind = draw.randrange(6)
    if kind == 0:
        lines.insert(draw.randrange(len(lines) + 1), line)
    elif kind == 1:
        del lines[at]
    elif kind == 2:
        lines.insert(draw.randrange(len(lines)), lines.pop(at))
    elif kind == 3:
        lines.insert(at, draw.choice(WORDS) + b": " + draw.choice(WORDS))
    else:
        cut = draw.randrange(len(line) + 1)
        lines[at] = line[:cut] + draw.choice(WORDS) + line[cut + draw.randrange(3) :]
    return b"\r\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
