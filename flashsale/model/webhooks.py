"""Webhooks as they are stored: where events go, what is still to be tried, and what was tried."""

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from flashsale.model.events import EVENT_TYPES, ORDER_EVENTS, event_type

ROTATION_MS: Final = 24 * 3600 * 1000
"""How long the secret before the present one signs too."""
MAX_URL_CHARACTERS: Final = 2000

Reason = Literal["gone", "failing"]
"""Why a webhook is off. `gone`: its receiver answered 410. `failing`: it has failed for days."""


def full_type(name: str) -> str | None:
    """The event type that a name stands for, the type itself or that of its fact; None when there is no such type."""
    if name in EVENT_TYPES:
        return name
    return event_type(name) if event_type(name) in EVENT_TYPES else None


class Webhook(msgspec.Struct, frozen=True):
    """One webhook. Its secrets are stored as they are: what signs cannot be hashed."""

    url: str
    types: tuple[str, ...]
    """Event types, sorted."""
    sale: str | None
    """The only sale whose events it gets; None for all."""
    created_at_ms: int
    secret: str
    old_secret: str | None = None
    old_until_ms: int = 0
    """Until when the old secret signs too."""
    is_on: bool = True
    reason: Reason | None = None
    """Why it is off."""
    off_at_ms: int = 0

    def __repr__(self) -> str:
        """Without the secrets, and without the address, which may hold one."""
        return f"Webhook(types={self.types!r}, sale={self.sale!r}, is_on={self.is_on!r})"

    @property
    def of_orders(self) -> bool:
        """Whether it gets order events only: its positions are then their sequences, otherwise the seqs of facts."""
        return ORDER_EVENTS.issuperset(self.types)

    def secrets_at(self, now_ms: int) -> tuple[str, ...]:
        """The secrets that sign now, the present one first."""
        if self.old_secret is not None and now_ms < self.old_until_ms:
            return (self.secret, self.old_secret)
        return (self.secret,)

    def rotated(self, secret: str, now_ms: int) -> "Webhook":
        """With another secret. The present one signs for `ROTATION_MS` more, the one before no longer."""
        return msgspec.structs.replace(
            self, secret=secret, old_secret=self.secret, old_until_ms=now_ms + ROTATION_MS
        )

    def switched_off(self, reason: Reason, now_ms: int) -> "Webhook":
        """Off."""
        return msgspec.structs.replace(self, is_on=False, reason=reason, off_at_ms=now_ms)

    def switched_on(self) -> "Webhook":
        """On."""
        return msgspec.structs.replace(self, is_on=True, reason=None, off_at_ms=0)


class Retry(msgspec.Struct, frozen=True):
    """An event of a sale that was tried without success, and keeps those behind it waiting."""

    number: int
    """What the position is when it has arrived; 0 when no event could even be read."""
    tries: int
    since_ms: int
    """When it was tried first."""
    next_ms: int
    """When it is tried again."""
    error: str


class Attempt(msgspec.Struct, frozen=True):
    """One try to deliver one event."""

    sale: str
    number: int
    """What the position is when it has arrived."""
    event: str
    """Its id."""
    type: str
    at_ms: int
    duration_ms: int
    tries: int
    """Which try it was, from 1."""
    status: int | None
    """Of the answer; None when there was none."""
    error: str | None
    """None when it was delivered."""
    next_ms: int | None = None
    """When it is tried again; None when it is not."""


class Progress(msgspec.Struct, frozen=True):
    """How far a webhook is in each sale."""

    positions: dict[str, int]
    """Sale -> number of the last event that is done; a sale that is missing begins with its first."""
    retries: dict[str, Retry]


def sorted_types(names: Sequence[str]) -> tuple[str, ...]:
    """The event types that these names, all of them known, stand for."""
    return tuple(sorted({full for name in names if (full := full_type(name)) is not None}))
