"""The server's clock, as a load process knows it: from `server_time` in its answers."""

import time


def monotonic_ms() -> float:
    """This machine's own clock."""
    return time.monotonic() * 1000


class ServerClock:
    """An estimate by the quickest round trip so far: the server wrote its time somewhere in between."""

    def __init__(self) -> None:
        self.error_ms = float("inf")
        """How wrong it may be: half of that round trip, and the millisecond that the server rounds off."""
        self._offset_ms = 0.0

    def learn(self, sent_ms: float, server_ms: float, received_ms: float) -> None:
        """Takes in an answer: `sent_ms` and `received_ms` by this machine's clock."""
        error_ms = (received_ms - sent_ms) / 2 + 1
        if error_ms < self.error_ms:
            self.error_ms = error_ms
            self._offset_ms = server_ms + 0.5 - (sent_ms + received_ms) / 2

    def at(self, own_ms: float) -> int:
        """The server's time at an instant of this machine's clock."""
        return round(own_ms + self._offset_ms)

    def now_ms(self) -> int:
        """The server's time now."""
        return self.at(monotonic_ms())

    def own(self, server_ms: float) -> float:
        """This machine's time at an instant of the server's clock."""
        return server_ms - self._offset_ms
