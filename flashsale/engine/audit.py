"""The audit of a sale: its journal replayed from the first fact, against every counter, hold, record and limit stored.

It may run while the sale sells. Each look at the store is atomic and tells up to which fact it reaches; the replay follows
to exactly that fact before the two are compared.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field

from flashsale.model.audit import FactError, Replay
from flashsale.model.ledger import MoneySums
from flashsale.scripts.calls import SaleState, Stock
from flashsale.store.sales import SaleStore

_CHUNK = 200
MOST_FINDINGS = 100


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that does not add up: the fact (None when it is a stored value), and what is wrong."""

    seq: int | None
    detail: str


@dataclass(slots=True)
class AuditReport:
    """The verdict on one sale."""

    sale: str
    facts: int = 0
    """Facts replayed."""
    findings: list[Finding] = field(default_factory=list)
    """The first fact that does not add up comes first; replay stops there. At most `MOST_FINDINGS`."""
    items: tuple[Stock, ...] = ()
    reservations: dict[str, int] = field(default_factory=dict)
    """How many reservations are in each state, by the facts."""
    customers: int = 0
    last_place: int = 0
    money: MoneySums = field(default_factory=lambda: MoneySums(None))
    """Every charge in the currency of the sale, by the facts."""
    other_money: tuple[MoneySums, ...] = ()
    """Charges in other currencies: none of them pays for an order."""

    @property
    def ok(self) -> bool:
        """Whether everything adds up."""
        return not self.findings


class Audit:
    """One run over one sale. Memory grows with the number of its reservations."""

    def __init__(self, store: SaleStore, sale: str) -> None:
        self._store = store
        self._replay = Replay()
        self._report = AuditReport(sale)

    async def run(self) -> AuditReport | None:
        """The report, or None when there is no such sale.

        Raises:
            StoreUnavailableError: the store failed; nothing is known.
        """
        try:
            if not await self._compare_all():
                return None
        except FactError as error:
            self._find(error.seq, error.detail)
        report, replay = self._report, self._replay
        report.facts = replay.seq
        report.last_place = replay.place
        report.customers = len(replay.customers)
        report.reservations = dict(
            Counter(claimed.state.name.lower() for claimed in replay.reservations.values())
        )
        report.money, report.other_money = replay.ledger.sums(replay.currency)
        return report

    async def _compare_all(self) -> bool:
        look = await self._store.look(self._report.sale)
        if look.sale is None:
            return False
        self._report.items = look.sale.stock
        await self._follow(look.sale.seq)
        self._compare_sale(look.sale)
        for tokens in _chunks([*self._replay.reservations, *self._replay.strangers()]):
            await self._compare_reservations(tokens)
        for customers in _chunks(list(self._replay.customers)):
            await self._compare_customers(customers)
        for difference in self._replay.order_differences():
            self._find(None, difference)
        return True

    async def _follow(self, seq: int) -> None:
        """Replays up to this fact and no further."""
        while self._replay.seq < seq and len(self._report.findings) < MOST_FINDINGS:
            facts = await self._store.facts(
                self._report.sale, after=self._replay.seq, limit=min(1000, seq - self._replay.seq)
            )
            if not facts:
                raise FactError(
                    self._replay.seq + 1, f"is missing: the journal ends, the sale counts {seq} facts"
                )
            for fact in facts:
                self._replay.apply(fact)
            await asyncio.sleep(0)

    def _compare_sale(self, sale: SaleState) -> None:
        replay = self._replay
        stored = {item.sku: (item.stock, item.available, item.held, item.sold) for item in sale.stock}
        facts = {
            sku: (item.stock, item.available, item.held, item.sold)
            for sku, item in replay.items.items()
            if item.stock or sku in stored
        }
        for sku in sorted(stored.keys() | facts.keys()):
            if stored.get(sku) != facts.get(sku):
                self._find(
                    None,
                    f"{sku}: stock, available, held, sold are {stored.get(sku)}, the facts say {facts.get(sku)}",
                )
        for item in sale.stock:
            if (
                item.available + item.held + item.sold != item.stock
                or min(item.available, item.held, item.sold) < 0
            ):
                self._find(None, f"{item.sku}: available + held + sold is not the stock: {item}")
        sizes = {
            "place": (sale.place, replay.place),
            "number of reservations": (sale.reservations, len(replay.reservations)),
            "number of orders made and undone": (sale.orders, replay.orders),
            "number of holds": (sale.holds, replay.holds),
            "number of customers": (sale.customers, len(replay.customers)),
            "state": (sale.state, replay.state),
            "opening": (sale.opened, replay.terms is not None),
        }
        if replay.terms is not None:
            sizes["hold length in ms"] = (sale.hold_ms, replay.terms.hold_ms)
            sizes["limit per customer"] = (sale.limit, replay.terms.limit or 0)
            for item in sale.stock:
                sizes[f"limit of {item.sku}"] = (item.limit, replay.terms.item_limits.get(item.sku) or 0)
        for name, (is_, should_be) in sizes.items():
            if is_ != should_be:
                self._find(None, f"the {name} is {is_}, the facts say {should_be}")
        if sale.facts != sale.seq:
            self._find(None, f"the number of facts is {sale.facts}, the sale counts {sale.seq}")

    async def _compare_reservations(self, tokens: Sequence[str]) -> None:
        try:
            look = await self._store.look(self._report.sale, tokens=tokens)
        except ValueError as error:
            await self._find_unreadable("reservation", tokens, self._compare_reservations, error)
            return
        if look.sale is not None:
            await self._follow(look.sale.seq)
        for token, stored, end_ms, payment in zip(
            tokens, look.reservations, look.ends_ms, look.payments, strict=True
        ):
            for difference in self._replay.differences(token, stored, end_ms):
                self._find(None, difference)
            for difference in self._replay.payment_differences(token, payment):
                self._find(None, difference)

    async def _compare_customers(self, customers: Sequence[str]) -> None:
        try:
            look = await self._store.look(self._report.sale, customers=customers)
        except ValueError as error:
            await self._find_unreadable("customer", customers, self._compare_customers, error)
            return
        if look.sale is not None:
            await self._follow(look.sale.seq)
        for customer, entries in zip(customers, look.entries, strict=True):
            for difference in self._replay.entry_differences(customer, entries):
                self._find(None, difference)

    async def _find_unreadable(
        self,
        what: str,
        names: Sequence[str],
        compare: Callable[[Sequence[str]], Awaitable[None]],
        error: ValueError,
    ) -> None:
        """One of `names` is stored as something that cannot be read: finds which, and compares the others."""
        if len(names) == 1:
            self._find(None, f"{what} {names[0]!r} cannot be read: {error}")
            return
        for name in names:
            await compare([name])

    def _find(self, seq: int | None, detail: str) -> None:
        if len(self._report.findings) < MOST_FINDINGS:
            self._report.findings.append(Finding(seq, detail))


def _chunks(elements: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(elements), _CHUNK):
        yield elements[start : start + _CHUNK]
