"""Those who were told *sold out* and watch for units that are free again, because somebody did not pay."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from datetime import datetime
from time import monotonic

from flashsale.demo.errands import Errands
from flashsale.demo.messages import Answer, Plan
from flashsale.demo.rush import Press, Told, pause_before, read_answer
from flashsale.demo.shoppers import Member
from flashsale.demo.wire import Pool

PAUSE_SECONDS = (0.4, 1.0)
"""Between two presses of one shopper, at least."""

SPREAD_SECONDS = 0.25
"""Nobody presses at the very millisecond at which a hold ends."""


class Comebacks:
    """They press again when the shop says that a unit may be free, until they have one or all are sold for good."""

    def __init__(
        self,
        plan: Plan,
        members: list[Member],
        pool: Pool,
        errands: Errands,
        t0: float,
        opens_at_ms: int,
        tell: Told,
    ) -> None:
        self._members = members
        self._pool = pool
        self._errands = errands
        self._t0 = t0
        self._opens_at_ms = opens_at_ms
        self._tell = tell
        self._chance = random.Random(plan.seed + 3)
        self._watching: set[int] = set()
        self.answers: list[Answer] = []
        self.counts: Counter[str] = Counter()

    def told(self, answer: Answer) -> None:
        """A shopper was told that it is sold out."""
        shopper = answer.shopper
        if (
            self._members[shopper].habit.comes_back
            and answer.held_by_others
            and shopper not in self._watching
        ):
            self._watching.add(shopper)
            self._errands.start(self._watch(answer))

    async def _watch(self, answer: Answer) -> None:
        member, visit = self._members[answer.shopper], 0
        while answer.kind == "sold_out" and answer.held_by_others:
            await asyncio.sleep(self._pause(answer.next_release_at))
            visit += 1
            press = Press(answer.shopper, monotonic(), visit=visit)
            answer = await self._press(press, member)
        if answer.kind in ("sale", "replay"):
            self._tell(answer)

    async def _press(self, press: Press, member: Member) -> Answer:
        """Press until there is a final answer."""
        while True:
            reply = await self._pool.ask(member.request)
            answer = read_answer(press, member, reply, self._t0)
            self.answers.append(answer)
            self.counts[answer.kind] += 1
            if answer.kind not in ("busy", "cut", "not_open"):
                return answer
            await asyncio.sleep(pause_before(press.attempt, reply, self._chance))
            press.attempt += 1

    def _pause(self, next_release_at: str) -> float:
        """Seconds until it is worth another press."""
        least = self._chance.uniform(*PAUSE_SECONDS)
        if not next_release_at:
            return least
        release_ms = datetime.fromisoformat(next_release_at).timestamp() * 1000
        release = self._t0 + (release_ms - self._opens_at_ms) / 1000
        return max(least, release - monotonic() + self._chance.uniform(0.0, SPREAD_SECONDS))
