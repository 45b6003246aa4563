"""What a script decided. Each enum is in order of precedence: the first that applies is the answer."""

from enum import IntEnum


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
