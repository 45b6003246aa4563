"""`flashsale recover`: brings a sale back whose journal in the store is older than the archive.

Every fact is read from the archive, replayed as the audit does, and the state that follows is put together beside what the
store has; one transaction then puts it in its place and lets the sale go on. Until then nothing of the sale has changed, so
a run may die anywhere and be made again, and of two runs the second finds nothing left to do.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, TypeVar

import msgspec

from flashsale.archive import Archive
from flashsale.engine.guard import Behind, Guard
from flashsale.model.audit import FactError
from flashsale.model.facts import Fact, FactType
from flashsale.model.rebuild import Rebuild, pack_payment
from flashsale.model.reservation import State
from flashsale.store.client import StoreUnavailableError
from flashsale.store.guarding import GuardStore
from flashsale.store.recovery import OldSale, SaleMovedError, SaleRebuilder

T = TypeVar("T")
FACTS_AT_ONCE: Final = 2000
ROWS_AT_ONCE: Final = 1000
_TOLD_EVERY: Final = 20_000
_REASON: Final = "the definition was lost before the sale had opened"
_encode = msgspec.msgpack.Encoder().encode


class RecoveryError(Exception):
    """The sale cannot be brought back; the message says why and what to do. Nothing was changed."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """What was done."""

    sale: str
    facts: int
    """Facts that the journal has now."""
    missing: int = 0
    """How many of them the store had lost; 0 when there was nothing to do."""
    orders: int = 0
    """Confirmed reservations."""
    holds: int = 0
    jobs: int = 0
    """Refunds, and payments to be cancelled, that were queued again."""
    undefined: bool = False
    """The sale had not opened, so its definition is in no fact: it has to be put again."""


class Recovery:
    """One run over one sale. Memory grows with the number of its reservations."""

    def __init__(
        self,
        store: GuardStore,
        archive: Archive,
        sale: str,
        *,
        tell: Callable[[int, int], None] = lambda _done, _of: None,
        step: Callable[[str], None] = lambda _name: None,
    ) -> None:
        """`tell` is told of facts done, of how many; `step` of each step, for tests that end the process there."""
        self._store = store
        self._archive = archive
        self._sale = sale
        self._tell = tell
        self._step = step
        self._guard = Guard(store, archive)
        self._rebuilder = SaleRebuilder(store.store, sale)
        self._rebuild = Rebuild()

    async def run(self) -> Recovered:
        """Compares all sales with the archive, as whoever works with it does, and brings this one back if it is behind.

        Raises:
            RecoveryError: that cannot be done.
            ArchiveError, StoreUnavailableError: one of them is away; run it again.
        """
        await self._guard.verify()
        behind = await self._guard.check(self._sale)
        if behind is None:
            return await self._nothing_to_do()
        if behind.differs_at is not None:
            raise RecoveryError(
                f"{behind}. Both have gone on from fact {behind.differs_at} in their own ways, and nobody but you can tell "
                f'which of them is right: see "When Redis comes back older" in docs/orders.md'
            )
        try:
            return await self._bring_back(behind)
        except SaleMovedError as error:
            raise RecoveryError(f"{self._sale} was not brought back: {error}. Run this again") from error
        except FactError as error:
            raise RecoveryError(f"the archive {self._archive.where} does not add up: {error}") from error
        finally:
            with suppress(StoreUnavailableError):
                await self._rebuilder.drop()

    async def _nothing_to_do(self) -> Recovered:
        old = await self._rebuilder.old()
        position = await asyncio.to_thread(self._archive.position, self._sale)
        if position is None and not old.version:
            raise RecoveryError(
                f"neither the store nor the archive {self._archive.where} knows a sale {self._sale}. "
                "If there was one, it was lost before anything of it was archived: put it again"
            )
        return Recovered(self._sale, old.seq)

    async def _bring_back(self, behind: Behind) -> Recovered:
        old = await self._rebuilder.old()
        await self._replay(behind.archived)
        replay = self._rebuild.replay
        undefined = replay.terms is None and bool(replay.items)
        if undefined:
            await self._take_back(old.now_ms)
        await self._put_sale(old)
        await self._put_reservations()
        jobs = await self._put_payments()
        self._step("swap")
        await self._rebuilder.swap(replay.seq, jobs)
        self._step("swapped")
        orders = sum(claimed.state is State.CONFIRMED for claimed in replay.reservations.values())
        return Recovered(
            self._sale,
            facts=replay.seq,
            missing=behind.archived - behind.seq,
            orders=orders,
            holds=replay.holds,
            jobs=len(jobs),
            undefined=undefined,
        )

    async def _replay(self, archived: int) -> None:
        seq = 0
        while facts := await asyncio.to_thread(
            self._archive.facts, self._sale, after=seq, limit=FACTS_AT_ONCE
        ):
            for fact in facts:
                self._rebuild.apply(fact)
            await self._rebuilder.add_facts(facts)
            seq = facts[-1].seq
            self._step("facts")
            if archived > _TOLD_EVERY and seq % _TOLD_EVERY < FACTS_AT_ONCE:
                self._tell(seq, archived)
        if seq < archived:
            raise RecoveryError(
                f"the archive {self._archive.where} has {seq} facts of {self._sale}, and says that it has {archived}"
            )

    async def _take_back(self, now_ms: int) -> None:
        """The units of a sale that nobody knows the definition of. It is then as if it had never been defined."""
        replay = self._rebuild.replay
        facts = []
        for sku in sorted(sku for sku, item in replay.items.items() if item.stock):
            data = _encode([sku, -replay.items[sku].stock, _REASON])
            facts.append(Fact(replay.seq + 1, now_ms, FactType.ITEM_RESTOCKED, data))
            self._rebuild.apply(facts[-1])
        if facts:
            await self._rebuilder.add_facts(facts)

    async def _put_sale(self, old: OldSale) -> None:
        fields: dict[Any, bytes | str] = {**self._rebuild.sale(max(old.version + 1, old.now_ms))}
        if self._rebuild.definition is not None:
            fields |= old.restocks
        await self._rebuilder.add_fields("sale", fields)
        await self._put("stock", self._rebuild.stock().items())

    async def _put_reservations(self) -> None:
        await self._put("reservations", self._rebuild.reservations())
        for chunk in _chunks(self._rebuild.holds(), ROWS_AT_ONCE):
            await self._rebuilder.add_holds(dict(chunk))
        await self._put("customers", self._rebuild.customers())
        self._step("reservations")

    async def _put(self, part: str, rows: Iterable[tuple[str, bytes | str]]) -> None:
        for chunk in _chunks(rows, ROWS_AT_ONCE):
            await self._rebuilder.add_fields(part, dict(chunk))

    async def _put_payments(self) -> list[tuple[str, bytes]]:
        """Writes the payment records; the jobs that may have to be done once more."""
        jobs: list[tuple[str, bytes]] = []
        for tokens in _chunks(self._rebuild.payers(), ROWS_AT_ONCE):
            records = {}
            for token, old in zip(tokens, await self._rebuilder.old_payments(tokens), strict=True):
                record, again = self._rebuild.payment(token, old)
                jobs += again
                if record is not None:
                    records[token] = pack_payment(record)
            await self._rebuilder.add_fields("attempts", records)
        self._step("payments")
        return jobs


def _chunks(rows: Iterable[T], size: int) -> Iterator[list[T]]:
    rest = iter(rows)
    while chunk := list(islice(rest, size)):
        yield chunk
