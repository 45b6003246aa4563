"""What the audit looks at besides the counters: the archive, and the stream of orders as order systems read it.

Both follow the journal, so that they are a little behind while a sale goes on is as it should be. What they say must be what
the journal says: the same facts, and the same orders with the same numbers.
"""

import asyncio
from array import array
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, Protocol

import orjson

from flashsale.model.audit import FactError, Replay
from flashsale.model.events import Tally, line_of
from flashsale.model.facts import ORDER_FACTS, Fact, FactType
from flashsale.store.orders import OrderStore
from flashsale.store.sales import SaleStore

if TYPE_CHECKING:
    from flashsale.archive import Books

_PAGE: Final = 1000
Find = Callable[[int | None, str], None]


class OldFacts(Protocol):
    """The archive, for those who only read it. Methods raise `StoreUnavailableError` when it cannot be read now."""

    async def facts(self, sale: str, after: int, limit: int) -> list[Fact]:
        """Facts of a sale with a seq above `after`."""

    async def books(self, sale: str) -> "Books":
        """Its sums."""


@dataclass(frozen=True, slots=True)
class ArchiveState:
    """How the archive stands to the journal."""

    seq: int
    """The last fact that it has."""
    behind: int
    """Facts that the journal has and it has not, yet."""
    books: "Books"


@dataclass(frozen=True, slots=True)
class OrdersState:
    """How the stream of orders stands to the journal."""

    sequence: int
    """Orders made and undone, by the facts."""
    published: int
    """The last one of them that order systems can read."""

    @property
    def behind(self) -> int:
        """How many they cannot read yet."""
        return self.sequence - self.published


class Facts:
    """The facts of a sale from the first one on: out of the journal, and what was trimmed there out of the archive."""

    def __init__(self, store: SaleStore, sale: str, old: OldFacts | None, archived: int) -> None:
        """`archived` is the last fact that the archive has."""
        self._store = store
        self._sale = sale
        self._old = old
        self._archived = archived
        self.oldest = 1
        """The first fact of the journal, as it was last looked at; 0 when it has none."""

    async def page(self, after: int, limit: int) -> list[Fact]:
        """The facts that follow `after`, at most so many; none when there are none.

        Raises:
            FactError: the archive has others, or those that were trimmed are nowhere.
        """
        here = await self._store.facts(self._sale, after=after, limit=limit)
        if self._old is None:
            return here
        if here and here[0].seq == after + 1:
            return await self._compared(self._old, here)
        # Facts that are missing in the middle of a journal were not trimmed; the replay says so.
        oldest = here[0].seq if here else after + limit + 1
        look = await self._store.look(self._sale)
        first = look.sale.oldest if look.sale is not None else 0
        if first == 0 or after + 1 < first:
            there = await self._old.facts(self._sale, after, min(limit, oldest - after - 1))
            return there or here
        return here

    async def _compared(self, old: OldFacts, here: list[Fact]) -> list[Fact]:
        if here[0].seq <= self._archived:
            there = await old.facts(self._sale, here[0].seq - 1, len(here))
            for mine, its in zip(here, there, strict=False):
                if mine.seq != its.seq:
                    return here  # one of the journal is missing: the replay says so
                if mine != its:
                    raise FactError(
                        mine.seq, f"the journal has {_short(mine)}, the archive has {_short(its)}"
                    )
            have = there[-1].seq if there else here[0].seq - 1
            if have < min(self._archived, here[-1].seq):
                raise FactError(have + 1, f"the archive lacks it, and has fact {self._archived}")
        return here


class Outgoing:
    """Adds up the orders while the facts are replayed, and compares with what others have."""

    def __init__(self, sale: str, books: "Books | None", find: Find) -> None:
        """`books` are those of the archive, read before the journal was; None without an archive."""
        self._sale = sale
        self._books = books
        self._find = find
        self._tally = Tally()
        self._tallies: dict[int, Tally] = {}
        self._wanted: int | None = None
        self._lines = array("Q")

    def want(self, sequence: int) -> None:
        """The sums up to this order will be asked for."""
        self._wanted = sequence

    def applied(self, fact: Fact, replay: Replay) -> None:
        """Takes in the fact that was just replayed."""
        if fact.type in ORDER_FACTS and replay.terms is not None:
            due = replay.terms.due(replay.reservations[fact.token].lines).amount
            self._add(fact, due, replay.terms.currency)
        if self._books is not None and fact.seq == self._books.seq:
            self._compare_books(self._books)

    def _add(self, fact: Fact, due: int, currency: str) -> None:
        order = {
            "sequence": fact.sequence,
            "status": "refunded" if fact.type == FactType.REFUNDED else "confirmed",
            "reservation": f"{self._sale}.0.{fact.token}",
            "amount_due": due,
            "currency": currency,
        }
        self._tally = self._tally.plus(order)
        self._lines.append(_mark(order, fact.seq))
        if fact.sequence == self._wanted:
            self._tallies[fact.sequence] = self._tally

    def _compare_books(self, books: "Books") -> None:
        sums = {
            "facts": (books.facts, books.seq),
            "orders made and undone": (books.sequence, self._tally.sequence),
            "confirmed orders": (books.confirmed, self._tally.confirmed),
            "amount of the confirmed orders": (books.confirmed_amount, self._tally.confirmed_amount),
            "refunded orders": (books.refunded, self._tally.refunded),
            "amount of the refunded orders": (books.refunded_amount, self._tally.refunded_amount),
        }
        for name, (is_, should_be) in sums.items():
            if is_ != should_be:
                self._find(
                    None, f"the archive has {is_} as its {name}, up to fact {books.seq} there are {should_be}"
                )

    async def compare_stream(self, orders: OrderStore, last: int, tally: Tally) -> OrdersState:
        """Compares the stream with the facts. `last` and `tally` are its end, as it was before the journal was read.

        Every event is read that is still in it: its number, its fact, whose order it makes or undoes, and the amount.
        """
        state = OrdersState(self._tally.sequence, last)
        if last > self._tally.sequence:
            self._find(None, f"order {last} was published, and the facts have {self._tally.sequence}")
            return state
        if last and self._tallies.get(last) != tally:
            self._find(
                None,
                f"the sums published with order {last} are {tally}, the facts say {self._tallies.get(last)}",
            )
        wanted = None
        async for published in _all(orders, self._sale, last):
            if wanted is not None and published.sequence != wanted:
                self._find(None, f"order {wanted} is missing among those published")
            elif not self._is_right(published.sequence, published.seq, published.body):
                self._find(published.seq, f"order {published.sequence} was published as something else")
            wanted = published.sequence + 1
        return state

    def _is_right(self, sequence: int, seq: int, body: bytes) -> bool:
        try:
            order = orjson.loads(body)["data"]
            return 0 < sequence <= len(self._lines) and _mark(order, seq) == self._lines[sequence - 1]
        except (ValueError, KeyError, TypeError):
            return False


async def _all(orders: OrderStore, sale: str, last: int) -> AsyncIterator[Any]:
    """What is published up to this order."""
    after = 0
    while after < last and (page := await orders.read(sale, after=after, limit=_PAGE)):
        for published in page:
            if published.sequence <= last:
                yield published
        after = page[-1].sequence
        await asyncio.sleep(0)


def _mark(order: dict[str, Any], seq: int) -> int:
    """Eight bytes that are another number for every other order: there may be millions of them."""
    return int.from_bytes(sha256(f"{seq} {line_of(order)}".encode()).digest()[:8], "big")


def _short(fact: Fact) -> str:
    data = fact.data[:24].hex() + ("..." if len(fact.data) > 24 else "")
    return f"{fact.type} at {fact.at_ms} with {data or 'nothing'}"
