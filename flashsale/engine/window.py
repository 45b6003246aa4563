"""The newest order events of all sales, kept once for everybody who reads them here.

What is behind the window is in the streams of the store. A reader is a cursor and nothing else: nobody who is slow makes the
window grow.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from flashsale.model.cursor import Cursor
from flashsale.store.orders import Published

MOST_EVENTS: Final = 16_384
MOST_BYTES: Final = 8 * 1024 * 1024
MOST_LOOKED_BACK: Final = 2_000
"""Events that one reader is given from the window at once; who lacks more reads the streams, in larger pieces."""


class Window:
    """The events, numbered in the order in which this process has learnt of them, and how far each sale has come."""

    def __init__(self, *, most_events: int = MOST_EVENTS, most_bytes: int = MOST_BYTES) -> None:
        self.tails: dict[str, int] = {}
        """The last sequence of every sale, as far as it is known here."""
        self.epoch = 0
        """Grows whenever there may be something new that has not come through the window."""
        self._most_events = most_events
        self._most_bytes = most_bytes
        self._start = 0
        self._events: list[Published] = []
        self._bytes = 0

    @property
    def end(self) -> int:
        """Number of the event that comes next."""
        return self._start + len(self._events)

    @property
    def bytes(self) -> int:
        """What the events take."""
        return self._bytes

    def reset(self) -> None:
        """Forgets everything: the store may be another one."""
        self.tails.clear()
        self.epoch += 1
        self._start = self.end
        self._events.clear()
        self._bytes = 0

    def follow(self, tails: Mapping[str, int]) -> None:
        """Takes in sales that were not known, or have come by another way as far as this."""
        self.tails.update(tails)
        if any(tails.values()):
            self.epoch += 1

    def drop(self, sales: Iterable[str]) -> None:
        """These are gone."""
        for sale in sales:
            self.tails.pop(sale, None)

    def add(self, event: Published) -> None:
        """The next event of a sale; one that is known already is passed over."""
        tail = self.tails.get(event.sale)
        if tail is None or event.sequence <= tail:
            return
        self.tails[event.sale] = event.sequence
        self._events.append(event)
        self._bytes += len(event.body)
        while len(self._events) > self._most_events or self._bytes > self._most_bytes:
            gone = max(1, len(self._events) // 4)
            self._bytes -= sum(len(each.body) for each in self._events[:gone])
            del self._events[:gone]
            self._start += gone

    def touched_since(self, number: int, epoch: int) -> Iterable[str]:
        """The sales that have gone on since this number of this epoch; all of them where that is not known any more."""
        if epoch != self.epoch or number < self._start:
            return self.tails
        return {event.sale for event in self._events[number - self._start :]}

    def missing(self, behind: Mapping[str, int]) -> list[Published] | None:
        """Everything of these sales behind these sequences, in order; None when not all of it is here."""
        left = sum(self.tails[sale] - sequence for sale, sequence in behind.items())
        if left > MOST_LOOKED_BACK:
            return None
        found: list[Published] = []
        for event in reversed(self._events):
            if not left:
                break
            if event.sequence > behind.get(event.sale, event.sequence):
                found.append(event)
                left -= 1
        if left:
            return None
        found.reverse()
        return found

    def cursor(self) -> Cursor:
        """The cursor of somebody who has read everything."""
        return Cursor.at(self.tails)
