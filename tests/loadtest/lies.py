"""Lies to shoppers: answers that the server never gave, and answers it gave that nobody gets. Each is told once.

`told` of a lie says to whom it was told, so that a test can see that it happened and look for the name in the report.
"""

import asyncio
from dataclasses import dataclass, field

from tests.loadtest.between import Forward, Question, Reply


@dataclass
class SwallowsAHold:
    """The first hold is granted, and its answer is swallowed. Who asks again with the same key is told all."""

    told: list[str] = field(default_factory=list)

    async def __call__(self, question: Question, forward: Forward) -> Reply | None:
        reply = await forward(question)
        if self.told or not question.reserves or reply is None or reply.status != 201:
            return reply
        self.told.append(question.customer)
        return None


@dataclass
class SwallowsAllOfOne:
    """As `SwallowsAHold`, and whatever this customer asks from then on is not answered either."""

    told: list[str] = field(default_factory=list)

    async def __call__(self, question: Question, forward: Forward) -> Reply | None:
        reply = await forward(question)
        if not question.reserves or reply is None:
            return reply
        if not self.told and reply.status == 201:
            self.told.append(question.customer)
        return None if question.customer in self.told else reply


@dataclass
class InventsAHold:
    """The first who should hear that it is sold out is told of a hold that the server knows nothing of."""

    told: list[str] = field(default_factory=list)
    _granted: Reply | None = None

    async def __call__(self, question: Question, forward: Forward) -> Reply | None:
        reply = await forward(question)
        if not question.reserves or reply is None:
            return reply
        if reply.status == 201:
            self._granted = reply
        elif reply.status == 409 and reply.json["code"] == "sold_out" and self._granted and not self.told:
            self.told.append(question.customer)
            granted = self._granted.json
            invented = f"{granted['id'][:-4]}fake"
            place = granted["place"] + 1
            return self._granted.saying(
                granted | {"id": invented, "customer": question.customer, "place": place}
            )
        return reply


@dataclass
class DeniesAHold:
    """The first hold after the second is granted, and its customer is told that there is nothing left."""

    told: list[str] = field(default_factory=list)
    _granted: int = 0

    async def __call__(self, question: Question, forward: Forward) -> Reply | None:
        reply = await forward(question)
        if not question.reserves or reply is None or reply.status != 201:
            return reply
        self._granted += 1
        if self._granted != 3:
            return reply
        self.told.append(question.customer)
        problem = {
            "type": "/docs#sold_out",
            "title": "Sold out",
            "status": 409,
            "code": "sold_out",
            "detail": "There is nothing left.",
            "sku": reply.json["items"][0]["sku"],
            "held_by_others": 0,
            "next_release_at": None,
        }
        return Reply(409, {"Content-Type": "application/problem+json"}, reply.saying(problem).body)


@dataclass
class ExpiresAPaidOrder:
    """The first who is told that the order stands hears, when asking again, that the hold has expired."""

    told: list[str] = field(default_factory=list)

    async def __call__(self, question: Question, forward: Forward) -> Reply | None:
        reply = await forward(question)
        if (
            question.method != "GET"
            or "/v1/reservations/" not in question.path
            or reply is None
            or reply.status != 200
        ):
            return reply
        found = reply.json
        if found["status"] != "confirmed" or (self.told and self.told[0] != found["customer"]):
            return reply
        self.told.append(found["customer"])
        return reply.saying(found | {"status": "expired"})


@dataclass
class HoldsBackTheFirst:
    """The first who presses is answered so many seconds later than the server does."""

    seconds: float
    told: list[str] = field(default_factory=list)

    async def __call__(self, question: Question, forward: Forward) -> Reply | None:
        reply = await forward(question)
        if question.reserves and not self.told:
            self.told.append(question.customer)
            await asyncio.sleep(self.seconds)
        return reply


@dataclass
class LeavesOneOutOfTheFeed:
    """Order systems are never given the third order; the numbers of the others stay."""

    told: list[int] = field(default_factory=list)

    async def __call__(self, question: Question, forward: Forward) -> Reply | None:
        reply = await forward(question)
        if question.path != "/v1/orders" or reply is None or reply.status != 200:
            return reply
        page = reply.json
        events = [event for event in page["events"] if event["data"]["sequence"] != 3]
        self.told += [3] * (len(page["events"]) - len(events))
        return reply.saying(page | {"events": events})
