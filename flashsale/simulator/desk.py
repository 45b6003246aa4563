"""The desk of the simulator: carries out what shops and shoppers ask, writes it down, and tells the webhooks.

No HTTP here, and no waiting: each of these is done when it returns.
"""

import time
from collections.abc import Callable
from typing import Final

import structlog

from flashsale.simulator.books import Books, BooksError, Sent
from flashsale.simulator.faults import Counts, Faults
from flashsale.simulator.ledger import Ledger
from flashsale.simulator.records import Bounced, Change, Happening, Order, Outcome, Payment, Refund

log = structlog.get_logger(__name__)

FULL: Final = "The simulator cannot write to its file."


class TemporaryError(Exception):
    """It did not work this time; nothing was done."""


class Desk:
    """The simulator without its HTTP. `faults` may be replaced at any time; `tell` is given each event."""

    def __init__(self, ledger: Ledger, books: Books | None, faults: Faults) -> None:
        self.ledger = ledger
        self.faults = faults
        self.tell: Callable[[Happening], None] = lambda _event: None
        self._books = books
        self._refund_tries = Counts()

    def restore(self) -> list[Happening]:
        """Makes the ledger again from the file; the events that were still to be delivered. Raises `BooksError`."""
        waiting: dict[str, Happening] = {}
        for line in self._books.lines() if self._books is not None else ():
            if isinstance(line, Sent):
                waiting.pop(line.event, None)
                continue
            try:
                event = self.ledger.apply(line)
            except LookupError:
                raise BooksError("the simulator's file tells of a payment that was never asked for") from None
            if event is not None:
                waiting[event.id] = event
        return list(waiting.values())

    def open(self, key: str, order: Order) -> Payment:
        """A shop asks for a payment."""
        self._do(self.ledger.open(key, order, _now_ms()))
        return self.ledger.find(self.ledger.id_of(key))

    def pay(self, payment: Payment, outcome: Outcome | None, money: tuple[int, str] | None = None) -> None:
        """A shopper tries to pay; without an outcome chance decides."""
        self._do(self.ledger.pay(payment, outcome or self.faults.outcome(payment), _now_ms(), money))

    def capture(self, payment: Payment) -> None:
        """A shop takes what was authorised."""
        self._do(self.ledger.capture(payment, _now_ms()))

    def cancel(self, payment: Payment) -> None:
        """A shop gives a payment up."""
        self._do(self.ledger.cancel(payment, _now_ms()))

    def refund(self, payment: Payment, key: str, amount: int) -> Refund:
        """A shop gives money back. Raises `TemporaryError` as the faults have it."""
        change = self.ledger.refund(payment, key, amount, _now_ms())
        known = payment.refund_of(key)
        if known is not None:
            return known
        if self.faults.refund_fails(payment, self._refund_tries.next(payment.id)):
            raise TemporaryError("The refund could not be made. Try again.")
        self._do(change)
        return payment.refunds[-1]

    def bounce(self, payment: Payment) -> None:
        """The refund that was just made fails, if it is its fate."""
        if self.faults.refund_bounces(payment):
            self._do(Bounced(_now_ms(), payment.id, len(payment.refunds) - 1))

    def note_sent(self, event_id: str) -> None:
        """An event needs no more sending."""
        if self._books is not None:
            self._books.note_sent(event_id)

    def flush(self) -> None:
        """Writes down what `note_sent` was told."""
        if self._books is not None:
            try:
                self._books.flush()
            except BooksError as error:
                log.warning("books.cannot_write", reason=str(error))

    def close(self) -> None:
        """Closes the file."""
        if self._books is not None:
            self._books.close()

    def _do(self, change: Change | None) -> None:
        """Writes a change down, then makes it, then tells of it."""
        if change is None:
            return
        if self._books is not None:
            try:
                self._books.write(change)
            except BooksError as error:
                log.error("books.cannot_write", reason=str(error))  # noqa: TRY400 - the message says it all
                raise TemporaryError(FULL) from error
        event = self.ledger.apply(change)
        if event is not None:
            self.tell(event)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
