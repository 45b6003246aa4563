"""What a worker remembers of items that are sold out, so that it can say so without asking.

It may only answer for the store when the store's answer is certain to be the same. So the memory of an item holds
- for 50 ms at most, and one request is let through after 40 ms to renew it (the probe);
- never beyond the instant at which the next hold of the item ends, because its units come back then, or the sale closes;
- only while the sale is open: not open, paused and closed come before sold out;
- only for customers who have nothing of the sale: others may be over their limit, which comes before sold out. Who has
  something is a copy of the store's list, good as long as the sale has granted no further place.
Requests with an Idempotency-Key always go to the store: they may be the repetition of one that was granted.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from flashsale.model.outcomes import Reserve
from flashsale.scripts.reserve import Batch, Refused

LIFETIME_S = 0.050
PROBE_AFTER_S = 0.040


@dataclass(slots=True)
class SoldOut:
    """One item that had nothing left when the store was last asked."""

    until: float
    """The instant, by the monotonic clock, up to which this may be believed."""
    probe_at: float
    answer: Refused
    """What everybody is told meanwhile."""


class Memory:
    """The sold-out items of one sale, as one worker knows them. Times are the monotonic clock's, in seconds."""

    def __init__(self) -> None:
        self._items: dict[str, SoldOut] = {}
        self._holders: AbstractSet[str] = frozenset()
        self._holders_place = -1
        self._place = -1
        self._forgotten_at = float("-inf")

    @property
    def wants_holders(self) -> bool:
        """Something is sold out, and the list of who has something is out of date."""
        return bool(self._items) and self._holders_place != self._place

    @property
    def place(self) -> int:
        """The last place granted in the sale, as far as this worker knows."""
        return self._place

    def observe(self, batch: Batch, sent_at: float) -> None:
        """Learns from a batch that was sent at `sent_at`; the store's answer is at least as young."""
        self._place = max(self._place, batch.place)
        for sku, item in batch.items.items():
            if item.available or not batch.open or sent_at <= self._forgotten_at:
                self._items.pop(sku, None)
                continue
            lifetime = LIFETIME_S
            if batch.closes_ms:
                lifetime = min(lifetime, (batch.closes_ms - batch.now_ms) / 1000)
            if item.certain_until_ms:
                lifetime = min(lifetime, (item.certain_until_ms - batch.now_ms) / 1000)
            answer = Refused(
                Reserve.SOLD_OUT, sku=sku, held_by_others=item.held, next_release_ms=item.next_release_ms
            )
            self._items[sku] = SoldOut(sent_at + lifetime, sent_at + PROBE_AFTER_S, answer)

    def learn_holders(self, place: int, holders: AbstractSet[str]) -> None:
        """`holders` had something of the sale when its last place was `place`."""
        self._holders, self._holders_place = holders, place

    def forget(self, now: float) -> None:
        """Something gave units back: ask again. Batches that are still under way were decided before that, perhaps."""
        self._items.clear()
        self._forgotten_at = now

    def answer(self, sku: str, customer: str, now: float) -> Refused | None:
        """What to tell this customer, or None when the store must be asked."""
        item = self._items.get(sku)
        if (
            item is None
            or now >= item.until
            or self._holders_place != self._place
            or customer in self._holders
        ):
            return None
        if now >= item.probe_at:
            item.probe_at = item.until  # this request is the probe; the others need not ask
            return None
        return item.answer
