"""Reserving, reading and cancelling."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from flashsale.engine.batcher import Asker, Batcher, BusyError, Queue, Waiter
from flashsale.engine.catalog import Catalog, Offer
from flashsale.engine.soldout import Memory
from flashsale.model import ids
from flashsale.model.attempts import BUSY
from flashsale.model.faults import Fault, InvalidError
from flashsale.model.ids import ReservationId
from flashsale.model.outcomes import Reserve
from flashsale.model.payment import PaymentRecord
from flashsale.model.reservation import Line, Reservation
from flashsale.model.sale import MAX_AMOUNT
from flashsale.scripts.calls import Glance, Resolved
from flashsale.scripts.loader import load
from flashsale.scripts.reserve import Batch, Claim, Decision, Refused
from flashsale.store.client import StoreUnavailableError
from flashsale.store.sales import SaleStore

_AT_ONCE: Final = 500
"""Reservations of one customer read in one look."""
_DRAWN_AT_ONCE: Final = 256
"""Random tokens."""
REFRESH_PAUSE_S: Final = 0.25
REFRESH_SHARE: Final = 50
"""Between two readings of who has something: at least this many times as long as the last one took."""
MOST_REFRESH_PAUSE_S: Final = 15.0
"""The longest such pause: a reading that would ask for more has waited for a store that stalled, and cost it nothing."""
TOO_MANY_PAUSE_S: Final = 60.0

Noting = Callable[[str, str, int], None]
"""Is told of every refusal: sale, customer, and the number of the outcome."""


@dataclass(slots=True)
class _Desk:
    """What a worker keeps for each sale that people are buying from."""

    batcher: Batcher
    memory: Memory
    refreshing: "asyncio.Task[None] | None" = None
    refresh_at: float = 0.0
    """The instant, by the monotonic clock, before which the list of who has something is not read again."""


@dataclass(frozen=True, slots=True)
class Found:
    """A reservation with the offer it belongs to and the store's instant at which it was read."""

    offer: Offer
    reservation: Reservation
    now_ms: int
    payment: PaymentRecord | None = None
    ahead: int | None = None
    """How many payments go to the provider before its own; None when it does not wait for its turn."""


def _nobody(_sale: str, _customer: str, _outcome: int) -> None:
    """Is told of refusals that are not noted."""


class Reservations:
    """The reservations of all sales, as one worker serves them."""

    def __init__(
        self,
        store: SaleStore,
        catalog: Catalog,
        queue: Queue,
        *,
        on_batch: Callable[[int, float], None] = lambda _size, _seconds: None,
        on_memory: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_batch` is told the size and the seconds of every batch, `on_memory` of every answer from memory."""
        self._store = store
        self._catalog = catalog
        self._queue = queue
        self._on_batch = on_batch
        self._on_memory = on_memory
        self._on_refused: Noting = _nobody
        self._desks: dict[str, _Desk] = {}
        self._fresh_tokens: list[str] = []
        self._lane = (
            store.lane()
        )  # one for all sales: their calls carry their keys, and the store runs one at a time

    async def reserve(
        self, sale: str, customer: str, lines: tuple[Line, ...], idempotency_key: str | None = None
    ) -> tuple[Offer | None, Decision]:
        """Claims units for a customer. `lines` name each sku once. The offer is None only for an unknown sale.

        Raises:
            BusyError: too many requests are waiting; nothing was reserved.
            StoreUnavailableError: the store failed; `applied` is None when the reservation may have been made.
            InvalidError: the lines cost more than can be paid.
        """
        offer = self._catalog.known(sale) or await self._catalog.get(sale)
        if offer is None:
            return None, Refused(Reserve.UNKNOWN_SALE)
        waiter = Waiter()
        known = self.ask(offer, customer, lines, idempotency_key, waiter)
        if known is not None:
            return offer, known
        decision, version = await waiter.future
        return await self.current(offer, version), decision

    async def keep_open(self) -> None:
        """Keeps the way to the store open for the first who ask; until it is cancelled."""
        await self._lane.keep_open(load("reserve"))

    def offer(self, sale: str) -> Offer | None:
        """The offer of a sale if it is at hand; it may be out of date, which the answer of `ask` tells."""
        return self._catalog.known(sale)

    async def current(self, offer: Offer, version: int) -> Offer | None:
        """The offer that a decision was made under, when it was asked for under `offer`; None when the sale is gone."""
        if version == offer.version:
            return offer
        return await self._catalog.fresh(offer.sale, version)

    def ask(
        self,
        offer: Offer,
        customer: str,
        lines: tuple[Line, ...],
        idempotency_key: str | None,
        asker: Asker,
    ) -> Refused | None:
        """Puts a claim on its way, of which `asker` will be told; or returns the answer if that is known already.

        Raises:
            BusyError: too many requests are waiting; nothing was reserved.
            InvalidError: the lines cost more than can be paid.
        """
        if len(lines) > 1 or lines[0][1] > 1:
            _check_amount(offer, lines)
        sale = offer.sale
        desk = self._desks.get(sale) or self._new_desk(sale)
        if idempotency_key is None:
            if len(lines) == 1 and lines[0][1] == 1:
                known = desk.memory.answer(lines[0][0], customer, desk.batcher.now())
                if known is not None:
                    self._on_memory()
                    self._on_refused(sale, customer, known.outcome)
                    return known
            if not self._fresh_tokens:
                self._fresh_tokens = ids.new_tokens(_DRAWN_AT_ONCE)
            token = self._fresh_tokens.pop()
        else:
            token = ids.derived_token(sale, customer, idempotency_key)
        claim = Claim(token, customer, lines, idempotency_key is not None)
        try:
            desk.batcher.submit(claim, asker)
        except BusyError:
            self._on_refused(sale, customer, BUSY)
            raise
        return None

    def tell_refusals(self, noting: Noting) -> None:
        """Has every refusal noted; to be called before the first claim."""
        self._on_refused = noting

    def _new_desk(self, sale: str) -> _Desk:
        memory = Memory()
        lane = self._lane

        def observe(batch: Batch, sent_at: float) -> None:
            memory.observe(batch, sent_at)
            self._on_batch(len(batch.decisions), desk.batcher.now() - sent_at)
            if memory.wants_holders and desk.refreshing is None and desk.batcher.now() >= desk.refresh_at:
                desk.refreshing = asyncio.get_running_loop().create_task(self._refresh_holders(sale, desk))

        send = partial(self._store.start_reserve, lane, sale)
        refused = partial(self._on_refused, sale)
        batcher = Batcher(send, self._queue, observe=observe, look=lane.look, refused=refused)
        desk = _Desk(batcher, memory)
        self._desks[sale] = desk
        return desk

    async def _refresh_holders(self, sale: str, desk: _Desk) -> None:
        """Reads who has something. While the sale goes on selling that is soon out of date, so it may cost little."""
        started, pause_s = desk.batcher.now(), REFRESH_PAUSE_S
        try:
            known = await self._store.holders(sale)
            if known is None:
                pause_s = TOO_MANY_PAUSE_S
            else:
                desk.memory.learn_holders(*known)
        except StoreUnavailableError:
            desk.memory.forget(desk.batcher.now())
        finally:
            now = desk.batcher.now()
            share_s = min(REFRESH_SHARE * (now - started), MOST_REFRESH_PAUSE_S)
            desk.refresh_at = now + max(pause_s, share_s)
            desk.refreshing = None

    async def get(self, reservation_id: ReservationId) -> Found | None:
        """A reservation by its id."""
        offer = await self._catalog.get(reservation_id.sale)
        if offer is None or reservation_id.shard != 0:
            return None
        glance = await self._store.find_one(reservation_id.sale, reservation_id.token)
        return (await self._found(reservation_id.sale, glance))[0]

    async def of_customer(self, sale: str, customer: str) -> list[Found] | None:
        """A customer's reservations, oldest first; None when there is no such sale."""
        if await self._catalog.get(sale) is None:
            return None
        entries = await self._store.entries(sale, customer)
        return await self.of_tokens(sale, [entry.token for entry in entries])

    async def of_tokens(self, sale: str, tokens: list[str]) -> list[Found]:
        """Those of these reservations that are known, in this order."""
        found: list[Found | None] = []
        for start in range(0, len(tokens), _AT_ONCE):
            found += await self._found(sale, await self._store.find(sale, tokens[start : start + _AT_ONCE]))
        return [each for each in found if each is not None]

    async def _found(self, sale: str, glance: Glance) -> list[Found | None]:
        """The reservations that were asked for, None for those that are unknown."""
        offer = await self._catalog.fresh(sale, glance.version)
        return [
            Found(offer, reservation, glance.now_ms, payment, ahead) if offer and reservation else None
            for reservation, payment, ahead in zip(
                glance.reservations, glance.payments, glance.ahead, strict=True
            )
        ]

    async def cancel(self, reservation_id: ReservationId, *, reason: str) -> Resolved:
        """Ends a hold early. The caller has checked whose it is: a reservation never changes its customer."""
        resolved = await self._store.cancel(reservation_id.sale, reservation_id.token, reason=reason)
        if (desk := self._desks.get(reservation_id.sale)) is not None:
            desk.memory.forget(desk.batcher.now())
        return resolved

    def changed(self, sale: str) -> None:
        """The brand has changed the sale through this worker: what it remembers of the sale is out of date."""
        if (desk := self._desks.get(sale)) is not None:
            desk.memory.forget(desk.batcher.now())

    async def close(self) -> None:
        """Ends what goes on in the background; call it before the store is closed."""
        tasks = [desk.refreshing for desk in self._desks.values() if desk.refreshing is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def waiting(self) -> int:
        """Claims in this worker's queue."""
        return self._queue.waiting


def _check_amount(offer: Offer, lines: tuple[Line, ...]) -> None:
    """One unit always costs less than MAX_AMOUNT; many may not."""
    if sum(offer.prices.get(sku, 0) * units for sku, units in lines) > MAX_AMOUNT:
        raise InvalidError([Fault(("items",), f"must not cost more than {MAX_AMOUNT} minor units together")])
