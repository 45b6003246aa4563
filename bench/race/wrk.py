"""One run of wrk against a server: closed loop, so many connections, each request another customer."""

import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.race.crowd import BODY
from bench.race.machine import Cores
from bench.race.meter import Meter
from bench.race.servers import Server

CONNECTIONS = 64
SCRIPT = Path(__file__).with_suffix(".lua")
EDGE_SECONDS = 0.3
"""Left out of the metering at either end of a run."""


class WrkError(Exception):
    """wrk did not run as it should."""


@dataclass(frozen=True, slots=True)
class Crowd:
    """Which customers come: lines `skip` to `skip + take` of the file of tokens."""

    tokens: Path
    skip: int
    take: int


@dataclass(frozen=True, slots=True)
class Load:
    """What a run gave."""

    rate: float
    """Answers a second, of whatever status."""
    answers: int
    refused: int
    """Of them with status 400 or more."""
    failed: int
    """Requests that got no answer at all."""
    p50_ms: float
    p99_ms: float
    server_share: float
    """Of its core; so the others."""
    store_share: float
    load_share: float
    others_share: float
    """Of whoever else was on the machine."""


def run_wrk(
    server: Server,
    sale: str,
    crowd: Crowd,
    cores: Cores,
    *,
    seconds: float,
    connections: int = CONNECTIONS,
    bodies: Sequence[bytes] = (BODY,),
) -> Load:
    """Raises WrkError when wrk ends with a fault."""
    env = os.environ | {
        "RACE_TOKENS": str(crowd.tokens),
        "RACE_SKIP": str(crowd.skip),
        "RACE_TAKE": str(crowd.take),
        "RACE_PATH": f"/v1/sales/{sale}/reservations",
        "RACE_BODIES": b"\n".join(bodies).decode(),
    }
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:.0f}s", "--timeout", "10s", "--latency"]
    command += ["-s", str(SCRIPT), f"http://127.0.0.1:{server.port}"]
    with subprocess.Popen(
        cores.pinned(command, server=False),
        env=env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        if (said := process.stderr.readline().strip()) != "READY":
            raise WrkError(f"wrk did not get ready: {said} {process.stderr.read()}")
        time.sleep(EDGE_SECONDS)
        meter = Meter(
            {
                "server": server.processes(),
                "store": server.store.processes(),
                "load": [psutil.Process(process.pid)],
            }
        )
        time.sleep(max(0.2, seconds - 2 * EDGE_SECONDS))
        shares = meter.read()
        output, errors = process.communicate(timeout=seconds + 60)
    results = [line.split()[1:] for line in output.splitlines() if line.startswith("RESULT")]
    if process.returncode or not results:
        raise WrkError(f"wrk ended with {process.returncode}: {output} {errors}")
    answers, micros, refused, failed, p50, p99 = map(int, results[0])
    return Load(
        rate=answers / micros * 1e6,
        answers=answers,
        refused=refused,
        failed=failed,
        p50_ms=p50 / 1000,
        p99_ms=p99 / 1000,
        server_share=shares["server"],
        store_share=shares["store"],
        load_share=shares["load"],
        others_share=shares["others"],
    )
