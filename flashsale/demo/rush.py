"""The rush: everybody presses *buy* at T0, and again until there is an answer."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from time import monotonic

import orjson

from flashsale.demo.messages import Answer, Kind, Plan
from flashsale.demo.shoppers import Member
from flashsale.demo.wire import Pool, Reply

SPIN_SECONDS = 0.002
"""Timers of the event loop are a millisecond coarse: the last moment before T0 is waited for in a loop."""

RETRY_SECONDS_MIN = 0.05
RETRY_SECONDS_MAX = 1.0

_STATUSES: dict[int, Kind] = {201: "sale", 200: "replay", 503: "busy", 0: "cut"}
_REFUSALS: dict[str, Kind] = {"sold_out": "sold_out", "not_open": "not_open"}

Told = Callable[[Answer], None]


class Press:
    """One click on *buy* and its retries, all with the shopper's one Idempotency-Key."""

    __slots__ = ("attempt", "double", "intended", "shopper", "visit")

    def __init__(self, shopper: int, intended: float, double: bool = False, visit: int = 0) -> None:
        self.shopper = shopper
        self.intended = intended
        self.double = double
        self.visit = visit
        self.attempt = 1


class Rush:
    """All presses of a crowd on one sale, and what came of each request.

    `tell` is given each final answer as it comes.
    """

    def __init__(self, plan: Plan, members: list[Member], pool: Pool, t0: float, tell: Told) -> None:
        self._plan = plan
        self._members = members
        self._pool = pool
        self._t0 = t0
        self._tell = tell
        self._chance = random.Random(plan.seed + 1)
        self._everyone_answered = asyncio.Event()
        self._over = False
        self.waiting = 0
        self.answers: list[Answer] = []
        self.counts: Counter[str] = Counter()
        self.began_ms = 0.0
        """When the crowd began to press, from T0: a machine that is busy otherwise may keep it from being on time."""

    async def run(self, deadline: float) -> None:
        """Press, and return when every press has its final answer or the deadline has come."""
        at_t0: list[Press] = []
        for index, member in enumerate(self._members):
            if member.early_ms:
                self._press_later(Press(index, self._t0 - member.early_ms / 1000))
            else:
                at_t0.append(Press(index, self._t0))
            if member.double_ms:
                self._press_later(Press(index, self._t0 + member.double_ms / 1000, double=True))
        self.waiting += len(at_t0)
        await asyncio.sleep(self._t0 - SPIN_SECONDS - monotonic())
        while monotonic() < self._t0:
            pass
        self.began_ms = (monotonic() - self._t0) * 1000
        for press in at_t0:
            self._send(press)
        try:
            async with asyncio.timeout(deadline - monotonic()):
                await self._everyone_answered.wait()
        except TimeoutError:
            pass
        finally:
            self._over = True

    def _press_later(self, press: Press) -> None:
        self.waiting += 1
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
        if answer.kind == "not_open":
            press.intended = max(press.intended, self._t0)
            press.attempt += 1
            self._send_at(press, max(self._t0, monotonic() + 0.001))
        elif answer.kind in ("busy", "cut"):
            pause = pause_before(press.attempt, reply, self._chance)
            press.attempt += 1
            self._send_at(press, monotonic() + pause)
        else:
            self._tell(answer)
            self.waiting -= 1
            if not self.waiting:
                self._everyone_answered.set()


def pause_before(attempt: int, reply: Reply, chance: random.Random) -> float:
    """Seconds to wait after a request that was not served, before it is sent again."""
    backoff = min(RETRY_SECONDS_MAX, RETRY_SECONDS_MIN * 2.0 ** min(attempt, 10))
    return reply.retry_after_s + backoff * chance.uniform(0.5, 1.5)


def read_answer(press: Press, member: Member, reply: Reply, t0: float) -> Answer:
    """What a reply means to the shopper who pressed."""
    fields = fields_of(reply)
    code = str(fields.get("code", ""))
    kind = kind_of(reply.status, code)
    place, others = fields.get("place"), fields.get("held_by_others")
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
        held_by_others=others if isinstance(others, int) else 0,
        visit=press.visit,
        detail=reply.body[:300].decode(errors="replace") if kind in ("error", "cut") else "",
    )


def kind_of(status: int, code: str) -> Kind:
    """The kind of an answer by its status and problem code; status 0 is no answer."""
    if status == 409:
        return _REFUSALS.get(code, "error")
    return _STATUSES.get(status, "error")


def fields_of(reply: Reply) -> dict[str, object]:
    """The JSON object of an answer; empty when it is none."""
    if not reply.status:
        return {}
    try:
        fields = orjson.loads(reply.body)
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}
