"""What a shopper does who got a hold: chooses how to pay, pays at the provider's page, and waits to be told.

Each of them acts as the shopper's phone does: it starts a payment at the shop, reads the reservation until that
names the page to go to, pays there, and reads the reservation again until it says what came of it.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from datetime import datetime
from time import monotonic
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson

from flashsale.demo.errands import Errands
from flashsale.demo.messages import Answer, Checkout, Outcome, Plan
from flashsale.demo.rush import fields_of, pause_before
from flashsale.demo.shoppers import Member
from flashsale.demo.wire import Pool, Reply

READ_SECONDS_MIN = 0.1
READ_SECONDS_MAX = 0.6
PAGE_CONNECTIONS = 16
TOLD_SECONDS_MAX = 12.0
"""So long a shopper who has paid waits to be told, after the end of the hold."""

_AGREED = ("authorised", "paid")


class OverError(Exception):
    """The checkout has ended; `outcome` is how."""

    def __init__(self, outcome: Outcome, detail: str = "") -> None:
        super().__init__(detail)
        self.outcome = outcome
        self.detail = detail


class Checkouts:
    """All checkouts of a crowd."""

    def __init__(
        self,
        plan: Plan,
        members: list[Member],
        shop: Pool,
        errands: Errands,
        t0: float,
        opens_at_ms: int,
    ) -> None:
        self._members = members
        self._errands = errands
        self._t0 = t0
        self._opens_at_ms = opens_at_ms
        self._holders: set[int] = set()
        self.phones = Phones(plan, shop)
        self.ended: list[Checkout] = []
        self.counts: Counter[str] = Counter()

    def told(self, answer: Answer) -> None:
        """A shopper was told of their hold, perhaps once more."""
        if answer.shopper not in self._holders:
            self._holders.add(answer.shopper)
            self._errands.start(self._run(answer))

    async def _run(self, answer: Answer) -> None:
        one = OneCheckout(self, self._members[answer.shopper], answer)
        outcome: Outcome = "interrupted"
        detail = ""
        try:
            await one.play()
        except OverError as end:
            outcome, detail = end.outcome, end.detail
        finally:
            self.counts[outcome] += 1
            ended = Checkout(
                shopper=answer.shopper,
                customer=answer.customer,
                reservation=answer.reservation,
                intent=one.habit.intent,
                outcome=outcome,
                ended_ms=(monotonic() - self._t0) * 1000,
                attempts=one.attempts,
                declines=one.declines,
                taken=one.taken,
                detail=detail,
            )
            self.ended.append(ended)

    def seconds_until(self, instant: str) -> float:
        """From now to an instant of the shop's clock."""
        since_opening_s = datetime.fromisoformat(instant).timestamp() - self._opens_at_ms / 1000
        return self._t0 + since_opening_s - monotonic()


class OneCheckout:
    """One shopper with one hold. `play` ends by raising `OverError`."""

    def __init__(self, all_: Checkouts, member: Member, answer: Answer) -> None:
        self._all = all_
        self._phones = all_.phones
        self._member = member
        self._reservation = answer.reservation
        self._held_until = answer.held_until
        self.habit = member.habit
        self.attempts = 0
        self.declines = 0
        self.taken: list[str] = []

    async def play(self) -> None:
        """From the hold to the end."""
        await asyncio.sleep(self.habit.thinks_s)
        if self.habit.intent == "walk_away":
            raise OverError("walked_away")
        await self._pay(self.habit.methods[0], "decline" if self.habit.intent == "decline" else "succeed")
        if self.declines:
            if not self.habit.tries_again:
                raise OverError("declined")
            self._all.counts["tried_again"] += 1
            await self._pay(self.habit.methods[1], "succeed")
        await self._be_told()

    async def _pay(self, method: str, outcome: str) -> None:
        self.attempts += 1
        page = await self._page(await self._phones.start_payment(self._member, self._reservation, method))
        if self.habit.intent == "late":
            await asyncio.sleep(max(0.0, self._all.seconds_until(self._held_until)) + self.habit.late_s)
        said = await self._phones.click(page, outcome)
        if said.get("status") in _AGREED:
            self.taken.append(str(said["id"]))
            self._all.counts["agreed"] += 1
        elif said.get("status") == "failed":
            self.declines += 1
            self._all.counts["declines"] += 1
        # Anything else: the provider wants no money for it any more. The shop will say why.

    async def _page(self, reservation: dict[str, Any]) -> str:
        """The page to pay at, as soon as the shop names it for the attempt that it has just taken."""
        attempt, pause = (reservation["payment"] or {}).get("attempt"), READ_SECONDS_MIN
        while True:
            self._held_until = reservation["held_until"]
            payment = reservation["payment"] or {}
            action = payment.get("action") or {}
            if payment.get("attempt") == attempt and action.get("url"):
                return str(action["url"])
            self._raise_if_over(reservation)
            await asyncio.sleep(pause)
            pause = min(READ_SECONDS_MAX, 1.5 * pause)
            reservation = await self._phones.read(self._member, self._reservation)

    async def _be_told(self) -> None:
        pause = READ_SECONDS_MIN
        while self._all.seconds_until(self._held_until) > -TOLD_SECONDS_MAX:
            reservation = await self._phones.read(self._member, self._reservation)
            self._raise_if_over(reservation)
            await asyncio.sleep(pause)
            pause = min(READ_SECONDS_MAX, 1.5 * pause)
        raise OverError("untold")

    def _raise_if_over(self, reservation: dict[str, Any]) -> None:
        """Raises `OverError` when the reservation says how it has ended for this shopper."""
        status = (reservation["payment"] or {}).get("status")
        if reservation["status"] == "confirmed":
            raise OverError("paid")
        if status in ("refunding", "refunded"):
            raise OverError("refunded")
        if reservation["status"] == "held":
            return
        if status == "cancelled" and self.taken:
            raise OverError("released")
        if not self.taken:
            raise OverError("expired")


class Phones:
    """The requests of checkouts, each repeated until it is served."""

    def __init__(self, plan: Plan, shop: Pool) -> None:
        self._plan = plan
        self._shop = shop
        self._pages: dict[str, Pool] = {}
        self._opening = asyncio.Lock()
        self._chance = random.Random(plan.seed + 4)

    async def start_payment(self, member: Member, reservation: str, method: str) -> dict[str, Any]:
        """The reservation, with a payment under way. Raises `OverError` when that cannot be."""
        path = f"/v1/reservations/{reservation}/payment"
        request = self._request("POST", path, member, orjson.dumps({"method": method}))
        reply = await self._ask(self._shop, request)
        fields = fields_of(reply)
        if reply.status == 202:
            return fields
        if fields.get("code") in ("already_expired", "already_cancelled"):
            raise OverError("expired")
        raise OverError("error", f"paying {reservation}: {reply.status} {reply.body[:200]!r}")

    async def read(self, member: Member, reservation: str) -> dict[str, Any]:
        """The reservation."""
        request = self._request("GET", f"/v1/reservations/{reservation}", member)
        reply = await self._ask(self._shop, request)
        if reply.status != 200:
            raise OverError("error", f"reading {reservation}: {reply.status} {reply.body[:200]!r}")
        return fields_of(reply)

    async def click(self, page: str, outcome: str) -> dict[str, Any]:
        """What the provider's page says to a click; one whose answer is lost is made again, and takes nothing twice."""
        parts = urlsplit(page)
        body = orjson.dumps({"k": parse_qs(parts.query)["k"][0], "outcome": outcome})
        head = (
            f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        pool = await self._pool_of(parts.hostname or "", parts.port or 80)
        reply = await self._ask(pool, head.encode() + body, (0, 500, 503))
        fields = fields_of(reply)
        error = fields.get("error")
        if reply.status == 409 and isinstance(error, dict) and error.get("code") == "already_paid":
            return {"id": parts.path.rpartition("/")[2], "status": "paid"}
        return fields

    def close(self) -> None:
        """Cuts the connections to the provider; those to the shop are the caller's."""
        for pool in self._pages.values():
            pool.close()

    async def _pool_of(self, host: str, port: int) -> Pool:
        """The connections to a provider, opened when the first shopper goes there."""
        async with self._opening:
            name = f"{host}:{port}"
            if name not in self._pages:
                pool = Pool(host, port, PAGE_CONNECTIONS, self._plan.answer_timeout_s)
                await pool.open()
                self._pages[name] = pool
            return self._pages[name]

    def _request(self, method: str, path: str, member: Member, body: bytes = b"") -> bytes:
        sent = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n" if body else ""
        return (
            f"{method} {path} HTTP/1.1\r\nHost: {self._plan.host}:{self._plan.port}\r\n"
            f"Authorization: Bearer {member.token}\r\n{sent}\r\n"
        ).encode() + body

    async def _ask(self, pool: Pool, request: bytes, again: tuple[int, ...] = (0, 503)) -> Reply:
        """The answer, once there is one whose status is none of `again`."""
        attempt = 0
        while True:
            reply = await pool.ask(request)
            if reply.status not in again:
                return reply
            attempt += 1
            await asyncio.sleep(pause_before(attempt, reply, self._chance))
