"""What a verdict is: checks with what they found, service levels with what was measured, and the figures of the run."""

from typing import Final

import msgspec

CHECKS: Final[tuple[tuple[str, str], ...]] = (
    ("oversold", "Was more promised than there was?"),
    ("undersold", "Was anybody sent away while there was something left?"),
    ("limit", "Did any customer get more than the limit allows?"),
    ("answers", "Was every answer kept, and did everybody get one?"),
    ("money", "Did every payment end in exactly one order or refund?"),
    ("feed", "Did order systems get every order once, in order and without a gap?"),
    ("agreement", "Do the shoppers, the engine's books and the order feed agree?"),
    ("engine", "Does the engine's own audit agree, and was there enough to judge by?"),
)
"""The checks of every verdict, by name and question, in their order."""


class Check(msgspec.Struct, frozen=True):
    """One promise, and what was found against it."""

    name: str
    """One of `CHECKS`."""
    question: str
    findings: list[str]
    """What was found, a sentence each with names and numbers, five examples at most; empty when the promise was kept."""

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


class Level(msgspec.Struct, frozen=True):
    """One service level that was asked for, and what was measured."""

    name: str
    """One of reserve_p99_ms, share_5xx, sell_out_seconds, silences, fire_late_p99_ms."""
    wanted: str
    """In words, such as `at most 250 ms`."""
    measured: str
    """In words, such as `187 ms`."""
    ok: bool
    value: float | None
    """What was measured, in the unit of the level's name; None when there was nothing to measure."""
    limit: float | None


class Percentiles(msgspec.Struct, frozen=True):
    """The latencies of one kind of request, in milliseconds; true to `evidence.SLOT_FACTOR`, never too short."""

    count: int
    p50: float
    p95: float
    p99: float
    max: float


class Figures(msgspec.Struct, frozen=True):
    """The numbers of a run. The first three are never the same thing: taken requests, refused ones, and sales."""

    accepted: int
    """Reservations granted, each counted once, as shoppers and bots were told."""
    sold_out_answers: int
    """Times that anybody but a bot was told that there is nothing left."""
    sales: int
    """Orders standing at the end, by the feed: made minus undone."""

    shoppers: int
    """Shoppers who were meant to come."""
    pressed: int
    decided: int
    stock: int
    """Units of all items, restocks included."""
    sold_units: int
    """Units of the orders that stand, by the feed."""
    units_held_ever: int
    """Units of all holds that were ever granted, by the journal; a unit that came back counts again."""
    holds: int
    """Reservations ever held, by the journal."""
    confirmed: int
    """Orders ever made, by the journal."""
    expired: int
    cancelled: int
    refunded: int
    """Reservations refunded, by the journal."""
    paid: int
    """Payments that shoppers have agreed to."""
    charges: int
    """Different charges that the engine's journal knows."""
    charges_given_back: int
    requests: int
    """Requests of anybody but bots, those without an answer included."""
    share_5xx: float
    """Of all answers, 0 to 1."""
    silences: int
    """Requests that got no answer."""
    first_hold_ms: int | None
    """From T0 to the first hold."""
    sold_out_ms: int | None
    """From T0 to the instant when nothing was left for the first time; None if that never was."""
    all_paid_ms: int | None
    """From T0 to the instant when everything was sold for the first time; None if that never was."""
    latency: dict[str, Percentiles]
    """By request, as `Timeline.latency` names them."""
    load_cpu_share_max: float
    """Of one core, during the rush: the busiest load process."""
    fire_late_p99_ms: float
    """How late presses left: the worst load process."""
    fired_in_first_second: int
    """Shoppers who pressed within a second of T0, all load processes together."""


class Verdict(msgspec.Struct, frozen=True):
    """What a run has shown."""

    ok: bool
    """Whether no check found anything and every level was kept. Being sold out is no fault."""
    checks: list[Check]
    """All of `CHECKS`, in that order."""
    levels: list[Level]
    """Those that were asked for."""
    figures: Figures
    warnings: list[str]
    """What makes the figures doubtful without being anybody's fault, a sentence each."""
