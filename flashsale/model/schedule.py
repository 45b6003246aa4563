"""What is paid when: the deposit at once, the rest in monthly rates or on hand-over.

Amounts are whole minor units of one currency, so nothing here depends on how many decimals it has, and every schedule adds
up to its amount exactly.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Schedule:
    """The parts of an amount, in minor units: deposit + balance + all instalments = the amount."""

    deposit: int
    """Due at once."""
    balance: int
    """Due on hand-over; 0 when the rest is paid in instalments."""
    instalments: tuple[int, ...]
    """The monthly rates, the first one first; none is 0."""


def deposit(amount: int, percent: int) -> int:
    """`percent` of the amount, rounded half up to a minor unit, and at least one."""
    return max(1, (amount * percent + 50) // 100)


def schedule(amount: int, deposit_percent: int, instalments: int) -> Schedule:
    """Splits an amount of 1 or more.

    What the deposit leaves is split into `instalments` rates that are as equal as whole minor units allow: where it cannot
    be divided, the first rates have one unit more each until it adds up (100 in 3 rates is 34, 33, 33). There are never more
    rates than units. With no instalments it is the balance.
    """
    down = deposit(amount, deposit_percent)
    rest = amount - down
    count = min(instalments, rest)
    if count == 0:
        return Schedule(down, rest, ())
    rate, more = divmod(rest, count)
    return Schedule(down, 0, (rate + 1,) * more + (rate,) * (count - more))
