"""Open arrivals: requests at the instants of a Poisson process, whether or not earlier ones were answered.

`python -m bench.race.arrivals PORT SALE TOKENS SKIP RATE SECONDS CONNECTIONS` prints one line of JSON. A latency counts from
the instant at which the shopper meant to press, so waiting for a free connection, or for this program, counts as well; how
late this program was by itself is told as `late_p99_ms`.
"""

import gc
import json
import random
import sys
from collections import deque
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

from bench.race.arithmetic import percentile
from bench.race.crowd import request
from bench.race.shoppers import Shoppers, now

SEED = 6
WARM_SHARE = 0.2
"""The first part of the arrivals warms up, and is not counted."""
GIVE_UP_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Arrived:
    """What came of them."""

    rate: float
    answers: int
    refused: int
    p50_ms: float
    p99_ms: float
    worst_ms: float
    late_p99_ms: float
    """How late this program sent, though a connection was free."""


def schedule(rate: float, seconds: float, seed: int = SEED) -> list[float]:
    """Instants from 0 on, in seconds; the gaps are exponential."""
    draws = random.Random(seed)
    found, at = [], 0.0
    while (at := at + draws.expovariate(rate)) < seconds:
        found.append(at)
    return found


def drive(shoppers: Shoppers, requests: list[bytes], due: list[float]) -> Arrived:
    """Sends each request at its instant on any idle connection, the longest idle first."""
    idle = deque(shoppers.sockets)
    meant: dict[int, float] = {}
    latencies: list[float] = []
    late: list[float] = []
    refused, sent, counted_from = 0, 0, int(len(due) * WARM_SHARE)
    began = now()
    instants = [began + each for each in due]
    first_counted = instants[counted_from]
    deadline = instants[-1] + GIVE_UP_SECONDS
    while len(latencies) < len(instants) and (at := now()) < deadline:
        had_idle = bool(idle)
        while sent < len(instants) and idle and instants[sent] <= at:
            number = idle.popleft()
            meant[number] = instants[sent]
            if had_idle and sent >= counted_from:
                late.append(at - instants[sent])
            shoppers.send(number, requests[sent])
            sent += 1
        if sent < len(instants) and idle:
            shoppers.wait(instants[sent] - now())
        else:
            shoppers.wait(0.01)
        for number, status in shoppers.answers():
            latencies.append(now() - meant[number] if meant[number] >= first_counted else -1.0)
            refused += status >= 400
            idle.append(number)
    counted = [each for each in latencies if each >= 0]
    return Arrived(
        rate=len(counted) / (now() - first_counted),
        answers=len(latencies),
        refused=refused,
        p50_ms=percentile(counted, 0.5) * 1000,
        p99_ms=percentile(counted, 0.99) * 1000,
        worst_ms=max(counted, default=0.0) * 1000,
        late_p99_ms=percentile(late, 0.99) * 1000,
    )


def main(
    port: int, sale: str, tokens: Path, skip: int, rate: float, seconds: float, connections: int
) -> None:
    due = schedule(rate, seconds)
    with tokens.open("rb") as lines:
        requests = [request(sale, line.strip()) for line in islice(lines, skip, skip + len(due))]
    shoppers = Shoppers(port, connections)
    gc.collect()
    gc.freeze()
    gc.disable()
    print(json.dumps(asdict(drive(shoppers, requests, due[: len(requests)]))))
    shoppers.close()


if __name__ == "__main__":
    arguments = sys.argv[1:]
    main(
        int(arguments[0]), arguments[1], Path(arguments[2]), int(arguments[3]),
        float(arguments[4]), float(arguments[5]), int(arguments[6]),
    )  # fmt: skip
