"""The audit of a sale: its journal replayed from the first fact, against every counter, hold, record and limit stored.

It may run while the sale sells. Each look at the store is atomic and tells up to which fact it reaches; the replay follows
to exactly that fact before the two are compared. What has been trimmed from the journal is read from the archive.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field

from flashsale.engine.audit_outgoing import ArchiveState, Facts, OldFacts, OrdersState, Outgoing
from flashsale.model.audit import FactError, Replay
from flashsale.model.events import Tally
from flashsale.model.ledger import MoneySums
from flashsale.scripts.calls import SaleState, Stock
from flashsale.store.client import sale_recovering
from flashsale.store.orders import OrderStore
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
    archive: ArchiveState | None = None
    """None when this process knows of no archive."""
    orders: OrdersState | None = None
    """None when the stream of orders was not looked at."""

    @property
    def ok(self) -> bool:
        """Whether everything adds up."""
        return not self.findings


class Audit:
    """One run over one sale. Memory grows with the number of its reservations."""

    def __init__(
        self, store: SaleStore, sale: str, *, orders: OrderStore | None = None, old: OldFacts | None = None
    ) -> None:
        """`old` is the archive; without it a journal that was trimmed cannot be audited."""
        self._store = store
        self._orders = orders
        self._old = old
        self._replay = Replay()
        self._report = AuditReport(sale)
        self._facts = Facts(store, sale, None, 0)
        self._outgoing = Outgoing(sale, None, self._find)

    async def run(self) -> AuditReport | None:
        """The report, or None when there is no such sale.

        Raises:
            StoreUnavailableError: the store or the archive failed, or the sale waits to be recovered; nothing is known.
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
        # In this order: each may be behind what is read after it.
        published, tally = await self._published()
        books = await self._old.books(self._report.sale) if self._old is not None else None
        look = await self._store.look(self._report.sale)
        if look.sale is None:
            if look.recovering:
                raise sale_recovering()
            return False
        self._report.items = look.sale.stock
        self._facts = Facts(self._store, self._report.sale, self._old, books.seq if books is not None else 0)
        self._outgoing = Outgoing(self._report.sale, books, self._find)
        self._outgoing.want(published)
        if books is not None:
            self._report.archive = ArchiveState(books.seq, look.sale.seq - books.seq, books)
        self._compare_ends(look.sale)
        await self._follow(look.sale.seq)
        self._compare_sale(look.sale)
        await self._compare_mark()
        if self._orders is not None:
            self._report.orders = await self._outgoing.compare_stream(self._orders, published, tally)
        for tokens in _chunks([*self._replay.reservations, *self._replay.strangers()]):
            await self._compare_reservations(tokens)
        for customers in _chunks(list(self._replay.customers)):
            await self._compare_customers(customers)
        for difference in self._replay.order_differences():
            self._find(None, difference)
        return True

    async def _published(self) -> tuple[int, Tally]:
        if self._orders is None:
            return 0, Tally()
        last, tally = await self._orders.last(self._report.sale)
        return (last.sequence if last is not None else 0), tally

    def _compare_ends(self, sale: SaleState) -> None:
        archived = max(sale.recovering, self._report.archive.seq if self._report.archive is not None else 0)
        if sale.recovering or archived > sale.seq:
            self._find(
                None,
                f"the archive has {archived} facts and the journal {sale.seq}: flashsale recover {self._report.sale}",
            )

    async def _follow(self, seq: int) -> None:
        """Replays up to this fact and no further."""
        while self._replay.seq < seq and len(self._report.findings) < MOST_FINDINGS:
            after = self._replay.seq
            facts = await self._facts.page(after, min(1000, seq - after))
            if not facts:
                raise FactError(
                    self._replay.seq + 1, f"is missing: the journal ends, the sale counts {seq} facts"
                )
            if self._old is None and after == 0 and facts[0].seq > 1:
                raise FactError(
                    facts[0].seq,
                    f"follows fact 0: {facts[0].seq - 1} facts are missing. If they were trimmed, the archive has them, and "
                    "this server was not told of one: name it with --archive (FLASHSALE_ARCHIVE)",
                )
            for fact in facts:
                self._replay.apply(fact)
                self._outgoing.applied(fact, self._replay)
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
        there = sale.seq - sale.oldest + 1 if sale.oldest else 0
        if sale.facts != there:
            self._find(None, f"the number of facts is {sale.facts}, the sale counts {sale.seq}")

    async def _compare_mark(self) -> None:
        """By this mark the feed, and whoever decides charges, know a rehearsal."""
        sale, terms = self._report.sale, self._replay.terms
        mark = (await self._store.marks([sale]))[sale]
        if terms is not None and mark.rehearsal != terms.rehearsal:
            self._find(None, f"the mark of a rehearsal is {mark.rehearsal}, the facts say {terms.rehearsal}")

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
