"""Shoppers: they come early, wait for T0, press, and do with their hold what people do."""

import itertools
import math
import secrets
from typing import Any, Final

import gevent
import orjson
from _books import ms_of
from _caller import Caller, until
from _checkout import Checkout
from _clock import monotonic_ms
from _conductor import ENDLESS
from _ledger import identity
from _run import RUN
from _wire import Answer, Line
from locust import SequentialTaskSet, tag, task

from flashsale.verdict.evidence import Hold

PRESS_AGAIN_MS: Final = 250.0
"""What a thumb needs to press again."""
BUSY_MAX_SECONDS: Final = 5.0
EARLY_MS: Final = 500.0
COUNTDOWN_SECONDS: Final = 5.0
"""How often the page looks at the clock while it counts down; the more pages, the less often."""
PAGES_A_SECOND: Final = 200
QUIET_SECONDS: Final = 1.5
"""So long before T0 a page asks nothing more."""
ARRIVE_MS: Final = 2000.0
"""Shapes without a crowd: from coming to the page to pressing."""


class Journey(SequentialTaskSet):
    """From the page of the sale to the end. Tags choose what is between coming and leaving, and who pays has pressed."""

    user: "Shopper"

    def on_start(self) -> None:
        """The order of things."""
        chosen = [task for task in self.tasks if task is not Journey.press]
        pressing = [] if "reserve" in (RUN.options.exclude_tags or ()) else [Journey.press]
        self._way = itertools.cycle([Journey.arrive, *pressing, *chosen, Journey.leave])

    def get_next_task(self) -> Any:
        """Arriving and leaving are no tasks, so that no tag takes them away."""
        return next(self._way)

    def arrive(self) -> None:
        """Comes to the page, and looks whether there is a hold already."""
        self.user.arrive()

    @tag("reserve")
    @task
    def press(self) -> None:
        """Presses at T0, and again until there is a final answer."""
        self.user.press()

    @tag("greedy")
    @task
    def press_for_more(self) -> None:
        """Some try to get a second reservation."""
        self.user.press_for_more()

    @tag("resume")
    @task
    def come_back(self) -> None:
        """Some come back to their hold from another device."""
        self.user.look_up()

    @tag("pay")
    @task
    def pay(self) -> None:
        """Pays, cancels or walks away."""
        self.user.pay()

    def leave(self) -> None:
        """Has nothing left to do here."""
        self.user.leave()


class Shopper(Caller):
    """One who wants to buy. In a flash crowd and in waves each comes once; otherwise a new one takes the place."""

    tasks = [Journey]  # noqa: RUF012 (Locust's way of naming them)
    parts = frozenset({"reserve", "greedy", "resume", "pay"})
    weight = 1

    def on_start(self) -> None:
        """Waits until it is known which sale it is."""
        RUN.planned.wait()
        self._first = True
        self.hold: Hold | None = None
        self._first_sent_ms = 0
        """When this key was sent first: the hold may be older than the press whose answer told of it."""

    # --- the page ---

    def arrive(self) -> None:
        """Opens the page: a connection, a token, the clock, one's own reservations."""
        if RUN.options.shape in ENDLESS and not self._first:
            users = max(1, RUN.options.num_users or 1)
            gevent.sleep(min(600.0, RUN.chance.expovariate(RUN.options.rate / users)))
        self.hold, self._first = None, False
        self.become(RUN.customer())
        if self.view() is not None:
            self._mine()
        RUN.ledger.arrived += 1
        self._wait_for_t0()

    def _mine(self) -> list[dict[str, Any]] | None:
        text = self.line.render(
            "GET", self.sale_path + "/reservations/mine", Authorization=f"Bearer {self.token}"
        )
        answer = self.ask("mine", text)
        if answer.status != 200:
            return None
        found = answer.fields().get("reservations")
        return found if isinstance(found, list) else None

    def _wait_for_t0(self) -> None:
        """Watches the countdown: T0 is what the server says, by the server's clock."""
        while not RUN.t0_known.is_set() or until(RUN.own_t0_ms()) > QUIET_SECONDS:
            pause = max(COUNTDOWN_SECONDS, RUN.ledger.arrived / PAGES_A_SECOND) * RUN.chance.uniform(0.7, 1.3)
            if RUN.t0_known.is_set():
                gevent.sleep(
                    min(pause, max(0.01, until(RUN.own_t0_ms()) - QUIET_SECONDS * RUN.chance.uniform(0.7, 1)))
                )
            else:
                RUN.t0_known.wait(pause)
            if RUN.over.is_set():
                return
            if not RUN.t0_known.is_set() or until(RUN.own_t0_ms()) > QUIET_SECONDS:
                self.view()

    # --- pressing ---

    def _intended_ms(self) -> float:
        """When this shopper means to press, by this machine's clock."""
        chance, options, t0_ms = RUN.chance, RUN.options, RUN.own_t0_ms()
        reaction_ms: float = chance.lognormvariate(math.log(options.reaction_ms), options.reaction_sigma)
        if options.shape in ENDLESS:
            return max(t0_ms, monotonic_ms()) + chance.lognormvariate(math.log(ARRIVE_MS), 0.5)
        if options.shape == "waves":
            gap_ms = options.wave_seconds * 1000
            wave = max(0, math.ceil((monotonic_ms() - t0_ms) / gap_ms))
            return float(t0_ms + wave * gap_ms + reaction_ms)
        if chance.random() * 100 < options.early:
            return t0_ms - chance.uniform(0, EARLY_MS)
        return t0_ms + reaction_ms

    def _claim(self) -> tuple[dict[str, int], bytes]:
        """One item, the likelier the more there is of it; and the body of the request."""
        assert RUN.plan is not None
        items = [item for item in RUN.plan.terms.items if item.stock] or RUN.plan.terms.items
        chosen = RUN.chance.choices(items, weights=[item.stock or 1 for item in items])[0]
        most = min(
            limit for limit in (RUN.plan.terms.limit, chosen.limit, RUN.options.quantity or 1) if limit
        )
        body = orjson.dumps({"items": [{"sku": chosen.sku, "quantity": most}]})
        return {chosen.sku: most}, body

    def _request(self, line: Line, body: bytes, key: str) -> bytes:
        headers = {"Authorization": f"Bearer {self.token}", "Idempotency-Key": key}
        return line.render("POST", self.sale_path + "/reservations", body, **headers)

    def press(self) -> None:
        """Until there is a final answer, or patience is over. Every press counts from the instant that was meant."""
        units, body = self._claim()
        intended = first = self._intended_ms()
        key, twice = secrets.token_hex(8), RUN.chance.random() * 100 < RUN.options.double_press
        text = self._request(self.line, body, key)
        patience_ms = first + RUN.options.patience * 1000
        attempt, pressed, decided = 0, False, False
        again_s: float | None = None
        while True:
            # Not RUN.over.wait: thousands who wait for one event make each other's waking slow.
            RUN.ledger.waiting += pressed and not decided
            gevent.sleep(until(intended))
            if RUN.over.is_set():
                return
            RUN.ledger.waiting -= pressed and not decided
            answer, second = self._send(text, twice and not pressed)
            if not pressed:
                self._first_sent_ms = RUN.clock.at(answer.sent_ms)
                RUN.ledger.pressed(RUN.clock.at(answer.sent_ms), max(0.0, answer.sent_ms - intended))
                pressed = True
            for each in (answer, second):
                if each is not None:
                    final, again_s = self._take(each, units, intended, attempt)
                    if final and not decided:
                        decided = True
                        RUN.ledger.decided(RUN.clock.at(each.received_ms), each.received_ms - first)
            attempt += 1
            if self.hold is not None or again_s is None:
                break
            intended = monotonic_ms() + again_s * 1000
            if intended > patience_ms:
                break
        if pressed and not decided:
            RUN.ledger.undecided(self.customer)

    def _send(self, text: bytes, twice: bool) -> tuple[Answer, Answer | None]:
        """Presses once, or twice at the same time, as on two devices."""
        if not twice:
            return self._reserve(self.line, text), None
        other = Line(self, self.host or "")
        both = gevent.spawn(self._reserve, other, text)
        answer = self._reserve(self.line, text)
        second = both.get()
        other.close()
        return answer, second

    def _reserve(self, line: Line, text: bytes) -> Answer:
        RUN.ledger.busy += 1
        try:
            answer = line.ask(text)
        finally:
            RUN.ledger.busy -= 1
        self.write_down("reserve", answer)
        return answer

    def _take(
        self, answer: Answer, units: dict[str, int], intended: float, attempt: int
    ) -> tuple[bool, float | None]:
        """Whether an answer is final, and in how many seconds to press again, if at all."""
        kind, fields = self.kind(answer)
        told_ms, took_ms = RUN.clock.at(answer.received_ms), answer.received_ms - intended
        RUN.ledger.reserve(kind, told_ms, took_ms)
        self.tell(f"reserve: {kind}", answer, took_ms)
        chance = RUN.chance
        match kind:
            case "held" | "replayed":
                self._got(answer, fields, units)
                return True, None
            case "sold_out":
                RUN.ledger.sold_out(units, RUN.clock.at(answer.sent_ms), told_ms)
                if chance.random() * 100 >= RUN.options.come_back:
                    return True, None
                return True, max(0.5, self._release_s(fields)) + chance.expovariate(2)
            case "not_open":
                wait_s = (
                    until(RUN.own_t0_ms()) if RUN.clock.now_ms() < RUN.t0_ms else answer.retry_after_s() or 0
                )
                return False, wait_s + PRESS_AGAIN_MS * chance.uniform(0.5, 1.5) / 1000
            case "paused" | "busy":
                return False, (answer.retry_after_s() or 1.0) * chance.uniform(1, 1.5)
            case "silence" | "failed":
                return False, min(BUSY_MAX_SECONDS, 0.2 * 2**attempt) * chance.uniform(0.5, 1)
            case "closed":
                return True, None
        self.odd("reserve", f"pressing once: {answer.said()}", answer)
        return True, None

    def _release_s(self, fields: dict[str, Any]) -> float:
        """Seconds until units may come back, as the server says."""
        instant = fields.get("next_release_at")
        try:
            return max(0.0, (ms_of(instant) - RUN.clock.now_ms()) / 1000) if instant else 5.0
        except ValueError:
            return 5.0

    def _got(self, answer: Answer, fields: dict[str, Any], units: dict[str, int]) -> None:
        """A hold, perhaps told once more."""
        found = self._hold_of(answer, fields, units, self._first_sent_ms)
        if found is None:
            return
        if self.hold is None:
            self.hold = found
        elif identity(self.hold) != identity(found):
            self.odd("reserve", f"one key, two holds: {self.hold.reservation} and {answer.said()}", answer)
        else:
            return
        RUN.ledger.hold(found)

    def _hold_of(
        self, answer: Answer, fields: dict[str, Any], units: dict[str, int], sent_ms: int
    ) -> Hold | None:
        """The hold that an answer tells of; None when it cannot be read."""
        try:
            told = {line["sku"]: line["quantity"] for line in fields["items"]}
            identity_told = (fields["id"], fields["customer"], told, fields["place"])
            found = Hold(*identity_told, sent_ms, RUN.clock.at(answer.received_ms), fields["status"])
        except (KeyError, TypeError) as fault:
            self.odd("reserve", f"a hold that cannot be read ({fault!r}): {answer.said()}", answer)
            return None
        if found.customer != self.customer or told != units:
            self.odd("reserve", f"asked for {units}, and was told: {answer.said()}", answer)
        return found

    # --- afterwards ---

    def press_for_more(self) -> None:
        """A second reservation under another key: to be refused where the limit says so."""
        if self.hold is None or RUN.over.is_set() or RUN.chance.random() * 100 >= RUN.options.greedy:
            return
        first = self.hold
        units, body = self._claim()
        intended = monotonic_ms()
        answer = self._reserve(self.line, self._request(self.line, body, secrets.token_hex(8)))
        kind, fields = self.kind(answer)
        RUN.ledger.reserve(kind, RUN.clock.at(answer.received_ms), answer.received_ms - intended)
        self.tell(f"reserve: {kind}", answer, answer.received_ms - intended)
        if kind == "held":
            more = self._hold_of(answer, fields, units, RUN.clock.at(answer.sent_ms))
            if more is not None:
                more.settled = True  # it is left to run out
                RUN.ledger.hold(more)
        elif kind == "limit_reached" and first.reservation not in orjson.dumps(fields).decode():
            self.odd(
                "reserve", f"over the limit, and not told of {first.reservation}: {answer.said()}", answer
            )
        elif kind == "sold_out":
            RUN.ledger.sold_out(units, RUN.clock.at(answer.sent_ms), RUN.clock.at(answer.received_ms))
        elif kind in {"refused", "replayed"}:
            self.odd("reserve", f"pressing for more: {answer.said()}", answer)

    def look_up(self) -> None:
        """From another device: the hold must be there."""
        if self.hold is None or RUN.over.is_set() or RUN.chance.random() * 100 >= RUN.options.resume:
            return
        mine = self._mine()
        if mine is not None and self.hold.reservation not in {str(each.get("id")) for each in mine}:
            now_ms = RUN.clock.now_ms()
            RUN.ledger.odd(
                "mine", self.customer, now_ms, f"{self.hold.reservation} is not among {len(mine)} of mine"
            )

    def pay(self) -> None:
        """Pays, cancels or walks away."""
        if self.hold is not None:
            Checkout(self, self.hold).play()

    def leave(self) -> None:
        """Whoever came for one crowd has nothing left to do."""
        RUN.ledger.left += 1
        if RUN.options.shape not in ENDLESS:
            self.line.close()
            while True:
                gevent.sleep(3600)  # until Locust ends it
