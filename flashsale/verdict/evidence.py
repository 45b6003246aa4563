"""What the three sides of a load test say, as plain values that go through JSON and MessagePack unchanged.

All instants are integer milliseconds since 1970 by the server's clock. Load processes estimate that clock from the
`server_time` of its answers; how wrong they may be is `LoadProcess.clock_error_ms`.
"""

from math import ceil, log
from typing import Any, Final

import msgspec

SLOT_FACTOR: Final = 1.04
"""How much longer the latencies of a slot are than those of the slot before: what a percentile may be wrong by."""


def slot_of(latency_ms: float) -> int:
    """The slot of a latency: 0 for up to a tenth of a millisecond."""
    return max(0, ceil(log(max(latency_ms, 0.1) / 0.1, SLOT_FACTOR)))


def ms_of(slot: int) -> float:
    """The longest latency of a slot."""
    return 0.1 * float(SLOT_FACTOR**slot)


class Item(msgspec.Struct, frozen=True):
    """One item on sale, with the units it had before anybody pressed."""

    sku: str
    stock: int
    limit: int | None = None
    """Units that one customer may have."""
    price: int = 0


class Terms(msgspec.Struct, frozen=True):
    """The sale as it was defined."""

    sale: str
    title: str
    opens_ms: int
    hold_ms: int
    items: list[Item]
    currency: str
    limit: int | None = None
    """Units of all items together that one customer may have."""
    closes_ms: int | None = None


class Run(msgspec.Struct, frozen=True):
    """What was done, and where."""

    profile: str
    shape: str
    host: str
    shoppers: int
    """Shoppers that were meant to come; bots and others are not among them."""
    started_ms: int
    ended_ms: int
    alone: bool
    """Whether the sale was made for this run: then nobody but its shoppers has taken anything."""
    rehearsal: bool = False
    options: dict[str, Any] = {}
    """The options of the run as they were given, without secrets."""
    machine: str = ""
    versions: dict[str, str] = {}


class Hold(msgspec.Struct, array_like=True):
    """A reservation that a shopper was told is theirs."""

    reservation: str
    customer: str
    units: dict[str, int]
    place: int
    sent_ms: int
    told_ms: int
    status: str = "held"
    """What the shopper was told last: held, confirmed, cancelled, expired or refunded."""
    payment: str = ""
    """The payment at the provider that the shopper has agreed to; empty when there is none."""
    settled: bool = False
    """Whether the shopper was told how it ended, or had left on purpose."""
    charged: bool = False
    """Whether the provider said at once that money was taken; false when it was only authorised, which may be released."""


class SoldOut(msgspec.Struct, array_like=True):
    """A shopper was told that there is nothing left."""

    units: dict[str, int]
    sent_ms: int
    told_ms: int


class Silence(msgspec.Struct, array_like=True):
    """A request that got no answer: its connection ended, or nothing came in time."""

    request: str
    """reserve, pay, read, ..."""
    customer: str
    sent_ms: int
    ended_ms: int
    error: str


class Oddity(msgspec.Struct, array_like=True):
    """An answer that nobody should get who did what this caller did."""

    request: str
    customer: str
    at_ms: int
    said: str


class Timeline(msgspec.Struct):
    """Counts over time. A bucket is the number of `bucket_ms` since T0 (negative before it)."""

    bucket_ms: int = 100
    answers: dict[str, dict[int, int]] = {}
    """Kind of answer to `reserve` -> bucket -> how many. Kinds: held, replayed, sold_out, limit_reached, not_open, paused,
    closed, busy (503), failed (any other 5xx), refused (any other 4xx), silence (no answer)."""
    latency: dict[str, dict[int, dict[int, int]]] = {}
    """Request -> bucket of the answer -> slot -> how many. `reserve` counts from the instant the shopper meant to press
    (or to press again), `decision` from the first press to the final answer; `pay`, `read`, ... from their sending."""
    statuses: dict[str, int] = {}
    """HTTP status, 0 for none, -> how many answers of any kind to anybody but bots."""

    def add(self, other: "Timeline") -> None:
        """Counts what another process has counted."""
        for kind, buckets in other.answers.items():
            mine = self.answers.setdefault(kind, {})
            for bucket, count in buckets.items():
                mine[bucket] = mine.get(bucket, 0) + count
        for request, rows in other.latency.items():
            table = self.latency.setdefault(request, {})
            for bucket, slots in rows.items():
                row = table.setdefault(bucket, {})
                for slot, count in slots.items():
                    row[slot] = row.get(slot, 0) + count
        for status, count in other.statuses.items():
            self.statuses[status] = self.statuses.get(status, 0) + count


class Told(msgspec.Struct):
    """The first side: what shoppers (not bots) were told."""

    timeline: Timeline = msgspec.field(default_factory=Timeline)
    pressed: int = 0
    """Shoppers who have pressed."""
    decided: int = 0
    """Of those, who got a final answer to their last press: a hold, or why there is none."""
    undecided: list[str] = []
    """The customers who pressed and got none, some of them by name."""
    interrupted: int = 0
    """Shoppers who have pressed, were asked to press again, and did not because the run was over."""
    holds: list[Hold] = []
    sold_out: list[SoldOut] = []
    silences: list[Silence] = []
    oddities: list[Oddity] = []
    bots: dict[str, int] = {}
    """Requests of bots by what they tried and the status it got, such as `forged 401`."""
    bot_holds: list[Hold] = []
    """Reservations that bots got in the ordinary way, as anybody may."""
    bot_silent: list[str] = []
    """Customers of bots that did not get or did not wait for an answer to `reserve`: what they hold nobody was told."""

    def add(self, other: "Told") -> None:
        """Takes in what the shoppers of another process were told."""
        self.timeline.add(other.timeline)
        self.pressed += other.pressed
        self.decided += other.decided
        self.undecided += other.undecided
        self.interrupted += other.interrupted
        self.holds += other.holds
        self.sold_out += other.sold_out
        self.silences += other.silences
        self.oddities += other.oddities
        self.bot_holds += other.bot_holds
        self.bot_silent += other.bot_silent
        for what, count in other.bots.items():
            self.bots[what] = self.bots.get(what, 0) + count


class Counters(msgspec.Struct, frozen=True):
    """One item as the engine counts it."""

    stock: int
    available: int
    held: int
    sold: int


class Fact(msgspec.Struct, frozen=True, array_like=True):
    """One fact of the engine's journal, from `GET /v1/sales/{sale}/events`."""

    seq: int
    at_ms: int
    type: str
    """Such as `reservation.held`."""
    reservation: str = ""
    customer: str = ""
    units: dict[str, int] = {}
    """Of a restock the units added; of a charge nothing."""
    sequence: int = 0
    """Of the facts that make or undo an order."""
    payment: str = ""
    """The charge that the fact is about, at the provider."""
    restocked: bool = False
    """Of a refund: whether the units went back on sale."""
    place: int = 0
    """Of a hold that was granted: which one it is."""
    until_ms: int = 0
    """Of a hold that was granted or extended: when it ends."""


class Engine(msgspec.Struct):
    """The second side: the engine's books when the run was over."""

    state: str
    items: dict[str, Counters]
    audit_ok: bool
    audit_findings: list[str]
    facts: list[Fact]
    summary: dict[str, Any] = {}
    """`GET /v1/sales/{sale}/orders/summary`."""
    trouble: list[str] = []
    """What could not be read, and why: never nothing to worry about."""
    read_ms: int = 0
    """When the facts had been read to their end; 0 when that is not known."""
    at_one_moment: bool = True
    """Whether counters and facts are of one moment; false when others kept buying while they were read."""


class FeedOrder(msgspec.Struct, frozen=True, array_like=True):
    """An order that was made (`confirmed`) or undone (`refunded`), as the feed gives it."""

    sequence: int
    status: str
    reservation: str
    customer: str
    units: dict[str, int]
    payment: str
    at_ms: int


class Consumer(msgspec.Struct, frozen=True):
    """An order system that followed the feed during the run."""

    name: str
    received: int
    last_sequence: int
    troubles: list[str] = []
    """Gaps, doubles and whatever else was wrong with what it was given."""
    delay_p50_ms: float | None = None
    delay_p99_ms: float | None = None
    """From the fact to the order system's hands."""


class Feed(msgspec.Struct):
    """The third side: what order systems were given."""

    orders: list[FeedOrder] = []
    """The whole feed of this sale, read once more from its beginning when the run was over."""
    consumers: list[Consumer] = []
    trouble: list[str] = []
    """What could not be read, and why."""


class LoadProcess(msgspec.Struct, frozen=True):
    """What one load process has cost, so that nobody takes its limit for the engine's."""

    name: str
    cpu_seconds: float
    wall_seconds: float
    rush_cpu_share: float
    """Of one core, in the busiest second after T0."""
    fired: int
    """Shoppers of this process who have pressed for the first time."""
    fired_in_first_second: int
    """Of those, within one second of T0."""
    late_p50_ms: float
    late_p99_ms: float
    late_max_ms: float
    """How long after the instant a shopper meant to press the request left this process."""
    clock_error_ms: float
    """Half the round trip of the best estimate of the server's clock."""
    memory_mib: float = 0.0


class Evidence(msgspec.Struct):
    """All that a verdict is found on."""

    run: Run
    terms: Terms
    told: Told
    engine: Engine
    feed: Feed
    processes: list[LoadProcess] = []


class Levels(msgspec.Struct, frozen=True):
    """Service levels that a run has to keep; None: not asked for."""

    reserve_p99_ms: float | None = None
    share_5xx: float | None = None
    """Of all answers, 0 to 1."""
    sell_out_seconds: float | None = None
    """From T0 to the instant the last unit was held for the first time."""
    silences: int = 0
    """Requests that may go without an answer."""
    fire_late_p99_ms: float | None = None
    """The load itself: later than this, it says more about the load processes than about the engine."""


def encode(evidence: Evidence) -> bytes:
    """As JSON."""
    return msgspec.json.encode(evidence)


def decode(text: bytes | str) -> Evidence:
    """What was encoded.

    Raises:
        msgspec.MsgspecError: it is something else.
    """
    return msgspec.json.decode(text, type=Evidence)
