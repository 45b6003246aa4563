"""What goes wrong at the simulator: drawn from its seed and the payment at hand, so that it depends on no order."""

import hashlib
from collections import OrderedDict
from typing import Annotated, Any, Final, Self

import msgspec

from flashsale.settings import Settings
from flashsale.simulator.records import Happening, Outcome, Payment

REFUNDS_FAILED: Final = 2
"""Times the refund of a payment is answered 500, where that fault strikes."""
MAX_COUNTED: Final = 100_000

Percent = Annotated[float, msgspec.Meta(ge=0, le=100)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=86_400)]
Milliseconds = Annotated[int, msgspec.Meta(ge=0, le=600_000)]


class Faults(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How often each fault strikes; `flashsale.settings.simulator` says what each is."""

    seed: int = 1
    latency_ms: Milliseconds = 0
    jitter_ms: Milliseconds = 0
    decline_percent: Percent = 0.0
    outage_percent: Percent = 0.0
    outage_every_seconds: Seconds = 0.0
    outage_seconds: Seconds = 0.0
    timeout_percent: Percent = 0.0
    refund_fail_percent: Percent = 0.0
    refund_bounce_percent: Percent = 0.0
    duplicate_percent: Percent = 0.0
    reorder_percent: Percent = 0.0
    reorder_seconds: Seconds = 1.0
    delay_percent: Percent = 0.0
    delay_seconds: Seconds = 5.0
    lose_percent: Percent = 0.0

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Those of the settings."""
        return cls(**{field: getattr(settings, f"simulator_{field}") for field in cls.__struct_fields__})

    @property
    def vary(self) -> bool:
        """Whether it matters how often a call was made before."""
        return self.outage_percent > 0 or self.timeout_percent > 0 or self.jitter_ms > 0

    def changed(self, changes: dict[str, Any]) -> Self:
        """These with some others. Raises `msgspec.ValidationError`."""
        return msgspec.convert({**msgspec.structs.asdict(self), **changes}, type(self))

    def outcome(self, payment: Payment) -> Outcome:
        """How a try to pay ends that has no wished outcome."""
        declined = self._strikes(self.decline_percent, "decline", payment.key, payment.tries)
        return Outcome.DECLINE if declined else Outcome.SUCCEED

    def latency_seconds(self, call: str) -> float:
        """How long this call takes."""
        if self.jitter_ms == 0:
            return self.latency_ms / 1000
        return (self.latency_ms + self.jitter_ms * self._share("latency", call)) / 1000

    def is_away(self, call: str, up_seconds: float) -> bool:
        """Whether this call is answered 503; the simulator has been up for that long."""
        every = self.outage_every_seconds
        # The outage ends each period, so that nothing begins with one.
        if every > 0 and up_seconds % every >= every - self.outage_seconds:
            return True
        return self._strikes(self.outage_percent, "outage", call)

    def is_unanswered(self, call: str) -> bool:
        """Whether this call is carried out and never answered."""
        return self._strikes(self.timeout_percent, "timeout", call)

    def refund_fails(self, payment: Payment, tried: int) -> bool:
        """Whether a refund is answered 500, `tried` having been so before."""
        return tried < REFUNDS_FAILED and self._strikes(self.refund_fail_percent, "refund", payment.key)

    def refund_bounces(self, payment: Payment) -> bool:
        """Whether the refund that was just accepted fails later: only ever the first of a payment."""
        return len(payment.refunds) == 1 and self._strikes(self.refund_bounce_percent, "bounce", payment.key)

    def is_lost(self, event: Happening) -> bool:
        """Whether a webhook is never sent."""
        return self._strikes(self.lose_percent, "lose", event.id)

    def is_late(self, event: Happening) -> bool:
        """Whether a webhook is sent late."""
        return self._strikes(self.delay_percent, "delay", event.id)

    def is_overtaken(self, event: Happening) -> bool:
        """Whether a webhook waits for a later one."""
        return self._strikes(self.reorder_percent, "reorder", event.id)

    def is_doubled(self, event: Happening) -> bool:
        """Whether a webhook is sent twice."""
        return self._strikes(self.duplicate_percent, "duplicate", event.id)

    def _strikes(self, percent: float, *what: str | int) -> bool:
        return percent > 0 and self._share(*what) * 100 < percent

    def _share(self, *what: str | int) -> float:
        """A number from 0 up to 1, the same for the same seed and words."""
        text = ":".join(map(str, (self.seed, *what)))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6]) / (1 << 48)


class Counts:
    """How often each of the things asked about last was asked about: a first call may fail, and its repetition work."""

    def __init__(self) -> None:
        self._counts: OrderedDict[str, int] = OrderedDict()

    def next(self, what: str) -> int:
        """How often it was asked about before."""
        count = self._counts.pop(what, 0)
        self._counts[what] = count + 1
        if len(self._counts) > MAX_COUNTED:
            self._counts.popitem(last=False)
        return count
