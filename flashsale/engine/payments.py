"""Payments as the HTTP side sees them: start one, undo an order, take in what a provider tells, look after dead jobs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from flashsale import metrics
from flashsale.engine import events
from flashsale.engine.batcher import BusyError
from flashsale.engine.catalog import Catalog, Offer
from flashsale.engine.events import Received
from flashsale.engine.reconcile import Reconciler, ReconcileReport
from flashsale.engine.reservations import Found
from flashsale.keys import STRAY
from flashsale.model import ids
from flashsale.model.faults import Fault, InvalidError
from flashsale.model.ids import ReservationId
from flashsale.model.jobs import DeadJob
from flashsale.model.outcomes import Pay, Refund
from flashsale.model.payment import SIMULATOR, Money
from flashsale.providers.protocol import Provider
from flashsale.scripts.payments import Paying, Wish
from flashsale.store.gather import Gathers
from flashsale.store.payments import MOST_DEAD, PaymentStore

EVENTS_LIMIT_FACTOR: Final = 10
"""What providers tell is money that has moved: it is turned away only when the queue has so many times its limit."""
NO_PROVIDER: Final = "This server is not set up to take payments."
NO_SIMULATOR: Final = (
    "A rehearsal is paid through the payment simulator, and this server was not told of one: "
    "FLASHSALE_SIMULATOR_URL says where it is."
)
_AT_ONCE: Final = 128
_LOOK_EVERY: Final = 256
"""Events taken in between two looks at the length of a sale's queue."""

log = structlog.get_logger(__name__)


class NoProviderError(Exception):
    """The shop takes no payments; the message says of what, for those who ask."""


class UnknownProviderError(Exception):
    """No provider of this name is set up."""


@dataclass(frozen=True, slots=True)
class PayResult:
    """What became of a wish to pay, and the reservation as it is now."""

    outcome: Pay
    found: Found


@dataclass(frozen=True, slots=True)
class RefundResult:
    """What became of an order that was to be undone, and the reservation as it is now."""

    outcome: Refund
    found: Found


class Payments:
    """The payments of all sales, as one HTTP worker serves them. Methods raise `StoreUnavailableError` too."""

    def __init__(
        self,
        store: PaymentStore,
        catalog: Catalog,
        providers: Mapping[str, Provider],
        reconciler: Reconciler,
        *,
        provider: str,
        shop: str,
        queue_limit: int,
    ) -> None:
        """`provider` takes new payments (`none`: nobody does), all of `providers` may tell of old ones.

        Rehearsals are paid through the simulator, if that is one of `providers`.
        """
        self._store = store
        self._catalog = catalog
        self._providers = providers
        self._reconciler = reconciler
        self._provider = provider
        self._shop = shop
        self._queue_limit = queue_limit
        self._until_look: dict[str, int] = {}
        self._wishes = Gathers(self._pay, most=_AT_ONCE)

    def _provider_of(self, offer: Offer) -> Provider | None:
        """Who takes new payments of a sale."""
        return self._providers.get(SIMULATOR if offer.definition.rehearsal else self._provider)

    def rate(self, offer: Offer) -> int:
        """Payments of a sale that its provider takes a second; 0 for any number."""
        provider = self._provider_of(offer)
        return provider.rate if provider is not None else 0

    async def start(self, reservation_id: ReservationId, found: Found, method: str) -> PayResult:
        """Queues a payment with this method. The caller has checked whose reservation it is.

        Raises:
            NoProviderError: the shop takes no payments, or none of rehearsals. It says which.
            InvalidError: the sale does not offer this method.
        """
        offer, terms = found.offer, found.offer.definition.payment
        if self._provider_of(offer) is None:
            raise NoProviderError(NO_SIMULATOR if offer.definition.rehearsal else NO_PROVIDER)
        if method not in terms.methods:
            offered = ", ".join(terms.methods) or "no payment method"
            raise InvalidError([Fault(("method",), f"is not offered by this sale, which takes {offered}")])
        due = offer.schedule(offer.amount(found.reservation.lines)).deposit
        wish = Wish(reservation_id.token, method, Money(due, offer.definition.currency))
        paying = await self._wishes.ask(
            reservation_id.sale, (wish, terms.hold_extension_seconds * 1000, self.rate(offer))
        )
        metrics.PAYMENTS_STARTED.labels(paying.outcome.name.lower()).inc()
        reservation = paying.reservation or found.reservation
        return PayResult(
            paying.outcome, Found(offer, reservation, paying.now_ms, paying.payment, paying.ahead)
        )

    async def _pay(self, sale: str, wishes: Sequence[tuple[Wish, int, int]]) -> Sequence[Paying]:
        """Wishes that came at the same time, in one call. A sale has one extension and one provider, once it is open."""
        _, extension_ms, rate = wishes[0]
        return await self._store.pay(
            sale,
            [wish for wish, _, _ in wishes],
            extension_ms=extension_ms,
            rate=rate,
            queue_limit=self._queue_limit,
        )

    async def refund(
        self, reservation_id: ReservationId, found: Found, *, restock: bool, reason: str
    ) -> RefundResult:
        """Undoes an order; its charge is given back by a worker."""
        refunding = await self._store.refund(
            reservation_id.sale, reservation_id.token, restock=restock, reason=reason
        )
        reservation = refunding.reservation or found.reservation
        return RefundResult(
            refunding.outcome, Found(found.offer, reservation, refunding.now_ms, refunding.payment)
        )

    async def receive(self, provider: str, headers: Mapping[str, str], body: bytes) -> bool:
        """Verifies and queues what a provider tells; False when it is about nothing of ours.

        Raises:
            UnknownProviderError: no provider of this name is set up.
            SignatureError: it is not the provider who tells this, or not now.
            BusyError: the queue is far too long; the provider will tell it again.
        """
        sender = self._providers.get(provider)
        if sender is None:
            raise UnknownProviderError
        event = sender.read_event(headers, body)
        if event is None or event.payment.shop != self._shop:
            return False
        sale = await self._sale_of(event.payment.reservation)
        await self._check_room(sale)
        await self._store.add_event(sale, events.pack(Received(provider, event)))
        return True

    async def _sale_of(self, reservation: str) -> str:
        """The sale whose queue takes what is told of a reservation."""
        reservation_id = ids.parse_reservation_id(reservation)
        if reservation_id is None or reservation_id.shard != 0:
            return STRAY
        return reservation_id.sale if await self._catalog.get(reservation_id.sale) else STRAY

    async def _check_room(self, sale: str) -> None:
        left = self._until_look.get(sale, 0)
        if left <= 0:
            self._until_look[sale] = left = _LOOK_EVERY  # the others need not look at the same time
            if await self._store.length(sale) >= EVENTS_LIMIT_FACTOR * self._queue_limit:
                self._until_look[sale] = 0
                raise BusyError
        self._until_look[sale] = left - 1

    async def dead(self, sale: str) -> list[DeadJob] | None:
        """Jobs that were given up, oldest first; None when there is no such sale."""
        return await self._store.dead(sale) if await self._known(sale) else None

    async def revive(self, sale: str, job_id: str | None) -> int | None:
        """Queues one dead job again, or all of them; how many. None when there is no such sale."""
        if not await self._known(sale):
            return None
        if job_id is not None:
            return await self._store.revive(sale, [job_id])
        revived = 0
        while dead := await self._store.dead(sale):
            revived += await self._store.revive(sale, [each.job.entry_id for each in dead])
            if len(dead) < MOST_DEAD:
                break
        return revived

    async def _known(self, sale: str) -> bool:
        return sale == STRAY or await self._catalog.get(sale) is not None

    async def reconcile(self, sale: str | None) -> ReconcileReport | None:
        """Compares the providers' books with ours, of one sale or of all; None when there is no such sale.

        Raises:
            NoProviderError: there is nobody to compare with.
            ProviderError: a provider does not answer.
        """
        if not self._providers:
            raise NoProviderError(NO_PROVIDER)
        if sale is not None and not await self._known(sale):
            return None
        return await self._reconciler.run(sale)
