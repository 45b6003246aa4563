"""What the users of this process were told, since it was last handed on."""

from typing import Any, Final

from flashsale.verdict.evidence import Hold, Oddity, Silence, SoldOut, Timeline, Told, slot_of

NAMED_MAX: Final = 50
"""Of undecided customers and of oddities of one kind: the rest is counted by their number only."""

KINDS: Final = {201: "held", 200: "replayed", 410: "closed", 503: "busy"}
REFUSALS: Final = frozenset({"sold_out", "limit_reached", "not_open", "paused"})


def kind_of(status: int, code: str) -> str:
    """What kind of answer to `reserve` this is; see `Timeline.answers`."""
    if status == 409 and code in REFUSALS:
        return code
    if status in KINDS:
        return KINDS[status]
    if status == 0:
        return "silence"
    return "failed" if status >= 500 else "refused"


def identity(hold: Hold) -> object:
    """What two tellings of one hold have in common; where they contradict each other, they are two."""
    return hold.reservation, hold.customer, hold.place, tuple(sorted(hold.units.items()))


class Ledger:
    """The evidence of one process. `t0_ms` and all instants are of the server's clock."""

    def __init__(self, bucket_ms: int) -> None:
        self.t0_ms = 0
        self.late_ms: list[float] = []
        """Of each first press: how long after the instant that was meant its request left."""
        self.fired = 0
        self.fired_in_first_second = 0
        self.arrived = 0
        self.left = 0
        """Shoppers who will do nothing any more."""
        self.busy = 0
        """Who has pressed and waits for the answer, or is paying and has not been told what came of it."""
        self.waiting = 0
        """Who has pressed, has no final answer, and is about to press again."""
        self.last_decision_ms = 0
        self._bucket_ms = bucket_ms
        self._odd: dict[str, int] = {}
        self._told = self._new()
        self._dirty: dict[object, Hold] = {}

    def _new(self) -> Told:
        return Told(timeline=Timeline(bucket_ms=self._bucket_ms))

    def take(self) -> Told:
        """What is new since the last call."""
        told, self._told = self._told, self._new()
        told.holds += self._dirty.values()
        self._dirty = {}
        return told

    def restart(self, t0_ms: int) -> None:
        """T0 is known: what happened before counts from there."""
        self.t0_ms = t0_ms

    def _bucket(self, at_ms: int) -> int:
        return (at_ms - self.t0_ms) // self._bucket_ms

    def status(self, status: int) -> None:
        """An answer of any kind, to anybody but a bot."""
        text = str(status)
        statuses = self._told.timeline.statuses
        statuses[text] = statuses.get(text, 0) + 1

    def latency(self, request: str, at_ms: int, took_ms: float) -> None:
        """A request was answered at this instant. Before T0 is known there is nowhere to write it."""
        if not self.t0_ms:
            return
        row = self._told.timeline.latency.setdefault(request, {}).setdefault(self._bucket(at_ms), {})
        slot = slot_of(took_ms)
        row[slot] = row.get(slot, 0) + 1

    def reserve(self, kind: str, at_ms: int, took_ms: float) -> None:
        """An answer to `reserve`; `took_ms` since the instant the shopper meant to press."""
        row = self._told.timeline.answers.setdefault(kind, {})
        bucket = self._bucket(at_ms)
        row[bucket] = row.get(bucket, 0) + 1
        if kind != "silence":
            self.latency("reserve", at_ms, took_ms)

    def pressed(self, sent_ms: int, late_ms: float) -> None:
        """A shopper has pressed for the first time."""
        self._told.pressed += 1
        self.fired += 1
        self.fired_in_first_second += self.t0_ms <= sent_ms < self.t0_ms + 1000
        self.late_ms.append(late_ms)

    def decided(self, at_ms: int, took_ms: float) -> None:
        """A shopper got the final answer, so long after the first press was meant."""
        self._told.decided += 1
        self.last_decision_ms = max(self.last_decision_ms, at_ms)
        self.latency("decision", at_ms, took_ms)

    def interrupt(self) -> None:
        """The run is over, and nobody presses again."""
        self._told.interrupted = self.waiting

    def undecided(self, customer: str) -> None:
        """A shopper goes without a final answer."""
        if len(self._told.undecided) < NAMED_MAX:
            self._told.undecided.append(customer)

    def hold(self, hold: Hold) -> None:
        """A shopper was told of a hold, or what became of it: the same object again and again."""
        self._dirty[identity(hold)] = hold

    def bot_hold(self, hold: Hold) -> None:
        """A bot got a reservation in the ordinary way."""
        self._told.bot_holds.append(hold)

    def bot(self, what: str) -> None:
        """A bot was answered, such as `forged 401`."""
        self._told.bots[what] = self._told.bots.get(what, 0) + 1

    def bot_silence(self, customer: str) -> None:
        """A bot with a good token did not wait for the answer: its hold, if there is one, is told to nobody."""
        self._told.bot_silent.append(customer)

    def sold_out(self, units: dict[str, int], sent_ms: int, told_ms: int) -> None:
        """A shopper was told that there is nothing left."""
        self._told.sold_out.append(SoldOut(units, sent_ms, told_ms))

    def silence(self, request: str, customer: str, sent_ms: int, ended_ms: int, error: str) -> None:
        """A request got no answer."""
        self._told.silences.append(Silence(request, customer, sent_ms, ended_ms, error))

    def odd(self, request: str, customer: str, at_ms: int, said: str) -> None:
        """An answer that nobody should get who did what this caller did."""
        seen = self._odd[request] = self._odd.get(request, 0) + 1
        if seen <= NAMED_MAX:
            self._told.oddities.append(Oddity(request, customer, at_ms, said))

    def progress(self) -> dict[str, Any]:
        """How far the users of this process are."""
        return {"arrived": self.arrived, "left": self.left, "busy": self.busy}
