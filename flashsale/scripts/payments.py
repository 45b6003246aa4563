"""Wrappers of the scripts about payments."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from redis.asyncio import Redis

from flashsale import keys
from flashsale.keys import SaleKeys
from flashsale.model.jobs import DeadJob, Job
from flashsale.model.outcomes import Attempt, Confirm, Pay, Refund, Settle
from flashsale.model.payment import Fate, Money, PaymentRecord, PaymentStatus, method_code, pack_details
from flashsale.model.payment import unpack_record as unpack_payment
from flashsale.model.reservation import Reservation, unpack_record
from flashsale.scripts.calls import run
from flashsale.scripts.reserve import RECLAIM_LIMIT

GROUP: Final = "workers"
"""Consumer group of every `payments` stream."""

_DEAD_HEADER_BYTES = 10


@dataclass(frozen=True, slots=True)
class Wish:
    """A wish to pay a reservation with this method."""

    token: str
    method: str
    money: Money
    """What is due."""


@dataclass(frozen=True, slots=True)
class Try:
    """Where an attempt stands at the provider."""

    token: str
    attempt: int
    status: PaymentStatus
    reference: str = ""
    """Empty keeps the one that is recorded."""
    details: dict[str, Any] = field(default_factory=dict)
    entry_id: str = ""
    """The job that is acknowledged with it, unless there turns out to be something left to do (not DONE)."""


@dataclass(frozen=True, slots=True)
class Paying:
    """What became of a wish to pay."""

    outcome: Pay
    now_ms: int
    reservation: Reservation | None
    payment: PaymentRecord | None
    ahead: int
    """How many payments go to the provider before this one."""


@dataclass(frozen=True, slots=True)
class Attempted:
    """What became of an attempt's record."""

    outcome: Attempt
    now_ms: int
    reservation: Reservation | None
    payment: PaymentRecord | None


@dataclass(frozen=True, slots=True)
class Refunding:
    """What became of an order that was to be undone."""

    outcome: Refund
    now_ms: int
    reservation: Reservation | None
    payment: PaymentRecord | None


@dataclass(frozen=True, slots=True)
class ChargeClaim:
    """A charge to be decided."""

    token: str
    attempt: int
    method: str
    money: Money
    reference: str
    """`<provider>:<id>`"""
    entry_id: str = ""
    """Entry of the stream that brought it, to be acknowledged; empty for none."""


@dataclass(frozen=True, slots=True)
class ChargeDecision:
    """What becomes of a charge."""

    outcome: Confirm
    fate: Fate | None
    """None only while it is RECLAIMING."""


@dataclass(frozen=True, slots=True)
class Dispatched:
    """What was put into the stream, and what still waits."""

    started: int
    retried: int
    turns_left: int
    next_due_ms: int
    """When the next job is to be tried again; 0 for none."""


async def pay(
    redis: "Redis",
    names: SaleKeys,
    wishes: Sequence[Wish],
    *,
    extension_ms: int,
    rate: int,
    queue_limit: int,
    now_ms: int = 0,
) -> list[Paying]:
    """Queues payments of holds (1 to 1000). `rate` is payments a second, 0 for any number."""
    args = pay_args(wishes, extension_ms, rate, queue_limit, now_ms)
    return paid(wishes, await run(redis, "pay", names.paid_book(), *args))


def pay_args(
    wishes: Sequence[Wish], extension_ms: int, rate: int, queue_limit: int, now_ms: int = 0
) -> list[str | bytes | int]:
    """ARGV of `pay`."""
    args: list[str | bytes | int] = [now_ms, extension_ms, rate, queue_limit]
    for wish in wishes:
        args += (wish.token, bytes((method_code(wish.method),)), wish.money.pack())
    return args


def paid(wishes: Sequence[Wish], reply: Sequence[Any]) -> list[Paying]:
    """The reply of `pay`."""
    now, results = reply
    return [
        Paying(Pay(outcome), now, _reservation(wish.token, record), _payment(payment), ahead)
        for wish, (outcome, record, payment, ahead) in zip(wishes, results, strict=True)
    ]


async def attempt(
    redis: "Redis", names: SaleKeys, tries: Sequence[Try], *, now_ms: int = 0
) -> list[Attempted]:
    """Records where attempts stand at the provider (1 to 500)."""
    args = attempt_args(tries, now_ms)
    return attempted(tries, await run(redis, "attempt", names.paid_book(), *args))


def attempt_args(tries: Sequence[Try], now_ms: int = 0) -> list[str | bytes | int]:
    """ARGV of `attempt`."""
    args: list[str | bytes | int] = [now_ms, GROUP]
    for each in tries:
        args += (each.token, each.attempt, int(each.status), each.reference)
        args += (pack_details(each.details), each.entry_id)
    return args


def attempted(tries: Sequence[Try], reply: Sequence[Any]) -> list[Attempted]:
    """The reply of `attempt`."""
    now, results = reply
    return [
        Attempted(Attempt(outcome), now, _reservation(each.token, record), _payment(payment))
        for each, (outcome, record, payment) in zip(tries, results, strict=True)
    ]


def confirm_args(
    claims: Sequence[ChargeClaim], now_ms: int = 0, *, simulated: bool = False
) -> list[str | bytes | int]:
    """ARGV of `confirm`. `simulated`: whether charges of the simulator pay for sales that are no rehearsals."""
    args: list[str | bytes | int] = [now_ms, RECLAIM_LIMIT, GROUP, int(simulated)]
    for claim in claims:
        mark = bytes((claim.attempt, method_code(claim.method)))
        args += (claim.token, mark, claim.money.pack(), claim.reference, claim.entry_id)
    return args


def confirmed(reply: Sequence[Any]) -> list[ChargeDecision]:
    """The reply of `confirm`, in the order of its claims."""
    decisions: list[ChargeDecision] = []
    for result in reply[1]:
        if type(result) is not int:
            decisions.append(ChargeDecision(Confirm.REPLAYED, Fate(result[1])))
        elif result <= Confirm.CONFIRMED_LATE:
            decisions.append(ChargeDecision(Confirm(result), Fate.ORDER))
        else:
            fate = None if result == Confirm.RECLAIMING else Fate.REFUNDING
            decisions.append(ChargeDecision(Confirm(result), fate))
    return decisions


async def confirm(
    redis: "Redis",
    names: SaleKeys,
    claims: Sequence[ChargeClaim],
    *,
    simulated: bool = False,
    now_ms: int = 0,
) -> list[ChargeDecision]:
    """Decides a batch of charges (1 to 1000). `simulated`: as for `confirm_args`."""
    args = confirm_args(claims, now_ms, simulated=simulated)
    return confirmed(await run(redis, "confirm", names.paid_book(), *args))


async def refund(
    redis: "Redis", names: SaleKeys, token: str, *, restock: bool, reason: str, now_ms: int = 0
) -> Refunding:
    """Undoes an order."""
    outcome, now, record, payment = await run(
        redis, "refund", names.paid_book(), now_ms, token, int(restock), reason
    )
    return Refunding(Refund(outcome), now, _reservation(token, record), _payment(payment))


async def settle(
    redis: "Redis",
    names: SaleKeys,
    token: str,
    *,
    reference: str,
    refund_id: str,
    entry_id: str = "",
    now_ms: int = 0,
) -> Settle:
    """Records that a charge was given back, and acknowledges the job that did it."""
    args = (token, reference, refund_id, GROUP, entry_id)
    outcome, _, _ = await run(redis, "settle", names.paid_book(), now_ms, *args)
    return Settle(outcome)


async def dispatch(
    redis: "Redis", names: SaleKeys, *, starts: int, retries: int, now_ms: int = 0
) -> Dispatched:
    """Puts at most so many payments and put-off jobs into the stream (0 to 1000 each)."""
    _, started, retried, left, next_due = await run(redis, "dispatch", names.queue(), now_ms, starts, retries)
    return Dispatched(started, retried, left, next_due)


async def defer(
    redis: "Redis", names: SaleKeys, job: Job, *, delay_ms: int | None, error: str, now_ms: int = 0
) -> bool:
    """Puts a job off, or aside as dead when `delay_ms` is None. False when another worker has done with it."""
    packed = replace(job, tries=job.tries + 1).pack()
    args = (GROUP, job.entry_id, -1 if delay_ms is None else delay_ms, packed, error)
    _, there = await run(redis, "defer", names.queue(), now_ms, *args)
    return bool(there)


async def revive(redis: "Redis", names: SaleKeys, ids: Sequence[str], *, now_ms: int = 0) -> int:
    """Puts dead jobs (1 to 1000) into the stream again; how many there were."""
    _, revived = await run(redis, "revive", names.queue(), now_ms, *ids)
    return int(revived)


async def pace(redis: "Redis", provider: str, *, rate: int, wanted: int, now_ms: int = 0) -> tuple[int, int]:
    """How many calls to a provider may be made now, and how many milliseconds until the next one."""
    _, granted, wait_ms = await run(redis, "pace", (keys.PACE,), now_ms, provider, rate, wanted)
    return granted, wait_ms


def dead_job(entry_id: str, packed: bytes) -> DeadJob:
    """A value of the hash of dead jobs: at_ms 6, length of the job 4, the job, then the error.

    Raises:
        ValueError: the bytes are something else.
    """
    end = _DEAD_HEADER_BYTES + int.from_bytes(packed[6:_DEAD_HEADER_BYTES], "big")
    job = Job.unpack(entry_id, packed[_DEAD_HEADER_BYTES:end])
    return DeadJob(job, packed[end:].decode(errors="replace"), int.from_bytes(packed[:6], "big"))


def _reservation(token: str, record: bytes) -> Reservation | None:
    return unpack_record(token, record) if record else None


def _payment(packed: bytes) -> PaymentRecord | None:
    return unpack_payment(packed) if packed else None
