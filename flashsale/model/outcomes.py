"""What a script decided. Each enum is in order of precedence: the first that applies is the answer."""

from enum import IntEnum
from typing import Final


class Reserve(IntEnum):
    """Outcome of one reservation of a batch (lua/reserve.lua returns them negated)."""

    HELD = 1
    REPLAYED = 2
    """The id exists with the same payload: the same Idempotency-Key was seen before. Carries the reservation."""
    IDEMPOTENCY_MISMATCH = 3
    """The id exists with another payload."""
    UNKNOWN_SALE = 4
    UNKNOWN_ITEM = 5
    NOT_OPEN = 6
    """Before `opens_at`; a sale that was closed before it opened is CLOSED."""
    PAUSED = 7
    """And not over: a paused sale whose time is over is CLOSED."""
    CLOSED = 8
    LIMIT_REACHED = 9
    """More units than a customer may have, of the sale or of one item; holds and orders count, ended holds do not."""
    SOLD_OUT = 10
    """Too few units left of at least one item, overdue holds taken back included."""
    RECLAIMING = 11
    """More holds are overdue than one call takes back: ask again."""


class Resolve(IntEnum):
    """Outcome of ending or changing one reservation (cancel, extend)."""

    DONE = 1
    UNKNOWN_RESERVATION = 2
    ALREADY_CONFIRMED = 3
    ALREADY_CANCELLED = 4
    ALREADY_EXPIRED = 5
    ALREADY_REFUNDED = 6
    ALREADY_EXTENDED = 7


class OpenSale(IntEnum):
    """Outcome of defining a sale."""

    CREATED = 1
    SAME = 2
    ALREADY_OPENED = 3
    REDEFINED = 4


class Restock(IntEnum):
    """Outcome of adding units to an item."""

    DONE = 1
    UNKNOWN_SALE = 2
    UNKNOWN_ITEM = 3
    REPLAYED = 4
    REPEAT_MISMATCH = 5
    CLOSED = 6


class SetState(IntEnum):
    """Outcome of pausing, resuming or closing a sale."""

    DONE = 1
    UNKNOWN_SALE = 2
    ALREADY = 3
    CLOSED = 4


class Pay(IntEnum):
    """Outcome of starting a payment."""

    DONE = 1
    UNKNOWN_RESERVATION = 2
    ALREADY_CONFIRMED = 3
    ALREADY_CANCELLED = 4
    ALREADY_EXPIRED = 5
    ALREADY_REFUNDED = 6
    UNDER_WAY = 7
    """A payment with this method is under way; nothing was changed."""
    TOO_MANY_ATTEMPTS = 8
    BUSY = 9
    """The sale's queue of payments is full."""


class Attempt(IntEnum):
    """Outcome of recording what became of an attempt at the provider."""

    DONE = 1
    UNKNOWN_PAYMENT = 2
    SUPERSEDED = 3
    """Another attempt is the present one."""
    OVER = 4
    """The payment is paid, given back or given up, or its hold ended before the customer could be asked."""


class Confirm(IntEnum):
    """What becomes of a charge: the first two make an order, those of `REFUSALS` give it back."""

    CONFIRMED = 1
    CONFIRMED_LATE = 2
    """The hold had ended, and its units could be taken again."""
    REPLAYED = 3
    """It was decided before. Carries its fate."""
    UNKNOWN_RESERVATION = 4
    NOT_REQUESTED = 5
    """Nobody has asked for a payment of this reservation."""
    WRONG_PROVIDER = 13
    """Simulated money for a sale that is no rehearsal, in a shop that takes other money; or other money for a rehearsal."""
    WRONG_AMOUNT = 6
    """Too much, too little, or another currency."""
    PAID_TWICE = 7
    """Another charge has paid for the order."""
    CANCELLED = 8
    REFUNDED = 9
    LIMIT_REACHED = 10
    """The hold had ended, and the customer has other units since."""
    SOLD_OUT = 11
    """The hold had ended, and its units are gone."""
    RECLAIMING = 12
    """Nothing was decided, ask again: more holds are overdue than one call takes back."""


REFUSALS: Final = frozenset(
    {
        Confirm.UNKNOWN_RESERVATION,
        Confirm.NOT_REQUESTED,
        Confirm.WRONG_PROVIDER,
        Confirm.WRONG_AMOUNT,
        Confirm.PAID_TWICE,
        Confirm.CANCELLED,
        Confirm.REFUNDED,
        Confirm.LIMIT_REACHED,
        Confirm.SOLD_OUT,
    }
)
"""Why a charge is given back."""


class Refund(IntEnum):
    """Outcome of undoing an order."""

    DONE = 1
    UNKNOWN_RESERVATION = 2
    NOT_CONFIRMED = 3
    ALREADY_REFUNDED = 4


class Settle(IntEnum):
    """Outcome of recording that a charge was given back."""

    DONE = 1
    UNKNOWN_CHARGE = 2
    IS_ORDER = 3
    """It pays for an order; nobody has asked for it back."""
    ALREADY_SETTLED = 4


class Advance(IntEnum):
    """Outcome of recording a try to deliver an event."""

    DONE = 1
    NOT_OURS = 2
    """Another worker delivers the webhook now, or it was removed."""
    MOVED = 3
    """Its position is another one than the caller believes, as after a replay."""


class Compare(IntEnum):
    """Whether the journal of a sale has the last fact that the archive has."""

    SAME = 1
    """It has: nothing is missing."""
    OLDER = 2
    """It ends before it. Nothing more happens to the sale until it was recovered."""
    TRIMMED = 3
    """It begins after it: the archive was asked too long ago."""
    OTHER = 4
    """It has another fact in its place. Nothing more happens to the sale either."""
