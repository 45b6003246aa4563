"""T0: shoppers on open connections, who all press at one instant, and how long it takes until the last unit is sold.

`python -m bench.race.opening PORT SALE TOKENS SKIP SHOPPERS` opens the connections, asks for each shopper's own reservations
as its page does, prints `READY`, reads the instant T0 (of the machine's monotonic clock) from its standard input, and prints
one line of JSON. Several such processes share one T0.
"""

import gc
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

from bench.race.crowd import mine, request
from bench.race.field import ROOT
from bench.race.servers import Server
from bench.race.shoppers import Shoppers

SENT_BETWEEN_LOOKS = 32
"""Requests sent before answers are looked for: so late, at most, an answer is noticed."""
PAGE_LOADS_AT_ONCE = 256
LEAD_SECONDS = 1.0
GIVE_UP_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Opened:
    """What the shoppers of a process saw. Seconds from T0."""

    sold: int
    last_sold_s: float
    """When the last 201 was read."""
    sent_s: float
    """When the last request was sent."""
    answered_s: float
    """When the last answer was read."""
    statuses: dict[str, int]


def load_pages(shoppers: Shoppers, requests: Sequence[bytes]) -> None:
    """Each shopper's page asks once, so many at a time."""
    numbers = list(shoppers.sockets)
    for at in range(0, len(numbers), PAGE_LOADS_AT_ONCE):
        part = numbers[at : at + PAGE_LOADS_AT_ONCE]
        for number, asked in zip(part, requests[at:], strict=False):
            shoppers.send(number, asked)
        missing = len(part)
        while missing:
            if not shoppers.wait(GIVE_UP_SECONDS):
                raise TimeoutError("a page was not answered")
            missing -= len(shoppers.answers())


def press(shoppers: Shoppers, requests: Sequence[bytes], t0: float) -> Opened:
    """All send at T0, as fast as this process can; answers are read in between."""
    statuses: Counter[int] = Counter()
    last_sold = 0.0
    at = 0
    numbers = list(shoppers.sockets)
    while time.monotonic() < t0:
        pass
    sent = t0
    while statuses.total() < len(numbers):
        for number, asked in zip(
            numbers[at : at + SENT_BETWEEN_LOOKS], requests[at : at + SENT_BETWEEN_LOOKS], strict=True
        ):
            shoppers.send(number, asked)
        if at < len(numbers):
            at += SENT_BETWEEN_LOOKS
            sent = time.monotonic()
        elif not shoppers.wait(GIVE_UP_SECONDS):
            break
        for _, status in shoppers.answers():
            statuses[status] += 1
            if status == 201:
                last_sold = time.monotonic()
    return Opened(
        sold=statuses[201],
        last_sold_s=last_sold - t0,
        sent_s=sent - t0,
        answered_s=time.monotonic() - t0,
        statuses={str(status): count for status, count in statuses.items()},
    )


def open_sale(server: Server, sale: str, tokens: Path, shoppers: int, processes: int) -> Opened:
    """All shoppers of all processes together."""
    each = shoppers // processes
    with ExitStack() as stack:
        started = []
        for number in range(processes):
            arguments = [server.port, sale, tokens, number * each, each]
            process = subprocess.Popen(
                [sys.executable, "-m", "bench.race.opening", *map(str, arguments)],
                cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            )  # fmt: skip
            stack.callback(process.wait)
            stack.callback(process.kill)
            started.append(process)
        for process in started:
            assert process.stdout is not None
            if process.stdout.readline() != "READY\n":
                raise RuntimeError("a process of shoppers did not get ready; what it said is above")
        t0 = time.monotonic() + LEAD_SECONDS
        for process in started:
            assert process.stdin is not None
            process.stdin.write(f"{t0}\n")
            process.stdin.flush()
        found = [Opened(**json.loads(process.communicate(timeout=120)[0])) for process in started]
    statuses: Counter[str] = Counter()
    for one in found:
        statuses.update(one.statuses)
    return Opened(
        sold=sum(one.sold for one in found),
        last_sold_s=max(one.last_sold_s for one in found),
        sent_s=max(one.sent_s for one in found),
        answered_s=max(one.answered_s for one in found),
        statuses=dict(statuses),
    )


def main(port: int, sale: str, tokens: Path, skip: int, count: int) -> None:
    with tokens.open("rb") as lines:
        taken = [line.strip() for line in islice(lines, skip, skip + count)]
    shoppers = Shoppers(port, count)
    load_pages(shoppers, [mine(sale, token) for token in taken])
    requests = [request(sale, token) for token in taken]
    gc.collect()
    gc.freeze()
    gc.disable()
    print("READY", flush=True)
    opened = press(shoppers, requests, float(sys.stdin.readline()))
    print(json.dumps(asdict(opened)))
    shoppers.close()


if __name__ == "__main__":
    port, sale, tokens, skip, count = sys.argv[1:]
    main(int(port), sale, Path(tokens), int(skip), int(count))
