"""Latency of a contender at half of its own peak: open arrivals, on the same cores."""

import json
import subprocess
import sys
from collections.abc import Mapping

from bench.race.arrivals import Arrived
from bench.race.field import ROOT, Contender
from bench.race.heat import Track, warm_up
from bench.race.servers import Server, running
from bench.race.stores import store_of
from bench.race.wrk import CONNECTIONS


class ArrivalsError(Exception):
    """The generator of open arrivals did not do its work."""


def run_half(
    contender: Contender, track: Track, rate: float, changes: Mapping[str, str] | None = None
) -> Arrived:
    """Arrivals at `rate` a second, against a store and a server of its own."""
    with (
        store_of(contender, track.cores) as store,
        running(contender, store, track.cores, track.built, changes=changes) as server,
    ):
        warm_up(server, track)
        server.books.prepare("half", contender.most_stock)
        return arrive(server, track, "half", rate)


def arrive(server: Server, track: Track, sale: str, rate: float, connections: int = CONNECTIONS) -> Arrived:
    """Arrivals against a server that runs. Raises ArrivalsError."""
    crowd = track.crowd()
    seconds = min(track.seconds, crowd.take / rate)
    numbers = [server.port, sale, crowd.tokens, crowd.skip, rate, seconds, connections]
    command = [sys.executable, "-m", "bench.race.arrivals", *map(str, numbers)]
    done = subprocess.run(
        track.cores.pinned(command, server=False),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode:
        raise ArrivalsError(done.stderr[-2000:])
    return Arrived(**json.loads(done.stdout))
