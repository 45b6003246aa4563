"""The crowd, in a process of its own: `python -m flashsale.demo.crowd`.

It reads a `Plan` from standard input, makes its shoppers and opens its connections, says `Ready`, reads the
`Opening`, sets its clock by the server's, and presses. Everything it was told goes to standard output. It
ends when every press has its answer or patience has run out, and at once when its standard input ends (the
parent is gone).

The secret that the shoppers' tokens are signed with is in FLASHSALE_SHOPPER_SECRET: here the crowd stands in
for the login of a brand.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import sys
from collections import Counter
from datetime import datetime
from time import monotonic

import orjson
import uvloop

from flashsale.demo.messages import (
    Answer,
    Clock,
    Done,
    FromCrowd,
    Kind,
    Opening,
    Plan,
    Progress,
    Ready,
    Shopper,
    ToCrowd,
    decode_for_crowd,
    encode,
)
from flashsale.demo.shoppers import Member, gather
from flashsale.demo.wire import Pool, Reply
from flashsale.identity.tokens import ShopperTokens
from flashsale.process.child import raise_file_limit

ORPHANED = "the demo that started this crowd is gone"
CLOCK_SAMPLES_MIN = 3
CLOCK_SAMPLES_MAX = 40
CLOCK_READY_SECONDS = 0.6
"""So long before T0 the clock must be set: the early shoppers press soon after."""

CLOCK_PAUSE_SECONDS = 0.0033
PROGRESS_SECONDS = 0.1
SPIN_SECONDS = 0.002
"""Timers of the event loop are a millisecond coarse: the last moment before T0 is waited for in a loop."""

RETRY_SECONDS_MIN = 0.05
RETRY_SECONDS_MAX = 1.0


_STATUSES: dict[int, Kind] = {201: "sale", 200: "replay", 503: "busy", 0: "cut"}
_REFUSALS: dict[str, Kind] = {"sold_out": "sold_out", "not_open": "not_open"}


class Press:
    """One click on *buy* and its retries, all with the shopper's one Idempotency-Key."""

    __slots__ = ("attempt", "double", "intended", "shopper")

    def __init__(self, shopper: int, intended: float, double: bool) -> None:
        self.shopper = shopper
        self.intended = intended
        self.double = double
        self.attempt = 1


class Rush:
    """All presses of a crowd on one sale, and what came of each request."""

    def __init__(self, plan: Plan, members: list[Member], pool: Pool, t0: float) -> None:
        self._plan = plan
        self._members = members
        self._pool = pool
        self._t0 = t0
        self._chance = random.Random(plan.seed + 1)
        self._waiting = 0
        self._everyone_answered = asyncio.Event()
        self._over = False
        self.answers: list[Answer] = []
        self.counts: Counter[str] = Counter()
        self.began_ms = 0.0
        """When the crowd began to press, from T0: a machine that is busy otherwise may keep it from being on time."""

    async def run(self) -> None:
        """Press, and return when every press has its final answer or patience has run out."""
        loop = asyncio.get_running_loop()
        at_t0: list[Press] = []
        for index, member in enumerate(self._members):
            if member.early_ms:
                self._press_later(Press(index, self._t0 - member.early_ms / 1000, double=False))
            else:
                at_t0.append(Press(index, self._t0, double=False))
            if member.double_ms:
                self._press_later(Press(index, self._t0 + member.double_ms / 1000, double=True))
        self._waiting += len(at_t0)
        await asyncio.sleep(self._t0 - SPIN_SECONDS - monotonic())
        while monotonic() < self._t0:
            pass
        self.began_ms = (monotonic() - self._t0) * 1000
        for press in at_t0:
            self._send(press)
        ticker = loop.create_task(self._tell())
        try:
            async with asyncio.timeout(self._t0 + self._plan.patience_s - monotonic()):
                await self._everyone_answered.wait()
        except TimeoutError:
            pass
        finally:
            self._over = True
            ticker.cancel()
        say(self._progress())

    def _press_later(self, press: Press) -> None:
        self._waiting += 1
        self._send_at(press, press.intended)

    def _send_at(self, press: Press, instant: float) -> None:
        delay = max(0.0, instant - monotonic())
        asyncio.get_running_loop().call_later(delay, self._send, press)

    def _send(self, press: Press) -> None:
        if not self._over:
            request = self._members[press.shopper].request
            self._pool.submit(request, lambda reply: self._answered(press, reply))

    def _answered(self, press: Press, reply: Reply) -> None:
        if self._over:
            return
        answer = read_answer(press, self._members[press.shopper], reply, self._t0)
        self.answers.append(answer)
        self.counts[answer.kind] += 1
        now = monotonic()
        if answer.kind == "not_open":
            press.intended = max(press.intended, self._t0)
            press.attempt += 1
            self._send_at(press, max(self._t0, now + 0.001))
        elif answer.kind in ("busy", "cut"):
            backoff = min(RETRY_SECONDS_MAX, RETRY_SECONDS_MIN * 2 ** min(press.attempt, 10))
            press.attempt += 1
            self._send_at(press, now + reply.retry_after_s + backoff * self._chance.uniform(0.5, 1.5))
        else:
            self._waiting -= 1
            if not self._waiting:
                self._everyone_answered.set()

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(PROGRESS_SECONDS)
            say(self._progress())

    def _progress(self) -> Progress:
        return Progress((monotonic() - self._t0) * 1000, dict(self.counts), self._waiting)


def read_answer(press: Press, member: Member, reply: Reply, t0: float) -> Answer:
    """What a reply means to the shopper who pressed."""
    fields = _fields(reply) if reply.status else {}
    code = str(fields.get("code", ""))
    kind = kind_of(reply.status, code)
    place = fields.get("place")
    return Answer(
        shopper=press.shopper,
        customer=member.customer,
        sku=member.sku,
        kind=kind,
        status=reply.status,
        code=code,
        attempt=press.attempt,
        double=press.double,
        intended_ms=(press.intended - t0) * 1000,
        sent_ms=(reply.sent - t0) * 1000,
        received_ms=(reply.received - t0) * 1000,
        reservation=str(fields.get("id", "")),
        told_customer=str(fields.get("customer", "")),
        place=place if isinstance(place, int) else 0,
        held_until=str(fields.get("held_until") or ""),
        next_release_at=str(fields.get("next_release_at") or ""),
        detail=reply.body[:300].decode(errors="replace") if kind in ("error", "cut") else "",
    )


def kind_of(status: int, code: str) -> Kind:
    """The kind of an answer by its status and problem code; status 0 is no answer."""
    if status == 409:
        return _REFUSALS.get(code, "error")
    return _STATUSES.get(status, "error")


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


async def run(stdin: asyncio.StreamReader, secret: str) -> None:
    """Play one plan. Raises OSError when the server cannot be reached."""
    plan = await _heard(stdin)
    if not isinstance(plan, Plan):
        raise TypeError("the first line must be a plan")
    members = gather(plan, ShopperTokens(secret, None))
    pool = Pool(plan.host, plan.port, plan.connections, plan.answer_timeout_s)
    connections = await pool.open()
    early = sum(1 for member in members if member.early_ms)
    doubles = sum(1 for member in members if member.double_ms)
    say(Ready(len(members), connections, early, doubles))
    opening = await _heard(stdin)
    if not isinstance(opening, Opening):
        raise TypeError("the second line must be the opening")
    t0, clock = await set_clock(plan, pool, opening.opens_at_ms)
    say(clock)
    gc.collect()
    gc.freeze()
    gc.disable()
    rush = Rush(plan, members, pool, t0)
    await _unless_orphaned(stdin, rush)
    pool.close()
    for answer in rush.answers:
        say(answer, flush=False)
    say(Done([Shopper(member.customer, member.sku) for member in members], rush.began_ms))


async def _heard(stdin: asyncio.StreamReader) -> ToCrowd:
    line = await stdin.readline()
    if not line:
        raise EOFError(ORPHANED)
    return decode_for_crowd(line)


async def _unless_orphaned(stdin: asyncio.StreamReader, rush: Rush) -> None:
    running = asyncio.ensure_future(rush.run())
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


def _fields(reply: Reply) -> dict[str, object]:
    try:
        fields = orjson.loads(reply.body)
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}


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
