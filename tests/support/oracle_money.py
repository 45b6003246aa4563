"""`MoneyOracle`: what a sale must do with payments, in plain Python, written from the design and not from the Lua.

Beside what `Oracle` has: `payments` are the records that must be stored, `jobs` what must be in the stream, in order,
`turns` who waits for a turn, `retries` and `dead` what was put off and aside.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from flashsale.model.facts import Refunded
from flashsale.model.outcomes import Attempt, Confirm, Pay, Refund, Resolve, Settle
from flashsale.model.payment import UNDER_WAY, Charge, Fate, Money, PaymentRecord, PaymentStatus
from flashsale.model.reservation import State
from flashsale.model.sale import PaymentMethod
from tests.support.oracle import Oracle, Want

MOST_ATTEMPTS = 20
OPEN = UNDER_WAY | {PaymentStatus.FAILED}
"""What may still take money, if the provider lets it."""
REFUSED_IN = {
    State.CONFIRMED: Confirm.PAID_TWICE,
    State.CANCELLED: Confirm.CANCELLED,
    State.REFUNDED: Confirm.REFUNDED,
}

Wish = tuple[str, PaymentMethod]
"""Token and method."""
JobRow = tuple[str, bytes, int]
"""Kind, payload, and how often it was tried before."""


@dataclass(frozen=True)
class Taken:
    """Money that a provider has taken."""

    token: str
    attempt: int
    method: PaymentMethod
    money: Money
    reference: str

    def packed(self) -> bytes:
        name = self.reference.encode()
        return self.token.encode() + self.money.pack() + bytes([len(name)]) + name


@dataclass
class MoneyOracle(Oracle):
    """One sale and its payments."""

    payments: dict[str, PaymentRecord] = field(default_factory=dict)
    orders: int = 0
    """How often an order was made or undone."""
    jobs: list[JobRow] = field(default_factory=list)
    turns: set[str] = field(default_factory=set)
    retries: dict[JobRow, int] = field(default_factory=dict)
    """When each is due."""
    dead: dict[str, tuple[JobRow, str, int]] = field(default_factory=dict)
    """By the entry it was: the job, why, and when."""

    def due(self, token: str) -> Money:
        assert self.terms is not None
        prices = {item.sku: item.price for item in self.terms.items}
        amount = sum(prices[sku] * units for sku, units in self.reservations[token].lines)
        percent = self.terms.payment.deposit_percent
        return Money(max(1, (2 * amount * percent + 100) // 200), self.terms.currency)

    def ahead(self, token: str) -> int:
        """Payments whose turn comes before this one's."""
        place = self.reservations[token].place
        return sum(self.reservations[other].place < place for other in self.turns)

    # --- verbs ---

    def pay(
        self, now: int, wishes: Iterable[Wish], *, extension_ms: int, rate: int, queue_limit: int
    ) -> list[tuple[Pay, int]]:
        """The outcomes, and how many payments go to the provider before each."""
        self._open_if_due(now)
        idle, room = not self.turns, queue_limit - len(self.jobs) - len(self.turns)
        answers = []
        for wish in wishes:
            outcome, ahead = self._pay(now, wish, extension_ms, rate, room)
            room -= outcome is Pay.DONE
            answers.append((outcome, ahead))
        if idle and self.turns:
            self.jobs.append(("wake", b"", 0))
        return answers

    def _pay(self, now: int, wish: Wish, extension_ms: int, rate: int, room: int) -> tuple[Pay, int]:
        token, method = wish
        refusal = self._refuse_to_resolve(now, token)
        if refusal is not None:
            return Pay[refusal.name], 0
        before, ahead = self.payments.get(token), self.ahead(token)
        if before is not None and before.status in UNDER_WAY and before.method == method:
            return Pay.UNDER_WAY, ahead if before.status is PaymentStatus.QUEUED else 0
        attempt = before.attempt + 1 if before is not None else 1
        if attempt > MOST_ATTEMPTS:
            return Pay.TOO_MANY_ATTEMPTS, 0
        if room <= 0:
            return Pay.BUSY, 0
        if before is not None:
            self._void(token, before)
        charges = before.charges if before is not None else ()
        self.payments[token] = PaymentRecord(
            PaymentStatus.QUEUED, attempt, method, self.due(token), "", charges
        )
        each, more_ms = self.reservations[token], extension_ms + (ahead * 1000 // rate if rate else 0)
        if more_ms and not each.extended:
            until = each.held_until_ms + more_ms
            self.reservations[token] = replace(each, extended=True, held_until_ms=until)
            self._fact(now, "reservation.extended", (token, until))
        if rate:
            self.turns.add(token)
        else:
            self.jobs.append(("start", token.encode(), 0))
        return Pay.DONE, ahead

    def attempt(
        self,
        now: int,
        token: str,
        attempt: int,
        status: PaymentStatus,
        reference: str,
        details: dict[str, Any],
    ) -> Attempt:
        self._open_if_due(now)
        before = self.payments.get(token)
        if before is None:
            return Attempt.UNKNOWN_PAYMENT
        if before.attempt != attempt:
            return Attempt.SUPERSEDED
        if before.status not in OPEN:
            return Attempt.OVER
        each = self.reservations.get(token)
        holds = each is not None and each.state_at(now) is State.HELD
        over = status in UNDER_WAY and not holds
        self.turns.discard(token)
        self.payments[token] = replace(
            before,
            status=PaymentStatus.CANCELLED if over else status,
            reference=reference or before.reference,
            details=details,
        )
        return Attempt.OVER if over else Attempt.DONE

    def cancel(self, now: int, token: str, reason: str) -> Resolve:
        outcome = super().cancel(now, token, reason)
        before = self.payments.get(token)
        if outcome is Resolve.DONE and before is not None and before.status in OPEN:
            self._void(token, before)
            self.turns.discard(token)
            self.payments[token] = replace(before, status=PaymentStatus.CANCELLED)
        return outcome

    def confirm(
        self, now: int, charges: Iterable[Taken], *, simulated: bool = False
    ) -> list[tuple[Confirm, Fate]]:
        self._open_if_due(now)
        return [self._decide(now, taken, simulated) for taken in charges]

    def _decide(self, now: int, taken: Taken, simulated: bool) -> tuple[Confirm, Fate]:
        before = self.payments.get(taken.token)
        known = before.charge(taken.reference) if before is not None else None
        if known is not None:
            return Confirm.REPLAYED, known.fate
        reason = self._refusal(taken, before, simulated)
        late = False
        if reason is None:
            late = self.reservations[taken.token].state_at(now) is State.EXPIRED
            reason = self._retake(now, taken.token) if late else None
        if reason is not None:
            self._refuse(now, taken, before, reason)
            return reason, Fate.REFUNDING
        assert before is not None  # or it would have been refused
        self._end(taken.token, State.CONFIRMED)
        self.reservations[taken.token] = replace(self.reservations[taken.token], late=late)
        self.orders += 1
        about = (taken.token, self.orders, late, taken.method, taken.money, taken.reference)
        self._fact(now, "reservation.confirmed", about)
        if before.reference != taken.reference:
            self._void(taken.token, before)
        self.turns.discard(taken.token)
        charge = Charge(taken.reference, taken.money, Fate.ORDER)
        self.payments[taken.token] = PaymentRecord(
            PaymentStatus.PAID,
            taken.attempt,
            taken.method,
            taken.money,
            taken.reference,
            (*before.charges, charge),
        )
        return (Confirm.CONFIRMED_LATE if late else Confirm.CONFIRMED), Fate.ORDER

    def _refusal(self, taken: Taken, before: PaymentRecord | None, simulated: bool) -> Confirm | None:
        if taken.token not in self.reservations:
            return Confirm.UNKNOWN_RESERVATION
        if before is None or before.attempt == 0:
            return Confirm.NOT_REQUESTED
        assert self.terms is not None  # or there would be no reservation
        pretended = taken.reference.startswith("simulator:")
        if (not pretended) if self.terms.rehearsal else (pretended and not simulated):
            return Confirm.WRONG_PROVIDER
        if taken.money != self.due(taken.token):
            return Confirm.WRONG_AMOUNT
        return REFUSED_IN.get(self.reservations[taken.token].state)

    def _retake(self, now: int, token: str) -> Confirm | None:
        """Why the units of an ended hold cannot be had again."""
        each = self.reservations[token]
        if each.state is State.HELD:
            self._expire(now, [token])
        want = Want(token, each.customer, each.lines, repeatable=False)
        if self._over_the_limit(now, want):
            return Confirm.LIMIT_REACHED
        return Confirm.SOLD_OUT if self._sold_out(now, want) else None

    def _refuse(self, now: int, taken: Taken, before: PaymentRecord | None, reason: Confirm) -> None:
        about = (taken.token, reason, taken.method, taken.money, taken.reference)
        self._fact(now, "charge.refused", about)
        self.jobs.append(("refund", taken.packed(), 0))
        charge = Charge(taken.reference, taken.money, Fate.REFUNDING)
        if before is None:
            before = PaymentRecord(PaymentStatus.REFUNDING, 0, taken.method, taken.money)
        status = before.status
        # The charge of an attempt given up long ago leaves the present one alone.
        if status is not PaymentStatus.PAID and (status not in OPEN or taken.attempt == before.attempt):
            status = PaymentStatus.REFUNDING
            self.turns.discard(taken.token)
        self.payments[taken.token] = replace(before, status=status, charges=(*before.charges, charge))

    def refund(self, now: int, token: str, *, restock: bool, reason: str) -> Refund:
        self._open_if_due(now)
        each = self.reservations.get(token)
        if each is None:
            return Refund.UNKNOWN_RESERVATION
        if each.state is not State.CONFIRMED:
            return Refund.ALREADY_REFUNDED if each.state is State.REFUNDED else Refund.NOT_CONFIRMED
        self._end(token, State.REFUNDED)
        if not restock:
            self.gone.add(token)
        before = self.payments[token]
        self.orders += 1
        paid = next(charge for charge in before.charges if charge.fate is Fate.ORDER)
        undone = Refunded(self.orders, restock, before.method, paid.money, paid.reference, reason)
        self._fact(now, "reservation.refunded", (token, undone))
        for charge in before.charges:
            if charge.fate is Fate.ORDER:
                taken = Taken(token, 0, "card", charge.money, charge.reference)
                self.jobs.append(("refund", taken.packed(), 0))
        charges = tuple(
            replace(charge, fate=Fate.REFUNDING) if charge.fate is Fate.ORDER else charge
            for charge in before.charges
        )
        self.payments[token] = replace(before, status=PaymentStatus.REFUNDING, charges=charges)
        return Refund.DONE

    def settle(self, now: int, token: str, reference: str, refund_id: str) -> Settle:
        self._open_if_due(now)
        before = self.payments.get(token)
        known = before.charge(reference) if before is not None else None
        if before is None or known is None:
            return Settle.UNKNOWN_CHARGE
        if known.fate is Fate.ORDER:
            return Settle.IS_ORDER
        if known.fate is Fate.REFUNDED:
            return Settle.ALREADY_SETTLED
        back = replace(known, fate=Fate.REFUNDED)
        charges = tuple(back if charge is known else charge for charge in before.charges)
        all_back = all(charge.fate is Fate.REFUNDED for charge in charges)
        status = before.status
        if status is PaymentStatus.REFUNDING and all_back:
            status = PaymentStatus.REFUNDED
        self.payments[token] = replace(before, status=status, charges=charges)
        self._fact(now, "charge.refunded", (token, reference, refund_id))
        return Settle.DONE

    # --- the queue ---

    def dispatch(self, now: int, starts: int, retries: int) -> tuple[int, int, int, int]:
        """Payments and jobs put into the stream, payments that still wait, when the next job is due (0: none)."""
        first = sorted(self.turns, key=lambda token: self.reservations[token].place)[:starts]
        self.jobs += [("start", token.encode(), 0) for token in first]
        self.turns -= set(first)
        due = sorted((at_ms, row) for row, at_ms in self.retries.items() if at_ms <= now)
        put = [row for _, row in sorted(due, key=lambda each: (each[0], packed(each[1])))][:retries]
        self.jobs += put
        for row in put:
            del self.retries[row]
        return len(first), len(put), len(self.turns), min(self.retries.values(), default=0)

    def defer(self, now: int, nth: int, entry_id: str, delay_ms: int | None, error: str) -> None:
        kind, payload, tries = self.jobs.pop(nth)
        row = (kind, payload, tries + 1)
        if delay_ms is None:
            self.dead[entry_id] = (row, error, now)
        else:
            self.retries[row] = now + delay_ms

    def revive(self, entry_ids: Iterable[str]) -> int:
        revived = [self.dead.pop(entry_id) for entry_id in entry_ids if entry_id in self.dead]
        self.jobs += [(kind, payload, 0) for (kind, payload, _), _, _ in revived]
        return len(revived)

    def _void(self, token: str, before: PaymentRecord) -> None:
        """The provider is told that this attempt must take no money any more, if it knows of it."""
        if before.status in OPEN and before.reference:
            payload = token.encode() + bytes([before.attempt]) + before.reference.encode()
            self.jobs.append(("void", payload, 0))


def packed(row: JobRow) -> bytes:
    """A job outside the stream."""
    kind, payload, tries = row
    return bytes([len(kind)]) + kind.encode() + tries.to_bytes(2, "big") + payload
