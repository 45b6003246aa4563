"""The crowd, in a process of its own: `python -m flashsale.demo.crowd`.

It reads a `Plan` from standard input, makes its shoppers and opens its connections, says `Ready`, reads the
`Opening`, sets its clock by the server's, and presses. Who gets a hold then checks out, and some of the others come
back for what is free again. Everything it was told goes to standard output. It ends when nobody waits for anything
any more or patience has run out, and at once when its standard input ends (the parent is gone).

The secret that the shoppers' tokens are signed with is in FLASHSALE_SHOPPER_SECRET: here the crowd stands in
for the login of a brand.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from datetime import datetime
from time import monotonic

import orjson
import uvloop

from flashsale.demo.checkout import Checkouts
from flashsale.demo.comeback import Comebacks
from flashsale.demo.errands import Errands
from flashsale.demo.messages import (
    Answer,
    Clock,
    Done,
    FromCrowd,
    Opening,
    Plan,
    Progress,
    Ready,
    Shopper,
    ToCrowd,
    decode_for_crowd,
    encode,
)
from flashsale.demo.rush import Rush
from flashsale.demo.shoppers import Member, gather
from flashsale.demo.wire import Pool
from flashsale.identity.tokens import ShopperTokens
from flashsale.process.child import raise_file_limit

ORPHANED = "the demo that started this crowd is gone"
CLOCK_SAMPLES_MIN = 3
CLOCK_SAMPLES_MAX = 40
CLOCK_READY_SECONDS = 0.6
"""So long before T0 the clock must be set: the early shoppers press soon after."""

CLOCK_PAUSE_SECONDS = 0.0033
PROGRESS_SECONDS = 0.1
PHONES = 32
"""Connections for checkouts and for those who come back, so that nobody queues behind the rush to pay."""


async def set_clock(plan: Plan, pool: Pool, opens_at_ms: int) -> tuple[float, Clock]:
    """The monotonic instant by which the sale has surely opened by the server's clock.

    The server's clock is read up to `CLOCK_SAMPLES_MAX` times. It showed `server_time` somewhere between sending and
    receiving, cut to the millisecond: each sample bounds the difference of the clocks on both sides, and
    together they bound it closely.
    """
    request = f"GET /v1/sales/{plan.sale} HTTP/1.1\r\nHost: {plan.host}:{plan.port}\r\n\r\n".encode()
    least, most = float("-inf"), float("inf")
    for sample in range(1, CLOCK_SAMPLES_MAX + 1):
        reply = await pool.ask(request)
        if reply.status != 200:
            raise RuntimeError(f"the server does not tell its time: {reply.status} {reply.body[:200]!r}")
        server = datetime.fromisoformat(orjson.loads(reply.body)["server_time"]).timestamp()
        least = max(least, server - reply.received)
        most = min(most, server + 0.001 - reply.sent)
        left_s = opens_at_ms / 1000 - least - monotonic()
        if sample >= CLOCK_SAMPLES_MIN and left_s < CLOCK_READY_SECONDS:
            break
        await asyncio.sleep(CLOCK_PAUSE_SECONDS)
    return opens_at_ms / 1000 - least, Clock(sample, max(0.0, most - least) * 1000)


class Crowd:
    """Everybody, from the rush to the last who goes home."""

    def __init__(
        self, plan: Plan, members: list[Member], pools: tuple[Pool, Pool], t0: float, opens_at_ms: int
    ) -> None:
        presses, phones = pools
        self._t0 = t0
        self._deadline = t0 + plan.patience_s
        self._errands = Errands()
        self._checkouts = Checkouts(plan, members, phones, self._errands, t0, opens_at_ms)
        self._comebacks = Comebacks(
            plan, members, phones, self._errands, t0, opens_at_ms, self._checkouts.told
        )
        self._rush = Rush(plan, members, presses, t0, self._hear)
        self._ended_ms = 0.0

    async def play(self) -> None:
        """Press, pay, come back. Tells of its progress all the while."""
        ticker = asyncio.get_running_loop().create_task(self._tell())
        try:
            await self._rush.run(self._deadline)
            gc.enable()
            await self._errands.finish(self._deadline)
        finally:
            ticker.cancel()
            self._checkouts.phones.close()
        say(self._progress())

    def say_all(self, members: list[Member]) -> None:
        """Tell everything that came of it."""
        for answer in [*self._rush.answers, *self._comebacks.answers]:
            say(answer, flush=False)
        for checkout in self._checkouts.ended:
            say(checkout, flush=False)
        crowd = [Shopper(member.customer, member.sku) for member in members]
        say(Done(crowd, self._rush.began_ms, self._ended_ms))

    def _hear(self, answer: Answer) -> None:
        if answer.kind in ("sale", "replay"):
            self._checkouts.told(answer)
        elif answer.kind == "sold_out":
            self._comebacks.told(answer)

    async def _tell(self) -> None:
        await asyncio.sleep(self._t0 - monotonic())
        while True:
            await asyncio.sleep(PROGRESS_SECONDS)
            say(self._progress())

    def _progress(self) -> Progress:
        self._ended_ms = self._since_t0_ms()
        came_back = self._comebacks.counts
        checkouts = {
            **self._checkouts.counts,
            "came_back": came_back.total(),
            "sold_again": came_back["sale"],
        }
        return Progress(self._ended_ms, dict(self._rush.counts), self._rush.waiting, checkouts)

    def _since_t0_ms(self) -> float:
        return (monotonic() - self._t0) * 1000


async def run(stdin: asyncio.StreamReader, secret: str) -> None:
    """Play one plan. Raises OSError when the server cannot be reached."""
    plan = await _heard(stdin)
    if not isinstance(plan, Plan):
        raise TypeError("the first line must be a plan")
    members = gather(plan, ShopperTokens(secret, None))
    presses, phones = (
        Pool(plan.host, plan.port, size, plan.answer_timeout_s) for size in (plan.connections, PHONES)
    )
    connections = await presses.open()
    await phones.open()
    early = sum(1 for member in members if member.early_ms)
    doubles = sum(1 for member in members if member.double_ms)
    say(Ready(len(members), connections, early, doubles))
    opening = await _heard(stdin)
    if not isinstance(opening, Opening):
        raise TypeError("the second line must be the opening")
    t0, clock = await set_clock(plan, presses, opening.opens_at_ms)
    say(clock)
    gc.collect()
    gc.freeze()
    gc.disable()
    crowd = Crowd(plan, members, (presses, phones), t0, opening.opens_at_ms)
    await _unless_orphaned(stdin, crowd)
    presses.close()
    phones.close()
    crowd.say_all(members)


async def _heard(stdin: asyncio.StreamReader) -> ToCrowd:
    line = await stdin.readline()
    if not line:
        raise EOFError(ORPHANED)
    return decode_for_crowd(line)


async def _unless_orphaned(stdin: asyncio.StreamReader, crowd: Crowd) -> None:
    running = asyncio.ensure_future(crowd.play())
    orphaned = asyncio.ensure_future(stdin.read())
    await asyncio.wait({running, orphaned}, return_when=asyncio.FIRST_COMPLETED)
    if not running.done():
        raise EOFError(ORPHANED)
    orphaned.cancel()
    running.result()


def say(message: FromCrowd, flush: bool = True) -> None:
    """Write one line to the parent."""
    sys.stdout.buffer.write(encode(message))
    if flush:
        sys.stdout.buffer.flush()


async def _main() -> None:
    stdin = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
    try:
        await run(stdin, os.environ["FLASHSALE_SHOPPER_SECRET"])
    except (EOFError, BrokenPipeError, OSError, RuntimeError) as fault:
        sys.exit(f"crowd: {type(fault).__name__}: {fault}")


if __name__ == "__main__":
    raise_file_limit()
    uvloop.run(_main())
